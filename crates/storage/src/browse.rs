//! Pages of everything, for looking at: messages, suppressions, journeys at work.

use std::future::Future;

use model::{Channel, ContactId, MessageId, Slug, Timestamp};

use crate::{
    Result,
    outbox::{AddressHash, MessageRow, MessageState, Suppression, SuppressionReason},
};

/// Messages that one question looks through at most: a rare kind among many millions is found in several questions.
pub const MESSAGES_LOOKED_AT: i64 = 500_000;

/// Reason of messages that somebody took back before they left.
pub const TAKEN_BACK: &str = "message.cancelled";

/// Which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageQuery {
    /// Of this journey.
    pub journey: Option<Slug>,
    /// Of this run.
    pub run: Option<i64>,
    /// To this contact.
    pub contact: Option<ContactId>,
    /// In this state.
    pub state: Option<MessageState>,
    /// Carried by this.
    pub channel: Option<Channel>,
    /// With this reason.
    pub reason: Option<String>,
    /// Decided at or after.
    pub since: Option<Timestamp>,
    /// Decided before.
    pub until: Option<Timestamp>,
}

/// A page of messages, the last first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagePage {
    /// What was found.
    pub messages: Vec<MessageRow>,
    /// Below which place to go on; none at the end. There may be one though nothing was found:
    /// [`MESSAGES_LOOKED_AT`].
    pub next: Option<i64>,
}

/// How many enrolments of a run there were, and are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunCount {
    /// The run.
    pub run: i64,
    /// Enrolments.
    pub entered: u64,
    /// Of these, inside now.
    pub inside: u64,
}

/// Looking at things.
pub trait BrowseStore {
    /// Messages below a place, the last first, at most `limit`.
    fn browse_messages(
        &self,
        query: MessageQuery,
        before: i64,
        limit: usize,
    ) -> impl Future<Output = Result<MessagePage>> + Send;
    /// One message.
    fn load_message(&self, id: MessageId) -> impl Future<Output = Result<Option<MessageRow>>> + Send;
    /// Those of these messages that are known, in the order of the ids.
    fn load_messages(&self, ids: Vec<MessageId>) -> impl Future<Output = Result<Vec<MessageRow>>> + Send;
    /// Takes messages back that wait: they are skipped, for [`TAKEN_BACK`]. Returns those that did not wait any more.
    fn take_back_messages(
        &self,
        ids: Vec<MessageId>,
        at: Timestamp,
    ) -> impl Future<Output = Result<Vec<MessageId>>> + Send;
    /// Makes failed messages wait again (uncertain ones, too, when asked), due at `at`. Returns those that were left as
    /// they are.
    fn retry_these(
        &self,
        ids: Vec<MessageId>,
        uncertain: bool,
        at: Timestamp,
    ) -> impl Future<Output = Result<Vec<MessageId>>> + Send;
    /// Suppressed addresses behind `after` in order of their hashes, at most `limit`, for a reason if one is given.
    fn browse_suppressions(
        &self,
        after: Option<AddressHash>,
        reason: Option<SuppressionReason>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Suppression>>> + Send;
    /// How many enrolments these runs had and have; runs without any are left out.
    fn count_runs(&self, runs: Vec<i64>) -> impl Future<Output = Result<Vec<RunCount>>> + Send;
}
