//! Long work that somebody asked for: imports, exports, simulations, with their progress.
//!
//! ```text
//! waiting ──claim──▶ running ──▶ done | failed | cancelled
//!    ▲                  │ the process died: waits again, a few times, then it has failed
//!    └──────────────────┘
//! ```

use std::future::Future;

use model::{Problem, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum JobState {
    /// Asked for.
    Waiting = 1,
    /// A worker is at it.
    Running = 2,
    /// It came to its end.
    Done = 3,
    /// It cannot be done: the problems say why.
    Failed = 4,
    /// Somebody ended it.
    Cancelled = 5,
}

impl JobState {
    /// All, in order.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// The state of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// Whether nothing more happens to it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobProgress {
    /// What it is doing, in a few words.
    pub phase: String,
    /// So many rows, contacts, … are done,
    pub done: u64,
    /// of so many; 0 while nobody knows.
    pub total: u64,
}

/// A job to add.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Of what kind, as in `import`.
    pub kind: String,
    /// What is to be done: JSON of its kind.
    pub request: serde_json::Value,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its number, ascending; never given again.
    pub no: i64,
    /// Of what kind, as in `import`.
    pub kind: String,
    /// Where it stands.
    pub state: JobState,
    /// What is to be done: JSON of its kind.
    pub request: serde_json::Value,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// By whom.
    pub asked_by: String,
    /// When a worker took it last.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// How often a worker took it.
    pub attempts: u32,
    /// Whether somebody asked for its end while it runs.
    pub cancel: bool,
    /// How far it is.
    pub progress: JobProgress,
    /// What it came to: JSON of its kind.
    pub result: serde_json::Value,
    /// Why it failed.
    pub problems: Vec<Problem>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEnd {
    /// Done, failed or cancelled.
    pub state: JobState,
    /// How far it was.
    pub progress: JobProgress,
    /// What it came to: JSON of its kind.
    pub result: serde_json::Value,
    /// Why it failed.
    pub problems: Vec<Problem>,
    /// When.
    pub at: Timestamp,
}

/// Which jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<JobState>,
}

/// Long work.
pub trait JobStore {
    /// Adds a job: it waits.
    fn add_job(&self, job: NewJob) -> impl Future<Output = Result<Job>> + Send;
    /// A job.
    fn load_job(&self, no: i64) -> impl Future<Output = Result<Option<Job>>> + Send;
    /// Jobs with numbers below `before`, the last first, at most `limit`.
    fn list_jobs(
        &self,
        filter: JobFilter,
        before: i64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Job>>> + Send;
    /// Takes the first job that waits: it runs from now on.
    fn claim_job(&self, at: Timestamp) -> impl Future<Output = Result<Option<Job>>> + Send;
    /// Notes how far a running job is; false when its end was asked for.
    fn note_job(&self, no: i64, progress: JobProgress) -> impl Future<Output = Result<bool>> + Send;
    /// Ends a running job.
    fn end_job(&self, no: i64, end: JobEnd) -> impl Future<Output = Result<()>> + Send;
    /// Ends a job that waits, asks a running one to end; the job as it stands then. One that is over is left as it is.
    fn cancel_job(&self, no: i64, at: Timestamp) -> impl Future<Output = Result<Option<Job>>> + Send;
    /// For a caller who knows that no worker lives: running jobs wait again, those that were taken `most` times already
    /// have failed with `why`. Returns how many wait again.
    fn settle_jobs(&self, most: u32, why: Problem, at: Timestamp)
    -> impl Future<Output = Result<u64>> + Send;
    /// Forgets jobs that were over before an instant; returns their numbers.
    fn forget_jobs(&self, before: Timestamp) -> impl Future<Output = Result<Vec<i64>>> + Send;
}
