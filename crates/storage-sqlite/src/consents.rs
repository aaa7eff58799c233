//! See `storage::consents`.

use storage::consents::ConsentStore;

use crate::Sqlite;

impl ConsentStore for Sqlite {}
