//! `PUT /api/v1/templates/{slug}`: makes a template or a new version of it.

use axum::extract::State;
use model::doc;
use storage::Storage;

use super::{TemplateBody, body, compile, context};
use crate::{
    ApiResult, App,
    access::Editor,
    admin::definitions::{PutDefinition, TEMPLATE, tag},
    extract::{Body, Named},
    tag::{Precondition, Tagged},
};

/// Checks a template, tries it on samples in each of its languages, and saves it as a new version. Journeys that are at
/// work go on with the version that they were published with.
#[utoipa::path(
    put,
    path = "/api/v1/templates/{slug}",
    operation_id = "putTemplate",
    params(("slug" = String, Path, description = "What it is known by")),
    request_body(
        content = PutDefinition,
        example = json!({"definition": {
            "format": 1, "template": "hello", "languages": ["en", "fr"],
            "subject": {"en": "Hello", "fr": "Bonjour"},
            "blocks": [{"kind": "text", "text": {"en": "Thank you", "fr": "Merci"}}]
        }})
    ),
    responses((status = 200, body = TemplateBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    precondition: Precondition,
    Body(given): Body<PutDefinition>,
) -> ApiResult<Tagged<TemplateBody>> {
    let (slug, text) = TEMPLATE.incoming(&app.store, &slug, &precondition, given).await?;
    let context = context(&app.store).await?;
    let (_, template) = compile(&text, &slug, &context)?;
    TEMPLATE.named(&slug, template.slug())?;
    let definition = TEMPLATE.save(&app, &by, &slug, doc::parse(&text)?.to_json()).await?;
    Ok(Tagged(tag(&definition), body(&definition, &context)))
}
