//! Journeys at work: runs over an audience, enrolments with their traces, counters.
//!
//! A run over an audience goes through its contacts in order of their numbers, in batches. One transaction commits a
//! batch: enrolments, changed fields, counters (as deltas), messages, and the run's checkpoint. So a run that is killed
//! at any moment goes on behind its last batch, and nobody is enrolled or written to twice.

use std::future::Future;

use model::{ContactId, Slug, Timestamp, Value};
use roaring::RoaringTreemap;

use crate::Result;

/// By what contacts are chosen for an audience, without looking at their profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceFilter {
    /// Everybody.
    All,
    /// Those with an email address, whether or not mail reaches it.
    WithEmail,
    /// Those without one.
    WithoutEmail,
    /// Those with a phone number.
    WithPhone,
    /// Those with a subscription to push.
    PushSubscribers,
}

/// A run to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJourneyRun {
    /// The journey.
    pub journey: Slug,
    /// Its version.
    pub version: u32,
    /// Hash of the version's content: the run is known by it.
    pub hash: String,
    /// Which run of this content it is, from 1.
    pub ordinal: u32,
    /// Who takes part: frozen from here on.
    pub audience: RoaringTreemap,
    /// Seed of its dice.
    pub seed: u64,
    /// When it begins: its steps are taken as of this instant, also when it is resumed later.
    pub started_at: Timestamp,
}

/// A run as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct JourneyRun {
    /// Its number, from 1; never given again.
    pub id: i64,
    /// The journey.
    pub journey: Slug,
    /// Its version.
    pub version: u32,
    /// Hash of the version's content.
    pub hash: String,
    /// Which run of this content it is, from 1.
    pub ordinal: u32,
    /// Seed of its dice.
    pub seed: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When it was completed.
    pub finished_at: Option<Timestamp>,
    /// The last contact that is done.
    pub checkpoint: ContactId,
    /// How many contacts its audience has.
    pub audience: u64,
}

/// A custom field written by a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Which.
    pub field: String,
    /// What the run read before it wrote.
    pub before: Option<Value>,
    /// What it holds now; none clears.
    pub after: Option<Value>,
}

/// So many contacts left a node in a way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountDelta {
    /// The node's id; empty for what concerns the run as a whole.
    pub node: String,
    /// The way: an outcome's word, with a reason behind a colon.
    pub measure: String,
    /// How many.
    pub n: u64,
}

/// A contact's passage through a journey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// The run.
    pub run: i64,
    /// The journey.
    pub journey: Slug,
    /// Its version.
    pub version: u32,
    /// When.
    pub at: Timestamp,
    /// Why it went where it went: bytes of the room `journey`.
    pub trace: Vec<u8>,
}

/// Journeys at work.
pub trait JourneyStore {
    /// Who is chosen by a filter now.
    fn scan_audience(&self, filter: AudienceFilter) -> impl Future<Output = Result<RoaringTreemap>> + Send;
    /// The runs of a journey, the first first.
    fn load_journey_runs(&self, journey: Slug) -> impl Future<Output = Result<Vec<JourneyRun>>> + Send;
    /// Begins a run, or finds the one with the same journey, content and ordinal.
    fn begin_journey_run(&self, run: NewJourneyRun) -> impl Future<Output = Result<JourneyRun>> + Send;
    /// The audience of a run.
    fn load_run_audience(&self, run: i64) -> impl Future<Output = Result<RoaringTreemap>> + Send;
    /// Marks a run as completed, and folds its counters.
    fn complete_journey_run(&self, run: i64, at: Timestamp) -> impl Future<Output = Result<()>> + Send;
    /// The counters of a run, by node and measure.
    fn load_journey_counts(&self, run: i64) -> impl Future<Output = Result<Vec<CountDelta>>> + Send;
    /// The journeys that a contact went through, the first first.
    fn load_enrolments(&self, contact: ContactId) -> impl Future<Output = Result<Vec<Enrolment>>> + Send;
}
