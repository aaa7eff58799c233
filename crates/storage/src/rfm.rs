//! RFM: per model what scoring needs of each contact (last order, number and sum of the orders inside the window), where
//! each contact stands, cut points and history.
//!
//! State lies in *chunks*: one row of packed columns for [`chunk::CHUNK_LEN`] consecutive contact ids, so that a nightly
//! run over a million contacts reads and writes a thousand rows. A run reads only the orders that entered or left the
//! window since the run before. What would make that wrong (an order that arrives late, a refund, a cancellation, a
//! merge) marks its contact as *dirty* in the same transaction, whoever writes it, and the next run of each model sums
//! that contact's orders anew.
//!
//! Between two runs an order rescores its contact: such a *live* placement overrides the chunk until the next run.

pub mod chunk;

use std::future::Future;

use model::{ContactId, RfmPlacement, Slug, Timestamp};
use roaring::RoaringTreemap;

use crate::{Result, live::NewWave};

/// Slug of the group of contacts who had orders of which none is inside the window now.
pub const NO_GROUP: &str = "none";

/// So many contacts went this way between two instants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFlow {
    /// The group at the earlier instant; none for those who had never been placed.
    pub from: Option<String>,
    /// The group at the later one.
    pub to: String,
    /// How many.
    pub contacts: u64,
}

/// What a contact's orders inside a window come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowSums {
    /// The last of them; meaningless without one.
    pub last_at: Timestamp,
    /// How many.
    pub orders: u32,
    /// What they come to after refunds, in ten-thousandths.
    pub spent: i64,
    /// Whether there is an order that counts before the window.
    pub earlier: bool,
}

/// Which orders count, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From here, inclusive.
    pub since: Timestamp,
    /// To here, exclusive.
    pub until: Timestamp,
    /// Leave out orders that come to nothing after refunds.
    pub positive_only: bool,
}

/// What a run is about to do.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// The model.
    pub model: Slug,
    /// Its definition as JSON. When it differs from that of the run before, all is summed anew.
    pub definition: serde_json::Value,
    /// Slugs of its groups.
    pub groups: Vec<String>,
    /// Which orders count.
    pub window: Window,
    /// Sum everything anew, whatever the run before left.
    pub anew: bool,
}

/// A run that has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct RunTicket {
    /// What it is about.
    pub run: NewRun,
    /// The model's dense number.
    pub model_no: i64,
    /// The run's number, ascending over all models.
    pub run_no: i64,
    /// Group slugs by the number that chunks hold: 0 is nobody's (never placed), 1 is [`NO_GROUP`]. Grows only, so
    /// that history stays readable when a model's groups change.
    pub groups: Vec<String>,
}

/// An order that came into the window or left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderFlow {
    /// Whose.
    pub contact: ContactId,
    /// When it was placed.
    pub at: Timestamp,
    /// What it comes to after refunds.
    pub net: i64,
    /// Came in, or left.
    pub entered: bool,
}

/// A placement made between two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LivePlacement {
    /// Whose.
    pub contact: ContactId,
    /// Where it stands.
    pub place: chunk::Place,
}

/// All that a run needs, of one instant.
#[derive(Clone, Debug, Default)]
pub struct RunLoad {
    /// Chunk numbers and bytes ([`chunk::Chunk::decode`]), ascending.
    pub chunks: Vec<(u64, Vec<u8>)>,
    /// Whether everything was summed anew: then a contact that is not in `sums` has no orders.
    pub rebuilt: bool,
    /// Contacts summed anew, ascending.
    pub sums: Vec<(ContactId, WindowSums)>,
    /// Orders that came in or left, of the other contacts.
    pub flow: Vec<OrderFlow>,
    /// Placements that override the chunks', ascending by contact.
    pub live: Vec<LivePlacement>,
}

/// What a run has found; written in one transaction.
#[derive(Clone, Debug)]
pub struct RunCommit {
    /// Which run.
    pub ticket: RunTicket,
    /// Cut points as JSON.
    pub cuts: serde_json::Value,
    /// Figures per group as JSON.
    pub summary: serde_json::Value,
    /// Contacts that moved to another group.
    pub changed: u64,
    /// Chunks that differ from what was loaded.
    pub chunks: Vec<(u64, Vec<u8>)>,
    /// Moves per chunk ([`chunk::encode_moves`]).
    pub moves: Vec<(u64, Vec<u8>)>,
    /// What is told to those who moved.
    pub waves: Vec<NewWave>,
}

/// A run in the books.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Its number, ascending over all models.
    pub run_no: i64,
    /// The instant that it scored for.
    pub at: Timestamp,
    /// First instant of its window.
    pub since: Timestamp,
    /// Contacts that moved to another group.
    pub changed: u64,
    /// Cut points as JSON.
    pub cuts: serde_json::Value,
    /// Figures per group as JSON.
    pub summary: serde_json::Value,
}

/// A model that was scored at least once.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRecord {
    /// Its slug.
    pub model: Slug,
    /// Its definition as JSON.
    pub definition: serde_json::Value,
    /// Its last run.
    pub last_run: RunRecord,
}

/// A contact's new scores between two runs; all zero and the group [`NO_GROUP`] when it is not scored any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveScore {
    /// The model.
    pub model: Slug,
    /// Whose.
    pub contact: ContactId,
    /// Scores as in [`chunk::Place::code`].
    pub code: u16,
    /// Slug of the group.
    pub group: String,
}

/// A contact that moved from one group to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMove {
    /// Whose.
    pub contact: ContactId,
    /// The model's slug.
    pub model: String,
    /// When.
    pub at: Timestamp,
    /// Where from; none at the first placement.
    pub from: Option<String>,
    /// Where to.
    pub to: String,
}

/// RFM state.
pub trait RfmStore {
    /// Where these contacts stand: for each id, in the order of the ids, one placement per model that has placed it, by
    /// slug of the model. Empty for a contact that was never placed. Cheapest when the ids ascend.
    fn load_placements(
        &self,
        contacts: Vec<ContactId>,
    ) -> impl Future<Output = Result<Vec<Vec<RfmPlacement>>>> + Send;
    /// Who stands in one of these groups ([`NO_GROUP`] too) of a model now; empty when the model was never scored.
    fn contacts_in_groups(
        &self,
        model: String,
        groups: Vec<String>,
    ) -> impl Future<Output = Result<RoaringTreemap>> + Send;
    /// All models that were scored, by slug.
    fn load_rfm_models(&self) -> impl Future<Output = Result<Vec<ModelRecord>>> + Send;
    /// Begins a run: from here on an order that arrives for the time before `window.until` marks its contact as dirty
    /// for the runs after this one.
    fn begin_rfm_run(&self, run: NewRun) -> impl Future<Output = Result<RunTicket>> + Send;
    /// What the run needs, read at one instant.
    fn load_rfm_run(&self, ticket: RunTicket) -> impl Future<Output = Result<RunLoad>> + Send;
    /// Writes the run: chunks, moves, cut points, record. Answers with the contacts whose live placement is younger
    /// than what the run has read and so still stands: rescore them with the new cut points.
    fn commit_rfm_run(&self, commit: RunCommit) -> impl Future<Output = Result<Vec<ContactId>>> + Send;
    /// What these contacts' orders inside a window come to, in the order of the ids.
    fn load_window_sums(
        &self,
        contacts: Vec<ContactId>,
        window: Window,
    ) -> impl Future<Output = Result<Vec<WindowSums>>> + Send;
    /// Writes scores made between two runs at `at`, and answers with those that moved to another group. A score for a
    /// contact that was never placed and is in no group is left out.
    fn save_live_scores(
        &self,
        scores: Vec<LiveScore>,
        at: Timestamp,
    ) -> impl Future<Output = Result<Vec<GroupMove>>> + Send;
    /// The chunks of a model as the last run left them, with the live placements; `sums` and `flow` are empty.
    fn load_rfm_state(&self, model: Slug) -> impl Future<Output = Result<RunLoad>> + Send;
    /// The group slugs by number of a model, as in [`RunTicket::groups`]; empty when it was never scored.
    fn load_rfm_groups(&self, model: Slug) -> impl Future<Output = Result<Vec<String>>> + Send;
    /// The last `limit` runs of a model, the youngest first.
    fn load_rfm_runs(&self, model: Slug, limit: usize)
    -> impl Future<Output = Result<Vec<RunRecord>>> + Send;
    /// How many contacts went from which group of a model to which between two instants, in the order of the groups'
    /// slugs; those who stayed too. Who was in no group at the later one is left out. Only moves after the earlier
    /// instant are read.
    fn count_group_flows(
        &self,
        model: Slug,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Vec<GroupFlow>>> + Send;
    /// All moves of the contacts with these ids in all models, by contact, then by time.
    fn load_group_moves(
        &self,
        contacts: crate::segments::IdRange,
    ) -> impl Future<Output = Result<Vec<GroupMove>>> + Send;
    /// All moves of a contact in all models, by time.
    fn load_moves(&self, contact: ContactId) -> impl Future<Output = Result<Vec<GroupMove>>> + Send;
}
