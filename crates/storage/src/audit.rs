//! The audit log: who published, exported, erased or changed what.

use std::future::Future;

use model::Timestamp;
use serde_json::Value;

use crate::Result;

/// Something that somebody did, to be written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// When.
    pub at: Timestamp,
    /// Who: `user:<address>`, `key:<id>`, `command line`; `-` when nobody has signed in.
    pub who: String,
    /// What: kind of thing and verb, as in `journey.publish`.
    pub action: String,
    /// On what, as in `journey:welcome`; may be empty.
    pub object: String,
    /// More about it: a JSON object without secrets.
    pub details: Value,
    /// The client's network address, when it is known.
    pub client: Option<String>,
}

/// A deed that was written down.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEntry {
    /// Its number: grows, is never given again.
    pub id: i64,
    /// What was done.
    pub deed: Deed,
}

/// Which entries; empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Exactly this who.
    pub who: Option<String>,
    /// This action, or all of a kind when it ends with a full stop, as in `journey.`.
    pub action: Option<String>,
    /// Exactly this object.
    pub object: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// The log. Nothing in it is ever changed.
pub trait AuditStore {
    /// Writes deeds down, in order.
    fn append_audit(&self, deeds: Vec<Deed>) -> impl Future<Output = Result<()>> + Send;
    /// The last `limit` entries that the filter lets through with an id below `before`, the newest first.
    fn list_audit(
        &self,
        filter: AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<AuditEntry>>> + Send;
}
