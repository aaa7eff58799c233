//! `GET /api/v1/templates/{slug}`: one template.

use axum::{extract::State, response::Response};
use storage::Storage;

use super::{TemplateBody, body, context};
use crate::{
    ApiResult, App,
    access::Viewer,
    admin::definitions::{TEMPLATE, tag},
    extract::Named,
    tag::Known,
};

/// A template's last version.
#[utoipa::path(
    get,
    path = "/api/v1/templates/{slug}",
    operation_id = "getTemplate",
    params(("slug" = String, Path, description = "What it is known by")),
    responses((status = 200, body = TemplateBody), (status = 304))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(slug): Named<String>,
    known: Known,
) -> ApiResult<Response> {
    let definition = TEMPLATE.find(&app.store, &slug).await?;
    let context = context(&app.store).await?;
    Ok(known.answer(tag(&definition), body(&definition, &context)))
}
