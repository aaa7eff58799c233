//! The living engine's state: inputs that wait to be worked on, enrolments that wait, alarms, and the one transaction
//! that commits what a batch decided.
//!
//! ```text
//! shop ──ImportBatch{live}──▶ events, orders, carts … + inputs      one transaction: nothing acknowledged is lost
//!                                        │ take_inputs (in order)
//!                                        ▼
//!                        advance (pure) ──▶ commit_step: inputs done + enrolments + alarms + fields
//!                                             + segment members + outbox + counters + new inputs
//! ```
//!
//! An input is deleted by the transaction that commits what came of it, so a crash anywhere repeats it from the
//! beginning, with the same answer, and nothing is done twice. What a batch causes for others (a segment entered, an
//! event raised) is an input of the same transaction.

use std::future::Future;

use model::{ContactId, Event, Slug, Timestamp};
use roaring::RoaringTreemap;

use crate::{
    Result,
    journeys::{CountDelta, FieldChange},
    outbox::OutboxMessage,
    rfm::LiveScore,
    segments::MemberAnswer,
};

/// Most rounds of causes and effects: an input that was caused by an input that was caused … so many times is counted
/// and dropped, so that two journeys that start each other end.
pub const CAUSES_MAX: u8 = 16;

/// Something that happened to a contact and is not worked on yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its place in the queue, ascending.
    pub no: i64,
    /// What happened.
    pub event: Event,
    /// How many inputs caused each other before this one.
    pub causes: u8,
}

/// An input to add.
#[derive(Clone, Debug, PartialEq)]
pub struct NewInput {
    /// What happened.
    pub event: Event,
    /// How many inputs caused each other before this one.
    pub causes: u8,
    /// Whether the event is also put into the contact's history (an event that a journey raises), or only worked on (a
    /// segment move, which has its own history).
    pub stored: bool,
}

/// The same thing happening to many contacts: a segment that was built anew, a price drop, a schedule, an audience that
/// enters. Worked on in batches, after everything more urgent.
#[derive(Clone, Debug, PartialEq)]
pub struct NewWave {
    /// What happens to each of them; its contact is put in.
    pub event: Event,
    /// How many inputs caused each other before this one.
    pub causes: u8,
    /// To whom.
    pub contacts: RoaringTreemap,
}

/// A wave on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Wave {
    /// Its number, ascending.
    pub no: i64,
    /// What happens to each; its contact is put in.
    pub event: Event,
    /// How many inputs caused each other before this one.
    pub causes: u8,
    /// To whom.
    pub contacts: RoaringTreemap,
    /// The last contact that is done.
    pub checkpoint: ContactId,
}

/// A contact's enrolment in a run, with what its interpreter kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEnrolment {
    /// Who.
    pub contact: ContactId,
    /// The run of a journey's version.
    pub run: i64,
    /// Which enrolment of the contact in this run, from 1.
    pub ordinal: u32,
    /// What tells it from others of the contact that may be inside at the same time.
    pub key: String,
    /// When it began.
    pub entered_at: Timestamp,
    /// Bytes of the room `journey`; none when it is over.
    pub state: Option<Vec<u8>>,
}

/// What became of an enrolment in a batch: a new one, or one that went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentStep {
    /// Who.
    pub contact: ContactId,
    /// The run.
    pub run: i64,
    /// Which enrolment of the contact in this run, from 1.
    pub ordinal: u32,
    /// Set when it is new.
    pub key: Option<String>,
    /// Record of this commit, put behind those of earlier ones.
    pub trace: Vec<u8>,
    /// How it goes on; none: it is over.
    pub state: Option<Vec<u8>>,
    /// When it reached the journey's goal, as far as known now.
    pub goal_at: Option<Timestamp>,
    /// Nodes at which it stays now: what "waiting" is counted by.
    pub stays: Vec<String>,
}

/// A contact's alarm clock, as the engine set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    /// When it rings: the earliest of everything. None: never.
    pub due: Option<Timestamp>,
    /// What beside its enrolments it rings for (abandoned carts, dates): bytes of the engine. Empty: nothing.
    pub timers: Vec<u8>,
}

/// A code that was assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouponUse {
    /// The set.
    pub set: Slug,
    /// The code.
    pub code: String,
    /// To whom.
    pub contact: ContactId,
    /// In which run.
    pub run: i64,
    /// In which enrolment.
    pub ordinal: u32,
    /// By which node.
    pub node: String,
    /// When it ends; none: never.
    pub expires_at: Option<Timestamp>,
}

/// Where the contacts of a batch came from: what is marked as done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// These inputs.
    Inputs(Vec<i64>),
    /// The contacts of a wave behind `from`, up to `to`; the wave goes with its last contact.
    Wave {
        /// Which.
        no: i64,
        /// Where it must stand now.
        from: ContactId,
        /// Where it stands after.
        to: ContactId,
    },
    /// The contacts of a run's audience behind `from`, up to `to`.
    Audience {
        /// The run.
        run: i64,
        /// Where it must stand now.
        from: ContactId,
        /// Where it stands after.
        to: ContactId,
    },
    /// Alarms that rang; their contacts are in [`StepCommit::alarms`].
    Alarms,
}

/// What concerns an A/B test; `node` is the test's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialMark {
    /// A contact took a variant. Only its first passage in a run counts.
    Took {
        /// The run.
        run: i64,
        /// The node's id.
        node: String,
        /// Who.
        contact: ContactId,
        /// The variant's name.
        variant: String,
        /// When.
        at: Timestamp,
        /// What it does before then counts.
        until: Timestamp,
    },
    /// It did what is wanted; counted once, and only between its passage and that passage's `until`.
    Converted {
        /// The run.
        run: i64,
        /// The node's id.
        node: String,
        /// Who.
        contact: ContactId,
        /// When.
        at: Timestamp,
    },
}

/// What a variant of an A/B test has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialTally {
    /// The node's id.
    pub node: String,
    /// The variant's name.
    pub variant: String,
    /// Contacts that took it.
    pub entered: u64,
    /// Of these, that did what is wanted.
    pub converted: u64,
    /// When the last contact took it.
    pub last_at: Timestamp,
}

/// A contact whose enrolment is over reached the journey's goal; the first time counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateGoal {
    /// Who.
    pub contact: ContactId,
    /// The run.
    pub run: i64,
    /// Which enrolment of the contact in this run.
    pub ordinal: u32,
    /// When.
    pub at: Timestamp,
}

/// An enrolment that is over, for goals that are reached after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Who.
    pub contact: ContactId,
    /// The run.
    pub run: i64,
    /// Which enrolment of the contact in this run.
    pub ordinal: u32,
    /// What tells it from others of the contact.
    pub key: String,
    /// When it began.
    pub entered_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// When it reached the journey's goal.
    pub goal_at: Option<Timestamp>,
}

/// What a batch decided, committed at once.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCommit {
    /// The instant that the batch was computed for.
    pub at: Timestamp,
    /// What is done with it.
    pub done: Done,
    /// Enrolments that began or went on.
    pub enrolments: Vec<EnrolmentStep>,
    /// Alarm clocks, set anew.
    pub alarms: Vec<(ContactId, Alarm)>,
    /// Fields that were written, in order; refused together when one does not hold what was read.
    pub changes: Vec<(ContactId, Vec<FieldChange>)>,
    /// Static lists: put on (true) or taken off.
    pub lists: Vec<(ContactId, Slug, bool)>,
    /// Segments: as `update_members`.
    pub members: Vec<(Slug, String, Vec<MemberAnswer>)>,
    /// RFM scores between two runs: as `save_live_scores`.
    pub scores: Vec<LiveScore>,
    /// Codes assigned.
    pub coupons: Vec<CouponUse>,
    /// Passages of nodes with limits: contact, journey, node, how many.
    pub passages: Vec<(ContactId, Slug, String, u32)>,
    /// Counts, by run.
    pub counts: Vec<(i64, CountDelta)>,
    /// A/B tests: who took what, who did what is wanted, in order.
    pub trials: Vec<TrialMark>,
    /// Goals that contacts reached after their enrolment was over.
    pub goals: Vec<LateGoal>,
    /// Messages decided.
    pub messages: Vec<OutboxMessage>,
    /// Triggers of paused journeys, to be held until they go on.
    pub held: Vec<crate::lives::HeldTrigger>,
    /// What it causes.
    pub inputs: Vec<NewInput>,
    /// What it causes for many.
    pub waves: Vec<NewWave>,
    /// Settings that the engine writes for itself.
    pub settings: Vec<(String, serde_json::Value)>,
}

impl StepCommit {
    /// Nothing yet.
    #[must_use]
    pub const fn new(at: Timestamp, done: Done) -> Self {
        Self {
            at,
            done,
            enrolments: Vec::new(),
            alarms: Vec::new(),
            changes: Vec::new(),
            lists: Vec::new(),
            members: Vec::new(),
            scores: Vec::new(),
            coupons: Vec::new(),
            passages: Vec::new(),
            counts: Vec::new(),
            trials: Vec::new(),
            goals: Vec::new(),
            messages: Vec::new(),
            held: Vec::new(),
            inputs: Vec::new(),
            waves: Vec::new(),
            settings: Vec::new(),
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    /// It is on disk.
    Committed {
        /// Messages that are new in the outbox.
        messages: u64,
    },
    /// Nothing was written: these contacts changed since they were loaded. Load again, try again.
    Conflict(Vec<ContactId>),
    /// Nothing was written: what was to be done is done already, by somebody else.
    Moved,
}

/// Where a journey stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Life {
    /// Published, to begin at an instant.
    Scheduled = 1,
    /// Contacts enter and go on.
    Active = 2,
    /// Nobody enters, and nobody goes into a node that sends; waits keep counting.
    Paused = 3,
    /// Nobody enters any more; those inside go on.
    Closing = 4,
    /// Over: nobody is inside.
    Finished = 5,
    /// Stopped by hand: those inside were taken out.
    Stopped = 6,
    /// Stopped by hand: those inside are being taken out.
    Stopping = 7,
}

impl Life {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Active,
        Self::Paused,
        Self::Closing,
        Self::Finished,
        Self::Stopped,
        Self::Stopping,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Closing => "closing",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Stopping => "stopping",
        }
    }
}

/// The life of one version of a journey: one row per run of `journey_runs`.
#[derive(Clone, Debug, PartialEq)]
pub struct LifeRecord {
    /// The run.
    pub run: i64,
    /// The journey.
    pub journey: Slug,
    /// Its version.
    pub version: u32,
    /// Where it stands.
    pub life: Life,
    /// Since when.
    pub since: Timestamp,
    /// When a scheduled one begins.
    pub starts_at: Option<Timestamp>,
    /// Seed of its dice.
    pub seed: u64,
    /// Versions of templates, segments and coupon sets that it was published with: JSON, of the engine.
    pub pinned: serde_json::Value,
    /// What the engine keeps about it between batches (A/B tallies decided, schedules done …): JSON, of the engine.
    pub memo: serde_json::Value,
}

/// The living engine's state.
pub trait LiveStore {
    /// The inputs that wait, in order, at most `limit`; none with a number above `until`.
    fn take_inputs(&self, until: i64, limit: usize) -> impl Future<Output = Result<Vec<Input>>> + Send;
    /// The number of the last input that was added, 0 before the first.
    fn last_input(&self) -> impl Future<Output = Result<i64>> + Send;
    /// Adds inputs by themselves (an API call, a nightly move).
    fn add_inputs(
        &self,
        inputs: Vec<NewInput>,
        waves: Vec<NewWave>,
    ) -> impl Future<Output = Result<()>> + Send;
    /// The waves on their way, the first first.
    fn load_waves(&self) -> impl Future<Output = Result<Vec<Wave>>> + Send;

    /// The enrolments of these contacts that are inside, in the order of the ids, then by run and ordinal.
    fn load_inside(
        &self,
        contacts: Vec<ContactId>,
    ) -> impl Future<Output = Result<Vec<LiveEnrolment>>> + Send;
    /// All enrolments of these contacts in runs of this journey, without state: for re-entry and ordinals.
    fn load_past(
        &self,
        journey: Slug,
        contacts: Vec<ContactId>,
    ) -> impl Future<Output = Result<Vec<LiveEnrolment>>> + Send;
    /// The contacts who are inside a run, behind `after`, at most `limit`.
    fn scan_inside(
        &self,
        run: i64,
        after: ContactId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ContactId>>> + Send;
    /// How often these contacts passed a node of a journey, in the order of the ids, and all contacts together.
    fn load_passages(
        &self,
        journey: Slug,
        node: String,
        contacts: Vec<ContactId>,
    ) -> impl Future<Output = Result<(Vec<u64>, u64)>> + Send;

    /// The alarm clocks of these contacts, in the order of the ids.
    fn load_alarms(&self, contacts: Vec<ContactId>) -> impl Future<Output = Result<Vec<Alarm>>> + Send;
    /// Whose alarm rings until `now` (included), the earliest first, at most `limit`.
    fn due_alarms(&self, now: Timestamp, limit: usize)
    -> impl Future<Output = Result<Vec<ContactId>>> + Send;
    /// When the next alarm rings or the next membership flips; none: never.
    fn next_alarm(&self) -> impl Future<Output = Result<Option<Timestamp>>> + Send;

    /// Commits a batch in one transaction.
    fn commit_step(&self, step: StepCommit) -> impl Future<Output = Result<StepOutcome>> + Send;

    /// The lives of all versions that are not over, and of those that are when `all`; by run.
    fn load_lives(&self, all: bool) -> impl Future<Output = Result<Vec<LifeRecord>>> + Send;
    /// Writes lives: new ones and changed ones.
    fn save_lives(&self, lives: Vec<LifeRecord>) -> impl Future<Output = Result<()>> + Send;
    /// How many contacts stay at each node of a run now.
    fn count_stays(&self, run: i64) -> impl Future<Output = Result<Vec<CountDelta>>> + Send;

    /// The tallies of a run's A/B tests, by node and variant.
    fn load_tallies(&self, run: i64) -> impl Future<Output = Result<Vec<TrialTally>>> + Send;
    /// The enrolments of these contacts in these runs that are over since `since` or later, in
    /// the order of the ids, then by run and ordinal.
    fn load_ended(
        &self,
        runs: Vec<i64>,
        contacts: Vec<ContactId>,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<Ended>>> + Send;

    /// The messages decided for these contacts with `since <= at`, by contact in the order of the ids, then by time.
    fn load_sends(
        &self,
        contacts: Vec<ContactId>,
        since: Timestamp,
    ) -> impl Future<Output = Result<Vec<(ContactId, crate::outbox::SentMark)>>> + Send;
}
