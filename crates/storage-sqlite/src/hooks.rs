//! See `storage::hooks`.

use storage::hooks::HookStore;

use crate::Sqlite;

impl HookStore for Sqlite {}
