//! Webhooks to others: who wants to hear what, and what was told.
//!
//! A *hook* is a subscription: an address and the kinds of events that it wants. What happens to a contact is put into the
//! queue of each hook that wants it by the transaction that commits it; where there is no hook this costs one look at an
//! empty table. A worker calls the addresses.
//!
//! Told is what happens now: live imports, messages, what the engine finds out about single contacts. Files of the past
//! and what happens to many contacts at once (waves) are not told.

use std::future::Future;

use model::{ContactId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Result;

/// Most hooks of a workspace.
pub const HOOKS_MAX: usize = 50;
/// Most deliveries that wait for one hook; what comes then is left out and counted.
pub const QUEUE_MAX: u64 = 100_000;

/// A secret that signs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSecret {
    /// Its bytes, base64.
    pub secret: String,
    /// It signs until then; without it, until it is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Never shows the secret.
impl std::fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HookSecret(until {:?})", self.until)
    }
}

/// How a hook's address fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookHealth {
    /// Failures in a row.
    pub failures: u32,
    /// Since when there was no success.
    pub failing_since: Option<Timestamp>,
    /// Not called before.
    pub open_until: Option<Timestamp>,
    /// Since when it is given up: nothing is put into its queue until somebody switches it on again.
    pub disabled_at: Option<Timestamp>,
}

/// What a user says of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookPlan {
    /// Where to.
    pub url: String,
    /// Kinds of events; all of them when empty.
    pub kinds: Vec<String>,
    /// What the shop calls it.
    pub note: String,
    /// Whether it is told anything.
    pub active: bool,
}

/// A hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its number.
    pub id: i64,
    /// What a user says of it.
    pub plan: HookPlan,
    /// What signs, the newest first.
    pub secrets: Vec<HookSecret>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed by a user.
    pub updated_at: Timestamp,
    /// How its address fares.
    pub health: HookHealth,
    /// Deliveries that wait.
    pub waiting: u64,
    /// How many events were left out because the queue was full.
    pub overflow: u64,
    /// When the last one was.
    pub overflow_at: Option<Timestamp>,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DeliveryState {
    /// Due now or later.
    Waiting = 1,
    /// The other side took it.
    Delivered = 2,
    /// It was tried often enough.
    Failed = 3,
}

impl DeliveryState {
    /// All.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Failed];

    /// The state of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// As the API writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    /// Reads its word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// An event on its way to a hook.
#[derive(Clone, Debug, PartialEq)]
pub struct HookDelivery {
    /// Its place; lists are in this order.
    pub seq: i64,
    /// Whose.
    pub hook: i64,
    /// The event's id, the same for every hook and every try.
    pub event: String,
    /// What happened.
    pub kind: String,
    /// To whom; none for a test.
    pub contact: Option<ContactId>,
    /// When.
    pub at: Timestamp,
    /// The event's properties.
    pub properties: Map<String, Value>,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries so far.
    pub attempts: u32,
    /// When it is due, or was settled.
    pub due: Timestamp,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// What went wrong last, or the first line of the answer.
    pub detail: String,
}

/// What a try came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookOutcome {
    /// Which delivery.
    pub seq: i64,
    /// The number of the try: one that was claimed again meanwhile is left alone.
    pub attempt: u32,
    /// Where it stands now.
    pub state: DeliveryState,
    /// When it is due again, or was settled.
    pub due: Timestamp,
    /// The status of the answer.
    pub status: Option<u16>,
    /// In a sentence.
    pub detail: String,
    /// Whether the try counts: one that was not begun does not.
    pub counts: bool,
}

/// Which deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Of events that happened since.
    pub since: Option<Timestamp>,
    /// Of events that happened before.
    pub until: Option<Timestamp>,
    /// This one.
    pub seq: Option<i64>,
}

/// Hooks and their queues.
pub trait HookStore {
    /// Keeps a new hook; its number.
    ///
    /// # Errors
    /// `hooks.too_many`.
    fn add_hook(
        &self,
        plan: HookPlan,
        secret: HookSecret,
        now: Timestamp,
    ) -> impl Future<Output = Result<i64>> + Send;
    /// Changes a hook as a user says. One that is switched on is healthy again. False when there is none.
    fn change_hook(
        &self,
        id: i64,
        plan: HookPlan,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool>> + Send;
    /// Replaces what signs. False when there is no such hook.
    fn save_hook_secrets(
        &self,
        id: i64,
        secrets: Vec<HookSecret>,
        now: Timestamp,
    ) -> impl Future<Output = Result<bool>> + Send;
    /// Removes a hook with its queue. False when there was none.
    fn remove_hook(&self, id: i64) -> impl Future<Output = Result<bool>> + Send;
    /// All hooks, the oldest first.
    fn load_hooks(&self) -> impl Future<Output = Result<Vec<Hook>>> + Send;
    /// Puts an event without a contact into a hook's queue: a test. Its place.
    fn add_test_delivery(
        &self,
        hook: i64,
        event: String,
        kind: String,
        now: Timestamp,
    ) -> impl Future<Output = Result<i64>> + Send;
    /// Takes up to `limit` due deliveries of a hook, longest due first: a try is counted, and they are due again at
    /// `lease_until` if nothing is heard of them.
    fn claim_deliveries(
        &self,
        hook: i64,
        now: Timestamp,
        lease_until: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<HookDelivery>>> + Send;
    /// Records what tries came to, and how the hook fares, in one transaction.
    fn record_deliveries(
        &self,
        hook: i64,
        health: HookHealth,
        outcomes: Vec<HookOutcome>,
    ) -> impl Future<Output = Result<()>> + Send;
    /// Deliveries of a hook behind `after`, at most `limit`.
    fn list_deliveries(
        &self,
        hook: i64,
        filter: DeliveryFilter,
        after: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<HookDelivery>>> + Send;
    /// Makes settled deliveries of a hook wait again, due at `now`, as many as its queue has room for; how many.
    fn replay_deliveries(
        &self,
        hook: i64,
        filter: DeliveryFilter,
        now: Timestamp,
    ) -> impl Future<Output = Result<u64>> + Send;
    /// Forgets what was settled before an instant; how many.
    fn forget_deliveries(&self, before: Timestamp) -> impl Future<Output = Result<u64>> + Send;
    /// When the next delivery of each hook that waits is due, of hooks that are told anything.
    fn next_deliveries(&self) -> impl Future<Output = Result<Vec<(i64, Timestamp)>>> + Send;
}
