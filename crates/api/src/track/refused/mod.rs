//! What tracking refused, for people: seen, tried again, forgotten.

mod forget;
mod list;
mod retry;

use storage::Storage;

use crate::{operations, section::Section};

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("tracking"), S; list, retry, forget)
}
