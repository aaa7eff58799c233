//! Relations between products, as learned from orders: whole versions, replaced as a unit.

use std::future::Future;

use model::Timestamp;

use crate::Result;

/// One learning's outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct RelationSet {
    /// Rises with each learning, from 1. Given by the storage: what a new set says here is not read.
    pub version: u64,
    /// The clock when it was learned; orders from then on are not in it.
    pub trained_at: Timestamp,
    /// How many orders it was learned from.
    pub orders: u64,
    /// The last of them; none when there were none.
    pub last_order_at: Option<Timestamp>,
    /// The settings that were chosen, JSON of the room that learns.
    pub settings: serde_json::Value,
    /// Relations of affinity, in that room's versioned bytes.
    pub learned: Vec<u8>,
    /// Purchase patterns, likewise.
    pub together: Vec<u8>,
}

/// Relations between products.
pub trait RelationStore {
    /// The latest version, if something was learned.
    fn load_relations(&self) -> impl Future<Output = Result<Option<RelationSet>>> + Send;
    /// The latest version's number, for caches; 0 when nothing was learned. Costs one row.
    fn relations_version(&self) -> impl Future<Output = Result<u64>> + Send;
    /// Keeps a new version and forgets all but the one before it (a reader may be loading that one). Answers its
    /// number.
    fn save_relations(&self, set: RelationSet) -> impl Future<Output = Result<u64>> + Send;
}
