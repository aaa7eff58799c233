//! `DELETE /api/v1/session`: signs out.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use storage::Storage;

use crate::{
    ApiResult, App,
    access::account::{SignedIn, cookie_header},
    access::cookie::SESSION,
    problem::ProblemDetails,
};

/// Ends the session and takes its cookie away.
#[utoipa::path(
    delete,
    path = "/api/v1/session",
    operation_id = "sign_out",
    responses((status = 204), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    signed_in: SignedIn,
) -> ApiResult<(StatusCode, HeaderMap)> {
    let deed = signed_in.deed(&app, "session.end");
    let session = signed_in.account.session;
    app.store.end_session(session.user, session.id, deed).await?;
    Ok((StatusCode::NO_CONTENT, cookie_header(SESSION.clear(&app.config.public_url))))
}
