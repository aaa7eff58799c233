//! See `storage::jobs`.

use storage::jobs::JobStore;

use crate::Sqlite;

impl JobStore for Sqlite {}
