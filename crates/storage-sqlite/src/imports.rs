//! See `storage::imports`.

use storage::imports::ImportStore;

use crate::Sqlite;

impl ImportStore for Sqlite {}
