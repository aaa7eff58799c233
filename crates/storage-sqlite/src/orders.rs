//! See `storage::orders`.
