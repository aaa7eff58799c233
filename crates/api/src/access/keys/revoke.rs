//! `DELETE /api/v1/keys/{id}`: revokes a key.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use storage::Storage;

use crate::{ApiError, ApiResult, App, access::Owner, audit, extract::Named, problem::ProblemDetails};

/// It opens nothing from now on, and stays in the list.
#[utoipa::path(
    delete,
    path = "/api/v1/keys/{id}",
    operation_id = "revoke_key",
    params(("id" = String, Path, description = "The key's public half")),
    responses((status = 204), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    Named(id): Named<String>,
) -> ApiResult<StatusCode> {
    if !app.store.revoke_key(id.clone(), app.now()).await? {
        return Err(ApiError::not_found("key that is not revoked", id));
    }
    audit::note(&app, &by, "key.revoke", format!("key:{id}"), json!({})).await?;
    Ok(StatusCode::NO_CONTENT)
}
