//! `POST /api/v1/journeys/check`: says what is wrong with a journey, and keeps nothing.

use axum::{Json, extract::State};
use storage::Storage;

use super::folder::{CheckBody, FolderBody, compile};
use crate::{ApiResult, App, access::Viewer, extract::Body};

/// Checks a journey with the files beside it against the workspace. Nothing is kept.
#[utoipa::path(
    post,
    path = "/api/v1/journeys/check",
    operation_id = "check_journey",
    request_body = FolderBody,
    responses((status = 200, body = CheckBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Body(folder): Body<FolderBody>,
) -> ApiResult<Json<CheckBody>> {
    Ok(Json(CheckBody::from(&compile(&app, &folder, None).await?)))
}
