//! `DELETE /api/v1/webhooks/{id}`: removes one with its queue.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use storage::Storage;

use super::{find, tag};
use crate::{
    ApiError, ApiResult, App, access::Owner, audit, extract::Named, problem::ProblemDetails,
    tag::Precondition,
};

/// Removes a webhook with what waits for it: with `If-Match` only one that stands as it was read.
#[utoipa::path(delete, path = "/api/v1/webhooks/{id}", operation_id = "remove_webhook", params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(who): Owner,
    Named(id): Named<i64>,
    precondition: Precondition,
) -> ApiResult<StatusCode> {
    precondition.check(Some(&tag(&find(&app, id).await?.plan)))?;
    if !app.store.remove_hook(id).await? {
        return Err(ApiError::not_found("webhook", id));
    }
    audit::note(&app, &who, "webhook.remove", format!("webhook:{id}"), json!({})).await?;
    Ok(StatusCode::NO_CONTENT)
}
