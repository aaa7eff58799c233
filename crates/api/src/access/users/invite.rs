//! `POST /api/v1/users`: invites somebody.

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::json;
use storage::{Storage, users::NewUser};
use utoipa::ToSchema;

use super::{LOCALES, email, locale, name, role};
use crate::{
    ApiError, ApiResult, App,
    access::{Owner, account::who, bodies::UserBody},
    audit,
    extract::Body,
    problem::ProblemDetails,
};

/// A user to be.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "ben@shop.example", "role": "editor", "locale": "fr"}))]
pub struct Invite {
    /// The address.
    email: String,
    /// What they may do: `viewer`, `editor` or `owner`.
    role: String,
    /// What they are called.
    #[serde(default)]
    name: String,
    /// The language of mails to them: `en` (as without it) or `fr`.
    #[serde(default)]
    locale: Option<String>,
}

/// They get a mail with a link that is good for three days, and choose a password there.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    operation_id = "invite_user",
    request_body = Invite,
    responses((status = 201, body = UserBody), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    Body(asked): Body<Invite>,
) -> ApiResult<(StatusCode, Json<UserBody>)> {
    let user = NewUser {
        email: email(&asked.email)?,
        name: name(&asked.name)?,
        locale: locale(asked.locale.as_deref().unwrap_or(LOCALES[0]))?,
        role: role(&asked.role)?,
        password: None,
        subject: None,
        created_at: app.now(),
    };
    let details = json!({"role": user.role.word()});
    let deed = audit::deed(&app, &by, "user.invite", who(&user.email), details);
    let id = app.store.add_user(user, true, deed).await?;
    app.access.mail_bell.notify_one();
    let user = app.store.load_user(id).await?.ok_or_else(|| ApiError::not_found("user", id.0))?;
    Ok((StatusCode::CREATED, Json(user.into())))
}
