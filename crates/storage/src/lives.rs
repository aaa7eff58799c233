//! The lives of published journeys: publishing, what a change of life brings with it, triggers that a pause holds, and
//! what became of each recipient.
//!
//! A change of life is committed with everything that it causes (inputs, waves, a frozen audience) and under a fence: the
//! life must stand as it was read. So a recurring start that two processes find due, or that a crash repeats, happens
//! once.

use std::future::Future;

use model::{ContactId, Slug, Timestamp};
use roaring::RoaringTreemap;

use crate::{
    Result,
    journeys::NewJourneyRun,
    live::{LifeRecord, NewInput, NewWave},
    outbox::MessageRow,
    settings::NewDefinition,
};

/// Setting that is raised by every change of a life: who keeps compiled journeys loads them again when it is another.
pub const RULES_VERSION: &str = "rules_version";

/// Most triggers that a paused journey holds. What comes above is counted, and starts nothing.
pub const PAUSED_QUEUE_MAX: u64 = 50_000;

/// Reason of messages that were not handed over because their journey was stopped.
pub const CANCELLED: &str = "journey.stopped";

/// A version of a journey to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct NewLife {
    /// The journey and the files beside it.
    pub definitions: Vec<NewDefinition>,
    /// The versions that they are expected to get: the record was made with these.
    pub versions: Vec<u32>,
    /// Its run.
    pub run: NewJourneyRun,
    /// Its life; the number of the run is put in.
    pub record: LifeRecord,
    /// What becomes of earlier versions. In their memo, and in properties of waves, the text [`NEW_RUN`] stands for the
    /// number of the new run.
    pub others: Vec<LifeChange>,
    /// What it causes.
    pub inputs: Vec<NewInput>,
    /// What it causes for many.
    pub waves: Vec<NewWave>,
    /// The instant.
    pub at: Timestamp,
}

/// See [`NewLife::others`].
pub const NEW_RUN: &str = "$new_run";

/// A life as it was read, and as it is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct LifeChange {
    /// As it was read: nothing is done when it stands otherwise.
    pub before: LifeRecord,
    /// As it is to be.
    pub after: LifeRecord,
}

/// Changes of lives with what they bring with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LifeCommit {
    /// The changes.
    pub changes: Vec<LifeChange>,
    /// Audiences frozen now: run, who, since when.
    pub audiences: Vec<(i64, RoaringTreemap, Timestamp)>,
    /// Runs that are over.
    pub completed: Vec<(i64, Timestamp)>,
    /// What it causes.
    pub inputs: Vec<NewInput>,
    /// What it causes for many.
    pub waves: Vec<NewWave>,
    /// Journeys whose held triggers become inputs, in the order in which they came.
    pub release: Vec<Slug>,
    /// Journeys whose held triggers are dropped.
    pub forget: Vec<Slug>,
}

/// A trigger of a paused journey.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldTrigger {
    /// The journey that it would have started.
    pub journey: Slug,
    /// What happened, as an input once the journey goes on.
    pub input: NewInput,
}

/// How many triggers a paused journey holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Waiting for the journey to go on.
    pub held: u64,
    /// Dropped since its pause because [`PAUSED_QUEUE_MAX`] were held.
    pub dropped: u64,
}

/// An enrolment as a list of recipients shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentRow {
    /// Who.
    pub contact: ContactId,
    /// The run.
    pub run: i64,
    /// Which enrolment of the contact in this run, from 1.
    pub ordinal: u32,
    /// What tells it from others of the contact.
    pub key: String,
    /// When it began.
    pub entered_at: Timestamp,
    /// When it changed last.
    pub changed_at: Timestamp,
    /// Whether it is over.
    pub is_over: bool,
    /// When it reached the journey's goal.
    pub goal_at: Option<Timestamp>,
    /// Nodes at which it stays now.
    pub stays: Vec<String>,
    /// Records of `journey::trace`, one for each commit.
    pub trace: Vec<u8>,
}

/// What a run came to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTotals {
    /// Enrolments.
    pub entered: u64,
    /// Of these, inside now.
    pub inside: u64,
    /// Of these, that reached the goal.
    pub goals: u64,
    /// Contacts of these, each once.
    pub contacts: u64,
    /// Contacts that reached the goal, each once.
    pub goal_contacts: u64,
}

/// Lives of journeys.
pub trait LifeStore {
    /// Publishes a version: definitions, run, life, what becomes of earlier versions, all in one transaction. None when
    /// something else was published or changed meanwhile: nothing was written, load again.
    fn publish_life(&self, new: NewLife) -> impl Future<Output = Result<Option<LifeRecord>>> + Send;

    /// Changes lives in one transaction with what that brings with it; false when one of them does not stand as it was
    /// read: then nothing was written.
    fn change_lives(&self, commit: LifeCommit) -> impl Future<Output = Result<bool>> + Send;

    /// Keeps triggers of paused journeys, up to [`PAUSED_QUEUE_MAX`] for each; those above are counted.
    fn hold_triggers(&self, held: Vec<HeldTrigger>) -> impl Future<Output = Result<()>> + Send;

    /// How many triggers a journey holds.
    fn count_held(&self, journey: Slug) -> impl Future<Output = Result<Held>> + Send;

    /// The enrolments of a run behind (contact, ordinal), in their order, at most `limit`; those of one contact when asked.
    fn list_enrolments(
        &self,
        run: i64,
        contact: Option<ContactId>,
        after: (ContactId, u32),
        limit: usize,
    ) -> impl Future<Output = Result<Vec<EnrolmentRow>>> + Send;

    /// The messages of a run to these contacts, in the order of the ids, then by place.
    fn messages_of_run(
        &self,
        run: i64,
        contacts: Vec<ContactId>,
    ) -> impl Future<Output = Result<Vec<MessageRow>>> + Send;

    /// Cancels messages of a run that wait in the outbox, at most `limit`: they are skipped, for [`CANCELLED`]. Those that
    /// a worker holds already are left to it. Returns how many.
    fn cancel_messages(
        &self,
        run: i64,
        at: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<u64>> + Send;

    /// Whether a message of a run is in no final state yet.
    fn has_open_messages(&self, run: i64) -> impl Future<Output = Result<bool>> + Send;

    /// How many entered a run, are inside, reached the goal.
    fn run_totals(&self, run: i64) -> impl Future<Output = Result<RunTotals>> + Send;
}
