//! `POST /api/v1/password`: changes one's own password.

use axum::{Json, extract::State, http::HeaderMap};
use serde::Deserialize;
use storage::Storage;
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::{
        account::{self, SignedIn},
        bodies::{self, WhoBody},
        password, reauth,
        stranger::Stranger,
    },
    extract::Body,
    problem::ProblemDetails,
};

/// The old and the new one.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"current": "what it was until now", "password": "correct horse battery staple"}), as = ChangePassword)]
pub struct Change {
    /// The present password.
    current: String,
    /// The new one: 12 to 1024 characters.
    password: String,
}

/// Ends all sessions, also on other devices, and begins a new one.
#[utoipa::path(
    post,
    path = "/api/v1/password",
    operation_id = "change_password",
    request_body = Change,
    responses((status = 200, body = WhoBody), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    signed_in: SignedIn,
    stranger: Stranger,
    Body(asked): Body<Change>,
) -> ApiResult<(HeaderMap, Json<WhoBody>)> {
    let user = signed_in.account.user.clone();
    password::check(&asked.password, &user.is.email)?;
    reauth(&app, &user, &asked.current, stranger.client).await?;
    let hash = app.access.hasher.hash(&*app.chance, &asked.password).await?;
    app.store.set_password(user.id, hash, signed_in.deed(&app, "user.password")).await?;
    Ok(bodies::begun(account::begin(&app, user, &stranger, "password change", None).await?))
}
