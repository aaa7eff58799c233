//! `PUT /api/v1/fields/{slug}`: makes a custom field, or changes it.

use axum::{Json, extract::State, http::StatusCode};
use engine::{live::book, segments::Workspace};
use model::{FieldDef, Problem};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use storage::{
    Storage,
    settings::{DefinitionKind, NewDefinition},
};
use utoipa::ToSchema;

use super::FieldBody;
use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    said,
};

/// A field, as `fields.yaml` describes it: `type`, `name`, and what the type needs (`min`, `max`, `options`, `required`,
/// `default`).
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(value_type = Object)]
pub(crate) struct PutField(Map<String, Value>);

/// Makes a custom field, or changes its name and terms. Its type stays: values that were given would not fit another.
#[utoipa::path(
    put,
    path = "/api/v1/fields/{slug}",
    operation_id = "put_field",
    tag = "fields",
    params(("slug" = String, Path)),
    request_body(
        content = PutField,
        example = json!({"type": "decimal", "name": {"en": "Highest price", "fr": "Prix le plus haut"}, "min": 0})
    ),
    responses(
        (status = 200, body = FieldBody),
        (status = 201, description = "it is new", body = FieldBody),
        (status = 422, body = crate::problem::ProblemDetails)
    )
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    Body(PutField(given)): Body<PutField>,
) -> ApiResult<(StatusCode, Json<FieldBody>)> {
    let slug = said::slug(&slug)?;
    let text = json!({ "fields": { slug.as_str(): given } }).to_string();
    let field: FieldDef = journey::fields::parse(&text, "fields")?
        .into_iter()
        .next()
        .ok_or_else(|| Problem::new("field.invalid", "no field is described"))?;
    let known = Workspace::load(&app.store).await?.schema.fields;
    let before = known.get(slug.as_str());
    if let Some(before) = before.filter(|before| before.kind.word() != field.kind.word()) {
        return Err(Problem::new(
            "field.type",
            format!("`{slug}` is a field of type {}", before.kind.word()),
        )
        .field("type")
        .value(field.kind.word())
        .cure("make another field for values of another type")
        .into());
    }
    if before.is_none() && known.len() >= FieldDef::COUNT_MAX {
        return Err(Problem::new("fields.too_many", format!("there are {} fields", known.len()))
            .field("slug")
            .cure(format!("a workspace has at most {}", FieldDef::COUNT_MAX))
            .into());
    }
    let status = if before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let content = serde_json::to_value(&field).unwrap_or_default();
    let new = NewDefinition { kind: DefinitionKind::Field, slug: slug.clone(), content };
    app.store.save_definitions(vec![new], app.now()).await?;
    book::touch_rules(&app.store).await?;
    app.engine_bell.notify_one();
    audit::note(&app, &by, "field.save", format!("field:{slug}"), json!({})).await?;
    Ok((status, Json(FieldBody::from(&field))))
}
