//! What operations of access tell: users, and who asks.

use axum::{Json, http::HeaderMap};
use model::Timestamp;
use serde::Serialize;
use storage::users::User;
use utoipa::ToSchema;

use super::{
    account::{Account, who},
    principal::{Principal, Role},
};

/// A user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserBody {
    /// Its number.
    pub id: i64,
    /// The address: names the user.
    pub email: String,
    /// What they are called; may be empty.
    pub name: String,
    /// The language of mails to them: `en` or `fr`.
    pub locale: String,
    /// What they may do.
    pub role: Role,
    /// `invited` until they have chosen a password, `active`, or `disabled`.
    pub state: &'static str,
    /// Whether signing in takes a one-time code.
    pub totp: bool,
    /// When they were made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When they last signed in.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub signed_in_at: Option<Timestamp>,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        let state = match user {
            User { disabled_at: Some(_), .. } => "disabled",
            User { ref is, .. } if is.password.is_none() && is.subject.is_none() => "invited",
            _ => "active",
        };
        Self {
            id: user.id.0,
            email: user.is.email,
            name: user.is.name,
            locale: user.is.locale,
            role: user.is.role.into(),
            state,
            totp: user.totp.is_some(),
            created_at: user.is.created_at,
            signed_in_at: user.signed_in_at,
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WhoBody {
    /// As the audit log names them: `user:<address>` or `key:<id>`.
    pub who: String,
    /// What they may do.
    pub role: Role,
    /// The user; none for a key.
    pub user: Option<UserBody>,
    /// The session; none for a key.
    pub session: Option<String>,
    /// To be sent as `X-CSRF-Token` with all that changes something; none for a key.
    pub csrf_token: Option<String>,
}

impl From<Principal> for WhoBody {
    fn from(principal: Principal) -> Self {
        Self { who: principal.who, role: principal.role, user: None, session: None, csrf_token: None }
    }
}

impl From<Account> for WhoBody {
    fn from(account: Account) -> Self {
        let user = UserBody::from(account.user);
        Self {
            who: who(&user.email),
            role: user.role,
            user: Some(user),
            session: Some(account.session.id),
            csrf_token: Some(account.csrf),
        }
    }
}

/// An answer that begins a session.
pub(crate) fn begun((headers, account): (HeaderMap, Account)) -> (HeaderMap, Json<WhoBody>) {
    (headers, Json(account.into()))
}
