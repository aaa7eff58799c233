//! `POST /api/v1/refused/forget`: refused messages away.

use axum::{Json, extract::State};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::retry::Which;
use crate::{ApiResult, App, access::Editor, extract::Body, problem::ProblemDetails};

/// How many there were.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Forgotten {
    /// How many.
    pub forgotten: u64,
}

/// Forgets refused messages.
#[utoipa::path(
    post,
    path = "/api/v1/refused/forget",
    operation_id = "forget_refused",
    request_body = Which,
    responses((status = 200, body = Forgotten), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Editor,
    Body(which): Body<Which>,
) -> ApiResult<Json<Forgotten>> {
    Ok(Json(Forgotten { forgotten: app.store.drop_refused(which.checked()?).await? }))
}
