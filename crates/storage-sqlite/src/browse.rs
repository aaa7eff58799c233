//! See `storage::browse`.

use storage::browse::BrowseStore;

use crate::Sqlite;

impl BrowseStore for Sqlite {}
