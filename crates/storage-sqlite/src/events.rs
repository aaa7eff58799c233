//! See `storage::events`.
