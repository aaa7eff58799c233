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
    /// Who had an event of one of these kinds with this product as its property `product_id` (the shop's own id), with
    /// `since <= at < until`: each contact once, with the first and the last instant, ascending by contact.
    fn find_by_product(
        &self,
        product: String,
        kinds: Vec<String>,
        since: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<Interested>>> + Send;
}

/// A contact that did something with a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interested {
    /// Who.
    pub contact: ContactId,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
}
