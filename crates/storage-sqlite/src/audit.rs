//! See `storage::audit`.

use storage::audit::AuditStore;

use crate::Sqlite;

impl AuditStore for Sqlite {}
