//! Takes jobs up, a few at a time, and sees them to their end.

use std::{
    future::Future,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use model::{Problem, Problems};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use storage::{
    Storage, StoreError,
    jobs::{Job, JobEnd, JobProgress, JobState},
};
use tokio::{sync::Notify, task::JoinSet};

use super::{ATTEMPTS_MAX, EXPORT, IMPORT, KEPT, SIMULATE, exporting, importing, simulating};
use crate::{ApiError, App, admin::State};

/// Progress is written down and told this often.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Why a job ends without a result.
pub(crate) enum Failed {
    /// What the user can mend.
    Problems(Problems),
    /// The database, or the machine.
    Store(StoreError),
}

impl Failed {
    pub fn panicked(error: &tokio::task::JoinError) -> Self {
        Self::Store(StoreError::Driver(format!("a thread of the job ended: {error}")))
    }

    pub fn refused(error: ApiError) -> Self {
        Self::Problems(error.problems)
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<Problems> for Failed {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(problem) => problem.into(),
            error => Self::Store(error),
        }
    }
}

/// Keeps how far a job is.
#[derive(Debug, Default)]
pub(crate) struct Teller(Mutex<JobProgress>);

impl Teller {
    pub fn say(&self, phase: &str, done: u64, total: u64) {
        *self.lock() = JobProgress { phase: phase.to_owned(), done, total };
    }

    pub fn step(&self, done: u64, total: u64) {
        let mut progress = self.lock();
        (progress.done, progress.total) = (done, total);
    }

    fn now(&self) -> JobProgress {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, JobProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn progress_of(&self, no: i64) -> Option<JobProgress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).get(&no).cloned()
    }

    /// Rings for a job that runs.
    pub(super) fn cancel(&self, no: i64) {
        if let Some(bell) = self.cancels.lock().unwrap_or_else(PoisonError::into_inner).get(&no) {
            bell.notify_one();
        }
    }

    fn enter(&self, no: i64) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner).insert(no, Arc::clone(&bell));
        bell
    }

    fn leave(&self, no: i64) {
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner).remove(&no);
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).remove(&no);
    }
}

/// Works on jobs until `stop` is ready. Jobs that are under way then, or when the process dies, are taken up again by the
/// next worker, [`ATTEMPTS_MAX`] times. Only one process may do this for a base.
///
/// # Errors
/// What the database says while jobs are taken up; what it says within a job is the job's end.
pub async fn work<S: Storage>(app: App<S>, stop: impl Future<Output = ()>) -> Result<(), StoreError> {
    let crashed = Problem::new("job.crashed", "the server stopped under this job again and again")
        .cure("its log says why; ask for the job again when that is mended");
    app.store.settle_jobs(ATTEMPTS_MAX, crashed, app.now()).await?;
    let mut running: JoinSet<()> = JoinSet::new();
    tokio::pin!(stop);
    loop {
        while running.len() < app.config.desk.jobs_at_once.max(1)
            && let Some(job) = app.store.claim_job(app.now()).await?
        {
            running.spawn(one(app.clone(), job));
        }
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = app.desk.jobs_bell.notified(), if running.len() < app.config.desk.jobs_at_once.max(1) => {}
            Some(_) = running.join_next() => forget(&app).await?,
        }
    }
}

/// Forgets jobs that are over for long, with their files.
async fn forget<S: Storage>(app: &App<S>) -> Result<(), StoreError> {
    let numbers = app.store.forget_jobs(app.now().plus(-KEPT)).await?;
    if numbers.is_empty() {
        return Ok(());
    }
    let folder = app.config.desk.folder.clone();
    let work = move || {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let no = name.strip_prefix("job-").and_then(|rest| rest.split('.').next()?.parse::<i64>().ok());
            if no.is_some_and(|no| numbers.contains(&no)) {
                remove(&entry.path());
            }
        }
    };
    drop(tokio::task::spawn_blocking(work).await);
    Ok(())
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "a file of a job cannot be removed");
    }
}

/// Removes what a job that is over needs no more: the file that was sent.
pub(super) async fn clean_up<S: Storage>(app: &App<S>, job: &Job) {
    let Some(file) = job.request.get("file").and_then(Value::as_str).filter(|_| job.kind == IMPORT) else {
        return;
    };
    let path = app.config.desk.folder.join(file);
    drop(tokio::task::spawn_blocking(move || remove(&path)).await);
}

/// Sees one job to its end.
async fn one<S: Storage>(app: App<S>, job: Job) {
    let teller = Arc::new(Teller::default());
    let bell = app.desk.enter(job.no);
    let result = {
        let work = run(&app, &job, Arc::clone(&teller));
        tokio::pin!(work);
        let mut tick = tokio::time::interval(TELL_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            tokio::select! {
                result = &mut work => break Some(result),
                () = bell.notified() => break None,
                _ = tick.tick() => {
                    let now = teller.now();
                    if told.as_ref() == Some(&now) {
                        continue;
                    }
                    app.desk.progress.lock().unwrap_or_else(PoisonError::into_inner).insert(job.no, now.clone());
                    tell(&app, &job, JobState::Running, &now);
                    match app.store.note_job(job.no, now.clone()).await {
                        Ok(true) => told = Some(now),
                        Ok(false) => break None,
                        Err(error) => tracing::warn!(job = job.no, %error, "progress could not be written down"),
                    }
                }
            }
        }
    };
    let (state, result, problems) = match result {
        Some(Ok(result)) => (JobState::Done, result, Problems::new()),
        Some(Err(Failed::Problems(problems))) => (JobState::Failed, Value::Null, problems),
        Some(Err(Failed::Store(error))) => {
            // What a driver says may hold data of people.
            tracing::error!(job = job.no, %error, "a job has failed");
            let problem = ApiError::from(error).problems;
            (JobState::Failed, Value::Null, problem)
        }
        None => (JobState::Cancelled, Value::Null, Problems::new()),
    };
    let progress = teller.now();
    let end = JobEnd { state, progress: progress.clone(), result, problems, at: app.now() };
    if let Err(error) = app.store.end_job(job.no, end).await {
        tracing::error!(job = job.no, %error, "the end of a job could not be written down");
    }
    app.desk.leave(job.no);
    clean_up(&app, &job).await;
    tell(&app, &job, state, &progress);
}

fn tell<S: Storage>(app: &App<S>, job: &Job, state: JobState, progress: &JobProgress) {
    let data = json!({
        "id": job.no, "kind": job.kind, "state": state, "phase": progress.phase, "done": progress.done,
        "total": progress.total,
    });
    app.news.tell("job", data);
}

async fn run<S: Storage>(app: &App<S>, job: &Job, teller: Arc<Teller>) -> Result<Value, Failed> {
    match job.kind.as_str() {
        IMPORT => importing::run(app, job.no, &request(job)?, teller).await,
        EXPORT => exporting::run(app, job.no, &request(job)?, teller).await,
        SIMULATE => simulating::run(app, request(job)?, teller).await,
        kind => {
            Err(Problem::new("job.kind", format!("this program knows no jobs of the kind `{kind}`")).into())
        }
    }
}

fn request<T: DeserializeOwned>(job: &Job) -> Result<T, Failed> {
    serde_json::from_value(job.request.clone()).map_err(|error| {
        let (row, why) = (job.no.to_string(), error.to_string());
        Failed::Store(StoreError::Inconsistent { table: "jobs", row, why })
    })
}
