//! One-time codes of one's own account.

mod confirm;
mod enrol;
mod remove;

use storage::Storage;

use crate::{each_time, section::Section};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    each_time!(Section::new("session"), S; enrol, confirm, remove)
}
