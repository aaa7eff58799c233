//! The admin API, `/api/v1/…`: a folder per aggregate, a file per operation.

use storage::Storage;

use crate::section::Section;

/// All operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    Section::new("admin")
}
