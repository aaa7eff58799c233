//! `GET /api/v1/jobs/{id}`.

use axum::{Json, extract::State};
use storage::Storage;

use super::{JobBody, body, find};
use crate::{ApiResult, App, access::Viewer, extract::Named};

/// Shows a job: how far it is, or what it came to.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}",
    operation_id = "get_job",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, body = JobBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Named(no): Named<i64>,
) -> ApiResult<Json<JobBody>> {
    let job = find(&app, no).await?;
    Ok(Json(body(&app, job)))
}
