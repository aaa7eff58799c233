//! See `storage::outbox`.

use storage::outbox::OutboxStore;

use crate::Sqlite;

impl OutboxStore for Sqlite {}
