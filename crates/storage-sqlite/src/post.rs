//! See `storage::post`.

use storage::post::PostStore;

use crate::Sqlite;

impl PostStore for Sqlite {}
