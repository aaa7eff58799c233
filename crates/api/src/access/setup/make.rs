//! `POST /api/v1/setup`: makes the owner.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use model::Problem;
use serde::Deserialize;
use serde_json::json;
use storage::{
    Storage,
    users::{NewUser, UserRole},
};
use utoipa::ToSchema;

use super::is_needed;
use crate::{
    ApiError, ApiResult, App,
    access::{
        Account,
        account::{self, who},
        bodies::{self, WhoBody},
        password,
        stranger::Stranger,
        token, users,
    },
    extract::Body,
    problem::ProblemDetails,
};

/// The owner to be.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"token": "what the server printed", "email": "ann@shop.example", "password": "correct horse battery staple", "locale": "fr"}))]
pub struct Setup {
    /// What the server printed at its start.
    pub(crate) token: String,
    /// The address.
    pub(crate) email: String,
    /// The password: 12 to 1024 characters.
    pub(crate) password: String,
    /// What they are called.
    #[serde(default)]
    pub(crate) name: String,
    /// The language of mails to them: `en` (as without it) or `fr`.
    #[serde(default)]
    pub(crate) locale: Option<String>,
}

/// Only while there is no user. Signs the owner in.
#[utoipa::path(
    post,
    path = "/api/v1/setup",
    operation_id = "set_up",
    request_body = Setup,
    responses((status = 201, body = WhoBody), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    stranger: Stranger,
    Body(asked): Body<Setup>,
) -> ApiResult<(StatusCode, HeaderMap, Json<WhoBody>)> {
    let (headers, who) = bodies::begun(make(&app, &stranger, asked).await?);
    Ok((StatusCode::CREATED, headers, who))
}

/// Makes the owner and signs them in.
pub(crate) async fn make<S: Storage>(
    app: &App<S>,
    stranger: &Stranger,
    asked: Setup,
) -> ApiResult<(HeaderMap, Account)> {
    if !is_needed(app).await? {
        return Err(done());
    }
    let ticket = token::hash(&asked.token);
    if app.store.load_ticket(ticket, app.now()).await?.is_none() {
        return Err(wrong());
    }
    let email = users::email(&asked.email)?;
    password::check(&asked.password, &email)?;
    let owner = NewUser {
        name: users::name(&asked.name)?,
        locale: users::locale(asked.locale.as_deref().unwrap_or(users::LOCALES[0]))?,
        role: UserRole::Owner,
        password: Some(app.access.hasher.hash(&*app.chance, &asked.password).await?),
        subject: None,
        created_at: app.now(),
        email,
    };
    let who = who(&owner.email);
    let deed = stranger.deed(app, who.clone(), "user.setup", &who, json!({}));
    let id = app.store.set_up(owner, ticket, deed).await?.ok_or_else(done)?;
    let user = app.store.load_user(id).await?.ok_or_else(done)?;
    account::begin(app, user, stranger, "setup", None).await
}

fn done() -> ApiError {
    let problem =
        Problem::new("setup.done", "there is a user already").cure("sign in, or ask an owner to invite you");
    ApiError::new(StatusCode::CONFLICT, problem)
}

fn wrong() -> ApiError {
    let problem =
        Problem::new("setup.token", "this is not the token that the server printed last, or it is too old")
            .field("token")
            .cure("restart the server, which prints another one; or run: relance user create");
    ApiError::new(StatusCode::FORBIDDEN, problem)
}
