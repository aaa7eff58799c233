//! `DELETE /api/v1/users/{id}`: removes a user.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use storage::{Storage, users::UserId};

use crate::{
    ApiError, ApiResult, App,
    access::{Owner, account::who},
    audit,
    extract::Named,
    problem::ProblemDetails,
};

/// With all sessions. What they did stays in the audit log.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    operation_id = "remove_user",
    params(("id" = i64, Path, description = "The user's number")),
    responses((status = 204), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    Named(id): Named<i64>,
) -> ApiResult<StatusCode> {
    let none = || ApiError::not_found("user", id);
    let user = app.store.load_user(UserId(id)).await?.ok_or_else(none)?;
    let deed = audit::deed(&app, &by, "user.remove", who(&user.is.email), json!({}));
    if app.store.remove_user(user.id, deed).await? { Ok(StatusCode::NO_CONTENT) } else { Err(none()) }
}
