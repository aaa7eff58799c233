//! `GET /api/v1/templates`: all templates.

use axum::{Json, extract::State};
use serde::Serialize;
use storage::{Storage, settings::DefinitionKind};
use utoipa::ToSchema;

use super::{TemplateBody, body, context};
use crate::{ApiResult, App, access::Viewer};

/// All templates.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Templates {
    /// Their last versions, by slug.
    items: Vec<TemplateBody>,
}

/// Lists the templates.
#[utoipa::path(
    get,
    path = "/api/v1/templates",
    operation_id = "listTemplates",
    responses((status = 200, body = Templates))
)]
pub(crate) async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer) -> ApiResult<Json<Templates>> {
    let context = context(&app.store).await?;
    let all = app.store.load_definitions(DefinitionKind::Template).await?;
    Ok(Json(Templates { items: all.iter().map(|definition| body(definition, &context)).collect() }))
}
