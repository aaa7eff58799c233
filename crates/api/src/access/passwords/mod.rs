//! Passwords: changing one's own, asking for another, choosing one with a ticket.

mod change;
mod choose;
mod forget;

pub(crate) use choose::choose;
pub(crate) use forget::forget;

use storage::Storage;

use crate::{each_time, section::Section};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    each_time!(Section::new("session"), S; change, forget, choose)
}
