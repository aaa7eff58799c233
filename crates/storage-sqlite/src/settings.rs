//! See `storage::settings`.
