//! `POST /inbound/mailgun`: an event of Mailgun.

use axum::{Json, body::Bytes, extract::State};
use delivery::post::providers::mailgun;
use storage::Storage;

use super::{HeardBody, key, refused, take};
use crate::{ApiResult, App, problem::ProblemDetails};

/// Takes an event, signed with an HMAC over instant and token.
#[utoipa::path(post, path = "/inbound/mailgun", operation_id = "inbound_mailgun",
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, body = HeardBody), (status = 400, body = ProblemDetails),
        (status = 403, body = ProblemDetails)))]
pub async fn handle<S: Storage>(State(app): State<App<S>>, body: Bytes) -> ApiResult<Json<HeardBody>> {
    let key = key(app.config.inbound.mailgun_key.as_ref(), "Mailgun")?;
    take(&app, mailgun::read(key, &app.links, &body, app.now()).map_err(refused)?).await
}
