//! Who may come in: keys for programs, sessions for people, and what each may do.
//!
//! An operation says by the type of its argument whom it lets in: [`Viewer`], [`Editor`], [`Owner`], [`Tracker`].

mod audit_list;
pub mod client;
pub mod key;
mod principal;

pub use principal::{Editor, Owner, Principal, Role, Tracker, Viewer};
pub(crate) use principal::{key_of, unauthorized};

use storage::Storage;

use crate::{operations, section::Section};

/// What access is told at the start.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<client::Network>,
}

/// What access keeps in memory.
#[derive(Debug, Default)]
pub struct State {}

impl State {
    /// At the start.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self {}
    }
}

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("access"), S; audit_list)
}
