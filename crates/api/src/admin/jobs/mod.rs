//! Jobs: imports, exports and simulations, with their progress. They are worked on inside the server ([`work`]), a few at
//! a time, and go on after a restart.

mod cancel;
mod export;
pub(crate) mod exporting;
mod file;
mod get;
mod import;
pub(crate) mod importing;
mod link;
mod list;
mod parts;
pub(crate) mod simulating;
mod worker;

pub use worker::work;

use std::path::PathBuf;

use axum::{Json, http::StatusCode};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::{
    Storage,
    jobs::{Job, JobProgress, JobState, NewJob},
};
use utoipa::ToSchema;

use crate::{
    ApiError, ApiResult, App, access::Principal, audit, each_time, operations, problem::ProblemBody,
    said::At, section::Section,
};

/// Kinds of jobs.
pub(crate) const IMPORT: &str = "import";
pub(crate) const EXPORT: &str = "export";
pub(crate) const SIMULATE: &str = "simulate";

/// Where files to import are sent to: they may take their time to arrive.
pub const UPLOADS: &str = "/api/v1/imports";

/// A job that was over so long ago is forgotten with its files, in microseconds: 30 days.
pub const KEPT: i64 = 30 * Timestamp::DAY;
/// How often a job is taken up again after the process died under it.
pub const ATTEMPTS_MAX: u32 = 3;

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    let section = operations!(Section::new("jobs"), S; list, get, file, export, cancel, link);
    // A file is too large to be looked at twice; imported again it changes nothing that is known already.
    each_time!(section, S; import)
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobStateWord {
    Waiting,
    Running,
    Done,
    Failed,
    Cancelled,
}

impl From<JobState> for JobStateWord {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Waiting => Self::Waiting,
            JobState::Running => Self::Running,
            JobState::Done => Self::Done,
            JobState::Failed => Self::Failed,
            JobState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<JobStateWord> for JobState {
    fn from(word: JobStateWord) -> Self {
        match word {
            JobStateWord::Waiting => Self::Waiting,
            JobStateWord::Running => Self::Running,
            JobStateWord::Done => Self::Done,
            JobStateWord::Failed => Self::Failed,
            JobStateWord::Cancelled => Self::Cancelled,
        }
    }
}

/// Of what kind a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobKind {
    Import,
    Export,
    Simulate,
}

impl JobKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Import => IMPORT,
            Self::Export => EXPORT,
            Self::Simulate => SIMULATE,
        }
    }
}

/// A job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct JobBody {
    /// Its number.
    id: i64,
    /// Of what kind: `import`, `export`, `simulate`.
    kind: String,
    /// Where it stands.
    state: JobStateWord,
    /// What was asked for.
    #[schema(value_type = Object)]
    request: Value,
    /// When.
    asked_at: At,
    /// By whom.
    asked_by: String,
    /// When a worker took it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<At>,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<At>,
    /// What it is doing, in a few words.
    phase: String,
    /// So many rows or contacts are done,
    done: u64,
    /// of so many; 0 while nobody knows.
    total: u64,
    /// What it came to: of its kind's own shape, null before its end.
    result: Value,
    /// Why it failed.
    problems: Vec<ProblemBody>,
    /// Files that can be read: `result`, `rejects`. A link to one: `POST /api/v1/jobs/{id}/links`.
    files: Vec<String>,
}

fn body<S: Storage>(app: &App<S>, job: Job) -> JobBody {
    let fresher = app.desk.progress_of(job.no).filter(|_| job.state == JobState::Running);
    let JobProgress { phase, done, total } = fresher.unwrap_or(job.progress);
    let mut request = job.request;
    if let Some(request) = request.as_object_mut() {
        // The whole draft, and where a file lies, are nobody's business here.
        request.remove("folder");
        request.remove("file");
    }
    let files = job.result.get("files").and_then(Value::as_object);
    let files = files.map(|files| files.keys().cloned().collect()).unwrap_or_default();
    let mut result = job.result;
    if let Some(result) = result.as_object_mut() {
        result.remove("files");
    }
    JobBody {
        id: job.no,
        kind: job.kind,
        state: job.state.into(),
        request,
        asked_at: job.asked_at.into(),
        asked_by: job.asked_by,
        started_at: job.started_at.map(At),
        ended_at: job.ended_at.map(At),
        phase,
        done,
        total,
        result,
        problems: job.problems.iter().map(ProblemBody::from).collect(),
        files,
    }
}

/// Adds a job, wakes a worker, and answers with the job.
pub(crate) async fn ask<S: Storage>(
    app: &App<S>,
    by: &Principal,
    kind: &'static str,
    request: &impl Serialize,
) -> ApiResult<(StatusCode, Json<JobBody>)> {
    let request = serde_json::to_value(request)
        .map_err(|error| storage::StoreError::Driver(format!("a job cannot be written: {error}")))?;
    let new = NewJob { kind: kind.to_owned(), request, by: by.who.clone(), at: app.now() };
    let job = app.store.add_job(new).await?;
    audit::note(app, by, action(kind), format!("job:{}", job.no), json!({"kind": kind})).await?;
    app.desk.jobs_bell.notify_one();
    Ok((StatusCode::ACCEPTED, Json(body(app, job))))
}

fn action(kind: &str) -> &'static str {
    match kind {
        IMPORT => "job.import",
        EXPORT => "job.export",
        _ => "job.simulate",
    }
}

/// Finds a job by its number.
async fn find<S: Storage>(app: &App<S>, no: i64) -> ApiResult<Job> {
    app.store.load_job(no).await?.ok_or_else(|| ApiError::not_found("job", no))
}

/// Where a job's file lies, and what it is called when it is saved.
fn path_of<S: Storage>(app: &App<S>, job: &Job, file: &str) -> Option<(PathBuf, String)> {
    let name = job.result.get("files")?.get(file)?.as_str()?;
    // Names are ours; nobody gets out of the folder by one.
    let plain = !name.contains(['/', '\\']) && !name.starts_with('.');
    plain.then(|| (app.config.desk.folder.join(name), name.to_owned()))
}

/// What a link to a job's file is signed for.
fn signed_text(no: i64, file: &str, expires: i64) -> String {
    format!("job {no} {file} {expires}")
}
