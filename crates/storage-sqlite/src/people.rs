//! See `storage::people`.

use storage::people::PeopleStore;

use crate::Sqlite;

impl PeopleStore for Sqlite {}
