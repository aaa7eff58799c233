//! Events.

use std::future::Future;

use model::{ContactId, Event, Timestamp};

use crate::Result;

/// Events.
pub trait EventStore {
    /// The events of these contacts of these kinds (all kinds when empty) with `since <= at < until`, by contact in the
    /// order of the ids, then by time.
    fn load_events(
        &self,
        contacts: Vec<ContactId>,
        kinds: Vec<String>,
        since: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<Event>>> + Send;
}
