//! `PATCH /api/v1/users/{id}`: changes a user.

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value};
use storage::{
    Storage,
    users::{UserChange, UserId},
};
use utoipa::ToSchema;

use super::{locale, name, role};
use crate::{
    ApiError, ApiResult, App,
    access::{Owner, account::who, bodies::UserBody},
    audit,
    extract::{Body, Named},
    problem::ProblemDetails,
};

/// What to change; what is left away stays as it is.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"role": "viewer"}), as = ChangeUser)]
pub struct Change {
    /// What they are called.
    #[serde(default)]
    name: Option<String>,
    /// The language of mails to them: `en` or `fr`.
    #[serde(default)]
    locale: Option<String>,
    /// What they may do: `viewer`, `editor` or `owner`.
    #[serde(default)]
    role: Option<String>,
    /// Whether they may not sign in; ends their sessions.
    #[serde(default)]
    disabled: Option<bool>,
    /// Forgets their one-time codes, for who has lost the authenticator and the recovery codes.
    #[serde(default)]
    forget_totp: bool,
}

/// The last owner who may sign in stays one.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}",
    operation_id = "change_user",
    params(("id" = i64, Path, description = "The user's number")),
    request_body = Change,
    responses((status = 200, body = UserBody), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    Named(id): Named<i64>,
    Body(asked): Body<Change>,
) -> ApiResult<Json<UserBody>> {
    let change = UserChange {
        name: asked.name.as_deref().map(name).transpose()?,
        locale: asked.locale.as_deref().map(locale).transpose()?,
        role: asked.role.as_deref().map(role).transpose()?,
        disabled: asked.disabled,
        forget_totp: asked.forget_totp,
        subject: None,
    };
    let none = || ApiError::not_found("user", id);
    let user = app.store.load_user(UserId(id)).await?.ok_or_else(none)?;
    let deed = audit::deed(&app, &by, "user.change", who(&user.is.email), told(&change));
    let changed = app.store.change_user(user.id, change, deed).await?.ok_or_else(none)?;
    Ok(Json(changed.into()))
}

/// A change as the audit log tells it.
fn told(change: &UserChange) -> Value {
    let mut details = Map::new();
    let mut tell = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            details.insert(name.to_owned(), value);
        }
    };
    tell("name", change.name.clone().map(Value::from));
    tell("locale", change.locale.clone().map(Value::from));
    tell("role", change.role.map(|role| role.word().into()));
    tell("disabled", change.disabled.map(Value::from));
    tell("forget_totp", change.forget_totp.then_some(Value::Bool(true)));
    Value::Object(details)
}
