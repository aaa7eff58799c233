//! `/api/v1/recommendations`: which products a step would choose for somebody.

mod preview;

use storage::Storage;

use crate::{operations, section::Section};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("recommendations"), S; preview)
}
