//! `GET /api/v1/oidc/start`: sends the browser to the identity provider.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use storage::Storage;

use super::{CALLBACK, COOKIE, COOKIE_SECONDS, fetch};
use crate::{
    ApiError, ApiResult, App,
    access::{Stranger, account::cookie_header, token},
    problem::ProblemDetails,
};

/// Answers with a redirect, and with a cookie that belongs to this one sign-in.
#[utoipa::path(
    get,
    path = "/api/v1/oidc/start",
    operation_id = "start_oidc",
    responses((status = 303, description = "To the provider"), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Stranger,
) -> ApiResult<(StatusCode, HeaderMap)> {
    let Some(config) = &app.config.access.oidc else {
        return Err(ApiError::not_found("identity provider", "oidc"));
    };
    let provider = app
        .access
        .oidc
        .known
        .find(config, app.now())
        .await
        .map_err(|problem| super::provider::down(&problem))?;
    let secret = token::make(&*app.chance);
    let verifier = token::derive(&secret, "verifier");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let redirect = format!("{}{CALLBACK}", app.config.public_url);
    let query = fetch::form(&[
        ("response_type", "code"),
        ("client_id", &config.client_id),
        ("redirect_uri", &redirect),
        ("scope", "openid email profile"),
        ("state", &token::derive(&secret, "state")),
        ("nonce", &token::derive(&secret, "nonce")),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let joint = if provider.authorization_endpoint.contains('?') { '&' } else { '?' };
    let target = format!("{}{joint}{query}", provider.authorization_endpoint);
    let mut headers = cookie_header(COOKIE.set(&secret, COOKIE_SECONDS, &app.config.public_url));
    if let Ok(target) = HeaderValue::try_from(target) {
        headers.insert(header::LOCATION, target);
    }
    Ok((StatusCode::SEE_OTHER, headers))
}
