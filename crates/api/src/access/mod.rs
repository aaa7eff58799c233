//! Who may come in: keys for programs, sessions for people, and what each may do.
//!
//! An operation says by the type of its argument whom it lets in: [`Viewer`], [`Editor`], [`Owner`], [`Tracker`];
//! [`SignedIn`] for what users do to their own account, [`Stranger`] where anybody may ask.

mod account;
mod audit_list;
pub mod bodies;
pub mod client;
mod codes;
pub mod cookie;
pub mod guard;
pub mod key;
mod keys;
pub mod mails;
pub mod oidc;
mod origin;
pub mod password;
mod passwords;
mod principal;
pub mod rates;
mod session;
pub mod setup;
mod stranger;
mod table;
pub mod token;
pub mod totp;
pub mod users;

pub use account::{Account, CSRF_HEADER, SignedIn};
pub use principal::{Editor, Owner, Principal, Role, Tracker, Viewer};
pub(crate) use principal::{key_of, unauthorized};
pub use stranger::Stranger;

use std::net::IpAddr;

use axum::http::StatusCode;
use delivery::Mailbox;
use model::{Problem, Timestamp};
use storage::{
    Storage,
    users::{SessionSpan, User},
};
use tokio::sync::Notify;

use crate::{ApiError, ApiResult, App, operations, section::Section};
use rates::Rate;

/// The longest name of a user or a key, in characters.
pub const NAME_LEN_MAX: usize = 200;
/// How often mails with which one chooses another password are asked for, for one address.
pub const FORGET_RATE: Rate = Rate { per_second: 1.0 / 600.0, burst: 3 };

/// What access is told at the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<client::Network>,
    /// How long sessions live.
    pub sessions: SessionSpan,
    /// Requests of one key or user.
    pub rate: Rate,
    /// Requests of one network address where anybody may ask, and with keys that are none.
    pub stranger_rate: Rate,
    /// Who writes the mails to users; without it none are sent.
    pub sender: Option<Mailbox>,
    /// An identity provider, beside passwords.
    pub oidc: Option<oidc::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            sessions: SessionSpan { idle: Timestamp::DAY, absolute: 14 * Timestamp::DAY },
            rate: Rate { per_second: 100.0, burst: 1_000 },
            stranger_rate: Rate { per_second: 1.0, burst: 60 },
            sender: None,
            oidc: None,
        }
    }
}

/// What access keeps in memory.
#[derive(Debug, Default)]
pub struct State {
    /// Tries that failed.
    pub guard: guard::Guard,
    /// Who asks how often.
    pub rates: rates::Rates,
    /// Computes hashes of passwords.
    pub hasher: password::Hasher,
    /// Wakes who hands over the mails to users.
    pub mail_bell: Notify,
    /// What is known of the identity provider.
    pub oidc: oidc::State,
}

impl State {
    /// At the start.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self::default()
    }
}

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("audit"), S; audit_list)
        .with(setup::section())
        .with(session::section())
        .with(passwords::section())
        .with(codes::section())
        .with(oidc::section())
        .with(keys::section())
        .with(users::section())
}

/// Asks a user who has signed in for the password once more; tries count like those of a sign-in.
///
/// # Errors
/// `access.password`, `access.wait`, `access.busy`.
pub(crate) async fn reauth<S: Storage>(
    app: &App<S>,
    user: &User,
    given: &str,
    client: Option<IpAddr>,
) -> ApiResult<()> {
    app.access.guard.begin(&user.is.email, client, app.now())?;
    let possible = given.chars().nth(password::LEN_MAX).is_none();
    let kept = user.is.password.as_deref().filter(|_| possible);
    if !app.access.hasher.verify(if possible { given } else { "" }, kept).await? {
        let problem = Problem::new("access.password", "the present password is wrong").field("password");
        return Err(ApiError::new(StatusCode::FORBIDDEN, problem));
    }
    app.access.guard.take_back(&user.is.email, client);
    Ok(())
}
