//! `GET /api/v1/webhooks`: all of them.

use axum::{Json, extract::State};
use storage::Storage;

use super::Webhook;
use crate::{ApiResult, App, access::Viewer};

/// All webhooks, the oldest first: there are 50 at most.
#[utoipa::path(get, path = "/api/v1/webhooks", operation_id = "list_webhooks",
    responses((status = 200, body = Vec<Webhook>)))]
pub async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer) -> ApiResult<Json<Vec<Webhook>>> {
    let now = app.now();
    Ok(Json(app.store.load_hooks().await?.iter().map(|hook| Webhook::of(hook, now)).collect()))
}
