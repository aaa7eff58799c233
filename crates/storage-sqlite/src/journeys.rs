//! See `storage::journeys`.

use storage::journeys::JourneyStore;

use crate::Sqlite;

impl JourneyStore for Sqlite {}
