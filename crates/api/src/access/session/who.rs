//! `GET /api/v1/session`: who asks.

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use storage::Storage;

use crate::{
    ApiError, ApiResult, App,
    access::{Principal, account, bodies::WhoBody},
    problem::ProblemDetails,
};

/// Whoever asks, by key or session.
pub struct Somebody(WhoBody);

impl<S: Storage> FromRequestParts<App<S>> for Somebody {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, ApiError> {
        let principal = Principal::of(app, parts).await?;
        if principal.who.starts_with("key:") {
            return Ok(Self(principal.into()));
        }
        let account = account::of(app, parts).await?;
        Ok(Self(account.map_or_else(|| principal.into(), WhoBody::from)))
    }
}

/// Also tells the CSRF token of the session.
#[utoipa::path(
    get,
    path = "/api/v1/session",
    operation_id = "get_session",
    responses((status = 200, body = WhoBody), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(_app): State<App<S>>,
    Somebody(who): Somebody,
) -> ApiResult<Json<WhoBody>> {
    Ok(Json(who))
}
