//! What journeys do by themselves as time goes by: begin, come again, end, finish.

use journey::{document::Source, entry::On};
use model::{ContactId, Event, Timestamp, event::kind};
use serde_json::json;
use storage::{
    Result, Storage,
    live::{Life, LifeRecord, NewWave},
    lives::{LifeChange, LifeCommit},
};

use super::{
    By, Memo, audience, audience_wave, cancel_messages, everybody, has_timers, memo,
    publish::{entering, succeed},
    run_of, timers_of,
};
use crate::{
    live::{
        Book, LiveJourney,
        schedules::{self, Began},
    },
    rules::Rules,
};

/// What became of journeys by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Versions that began.
    pub begun: u32,
    /// Versions whose window is over.
    pub ended: u32,
    /// Recurring starts.
    pub occurrences: u32,
    /// Versions that are over: finished, or stopped.
    pub over: u32,
}

impl Ticked {
    /// Whether anything changed: then the book must be loaded again.
    #[must_use]
    pub fn changed(&self) -> bool {
        *self != Self::default()
    }
}

/// Begins what is to begin until `now`, starts what comes again, ends what is to end, and finishes what is over. Cheap
/// when nothing is to be done. To be called when [`schedules::next_start`] says so, and after work, so that journeys
/// finish.
///
/// Each change is its own transaction under a fence, so a crash repeats nothing and two processes do nothing twice.
///
/// # Errors
/// What the database says.
pub async fn tick<S: Storage>(store: &S, book: &Book, now: Timestamp) -> Result<Ticked> {
    let mut ticked = Ticked::default();
    let by = By::engine(now);
    for live in &book.journeys {
        match live.record.life {
            Life::Scheduled if live.record.starts_at.is_none_or(|at| at <= now) => {
                ticked.begun += u32::from(start(store, &live.record, &live.rules, &by).await?);
            }
            Life::Active if live.rules.journey.ends_at.is_some_and(|at| at <= now) => {
                ticked.ended += u32::from(become_one(store, &live.record, Life::Closing, &by).await?);
            }
            Life::Active if live.open && occur(store, live, &by).await? => ticked.occurrences += 1,
            Life::Active if !is_broadcast(live) => {}
            Life::Active | Life::Closing => {
                ticked.over += u32::from(finish(store, book, &live.record, Life::Finished, &by).await?);
            }
            Life::Stopping => {
                ticked.over += u32::from(finish(store, book, &live.record, Life::Stopped, &by).await?);
            }
            _ => {}
        }
    }
    for broken in book.broken.iter().filter(|broken| broken.record.life == Life::Stopping) {
        ticked.over += u32::from(finish(store, book, &broken.record, Life::Stopped, &by).await?);
    }
    Ok(ticked)
}

/// Whether a journey is over when its audience went through: it has no triggers and takes nobody who comes later.
fn is_broadcast(live: &LiveJourney) -> bool {
    let journey = &live.rules.journey;
    journey.triggers.is_empty() && journey.audience.source == Source::Existing
}

async fn become_one<S: Storage>(store: &S, before: &LifeRecord, to: Life, by: &By) -> Result<bool> {
    let after = memo::become_(before, to, by);
    let change = LifeChange { before: before.clone(), after };
    store.change_lives(LifeCommit { changes: vec![change], ..LifeCommit::default() }).await
}

/// Begins a scheduled version: its audience is frozen now, earlier versions close. False when somebody else did.
///
/// # Errors
/// What the database says.
pub async fn start<S: Storage>(store: &S, record: &LifeRecord, rules: &Rules, by: &By) -> Result<bool> {
    let mut earlier = super::of_journey(store, &record.journey).await?;
    earlier.retain(|other| other.run < record.run && !crate::live::book::is_over(other.life));
    let to = Memo::of(record).moves.then(|| json!(record.run));
    let succession = succeed(store, &earlier, Life::Active, to, by).await?;
    let after = memo::become_(record, Life::Active, by);
    let mut changes = succession.others;
    changes.push(LifeChange { before: record.clone(), after });
    let mut waves: Vec<NewWave> = succession.waves.into_iter().collect();
    if has_timers(&rules.journey) {
        waves.extend(timers_of(everybody(store).await?, by.at));
    }
    let entering = entering(store, &rules.journey).await?;
    waves.extend(audience_wave(entering.clone(), json!(record.run), by.at));
    let audiences = vec![(record.run, entering, by.at)];
    store.change_lives(LifeCommit { changes, audiences, waves, ..LifeCommit::default() }).await
}

/// Starts a journey again for the occurrence of a schedule trigger that is due: the wave and the note that it is done are
/// one transaction. Of several that were missed only the last is started.
async fn occur<S: Storage>(store: &S, live: &LiveJourney, by: &By) -> Result<bool> {
    let record = &live.record;
    let mut memo = Memo::of(record);
    let began = record.began(&memo);
    let mut waves = Vec::new();
    for (place, trigger) in live.rules.journey.triggers.iter().enumerate() {
        let On::Schedule(schedule) = &trigger.on else { continue };
        let done = schedules::done_until(record, &memo, place);
        let due = schedules::last_due(schedule, &live.rules.zone, began, done, by.at);
        let Some((at, missed)) = due else { continue };
        memo.occurrences.insert(place.to_string(), at);
        memo.missed += missed;
        waves.extend(occurrence(store, live, place, at, by.at).await?);
    }
    if memo == Memo::of(record) {
        return Ok(false);
    }
    let after = LifeRecord { memo: memo.to_json(), ..record.clone() };
    let changes = vec![LifeChange { before: record.clone(), after }];
    store.change_lives(LifeCommit { changes, waves, ..LifeCommit::default() }).await
}

/// The wave of one occurrence.
async fn occurrence<S: Storage>(
    store: &S,
    live: &LiveJourney,
    trigger: usize,
    at: Timestamp,
    now: Timestamp,
) -> Result<Option<NewWave>> {
    let contacts = audience(store, &live.rules.journey).await?;
    if contacts.is_empty() {
        return Ok(None);
    }
    let journey = &live.record.journey;
    let properties = [("journey", json!(journey.as_str())), ("trigger", json!(trigger))];
    let event = Event {
        contact: ContactId(0),
        at,
        // It is no late event when the engine was down: it is on time for the journey.
        received_at: now.max(at),
        kind: kind::SCHEDULED.into(),
        message_id: Some(format!("{journey}:{trigger}:{at}")),
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    Ok(Some(NewWave { event, causes: 0, contacts }))
}

/// Ends a life when nobody is inside, nothing of it is on its way, and every message is in a final state.
async fn finish<S: Storage>(store: &S, book: &Book, record: &LifeRecord, to: Life, by: &By) -> Result<bool> {
    if !store.scan_inside(record.run, ContactId(0), 1).await?.is_empty() {
        return Ok(false);
    }
    if to == Life::Finished {
        // Its audience, or a recurring start, is on its way.
        if store.load_waves().await?.iter().any(|wave| run_of(wave, book) == Some(record.run)) {
            return Ok(false);
        }
    } else {
        // Decided by a batch that was on its way when the journey was stopped.
        cancel_messages(store, record.run, by.at).await?;
    }
    if store.has_open_messages(record.run).await? {
        return Ok(false);
    }
    let mut after = memo::become_(record, to, by);
    if to == Life::Finished {
        let mut memo = Memo::of(&after);
        memo.counts_until = book.of_run(record.run).and_then(|live| counts_until(live, by.at));
        after.memo = memo.to_json();
    }
    let changes = vec![LifeChange { before: record.clone(), after }];
    let completed = vec![(record.run, by.at)];
    store.change_lives(LifeCommit { changes, completed, ..LifeCommit::default() }).await
}

/// Until when a version that is finished now counts goals and what its open A/B tests want.
fn counts_until(live: &LiveJourney, now: Timestamp) -> Option<Timestamp> {
    let goal = live.rules.journey.goal.iter().map(|goal| goal.within);
    let trials = live.open_trials().map(|(_, trial)| trial.within);
    goal.chain(trials).map(|within| within.after(now)).max()
}
