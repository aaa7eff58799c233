//! `POST /inbound/postmark`: events of Postmark.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
};
use delivery::post::providers::{check_secret, postmark};
use storage::Storage;

use super::{HeardBody, key, refused, take};
use crate::{ApiResult, App, problem::ProblemDetails};

/// Takes an event; the call holds the secret as basic authorization.
#[utoipa::path(post, path = "/inbound/postmark", operation_id = "inbound_postmark",
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, body = HeardBody), (status = 400, body = ProblemDetails),
        (status = 403, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<Json<HeardBody>> {
    let secret = key(app.config.inbound.postmark_secret.as_ref(), "Postmark")?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    check_secret(given, secret).map_err(refused)?;
    take(&app, postmark::read(&app.links, &body, app.now()).map_err(refused)?).await
}
