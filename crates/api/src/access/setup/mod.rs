//! The first user: made once, by who reads what the server prints.

mod make;
mod needed;

pub(crate) use make::{Setup, make};

use model::Timestamp;
use storage::{
    Result, Storage,
    users::{Ticket, TicketKind},
};

use super::token;
use crate::{App, Chance, each_time, section::Section};

/// How long the printed token is good, in microseconds.
pub const GOOD_FOR: i64 = Timestamp::DAY;

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    each_time!(Section::new("session"), S; needed, make)
}

/// At the start of a server: a new token for the set-up while there is no user. It replaces the one before.
///
/// # Errors
/// What the database says.
pub async fn prepare<S: Storage>(store: &S, chance: &dyn Chance, now: Timestamp) -> Result<Option<String>> {
    if store.count_users().await? > 0 {
        return Ok(None);
    }
    let text = token::make(chance);
    let ticket = Ticket {
        hash: token::hash(&text),
        kind: TicketKind::SetUp,
        user: None,
        expires_at: now.plus(GOOD_FOR),
    };
    store.save_ticket(ticket, now).await?;
    Ok(Some(text))
}

/// Where the owner is made, for printing beside the token.
#[must_use]
pub fn link(public_url: &str, token: &str) -> String {
    format!("{public_url}/account/setup#{token}")
}

/// Whether there is no user yet.
pub(crate) async fn is_needed<S: Storage>(app: &App<S>) -> Result<bool> {
    Ok(app.store.count_users().await? == 0)
}
