//! `POST /api/v1/totp/confirm`: shows the first one-time code.

use axum::{Json, extract::State};
use model::Problem;
use serde::{Deserialize, Serialize};
use storage::Storage;
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::{account::SignedIn, totp},
    extract::Body,
    problem::ProblemDetails,
};

/// The first code.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "123456"}))]
pub struct Confirm {
    /// What the authenticator shows.
    code: String,
}

/// For who has lost the authenticator.
#[derive(Clone, Serialize, ToSchema)]
pub struct Recovery {
    /// Each is good for one sign-in. They are shown now and never again.
    pub recovery_codes: Vec<String>,
}

/// From now on signing in takes a code.
#[utoipa::path(
    post,
    path = "/api/v1/totp/confirm",
    operation_id = "confirm_totp",
    request_body = Confirm,
    responses((status = 200, body = Recovery), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    signed_in: SignedIn,
    Body(asked): Body<Confirm>,
) -> ApiResult<Json<Recovery>> {
    let deed = signed_in.deed(&app, "user.totp_on");
    let user = signed_in.account.user;
    let none =
        || Problem::new("totp.none", "no secret waits for its first code").cure("POST /api/v1/totp first");
    let secret = user.totp_pending.ok_or_else(none)?;
    let step = totp::find(&secret, &asked.code, app.now()).ok_or_else(|| {
        Problem::new("totp.code", "this is not the code of the secret at this moment")
            .field("code")
            .cure("check the clock of the device that shows the codes")
    })?;
    let codes = totp::recovery_codes(&*app.chance);
    let hashes = codes.iter().map(|code| totp::recovery_hash(code)).collect();
    if !app.store.confirm_totp(user.id, secret, step, hashes, deed).await? {
        return Err(none().into());
    }
    Ok(Json(Recovery { recovery_codes: codes }))
}
