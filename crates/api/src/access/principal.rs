//! Who asks, and whether they may.

use std::net::IpAddr;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use model::Problem;
use serde::{Deserialize, Serialize};
use storage::{
    Storage,
    access::{ApiKey, KeyScope},
    users::UserRole,
};
use utoipa::ToSchema;

use super::{
    account::{self, Account, who},
    client,
    guard::neighbourhood,
    key,
};
use crate::{ApiError, App};

/// What somebody may do; each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look at everything but secrets.
    Viewer,
    /// Change contacts, content and journeys.
    Editor,
    /// Settings, users, keys, erasure.
    Owner,
}

impl From<UserRole> for Role {
    fn from(role: UserRole) -> Self {
        match role {
            UserRole::Viewer => Self::Viewer,
            UserRole::Editor => Self::Editor,
            UserRole::Owner => Self::Owner,
        }
    }
}

impl From<Role> for UserRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Editor => Self::Editor,
            Role::Owner => Self::Owner,
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// As the audit log names it: `user:<address>` or `key:<id>`.
    pub who: String,
    /// What they may do.
    pub role: Role,
    /// The network address that they ask from, when it is known.
    pub client: Option<IpAddr>,
}

/// Somebody who may look.
#[derive(Clone, Debug)]
pub struct Viewer(pub Principal);
/// Somebody who may change contacts, content and journeys.
#[derive(Clone, Debug)]
pub struct Editor(pub Principal);
/// Somebody who may do everything.
#[derive(Clone, Debug)]
pub struct Owner(pub Principal);

/// A program that may write events: any key may; a public one may nothing else.
#[derive(Clone, Debug)]
pub struct Tracker {
    /// The key's id: what rates are counted by.
    pub key: String,
}

/// The key of a request: `Authorization: Bearer KEY`, or the user name of basic authorization, as Segment's libraries
/// send it.
pub(crate) fn key_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    Some(pair.split_once(':').map_or(pair.clone(), |(user, _)| user.to_owned()))
}

pub(crate) fn unauthorized() -> ApiError {
    let problem = Problem::new("access.unauthorized", "this needs a key or a session")
        .cure("send `Authorization: Bearer KEY`; keys are made by: relance key create --scope admin");
    ApiError::new(StatusCode::UNAUTHORIZED, problem)
}

fn forbidden(role: Role, wanted: Role) -> ApiError {
    let problem = Problem::new("access.forbidden", format!("a {role:?} may not do this").to_lowercase())
        .cure(format!("ask somebody with the role {wanted:?}").to_lowercase());
    ApiError::new(StatusCode::FORBIDDEN, problem)
}

impl Principal {
    /// Who sends this request: by its key, else by its session.
    ///
    /// # Errors
    /// `access.unauthorized`, `access.forbidden` for a public key, `access.csrf` and `access.origin` for a session,
    /// `access.rate`; what the database says.
    pub async fn of<S: Storage>(app: &App<S>, parts: &Parts) -> Result<Self, ApiError> {
        let Some(text) = key_of(&parts.headers) else {
            let account = account::of(app, parts).await?.ok_or_else(unauthorized)?;
            return Self::of_account(app, parts, &account);
        };
        let client = client::address(&parts.extensions, &parts.headers, &app.config.access.trusted_proxies);
        let key = find_key(app, &text, client).await?;
        let role = match key.scope {
            KeyScope::Track => {
                let problem = Problem::new("access.forbidden", "a tracking key may only write events")
                    .cure("use a key with the scope read, write or admin");
                return Err(ApiError::new(StatusCode::FORBIDDEN, problem));
            }
            KeyScope::Read => Role::Viewer,
            KeyScope::Write => Role::Editor,
            KeyScope::Admin => Role::Owner,
        };
        Self { who: format!("key:{}", key.id), role, client }.within_rate(app)
    }

    pub(crate) fn of_account<S: Storage>(
        app: &App<S>,
        parts: &Parts,
        account: &Account,
    ) -> Result<Self, ApiError> {
        let client = client::address(&parts.extensions, &parts.headers, &app.config.access.trusted_proxies);
        let user = &account.user.is;
        Self { who: who(&user.email), role: user.role.into(), client }.within_rate(app)
    }

    fn within_rate<S: Storage>(self, app: &App<S>) -> Result<Self, ApiError> {
        app.access.rates.take(("principal", &self.who), app.config.access.rate, app.now())?;
        Ok(self)
    }

    async fn at_least<S: Storage>(app: &App<S>, parts: &Parts, wanted: Role) -> Result<Self, ApiError> {
        let principal = Self::of(app, parts).await?;
        if principal.role < wanted { Err(forbidden(principal.role, wanted)) } else { Ok(principal) }
    }
}

/// The key of a text. Who tries keys that are none is slowed down like anybody who has not signed in.
async fn find_key<S: Storage>(app: &App<S>, text: &str, client: Option<IpAddr>) -> Result<ApiKey, ApiError> {
    if let Some(key) = key::find(&app.store, text).await? {
        return Ok(key);
    }
    let rate = app.config.access.stranger_rate;
    app.access.rates.take(("stranger", client.map(neighbourhood)), rate, app.now())?;
    Err(unauthorized())
}

macro_rules! role {
    ($name:ident) => {
        impl<S: Storage> FromRequestParts<App<S>> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, ApiError> {
                Principal::at_least(app, parts, Role::$name).await.map(Self)
            }
        }
    };
}

role!(Viewer);
role!(Editor);
role!(Owner);

impl<S: Storage> FromRequestParts<App<S>> for Tracker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, ApiError> {
        let text = key_of(&parts.headers).ok_or_else(unauthorized)?;
        app.track.keys.tracker(&text, app.now()).await
    }
}
