//! Imports: batches of rows with their checkpoint.

/// See the module.
pub trait ImportStore {}
