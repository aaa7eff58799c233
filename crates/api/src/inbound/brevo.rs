//! `POST /inbound/brevo`: events of Brevo.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{HeaderMap, header},
};
use delivery::post::providers::{brevo, check_secret};
use storage::Storage;

use super::{HeardBody, key, refused, take};
use crate::{ApiResult, App, problem::ProblemDetails};

/// Takes an event or a list; the call holds the secret as `Authorization: Bearer`.
#[utoipa::path(post, path = "/inbound/brevo", operation_id = "inbound_brevo",
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses((status = 200, body = HeardBody), (status = 400, body = ProblemDetails),
        (status = 403, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<Json<HeardBody>> {
    let secret = key(app.config.inbound.brevo_secret.as_ref(), "Brevo")?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    check_secret(given, secret).map_err(refused)?;
    take(&app, brevo::read(&app.links, &body, app.now()).map_err(refused)?).await
}
