//! See `storage::catalogue`.
