//! Runs a journey over its audience.
//!
//! A run is known by (journey, content hash, ordinal) and resumed where it stands. Its audience is frozen when it begins.
//! Contacts go through in batches: two batches are loaded and computed while the one before them is committed, each batch
//! in one transaction with its enrolments, field changes, counters, traces, messages and the run's checkpoint.

mod batch;
pub mod launch;
pub(crate) mod report;

use std::{collections::VecDeque, sync::Arc};

use journey::{
    FrozenProducts,
    document::{Source, Who},
};
use model::{ContactId, Problem, Slug, Timestamp};
use recommend::Catalogue;
use roaring::RoaringTreemap;
use storage::{
    Storage, StoreError,
    journeys::{AudienceFilter, JourneyRun, NewJourneyRun},
    live::{Done, Life, LifeRecord, StepCommit, StepOutcome},
};
use tokio::task::JoinHandle;

use crate::{
    live::{
        Book, Ground, LiveJourney, Shelf,
        coupons::{Coupons, Lease},
    },
    rules::{self, Pinned, Published, Rules, Versions},
    segments,
};

pub use report::{Line, Report};

/// Contacts of a batch: its transaction takes about 20 ms.
pub const BATCH: usize = 1_000;
/// Batches that are computed while one is committed.
const AHEAD: usize = 2;
/// How often a batch is tried again because contacts changed under it.
const TRIES: usize = 5;

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Seed of a new run's dice.
    pub seed: u64,
    /// Begin another run even though one of this content was completed.
    pub new_run: bool,
    /// Contacts per batch.
    pub batch: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1, new_run: false, batch: BATCH }
    }
}

/// A run that was found or begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The run.
    pub run: JourneyRun,
    /// What was found.
    pub state: State,
    /// Whether contacts may have been here in another run of the journey.
    pub ran_before: bool,
}

/// Where a run stood when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It begins.
    New,
    /// It was interrupted, and goes on.
    Resumed,
    /// It was completed before: nothing is left to do.
    Completed,
}

/// Finds the run of this content, or begins one and freezes its audience. `members` answers with the members of a
/// segment, for audiences that are one.
///
/// # Errors
/// `journey.audience_source` for an audience of contacts that are still to come, `journey.unfinished_run` when another
/// run is asked for though the last one is not completed; what the database says.
pub async fn begin<S: Storage>(
    store: &S,
    rules: &Rules,
    published: &Published,
    members: impl AsyncFn(Slug) -> Result<RoaringTreemap, StoreError>,
    now: Timestamp,
    options: &Options,
) -> Result<Begun, StoreError> {
    let journey = &rules.journey;
    if journey.audience.source != Source::Existing {
        return Err(Problem::new(
            "journey.audience_source",
            "contacts who are still to come enter by the living engine, which does not run yet",
        )
        .field("audience.source")
        .cure("use `source: existing`")
        .into());
    }
    let runs = store.load_journey_runs(journey.slug.clone()).await?;
    let last = runs.iter().rfind(|run| run.hash == rules.hash).cloned();
    let ordinal = match last {
        None => 1,
        Some(run) if run.finished_at.is_none() && options.new_run => {
            return Err(Problem::new(
                "journey.unfinished_run",
                format!("run {} of this journey is not completed", run.id),
            )
            .cure("run it without --new-run first: it goes on where it stopped")
            .into());
        }
        Some(run) if !options.new_run => {
            let state = if run.finished_at.is_some() { State::Completed } else { State::Resumed };
            let ran_before = runs.iter().any(|other| other.id != run.id);
            return Ok(Begun { run, state, ran_before });
        }
        Some(run) => run.ordinal + 1,
    };
    let mut audience = match &journey.audience.who {
        Who::All => store.scan_audience(AudienceFilter::All).await?,
        Who::WithEmail => store.scan_audience(AudienceFilter::WithEmail).await?,
        Who::WithoutEmail => store.scan_audience(AudienceFilter::WithoutEmail).await?,
        Who::WithPhone => store.scan_audience(AudienceFilter::WithPhone).await?,
        Who::PushSubscribers => store.scan_audience(AudienceFilter::PushSubscribers).await?,
        Who::Segment(slug) => members(Slug::parse(slug)?).await?,
    };
    if let Some((slug, _)) = &journey.audience.exclude {
        audience -= members(Slug::parse(slug)?).await?;
    }
    let new = NewJourneyRun {
        journey: journey.slug.clone(),
        version: published.version,
        hash: rules.hash.clone(),
        ordinal,
        audience,
        seed: options.seed,
        started_at: now,
    };
    let run = store.begin_journey_run(new).await?;
    Ok(Begun { run, state: State::New, ran_before: !runs.is_empty() })
}

/// What all batches of a run share.
pub(crate) struct Shared {
    pub ground: Ground,
    pub live: Arc<LiveJourney>,
    pub run: JourneyRun,
    pub coupons: Arc<Coupons>,
    /// Members of the journey's segments, by their place in [`journey::Journey::segments`].
    pub members: Vec<RoaringTreemap>,
    /// Whether contacts may have been here in another run.
    pub ran_before: bool,
}

/// What a run works with.
pub struct Work {
    /// The journey with all that it reads.
    pub rules: Arc<Rules>,
    /// The catalogue as of the run's start.
    pub catalogue: Arc<Catalogue>,
    /// The members of the journey's segments, in the journey's order.
    pub members: Vec<RoaringTreemap>,
}

/// Takes a run to its end; `progress` hears how many contacts of how many are done.
///
/// # Errors
/// `journey.moved` when another process runs the same run, `journey.busy` when contacts keep changing under it; what the
/// database says. Everything before the error is committed: run again to go on.
pub async fn execute<S: Storage>(
    store: &S,
    work: Work,
    begun: Begun,
    options: &Options,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<Report, StoreError> {
    let Work { rules, catalogue, members } = work;
    let Begun { run, state, ran_before } = begun;
    if state != State::Completed {
        let versions = Versions::load(store).await?;
        let pinned = rules::pin(&rules, &versions, &versions.foresee(&rules.definitions));
        let record = life(&rules, &pinned, &run);
        // Those who stay are the living engine's from here on, and so are tests.
        let stays =
            rules.journey.nodes.iter().any(|node| node.step.may_stay() || node.step.trial().is_some());
        if stays && state == State::New {
            store.save_lives(vec![record.clone()]).await?;
        }
        let shared = Arc::new(Shared {
            ground: ground(store, &rules, catalogue).await?,
            live: Arc::new(LiveJourney::new(record, Arc::clone(&rules), false)),
            run: run.clone(),
            coupons: Coupons::new(),
            members,
            ran_before,
        });
        go_on(store, &shared, options.batch.max(1), progress).await?;
        store.complete_journey_run(run.id, run.started_at).await?;
    }
    report::load(store, &rules.journey, run.id, state).await
}

/// The life of a run over an audience that is there: nobody enters later.
fn life(rules: &Rules, pinned: &Pinned, run: &JourneyRun) -> LifeRecord {
    LifeRecord {
        run: run.id,
        journey: rules.journey.slug.clone(),
        version: run.version,
        life: Life::Closing,
        since: run.started_at,
        starts_at: None,
        seed: run.seed,
        pinned: pinned.to_json(),
        memo: serde_json::Value::Null,
    }
}

/// What the batches share, as of the run's start.
async fn ground<S: Storage>(
    store: &S,
    rules: &Rules,
    catalogue: Arc<Catalogue>,
) -> Result<Ground, StoreError> {
    Ok(Ground {
        book: Arc::new(Book::default()),
        workspace: Arc::new(segments::Workspace::load(store).await?),
        shelf: Arc::new(Shelf { frozen: FrozenProducts::new(&catalogue, rules.currency), catalogue }),
        defaults: Arc::new(rules.defaults()),
        sending: Arc::new(crate::live::work::sending(store).await?),
        zone: rules.zone.clone(),
    })
}

type Ahead = VecDeque<(Vec<ContactId>, JoinHandle<Result<(StepCommit, Lease), StoreError>>)>;

/// Stops the batches that are still computed when the run ends early.
struct Tasks(Ahead);

impl Drop for Tasks {
    fn drop(&mut self) {
        for (_, task) in &self.0 {
            task.abort();
        }
    }
}

async fn go_on<S: Storage>(
    store: &S,
    shared: &Arc<Shared>,
    size: usize,
    progress: &(dyn Fn(u64, u64) + Send + Sync),
) -> Result<(), StoreError> {
    let audience = store.load_run_audience(shared.run.id).await?;
    let total = audience.len();
    let mut at = shared.run.checkpoint;
    let mut done = audience.rank(at.0.unsigned_abs());
    let mut ids = audience
        .iter()
        .skip(usize::try_from(done).unwrap_or(usize::MAX))
        .map(|id| ContactId(id.cast_signed()));
    let mut tasks = Tasks(VecDeque::new());
    // Who is still in the sample of a test is known when the batch before is committed.
    let sampled = shared.live.rules.journey.trials().any(|(_, trial)| trial.sample.is_some());
    let ahead = if sampled { 0 } else { AHEAD };
    progress(done, total);
    loop {
        while tasks.0.len() <= ahead {
            let chunk: Vec<ContactId> = ids.by_ref().take(size).collect();
            if chunk.is_empty() {
                break;
            }
            let task = tokio::spawn(batch::compute(store.clone(), Arc::clone(shared), chunk.clone()));
            tasks.0.push_back((chunk, task));
        }
        let Some((chunk, task)) = tasks.0.pop_front() else { return Ok(()) };
        let computed =
            task.await.map_err(|error| StoreError::Driver(format!("a batch's thread ended: {error}")))??;
        at = commit(store, shared, &chunk, computed, at).await?;
        done += chunk.len() as u64;
        progress(done, total);
    }
}

/// Commits a batch behind `from`; computes it again when its contacts changed meanwhile.
async fn commit<S: Storage>(
    store: &S,
    shared: &Arc<Shared>,
    chunk: &[ContactId],
    mut computed: (StepCommit, Lease),
    from: ContactId,
) -> Result<ContactId, StoreError> {
    for _ in 0..TRIES {
        let to = chunk.last().copied().unwrap_or(from);
        let (mut step, lease) = computed;
        step.done = Done::Audience { run: shared.run.id, from, to };
        let uses = step.coupons.clone();
        storage::fault::point("campaign.before_commit");
        match store.commit_step(step).await? {
            StepOutcome::Committed { .. } => {
                storage::fault::point("campaign.after_commit");
                lease.committed(&uses);
                return Ok(to);
            }
            StepOutcome::Conflict(_) => {
                drop(lease);
                computed = batch::compute(store.clone(), Arc::clone(shared), chunk.to_vec()).await?;
            }
            StepOutcome::Moved => {
                return Err(Problem::new(
                    "journey.moved",
                    format!("run {} went on elsewhere: another process works on it", shared.run.id),
                )
                .cure("let one process run it")
                .into());
            }
        }
    }
    Err(Problem::new("journey.busy", "contacts keep changing while the journey writes them")
        .cure("let the import finish, then run again: the journey goes on where it stopped")
        .into())
}

/// The counts of a run so far.
///
/// # Errors
/// What the database says.
pub async fn status<S: Storage>(
    store: &S,
    journey: &journey::Journey,
    run: &JourneyRun,
) -> Result<Report, StoreError> {
    let state = if run.finished_at.is_some() { State::Completed } else { State::Resumed };
    report::load(store, journey, run.id, state).await
}
