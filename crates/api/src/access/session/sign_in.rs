//! `POST /api/v1/session`: signs in.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use model::Problem;
use serde::Deserialize;
use storage::{
    Storage,
    users::{Rehash, User},
};
use utoipa::ToSchema;

use crate::{
    ApiError, ApiResult, App,
    access::{
        account::{self, Account},
        bodies::{self, WhoBody},
        password,
        stranger::Stranger,
        totp,
    },
    extract::Body,
    problem::ProblemDetails,
};

/// Who wants to sign in.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ann@shop.example", "password": "correct horse battery staple"}))]
pub struct SignIn {
    /// The address.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: String,
    /// A one-time code or a recovery code, where the user has these; asked for by `access.code_needed`.
    #[serde(default)]
    pub(crate) code: Option<String>,
}

/// Answers with a cookie that holds the session, and with what the pages need to know.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    operation_id = "sign_in",
    request_body = SignIn,
    responses((status = 200, body = WhoBody), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    stranger: Stranger,
    Body(asked): Body<SignIn>,
) -> ApiResult<(HeaderMap, Json<WhoBody>)> {
    Ok(bodies::begun(sign_in(&app, &stranger, asked).await?))
}

/// Begins a session of who knows the password, and the code where there is one.
///
/// # Errors
/// `access.sign_in`, `access.code_needed`, `access.code`, `access.wait`, `access.busy`; what the database says.
pub(crate) async fn sign_in<S: Storage>(
    app: &App<S>,
    stranger: &Stranger,
    asked: SignIn,
) -> ApiResult<(HeaderMap, Account)> {
    let email = asked.email.trim().to_lowercase();
    app.access.guard.begin(&email, stranger.client, app.now())?;
    let user = check_password(app, &email, &asked.password).await?;
    if user.totp.is_some() {
        let Some(code) = asked.code.filter(|code| !code.trim().is_empty()) else {
            app.access.guard.take_back(&email, stranger.client);
            let problem = Problem::new("access.code_needed", "a one-time code is needed too")
                .field("code")
                .cure("send the code of your authenticator, or a recovery code");
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, problem));
        };
        if !second_factor(app, &user, &code).await? {
            let problem = Problem::new("access.code", "the code is wrong, or was used already")
                .field("code")
                .cure("wait for the next code, or take a recovery code");
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, problem));
        }
    }
    app.access.guard.succeed(&email, stranger.client);
    let renewed = renew(app, &user, &asked.password).await;
    account::begin(app, user, stranger, "password", renewed).await
}

/// Another hash of the password when the one that is kept was made with what guessing was to cost in earlier years: only
/// at a sign-in the password is here. When the machine is busy, the next sign-in will do.
async fn renew<S: Storage>(app: &App<S>, user: &User, password: &str) -> Option<Rehash> {
    let old = user.is.password.clone().filter(|kept| password::is_outdated(kept))?;
    let new = app.access.hasher.hash(&*app.chance, password).await.ok()?;
    Some(Rehash { old, new })
}

/// The user with this address and password. What is wrong shows neither in the answer nor in the time that it takes.
async fn check_password<S: Storage>(app: &App<S>, email: &str, given: &str) -> ApiResult<User> {
    let possible = password::is_possible(given);
    let user = app.store.find_user(email.to_owned()).await?;
    let kept = user.as_ref().filter(|_| possible).and_then(|user| user.is.password.as_deref());
    let given = if possible { given } else { "" };
    let good = app.access.hasher.verify(given, kept).await?;
    match user.filter(|user| good && user.disabled_at.is_none()) {
        Some(user) => Ok(user),
        None => {
            // No address, of either kind: logs hold nothing about people.
            tracing::info!("a sign-in was refused");
            let problem = Problem::new("access.sign_in", "the address or the password is wrong")
                .cure("try again, or ask for a new password");
            Err(ApiError::new(StatusCode::UNAUTHORIZED, problem))
        }
    }
}

/// Whether a code is good for a user: one of the authenticator or one for recovery. It is used up.
async fn second_factor<S: Storage>(app: &App<S>, user: &User, code: &str) -> ApiResult<bool> {
    let secret = user.totp.as_deref().unwrap_or_default();
    if let Some(step) = totp::find(secret, code, app.now()) {
        return Ok(app.store.use_totp_step(user.id, step).await?);
    }
    Ok(app.store.use_recovery(user.id, totp::recovery_hash(code)).await?)
}
