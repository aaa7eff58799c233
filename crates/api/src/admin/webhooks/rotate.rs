//! `POST /api/v1/webhooks/{id}/rotate`: a new secret.

use axum::{Json, extract::State};
use serde_json::json;
use storage::Storage;

use super::{NewWebhook, answer, find};
use crate::{ApiError, ApiResult, App, access::Owner, audit, extract::Named, problem::ProblemDetails};

/// Makes a new secret. The one before goes on signing beside it for 24 hours, so that the other side can change over.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/rotate", operation_id = "rotate_webhook_secret",
    params(("id" = i64, Path)),
    responses((status = 200, body = NewWebhook), (status = 404, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(who): Owner,
    Named(id): Named<i64>,
) -> ApiResult<Json<NewWebhook>> {
    let now = app.now();
    let mut bytes = [0; delivery::hooks::SECRET_LEN];
    app.chance.fill(&mut bytes);
    let (secret, text) = delivery::hooks::secret(&bytes);
    let secrets = delivery::hooks::rotated(find(&app, id).await?.secrets, secret, now);
    if !app.store.save_hook_secrets(id, secrets, now).await? {
        return Err(ApiError::not_found("webhook", id));
    }
    audit::note(&app, &who, "webhook.rotate", format!("webhook:{id}"), json!({})).await?;
    let webhook = answer(&app, id).await?.1;
    Ok(Json(NewWebhook { webhook, secret: Some(text), warnings: Vec::new() }))
}
