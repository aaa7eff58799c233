//! `GET /readyz`: the server can do its work.

use std::sync::atomic::Ordering;

use axum::{extract::State, http::StatusCode};
use model::Problem;
use storage::Storage;

use crate::{ApiError, ApiResult, App};

/// Answers `ready` when the database answers and the living engine goes on.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    responses((status = 200, body = String), (status = 503, body = crate::problem::ProblemDetails))
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>) -> ApiResult<&'static str> {
    app.store.last_input().await?;
    if app.ops.broken.load(Ordering::Relaxed) {
        let problem = Problem::new("engine.broken", "the living engine cannot go on; the log says why");
        return Err(ApiError::retry(StatusCode::SERVICE_UNAVAILABLE, problem, 5));
    }
    Ok("ready")
}
