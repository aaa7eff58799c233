//! `POST /inbound/sendgrid`: events of SendGrid.

use axum::{Json, body::Bytes, extract::State, http::HeaderMap};
use delivery::post::providers::sendgrid;
use storage::Storage;

use super::{HeardBody, key, refused, take};
use crate::{ApiResult, App, problem::ProblemDetails};

/// Takes a list of events, signed with ECDSA (headers `X-Twilio-Email-Event-Webhook-Signature` and `…-Timestamp`).
#[utoipa::path(post, path = "/inbound/sendgrid", operation_id = "inbound_sendgrid",
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, body = HeardBody), (status = 400, body = ProblemDetails),
        (status = 403, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<Json<HeardBody>> {
    let key = sendgrid::key(key(app.config.inbound.sendgrid_key.as_ref(), "SendGrid")?)?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let signed = (header(sendgrid::SIGNATURE), header(sendgrid::TIMESTAMP));
    sendgrid::verify(&key, signed, &body, app.now()).map_err(refused)?;
    take(&app, sendgrid::read(&app.links, &body, app.now()).map_err(refused)?).await
}
