//! `DELETE /api/v1/sessions/{id}`: signs out somewhere else.

use axum::{extract::State, http::StatusCode};
use storage::Storage;

use crate::{ApiError, ApiResult, App, access::account::SignedIn, extract::Named, problem::ProblemDetails};

/// Ends one of one's own sessions.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions/{id}",
    operation_id = "end_session",
    params(("id" = String, Path, description = "Names the session")),
    responses((status = 204), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    signed_in: SignedIn,
    Named(id): Named<String>,
) -> ApiResult<StatusCode> {
    let deed = signed_in.deed(&app, "session.end");
    match app.store.end_session(signed_in.account.user.id, id.clone(), deed).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found("session", id)),
    }
}
