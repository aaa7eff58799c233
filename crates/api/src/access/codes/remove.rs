//! `DELETE /api/v1/totp`: signing in takes no code any more.

use axum::{extract::State, http::StatusCode};
use storage::{Storage, users::UserChange};

use super::enrol::Reauth;
use crate::{
    ApiResult, App,
    access::{account::SignedIn, reauth},
    extract::Body,
    problem::ProblemDetails,
};

/// Forgets the secret and the recovery codes.
#[utoipa::path(
    delete,
    path = "/api/v1/totp",
    operation_id = "remove_totp",
    request_body = Reauth,
    responses((status = 204), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    signed_in: SignedIn,
    Body(asked): Body<Reauth>,
) -> ApiResult<StatusCode> {
    let deed = signed_in.deed(&app, "user.totp_off");
    let user = signed_in.account.user;
    reauth(&app, &user, &asked.password, signed_in.principal.client).await?;
    app.store.change_user(user.id, UserChange { forget_totp: true, ..UserChange::default() }, deed).await?;
    Ok(StatusCode::NO_CONTENT)
}
