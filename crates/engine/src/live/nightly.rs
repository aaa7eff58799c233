//! What is done over the whole base: once a day at 01:00 UTC scores, then segments that read them or the passing of time,
//! then relations; and segments that are new or were edited, as soon as they are seen.
//!
//! One piece after the other, each in the background while batches go on, each committed at once with what it tells: a
//! change of group, a segment entered or left is a wave of the same transaction. A piece that is done can be told from
//! what it left (a run of the model, a build of the segment since the hour), so an engine that is killed goes on with the
//! piece that it was at, and nothing is told twice or lost.
//!
//! Who moves because a segment was *edited* or built for the first time did nothing, and is told nothing: no journey begins
//! for it. Moves of the night (a group, a window of time) are told like any others.

use std::{collections::VecDeque, sync::Arc};

use model::{ContactId, Event, Slug, Timestamp};
use serde_json::json;
use storage::{
    Result, Storage, StoreError,
    live::{Done, NewInput, StepCommit, StepOutcome},
    segments::Tell,
};
use tokio::{sync::Notify, task::JoinHandle};

use super::{
    Book, Ground,
    watch::{self, Seen, Watch, build::Built},
};
use crate::{catalogue, people, rfm, segments};

/// Setting: minutes after midnight, UTC, at which the night's work begins. 60 until it is set.
pub const SETTING: &str = "nightly_minute";
/// Setting: the hour whose work is done, in microseconds since 1970.
const DONE: &str = "nightly_done";
/// Contacts that are rescored at once.
const RESCORED: usize = 2_000;

/// A piece of work over the whole base.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// What was kept long enough.
    Forget,
    /// Scores of a model.
    Score(Slug),
    /// Contacts whom an order rescored while the model's run was under way.
    Rescore(Slug),
    /// A segment that reads scores or time.
    Sweep(Slug),
    /// A segment that is new or was edited.
    Build(Slug),
    /// Relations between products.
    Learn,
    /// All is done.
    Close,
}

/// What a piece found in the background.
enum Found {
    /// It is done.
    Nothing,
    /// It is to be finished between two batches.
    Built(Box<Built>),
}

/// The work over the whole base.
pub struct Jobs {
    minute: i64,
    /// The hour whose work is done.
    done: Timestamp,
    /// The hour whose work is under way.
    hour: Option<Timestamp>,
    pieces: VecDeque<Piece>,
    running: Option<JoinHandle<Result<Found>>>,
    built: Option<Box<Built>>,
    knock: Arc<Notify>,
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("hour", &self.hour).field("pieces", &self.pieces).finish_non_exhaustive()
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl Jobs {
    /// Loads where the work stands. `knock` is told when a piece in the background has come to its end. A base that has
    /// never had a night begins with the next one.
    ///
    /// # Errors
    /// What storage says.
    pub async fn load<S: Storage>(
        store: &S,
        watch: &Watch,
        now: Timestamp,
        knock: Arc<Notify>,
    ) -> Result<Self> {
        let minute = store.load_setting(SETTING.to_owned()).await?.and_then(|json| json.as_i64());
        let minute = minute.filter(|minute| (0..24 * 60).contains(minute)).unwrap_or(60);
        let done = store.load_setting(DONE.to_owned()).await?.and_then(|json| json.as_i64());
        let mut jobs = Self {
            minute,
            done: Timestamp::MIN,
            hour: None,
            pieces: VecDeque::new(),
            running: None,
            built: None,
            knock,
        };
        jobs.done = match done {
            Some(done) => Timestamp(done),
            None => {
                let last = jobs.last_hour(now);
                store.save_setting(DONE.to_owned(), json!(last.0)).await?;
                last
            }
        };
        jobs.reset(watch);
        Ok(jobs)
    }

    /// Begins anew after the rules were loaded again: what was under way is given up, and segments that are new or were
    /// edited are built first.
    pub fn reset(&mut self, watch: &Watch) {
        self.give_up();
        self.hour = None;
        self.pieces = watch.unbuilt().iter().cloned().map(Piece::Build).collect();
    }

    fn give_up(&mut self) {
        self.built = None;
        if let Some(running) = self.running.take() {
            running.abort();
        }
    }

    /// The last hour of work until `now` (included).
    fn last_hour(&self, now: Timestamp) -> Timestamp {
        let today = now.0.div_euclid(Timestamp::DAY) * Timestamp::DAY + self.minute * Timestamp::MINUTE;
        Timestamp(if today > now.0 { today - Timestamp::DAY } else { today })
    }

    /// When there is work, if nothing else happens; none while a piece runs in the background, which knocks.
    #[must_use]
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        if self.built.is_some() || (self.running.is_none() && !self.pieces.is_empty()) {
            return Some(now);
        }
        let next = self.last_hour(now).plus(Timestamp::DAY);
        match self.last_hour(now) > self.done && self.hour.is_none() {
            true => Some(now),
            false => self.running.is_none().then_some(next),
        }
    }

    /// Goes on by one piece, between two batches; whether anything was done. `wait`: for the piece in the background (a
    /// virtual clock), else it is only looked at.
    ///
    /// # Errors
    /// What storage says: the piece is tried again with the next turn.
    pub async fn turn<S: Storage>(
        &mut self,
        store: &S,
        watch: &mut Watch,
        ground: &Ground,
        now: Timestamp,
        wait: bool,
    ) -> Result<bool> {
        if let Some(built) = self.built.take() {
            self.finish(store, watch, ground, *built, now).await?;
            return Ok(true);
        }
        if let Some(running) = &mut self.running {
            if !wait && !running.is_finished() {
                return Ok(false);
            }
            let found = running.await;
            self.running = None;
            match found.map_err(|error| StoreError::Driver(format!("a job has failed: {error}")))?? {
                Found::Built(built) => self.finish(store, watch, ground, *built, now).await?,
                Found::Nothing => self.end(store, watch).await?,
            }
            return Ok(true);
        }
        if self.pieces.is_empty() && self.hour.is_none() && self.last_hour(now) > self.done {
            self.hour = Some(self.last_hour(now));
            self.pieces = plan(store, watch).await?;
        }
        let Some(piece) = self.pieces.front().cloned() else { return Ok(false) };
        self.begin(store, watch, ground, piece, now).await?;
        Ok(true)
    }

    async fn begin<S: Storage>(
        &mut self,
        store: &S,
        watch: &mut Watch,
        ground: &Ground,
        piece: Piece,
        now: Timestamp,
    ) -> Result<()> {
        let hour = self.hour.unwrap_or(now);
        match piece {
            Piece::Forget => {
                let store = store.clone();
                self.spawn(async move {
                    let kept = people::retention(&store).await?;
                    people::sweep(&store, kept, now).await?;
                    Ok(Found::Nothing)
                });
            }
            Piece::Score(model) => {
                let Some(model) = scored_since(store, &model, hour).await? else {
                    return self.end(store, watch).await;
                };
                let (store, book) = (store.clone(), Arc::clone(&ground.book));
                self.spawn(async move {
                    let tells = |from: &str, to: &str| {
                        let event =
                            watch::group_event(model.slug.as_str(), Some(from), to, ContactId(0), now);
                        listens(&book, &event)
                    };
                    rfm::score_telling(&store, &model, now, false, &tells).await?;
                    Ok(Found::Nothing)
                });
            }
            Piece::Rescore(model) => {
                watch.reload_scores(store).await?;
                let live = store.load_rfm_state(model).await?.live;
                let contacts: Vec<ContactId> = live.iter().map(|one| one.contact).collect();
                for batch in contacts.chunks(RESCORED) {
                    let as_of = store.last_departure().await?;
                    let seen = watch.rescored(store, batch.to_vec(), now).await?;
                    commit(store, watch, seen, as_of, now).await?;
                }
                self.end(store, watch).await?;
            }
            Piece::Sweep(slug) if is_swept(store, watch, &slug, hour).await? => {
                self.end(store, watch).await?
            }
            Piece::Sweep(slug) | Piece::Build(slug) => {
                let Some(build) = watch.begin(slug.as_str()) else { return self.end(store, watch).await };
                let store = store.clone();
                self.spawn(async move {
                    build.run(&store, now, segments::silent()).await.map(Box::new).map(Found::Built)
                });
            }
            Piece::Learn => {
                let store = store.clone();
                self.spawn(async move {
                    catalogue::learn_if_due(&store, now, recommend::train::Params::default()).await?;
                    Ok(Found::Nothing)
                });
            }
            Piece::Close => {
                store.save_setting(DONE.to_owned(), json!(hour.0)).await?;
                self.done = hour;
                self.hour = None;
                self.end(store, watch).await?;
            }
        }
        Ok(())
    }

    fn spawn(&mut self, work: impl Future<Output = Result<Found>> + Send + 'static) {
        let knock = Arc::clone(&self.knock);
        self.running = Some(tokio::spawn(async move {
            let found = work.await;
            knock.notify_one();
            found
        }));
    }

    async fn finish<S: Storage>(
        &mut self,
        store: &S,
        watch: &mut Watch,
        ground: &Ground,
        built: Built,
        now: Timestamp,
    ) -> Result<()> {
        let told = matches!(self.pieces.front(), Some(Piece::Sweep(_)));
        let tell = if told { tell(&ground.book, built.slug(), now) } else { Tell::default() };
        match watch.finish(store, built, tell, now).await? {
            Ok(_) => self.end(store, watch).await?,
            Err(built) => self.built = Some(built),
        }
        Ok(())
    }

    /// The first piece is done.
    async fn end<S: Storage>(&mut self, _: &S, _: &Watch) -> Result<()> {
        storage::fault::point("nightly.between_pieces");
        self.pieces.pop_front();
        Ok(())
    }
}

/// The night's pieces.
async fn plan<S: Storage>(store: &S, watch: &Watch) -> Result<VecDeque<Piece>> {
    // First: what goes is not counted again.
    let forget = (!people::retention(store).await?.is_empty()).then_some(Piece::Forget);
    let models: Vec<Slug> = rfm::known(store).await?.into_iter().map(|known| known.slug).collect();
    let scores = models.iter().cloned().map(Piece::Score);
    let rescores = models.iter().cloned().map(Piece::Rescore);
    let workspace = watch.workspace();
    let swept = |wanted: fn(&segment::Reads) -> bool| {
        let of =
            workspace.segments.values().filter(move |file| wanted(&watch::reads::all_reads(workspace, file)));
        of.map(|file| Piece::Sweep(file.slug.clone()))
    };
    let by_scores = swept(|reads| !reads.rfm_models.is_empty());
    let by_time = swept(|reads| reads.rfm_models.is_empty() && reads.time);
    let rest = [Piece::Learn, Piece::Close];
    Ok(forget.into_iter().chain(scores).chain(rescores).chain(by_scores).chain(by_time).chain(rest).collect())
}

/// The model, unless it was scored at `hour` or after.
async fn scored_since<S: Storage>(
    store: &S,
    model: &Slug,
    hour: Timestamp,
) -> Result<Option<::rfm::RfmModel>> {
    let known = rfm::known(store).await?.into_iter().find(|known| known.slug == *model);
    let due = known.filter(|known| known.last_run.as_ref().is_none_or(|run| run.at < hour));
    due.map(|known| known.model()).transpose()
}

/// Whether a segment was built since the hour, and since the scores that it reads.
async fn is_swept<S: Storage>(store: &S, watch: &Watch, slug: &Slug, hour: Timestamp) -> Result<bool> {
    let Some(file) = watch.workspace().segments.get(slug.as_str()) else { return Ok(true) };
    let models = watch::reads::all_reads(watch.workspace(), file).rfm_models;
    let built = store.load_segments().await?.into_iter().find(|record| record.slug == *slug);
    let Some(built) = built else { return Ok(false) };
    let scores = store.load_rfm_models().await?;
    // Built at the very instant of a run it may have read what was there before it.
    let stale = |record: &storage::rfm::ModelRecord| {
        models.contains(record.model.as_str()) && record.last_run.at >= built.built_at
    };
    Ok(built.built_at >= hour && !scores.iter().any(stale))
}

/// Whether any journey at work listens for an event.
#[must_use]
pub fn listens(book: &Book, event: &Event) -> bool {
    if !book.kinds.contains(&event.kind) {
        return false;
    }
    book.journeys.iter().any(|live| {
        let journey = &live.rules.journey;
        let goal = journey.goal.iter().map(|goal| &goal.listener);
        let mut own = journey.triggers.iter().chain(&journey.exits).chain(goal);
        own.any(|listener| listener.on.means(event))
            || journey.nodes.iter().any(|node| node.step.listens().contains(&event.kind))
    })
}

fn tell(book: &Book, slug: &Slug, at: Timestamp) -> Tell {
    let of = |entered: bool| {
        let event = watch::segment_event(slug, ContactId(0), entered, at);
        listens(book, &event).then_some(event)
    };
    Tell { entered: of(true), left: of(false) }
}

/// Commits what was seen by itself: its events become inputs.
async fn commit<S: Storage>(
    store: &S,
    watch: &mut Watch,
    mut seen: Seen,
    as_of: i64,
    now: Timestamp,
) -> Result<()> {
    if seen.is_empty() {
        return Ok(());
    }
    let told = std::mem::take(&mut seen.events);
    let mut step = StepCommit::new(now, Done::Alarms);
    step.as_of = Some(as_of);
    step.members = seen.members.clone();
    step.scores = seen.scores.clone();
    step.inputs = told.into_iter().map(|(event, causes)| NewInput { event, causes, stored: false }).collect();
    if matches!(store.commit_step(step).await?, StepOutcome::Committed { .. }) {
        watch.committed(&seen);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(minute: i64) -> Jobs {
        Jobs {
            minute,
            done: Timestamp::MIN,
            hour: None,
            pieces: VecDeque::new(),
            running: None,
            built: None,
            knock: Arc::default(),
        }
    }

    #[test]
    fn the_hour_is_exact() {
        let day = |day: i64, minute: i64| Timestamp(day * Timestamp::DAY + minute * Timestamp::MINUTE);
        let jobs = jobs(60);
        assert_eq!(jobs.last_hour(day(100, 60)), day(100, 60));
        assert_eq!(jobs.last_hour(day(100, 60).plus(-1)), day(99, 60));
        assert_eq!(jobs.next_due(day(100, 61)), Some(day(100, 61)), "no night was ever done");
        let mut done = self::jobs(60);
        done.done = day(100, 60);
        assert_eq!(done.next_due(day(100, 61)), Some(day(101, 60)));
        assert_eq!(done.next_due(day(101, 60)), Some(day(101, 60)));
    }
}
