//! `GET /readyz`: the server can do its work.

use axum::extract::State;
use storage::Storage;

use crate::{ApiResult, App};

/// Answers `ready` when the database answers.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    responses((status = 200, body = String), (status = 503, body = crate::problem::ProblemDetails))
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>) -> ApiResult<&'static str> {
    app.store.count_contacts().await?;
    Ok("ready")
}
