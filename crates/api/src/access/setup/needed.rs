//! `GET /api/v1/setup`: whether there is no user yet.

use axum::{Json, extract::State};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::is_needed;
use crate::{ApiResult, App, access::stranger::Stranger, problem::ProblemDetails};

/// Whether the owner is still to be made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SetupState {
    /// True until there is a user.
    pub needed: bool,
}

/// For the pages: whether to show the set-up or the sign-in.
#[utoipa::path(
    get,
    path = "/api/v1/setup",
    operation_id = "get_setup",
    responses((status = 200, body = SetupState), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, _: Stranger) -> ApiResult<Json<SetupState>> {
    Ok(Json(SetupState { needed: is_needed(&app).await? }))
}
