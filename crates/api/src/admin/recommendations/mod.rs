//! `/api/v1/recommendations`: which products a step would choose for somebody.

mod preview;

use storage::Storage;

use crate::{each_time, section::Section};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    each_time!(Section::new("recommendations"), S; preview)
}
