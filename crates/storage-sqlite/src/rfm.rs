//! See `storage::rfm`.

use storage::rfm::RfmStore;

use crate::Sqlite;

impl RfmStore for Sqlite {}
