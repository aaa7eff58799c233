//! `PUT /api/v1/templates/{slug}`: makes a template or a new version of it.

use axum::extract::State;
use engine::live::book;
use model::{Problem, doc};
use serde::Deserialize;
use serde_json::{Value, json};
use storage::{
    Storage,
    settings::{DefinitionKind, NewDefinition},
};
use utoipa::ToSchema;

use super::{TemplateBody, body, compile, context, find, last, tag};
use crate::{
    ApiResult, App,
    access::Editor,
    admin::segments::text,
    audit,
    extract::{Body, Named},
    said,
    tag::{Precondition, Tagged},
};

/// A template's file.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutTemplate {
    /// What its file holds, as a tree; or [`PutTemplate::source`].
    #[schema(value_type = Option<Object>)]
    definition: Option<Value>,
    /// The file's text, YAML or JSON: problems then say line and column.
    source: Option<String>,
}

/// Checks a template, tries it on samples in each of its languages, and saves it as a new version. Journeys that are at
/// work go on with the version that they were published with.
#[utoipa::path(
    put,
    path = "/api/v1/templates/{slug}",
    operation_id = "putTemplate",
    params(("slug" = String, Path, description = "What it is known by")),
    request_body = PutTemplate,
    responses((status = 200, body = TemplateBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    precondition: Precondition,
    Body(given): Body<PutTemplate>,
) -> ApiResult<Tagged<TemplateBody>> {
    let slug = said::slug(&slug)?;
    let there = last(&app.store, &slug).await?;
    precondition.require(there.as_ref().map(tag).as_ref())?;
    let text = text(given.definition, given.source)?;
    let context = context(&app.store).await?;
    let (_, template) = compile(&text, &slug, &context)?;
    if *template.slug() != slug {
        return Err(Problem::new("template.name", format!("the definition is of `{}`", template.slug()))
            .field("definition.template")
            .value(template.slug())
            .cure(format!("write `template: {slug}`"))
            .into());
    }
    let content = doc::parse(&text)?.to_json();
    let new = NewDefinition { kind: DefinitionKind::Template, slug: slug.clone(), content };
    let versions = app.store.save_definitions(vec![new], app.now()).await?;
    book::touch_rules(&app.store).await?;
    let version = versions.first().copied().unwrap_or_default();
    audit::note(&app, &by, "template.save", format!("template:{slug}"), json!({ "version": version }))
        .await?;
    let definition = find(&app.store, slug.as_str()).await?;
    Ok(Tagged(tag(&definition), body(&definition, &context)))
}
