//! `GET /api/v1/webhooks/{id}`: one.

use axum::extract::State;
use storage::Storage;

use super::{Webhook, answer};
use crate::{ApiResult, App, access::Viewer, extract::Named, problem::ProblemDetails, tag::Tagged};

/// A webhook. Its `ETag` is the version of what users set, and stays while calls fare well or ill.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}", operation_id = "read_webhook", params(("id" = i64, Path)),
    responses((status = 200, body = Webhook), (status = 404, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(id): Named<i64>,
) -> ApiResult<Tagged<Webhook>> {
    answer(&app, id).await
}
