//! `GET /api/v1/oidc`: whether one can sign in at an identity provider.

use axum::{Json, extract::State};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use crate::{ApiResult, App, access::Stranger, problem::ProblemDetails};

/// What the sign-in page may offer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OidcOptions {
    /// Whether there is a provider: then the page links to `/api/v1/oidc/start`.
    pub offered: bool,
}

/// For the pages.
#[utoipa::path(
    get,
    path = "/api/v1/oidc",
    operation_id = "get_oidc",
    responses((status = 200, body = OidcOptions), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, _: Stranger) -> ApiResult<Json<OidcOptions>> {
    Ok(Json(OidcOptions { offered: app.config.access.oidc.is_some() }))
}
