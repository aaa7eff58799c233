//! See `storage::segments`.

use storage::segments::SegmentStore;

use crate::Sqlite;

impl SegmentStore for Sqlite {}
