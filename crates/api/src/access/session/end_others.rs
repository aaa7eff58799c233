//! `DELETE /api/v1/sessions`: signs out everywhere else.

use axum::{Json, extract::State};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use crate::{ApiResult, App, access::account::SignedIn, problem::ProblemDetails};

/// What became of the others.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Ended {
    /// How many sessions have ended.
    pub ended: usize,
}

/// Ends all of one's own sessions but the one that asks.
#[utoipa::path(
    delete,
    path = "/api/v1/sessions",
    operation_id = "end_other_sessions",
    responses((status = 200, body = Ended), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, signed_in: SignedIn) -> ApiResult<Json<Ended>> {
    let deed = signed_in.deed(&app, "session.end_others");
    let mine = signed_in.account.session;
    let ended = app.store.end_sessions(mine.user, Some(mine.id), deed).await?;
    Ok(Json(Ended { ended }))
}
