//! `POST /api/v1/totp`: begins to use one-time codes.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use storage::Storage;
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::{account::SignedIn, reauth, totp},
    extract::Body,
    problem::ProblemDetails,
};

/// Shows that it is the user who asks.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"password": "correct horse battery staple"}))]
pub struct Reauth {
    /// The password.
    pub(super) password: String,
}

/// What an authenticator needs.
#[derive(Clone, Serialize, ToSchema)]
pub struct Enrolment {
    /// The secret in base32, for typing.
    pub secret: String,
    /// The same as `otpauth://…`, for a picture.
    pub uri: String,
}

/// Makes a secret. Codes are asked for from the moment at which `POST /api/v1/totp/confirm` got the first one.
#[utoipa::path(
    post,
    path = "/api/v1/totp",
    operation_id = "enrol_totp",
    request_body = Reauth,
    responses((status = 200, body = Enrolment), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    signed_in: SignedIn,
    Body(asked): Body<Reauth>,
) -> ApiResult<Json<Enrolment>> {
    let user = signed_in.account.user;
    reauth(&app, &user, &asked.password, signed_in.principal.client).await?;
    let mut secret = [0; totp::SECRET_LEN];
    app.chance.fill(&mut secret);
    app.store.propose_totp(user.id, secret.to_vec()).await?;
    Ok(Json(Enrolment { secret: totp::base32(&secret), uri: totp::uri(&secret, &user.is.email) }))
}
