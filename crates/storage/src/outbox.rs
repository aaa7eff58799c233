//! The outbox: messages that were decided, who works on them, and what became of them; and the suppression list.
//!
//! A message is inserted in the transaction that commits the step which sends it, under an id that a replay computes
//! again, so a replay inserts nothing. A worker *claims* messages under a lease, marks those that it is about to hand
//! over, and records each outcome under the attempt number of its claim: a worker that lost its lease records nothing.
//!
//! ```text
//! waiting ──claim──▶ claimed ──mark──▶ handing_over ──record──▶ sent | failed | skipped | uncertain
//!    ▲                  │ lease over         │ lease over: transactional ──▶ waiting, marketing ──▶ uncertain
//!    └──────────────────┴── deferred ◀───────┘
//! ```

use std::{future::Future, sync::Arc};

pub use model::{Channel, MessageId};
use model::{Contact, ContactId, Slug, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Result;

/// What all messages have in common that one node of one run sends. Stored once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SendPoint {
    /// The journey.
    pub journey: Slug,
    /// Its version.
    pub journey_version: u32,
    /// The run of that version.
    pub run: i64,
    /// The node.
    pub node: String,
    /// What carries it.
    pub channel: Channel,
    /// Why we write: the purpose that consent is asked for.
    pub purpose: Slug,
    /// Whether it belongs to a transaction that the contact asked for (no consent, no cap), or is marketing.
    pub transactional: bool,
    /// The template.
    pub template: Slug,
    /// The version of the template at the time of the decision.
    pub template_version: u32,
}

/// A message, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMessage {
    /// See [`MessageId::derive`].
    pub id: MessageId,
    /// To whom.
    pub contact: ContactId,
    /// What it shares with the others of its node.
    pub send: Arc<SendPoint>,
    /// A fixed address (an alert to the shop's own staff). Without one the message goes to the address that the
    /// contact has at hand-over, so that a corrected address counts.
    pub to: Option<String>,
    /// The contact's locale at the decision.
    pub locale: Option<String>,
    /// What the template needs, frozen at the decision: a JSON object, about 500 bytes.
    pub variables: String,
    /// When the step was taken.
    pub decided_at: Timestamp,
    /// Not to be handed over before.
    pub not_before: Timestamp,
    /// Not to be handed over at or after: then it is skipped as expired.
    pub expires_at: Option<Timestamp>,
}

/// A contact as hand-over sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The contact.
    pub contact: Contact,
    /// Its version: raised by every change of its profile and consents.
    pub version: i64,
    /// Messages to it that left, or are on their way, since the instant that was asked for.
    pub left: Vec<SentMark>,
}

/// What a message was judged by: it is marked only while this is still so. Else it waits again and is judged anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The contact's version.
    pub version: i64,
    /// The address that it goes to: not suppressed.
    pub address: AddressHash,
    /// So many messages left to the contact since this instant; none where no rule counts them.
    pub left: Option<(Timestamp, u32)>,
    /// Send limits: fewer than so many marketing messages (of a journey, or of all) were handed over in so many minutes.
    pub limits: Vec<(Option<Slug>, i64, u64)>,
    /// Whether it counts as a marketing message for those limits.
    pub counts: bool,
    /// Whether another contact's message of this node to this address makes it a duplicate.
    pub once: bool,
}

/// A message as sending rules see it: that it was decided, and when it left or is to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMark {
    /// What carries it.
    pub channel: Channel,
    /// Why we wrote.
    pub purpose: Slug,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// When it left, or is to leave.
    pub at: Timestamp,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum MessageState {
    /// Decided, due now or later.
    Waiting = 1,
    /// A worker prepares it.
    Claimed = 2,
    /// A worker may be talking to the server about it.
    HandingOver = 3,
    /// The server took it.
    Sent = 4,
    /// It was refused for good, or too often.
    Failed = 5,
    /// A sending rule stopped it at hand-over.
    Skipped = 6,
    /// A worker died while handing it over: nobody knows, and marketing is not repeated.
    Uncertain = 7,
}

impl MessageState {
    /// All, in order.
    pub const ALL: [Self; 7] = [
        Self::Waiting,
        Self::Claimed,
        Self::HandingOver,
        Self::Sent,
        Self::Failed,
        Self::Skipped,
        Self::Uncertain,
    ];

    /// The state of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// As it is written in files and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Claimed => "claimed",
            Self::HandingOver => "handing_over",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Uncertain => "uncertain",
        }
    }
}

/// A message in the hands of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedMessage {
    /// Its place in the outbox.
    pub seq: i64,
    /// Which claim this is, from 1: the fence under which outcomes are recorded.
    pub attempt: u32,
    /// How often it failed for a while so far.
    pub failures: u32,
    /// The message.
    pub message: OutboxMessage,
}

/// What became of a claimed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// About to be handed over: from here on a dead worker leaves a doubt. With a witness only while it is true.
    HandingOver {
        /// What it was judged by.
        witness: Option<Box<Witness>>,
        /// The lease from now on.
        lease_until: Option<Timestamp>,
    },
    /// The server took it, with its answer.
    Sent {
        /// The server's words.
        detail: String,
    },
    /// Not now: again after `until`.
    Deferred {
        /// When it is due again.
        until: Timestamp,
        /// A stable code, as in `smtp.4xx`.
        reason: &'static str,
        /// The server's words.
        detail: String,
    },
    /// Never.
    Failed {
        /// A stable code, as in `smtp.5xx`.
        reason: &'static str,
        /// The server's words.
        detail: String,
    },
    /// The address does not take it: as failed; a hard bounce, or the third soft one in a row, suppresses the address.
    Bounced {
        /// Which address.
        address: AddressHash,
        /// The mailbox does not exist.
        hard: bool,
        /// A stable code, as in `smtp.5xx`.
        reason: &'static str,
        /// The server's words.
        detail: String,
    },
    /// A sending rule holds it: back among the waiting, and no failure.
    Held {
        /// When it is due again.
        until: Timestamp,
        /// A stable code.
        reason: &'static str,
    },
    /// A sending rule stopped it.
    Skipped {
        /// A stable code, as in `consent.unsubscribed`.
        reason: &'static str,
        /// In a sentence.
        detail: String,
    },
    /// Nobody knows whether the server took it.
    Uncertain {
        /// In a sentence.
        detail: String,
    },
    /// Given back untouched: the server could not be reached, or the worker stops. Counts as no failure.
    Released,
}

/// An outcome, under the fence of its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The message's place.
    pub seq: i64,
    /// The attempt number of the claim.
    pub attempt: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// Which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Of this run.
    pub run: Option<i64>,
    /// Of this journey.
    pub journey: Option<Slug>,
    /// To this contact.
    pub contact: Option<ContactId>,
    /// In this state.
    pub state: Option<MessageState>,
}

/// A message as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// Its place; lists are in this order.
    pub seq: i64,
    /// The message.
    pub message: OutboxMessage,
    /// Where it stands.
    pub state: MessageState,
    /// Claims so far.
    pub attempt: u32,
    /// When it is due, or when its lease ends; when it was settled, if it was.
    pub at: Timestamp,
    /// A stable code, of the last failure or skip; of a message that was sent, how it came back: `bounce.hard`,
    /// `bounce.soft`, `complaint`.
    pub reason: Option<String>,
    /// The words of the server or of the rule.
    pub detail: Option<String>,
}

/// How many messages of one send point stand where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageCount {
    /// The send point.
    pub send: Arc<SendPoint>,
    /// Where they stand.
    pub state: MessageState,
    /// The last reason, for skipped and failed ones, and for sent ones that came back.
    pub reason: Option<String>,
    /// How many.
    pub count: u64,
}

/// What was done about claims whose lease is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Back among the waiting.
    pub waiting: u64,
    /// Marked uncertain.
    pub uncertain: u64,
}

/// Messages that have not come to an end, by where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenMessages {
    /// They may leave now.
    pub due: u64,
    /// They are held until a later instant: their own, quiet hours, a send limit, the next try.
    pub later: u64,
    /// A worker prepares them.
    pub claimed: u64,
    /// A worker may be talking to the server about them.
    pub handing_over: u64,
    /// When the first of those that wait may leave, or might have left.
    pub next: Option<Timestamp>,
}

/// An address without saying which: the first 16 bytes of a SHA-256 of channel and folded address. It is all that the
/// suppression list keeps, so that an erased person stays suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressHash(pub [u8; 16]);

impl AddressHash {
    /// Of an address; upper and lower case are the same.
    #[must_use]
    pub fn of(channel: Channel, address: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update([channel as u8]);
        hash.update(model::text::folded(address).as_bytes());
        let hash = hash.finalize();
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
        Self(short)
    }
}

/// Why an address must not be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum SuppressionReason {
    /// The mailbox does not exist.
    HardBounce = 1,
    /// Too many soft bounces in a row.
    SoftBounces = 2,
    /// Its owner complained.
    Complaint = 3,
    /// The shop blocked it.
    Manual = 4,
    /// Its owner was erased.
    Erased = 5,
}

impl SuppressionReason {
    /// The reason of a stored number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::HardBounce),
            2 => Some(Self::SoftBounces),
            3 => Some(Self::Complaint),
            4 => Some(Self::Manual),
            5 => Some(Self::Erased),
            _ => None,
        }
    }
}

/// An address that must not be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// Which.
    pub address: AddressHash,
    /// Why.
    pub reason: SuppressionReason,
    /// Since when.
    pub since: Timestamp,
    /// Until when (exclusive); for good without it.
    pub until: Option<Timestamp>,
    /// What was said, without the address.
    pub detail: String,
}

/// Messages and suppressions.
///
/// Due times are compared with the workspace's clock (`now`, which may be virtual), leases with the machine's
/// (`machine_now`, `lease_until`): a worker dies in real time.
pub trait OutboxStore {
    /// Puts messages into the outbox, outside a journey's own commit (tests, benchmarks, single messages). Those whose id
    /// is known already are left as they are. Returns how many are new.
    fn insert_messages(&self, messages: Vec<OutboxMessage>) -> impl Future<Output = Result<u64>> + Send;

    /// Takes up to `limit` due messages, longest due first, under a lease. Settles claims whose lease is over before.
    fn claim_messages(
        &self,
        now: Timestamp,
        machine_now: Timestamp,
        lease_until: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ClaimedMessage>>> + Send;

    /// Settles claims whose lease is over at `machine_now`: what was not being handed over, and transactional messages,
    /// wait again; marketing messages that were being handed over are uncertain. With [`Timestamp::MAX`] all claims are
    /// settled: for a caller who knows that no other worker lives.
    fn settle_claims(&self, machine_now: Timestamp) -> impl Future<Output = Result<Settled>> + Send;

    /// Records outcomes at `at`, in one transaction. Those whose claim was lost meanwhile are dropped, and so are marks
    /// whose [`Witness`] is no longer true (their messages wait again); returns their places.
    ///
    /// What a contact will hear of is recorded with it: `Email Sent`, `SMS Sent`, `Push Sent`, `Email Bounced` go into
    /// its history, and to the living engine where a journey is alive.
    fn record_outcomes(
        &self,
        at: Timestamp,
        outcomes: Vec<Recorded>,
    ) -> impl Future<Output = Result<Vec<i64>>> + Send;

    /// Prolongs claims that a worker still works on: (place, attempt). Returns the places of those that it lost.
    fn renew_claims(
        &self,
        claims: Vec<(i64, u32)>,
        lease_until: Timestamp,
    ) -> impl Future<Output = Result<Vec<i64>>> + Send;

    /// Those of these contacts that are known, in the order of the ids, with what left to them since an instant.
    fn load_recipients(
        &self,
        contacts: Vec<ContactId>,
        since: Option<Timestamp>,
    ) -> impl Future<Output = Result<Vec<Recipient>>> + Send;

    /// Marketing messages that were handed over since a minute (since 1970), by minute and journey, ascending.
    fn load_handed_over(&self, since: i64) -> impl Future<Output = Result<Vec<(i64, Slug, u64)>>> + Send;

    /// Records that a contact did something with a message (opened it, clicked a link): an event of this kind with the
    /// message's properties and these, in the contact's history and for the living engine. A repeat with the same
    /// message, kind and `link` property changes nothing; what has the property `machine: true` is told apart from what a
    /// person did. Whose message it is; none when it is not known.
    fn record_interaction(
        &self,
        message: MessageId,
        kind: String,
        at: Timestamp,
        properties: serde_json::Map<String, serde_json::Value>,
    ) -> impl Future<Output = Result<Option<ContactId>>> + Send;

    /// Makes messages in a final state wait again, due at `at` and with their failures forgotten; returns how many.
    /// Sent messages are never repeated.
    fn retry_messages(
        &self,
        filter: MessageFilter,
        at: Timestamp,
    ) -> impl Future<Output = Result<u64>> + Send;

    /// When the next waiting message is due, and how many wait.
    fn next_due(&self) -> impl Future<Output = Result<Option<(Timestamp, u64)>>> + Send;

    /// How many have not come to an end. It costs a look at each of these, in indexes that a message leaves when it is
    /// settled: however many were sent, they cost nothing.
    fn count_open(&self, now: Timestamp) -> impl Future<Output = Result<OpenMessages>> + Send;

    /// How many stand where, by send point, state and reason.
    fn count_messages(&self, filter: MessageFilter)
    -> impl Future<Output = Result<Vec<MessageCount>>> + Send;

    /// Messages after `after` in order of their place, at most `limit`.
    fn list_messages(
        &self,
        filter: MessageFilter,
        after: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<MessageRow>>> + Send;

    /// Puts addresses on the suppression list. One that is there keeps the stricter of the two periods.
    fn suppress(&self, suppressions: Vec<Suppression>) -> impl Future<Output = Result<()>> + Send;

    /// Takes addresses off the list; returns how many were on it.
    fn unsuppress(&self, addresses: Vec<AddressHash>) -> impl Future<Output = Result<u64>> + Send;

    /// The suppression in force at `now`, one answer for each address.
    fn suppressions(
        &self,
        addresses: Vec<AddressHash>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Option<Suppression>>>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_hash_does_not_depend_on_case_but_on_the_channel() {
        let hash = AddressHash::of(Channel::Email, "Ann@Example.test ");
        assert_eq!(hash, AddressHash::of(Channel::Email, "ann@example.test"));
        assert_ne!(hash, AddressHash::of(Channel::Sms, "ann@example.test"));
    }
}
