//! See `storage::contacts`.
