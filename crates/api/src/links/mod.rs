//! Links of messages and pages for people: opens, clicks, unsubscribe, preferences, confirmations.

use storage::Storage;

use crate::section::Section;

/// What it is told at the start.
#[derive(Clone, Debug, Default)]
pub struct Config {}

/// What it keeps in memory.
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
    Section::new("links")
}
