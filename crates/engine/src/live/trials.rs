//! A/B tests of journeys at work: what is counted for them, and when they are decided.
//!
//! * Who takes a variant, and who does what is wanted, is counted in the transaction of the batch in which that is decided,
//!   each contact at most once ([`took`], [`converted`]).
//! * [`Trials::tick`] looks at the tallies that changed, at most once an hour, and at every test when its end has come. The
//!   winner is put into the life's memo; those who wait for it hear of it by a wave of the same transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use journey::{
    ab::{DECIDED, LOOK_EVERY, Metric, Passed, Tally, Trial, Why},
    trace::{self, Detail, TraceStep},
};
use model::{ContactId, Event, Timestamp};
use serde_json::{Map, json};
use storage::{
    Result, Storage,
    live::{Life, LifeRecord, LiveStore, NewWave, TrialMark, TrialTally},
    lives::{LifeChange, LifeCommit},
};

use super::{
    Book, LiveJourney,
    lives::{self, Decided, Memo},
};

/// What a batch's steps of a contact mean for the open tests of its journey.
#[must_use]
pub fn took(
    live: &LiveJourney,
    contact: ContactId,
    steps: &[TraceStep],
    goal_at: Option<Timestamp>,
    now: Timestamp,
) -> Vec<TrialMark> {
    let run = live.record.run;
    let mut marks = Vec::new();
    for (number, trial) in live.open_trials() {
        let node = live.rules.journey.node(number);
        let passes = |step: &&TraceStep| {
            step.node == number
                && !matches!(step.outcome, trace::STAYS | trace::LEFT)
                && !matches!(step.detail, Detail::Text(_))
        };
        let variant =
            steps.iter().find(passes).and_then(|step| node.outcomes().get(usize::from(step.outcome)));
        if let Some(variant) = variant {
            let (node, variant) = (node.id.clone(), variant.clone());
            marks.push(TrialMark::Took {
                run,
                node,
                contact,
                variant,
                at: now,
                until: trial.within.after(now),
            });
        }
        marks.extend(goal_at.and_then(|at| by_goal(live, number, trial, contact, at)));
    }
    marks
}

/// What a goal that a contact reached means for a test.
fn by_goal(
    live: &LiveJourney,
    number: u16,
    trial: &Trial,
    contact: ContactId,
    at: Timestamp,
) -> Option<TrialMark> {
    let node = live.rules.journey.node(number).id.clone();
    (trial.metric == Metric::Goal).then_some(TrialMark::Converted { run: live.record.run, node, contact, at })
}

/// What a goal that a contact reached after its enrolment was over means for the open tests of its journey.
pub fn late_goal(live: &LiveJourney, contact: ContactId, at: Timestamp) -> impl Iterator<Item = TrialMark> {
    live.open_trials().filter_map(move |(number, trial)| by_goal(live, number, trial, contact, at))
}

/// What events mean for the open tests: whether they came in the time of a contact's passage is known by the database.
pub fn converted<'e>(book: &Book, events: impl Iterator<Item = &'e Event>) -> Vec<TrialMark> {
    let mut marks = Vec::new();
    for event in events.filter(|event| book.trial_kinds.contains(&event.kind)) {
        for live in book.all_counting() {
            let run = live.record.run;
            for (number, trial) in live.open_trials() {
                let passed = Passed { contact: event.contact, run, at: event.at, variant: 0 };
                if trial.converts(&passed, event) {
                    let node = live.rules.journey.node(number).id.clone();
                    marks.push(TrialMark::Converted { run, node, contact: event.contact, at: event.at });
                }
            }
        }
    }
    marks
}

/// The run that a mark is of.
#[must_use]
pub const fn run_of(mark: &TrialMark) -> i64 {
    match mark {
        TrialMark::Took { run, .. } | TrialMark::Converted { run, .. } => *run,
    }
}

/// How many contacts took part in the tests of a run, with those that a batch took before it is committed.
#[derive(Debug, Default)]
pub struct Samples(HashMap<(i64, u16), u64>);

impl Samples {
    /// How many took part in a test so far. Whoever asks takes part when the sample is not complete.
    ///
    /// # Errors
    /// What the database says.
    pub async fn ask<S: LiveStore + Sync>(
        &mut self,
        store: &S,
        live: &LiveJourney,
        number: u16,
        trial: &Trial,
    ) -> Result<u64> {
        let place = (live.record.run, number);
        if let Entry::Vacant(unknown) = self.0.entry(place) {
            let node = &live.rules.journey.node(number).id;
            let tallies = store.load_tallies(live.record.run).await?;
            unknown
                .insert(tallies.iter().filter(|tally| tally.node == *node).map(|tally| tally.entered).sum());
        }
        let came = self.0.entry(place).or_default();
        let before = *came;
        if !trial.is_complete(before) {
            *came += 1;
        }
        Ok(before)
    }
}

/// When to look at the tests of a run.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    /// Whether tallies may have changed since it was looked at.
    changed: bool,
    /// When it was looked at.
    at: Option<Timestamp>,
    /// When the first test ends.
    ends: Option<Timestamp>,
    /// Whether a test may be decided, or a sample be complete, before its end.
    early: bool,
    /// Whether a sample is not complete.
    fills: bool,
}

/// When to look at which tests.
#[derive(Debug, Default)]
pub struct Trials(BTreeMap<i64, Look>);

impl Trials {
    /// All open tests of a book.
    #[must_use]
    pub fn of(book: &Book) -> Self {
        let mut all = Self::default();
        all.reset(book);
        all
    }

    /// Takes over another book.
    pub fn reset(&mut self, book: &Book) {
        let before = std::mem::take(&mut self.0);
        for live in book.journeys.iter().filter(|live| has_tests(live)) {
            let ends = live.open_trials().map(|(_, trial)| trial.due(live.began)).min();
            let fills = live.open_trials().any(|(_, trial)| trial.sample.is_some());
            let early = live.open_trials().any(|(_, trial)| trial.level.is_some());
            let run = live.record.run;
            let at = before.get(&run).and_then(|look| look.at);
            self.0.insert(run, Look { changed: true, at, ends, early, fills });
        }
    }

    /// Tallies of these runs changed.
    pub fn touched(&mut self, runs: &BTreeSet<i64>) {
        for run in runs {
            if let Some(look) = self.0.get_mut(run) {
                look.changed = true;
            }
        }
    }

    /// When to look next; none: never, unless something changes.
    #[must_use]
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.0.values().filter_map(|look| look.due(now)).min()
    }

    /// Looks at the tests for which it is time, and decides those that are to be; whether any was.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tick<S: Storage>(&mut self, store: &S, book: &Book, now: Timestamp) -> Result<bool> {
        let due: Vec<i64> = self
            .0
            .iter()
            .filter(|(_, look)| look.due(now).is_some_and(|due| due <= now))
            .map(|(run, _)| *run)
            .collect();
        let mut any = false;
        for run in due {
            let Some(live) = book.of_run(run) else {
                self.0.remove(&run);
                continue;
            };
            let tallies = store.load_tallies(run).await?;
            let decided = decide(store, live, &tallies, now).await?;
            any |= decided;
            let Some(look) = self.0.get_mut(&run) else { continue };
            (look.changed, look.fills) = (false, false);
            look.at = Some(now);
            let mut ends = Vec::new();
            for (number, trial) in live.open_trials() {
                let (_, came, last_at) = of_node(live, number, &tallies);
                let complete = trial.is_complete(came);
                look.fills |= trial.sample.is_some() && !complete;
                ends.push(trial.ends_at(live.began, last_at.filter(|_| complete)));
            }
            // What was to end now is decided, or somebody else changed the life: then the book is loaded again.
            look.ends = ends.into_iter().filter(|at| *at > now).min();
        }
        Ok(any)
    }
}

impl Look {
    fn due(&self, now: Timestamp) -> Option<Timestamp> {
        let soon = match self.at {
            _ if !self.changed => None,
            Some(_) if self.fills => Some(now),
            None if self.fills || self.early => Some(now),
            Some(at) if self.early => Some(at.plus(LOOK_EVERY)),
            _ => None,
        };
        soon.into_iter().chain(self.ends).min()
    }
}

fn has_tests(live: &LiveJourney) -> bool {
    matches!(live.record.life, Life::Active | Life::Closing | Life::Paused)
        && live.open_trials().next().is_some()
}

/// The tallies of a test in the order of its variants, how many came, and when the last did.
fn of_node(live: &LiveJourney, number: u16, tallies: &[TrialTally]) -> (Vec<Tally>, u64, Option<Timestamp>) {
    let node = live.rules.journey.node(number);
    let own = || tallies.iter().filter(|tally| tally.node == node.id);
    let of = |word: &String| {
        let found = own().find(|tally| tally.variant == *word);
        found
            .map_or_else(Tally::default, |tally| Tally { entered: tally.entered, converted: tally.converted })
    };
    let came = own().map(|tally| tally.entered).sum();
    (node.outcomes().iter().map(of).collect(), came, own().map(|tally| tally.last_at).max())
}

/// Decides what is to be decided of a version's tests, in one transaction; whether anything was.
async fn decide<S: Storage>(
    store: &S,
    live: &LiveJourney,
    tallies: &[TrialTally],
    now: Timestamp,
) -> Result<bool> {
    let record = &live.record;
    let mut memo = Memo::of(record);
    let mut waited = false;
    for (number, trial) in live.open_trials() {
        let (own, _, last_at) = of_node(live, number, tallies);
        let Some(winner) = trial.decide(&own, live.began, last_at, now) else { continue };
        let node = live.rules.journey.node(number);
        let Some(variant) = node.outcomes().get(usize::from(winner.variant)) else { continue };
        let (why, p) = match winner.why {
            Why::Significant(p) => ("significant", Some(p)),
            Why::End => ("end", None),
            Why::Tie => ("tie", None),
        };
        memo.winners.insert(node.id.clone(), variant.clone());
        memo.decided.insert(node.id.clone(), Decided { at: now, why: why.to_owned(), p });
        waited |= trial.sample.is_some();
    }
    if memo == Memo::of(record) {
        return Ok(false);
    }
    let mut waves = Vec::new();
    if waited {
        let contacts = lives::inside(store, record.run).await?;
        if !contacts.is_empty() {
            let event = Event {
                contact: ContactId(0),
                at: now,
                received_at: now,
                kind: DECIDED.to_owned(),
                message_id: None,
                properties: Map::from_iter([("run".to_owned(), json!(record.run))]),
            };
            waves.push(NewWave { event, causes: 0, contacts });
        }
    }
    let after = LifeRecord { memo: memo.to_json(), ..record.clone() };
    let changes = vec![LifeChange { before: record.clone(), after }];
    store.change_lives(LifeCommit { changes, waves, ..LifeCommit::default() }).await
}
