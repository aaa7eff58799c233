//! Journeys at work: each version compiled as it was published.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use journey::ab::Trial;
use model::{Problems, Slug, Timestamp, event::kind};
use serde_json::json;
use storage::{
    Result,
    live::{Life, LifeRecord, LiveStore},
    outbox::SendPoint,
    rfm::RfmStore,
    segments::SegmentStore,
    settings::SettingsStore,
};

use super::lives::Memo;
use crate::rules::{self, Pinned, Rules, Versions};

/// Setting that is raised by everything that changes the book: publish, pause, resume …. A loop that finds another number
/// than that of its book ([`Book::version`]) loads the book again.
pub use storage::lives::RULES_VERSION;

/// One version of a journey at work.
#[derive(Debug)]
pub struct LiveJourney {
    /// Its life.
    pub record: LifeRecord,
    /// The journey, compiled with the versions of templates, segments and coupon sets that it was published with.
    pub rules: Arc<Rules>,
    /// By node: what its messages have in common.
    pub sends: Vec<Option<Arc<SendPoint>>>,
    /// Winners of A/B tests that are decided: (node, branch).
    pub winners: Vec<(u16, u8)>,
    /// Whether newcomers take this version: the last one that was published, active, and inside its window.
    pub open: bool,
    /// Whether newcomers would take this version if it were not paused: what would start it is held meanwhile.
    pub holds: bool,
    /// When newcomers could enter for the first time: a pause does not change it.
    pub began: Timestamp,
    /// The run of the version that those inside are moved to.
    pub moved_to: Option<i64>,
}

/// A version that cannot be compiled any more: a definition that it uses was deleted, say. Those inside wait.
#[derive(Clone, Debug)]
pub struct BrokenJourney {
    /// Its life.
    pub record: LifeRecord,
    /// Why.
    pub problems: Problems,
}

/// All versions that somebody may be in or enter.
#[derive(Debug, Default)]
pub struct Book {
    /// By run.
    pub journeys: Vec<Arc<LiveJourney>>,
    /// Versions that cannot be compiled any more, by run: their contacts wait, and the others go on.
    pub broken: Vec<BrokenJourney>,
    /// Versions that are finished and still count goals and what A/B tests want, by run.
    pub past: Vec<Arc<LiveJourney>>,
    /// Kinds of events that an open A/B test counts.
    pub trial_kinds: BTreeSet<String>,
    /// Kinds of events that a trigger, an exit, a goal or a node of any of them listens for.
    pub kinds: BTreeSet<String>,
    /// The number of [`RULES_VERSION`] that it was loaded with.
    pub version: u64,
}

impl Book {
    /// Loads every version whose life is not over, compiled with what it was published with.
    ///
    /// # Errors
    /// What the database says. A version that does not compile is no error: see [`Book::broken`].
    pub async fn load<S>(store: &S) -> Result<Self>
    where
        S: SettingsStore + SegmentStore + RfmStore + LiveStore + Sync,
    {
        Self::load_with(store, None).await
    }

    /// Loads those whose life is not over, and those that are finished but still count something at `now`.
    ///
    /// # Errors
    /// See [`Book::load`].
    pub async fn load_at<S>(store: &S, now: Timestamp) -> Result<Self>
    where
        S: SettingsStore + SegmentStore + RfmStore + LiveStore + Sync,
    {
        Self::load_with(store, Some(now)).await
    }

    async fn load_with<S>(store: &S, now: Option<Timestamp>) -> Result<Self>
    where
        S: SettingsStore + SegmentStore + RfmStore + LiveStore + Sync,
    {
        // Read before the lives: what changes meanwhile makes the loop load again.
        let version = rules_version(store).await?;
        let mut lives = store.load_lives(now.is_some()).await?;
        let counts = |record: &LifeRecord| {
            let until = Memo::of(record).counts_until;
            record.life == Life::Finished && now.zip(until).is_some_and(|(now, until)| now < until)
        };
        lives.retain(|record| !is_over(record.life) || counts(record));
        lives.sort_unstable_by_key(|record| record.run);
        let mut book = Self { version, ..Self::default() };
        if lives.is_empty() {
            return Ok(book);
        }
        let versions = Versions::load(store).await?;
        let newest = newest_open(&lives);
        for record in lives {
            match rules::compile_pinned(store, &versions, &record).await? {
                Ok(rules) if is_over(record.life) => {
                    let journey = LiveJourney::new(record, Arc::new(rules), false);
                    book.trial_kinds.extend(journey.trial_kinds());
                    let goal = journey.rules.journey.goal.as_ref();
                    book.kinds.extend(goal.map(|goal| goal.listener.on.event_kind().to_owned()));
                    book.past.push(Arc::new(journey));
                }
                Ok(rules) => {
                    let newest = newest.contains(&record.run);
                    let journey = LiveJourney::new(record, Arc::new(rules), newest);
                    book.kinds.extend(kinds(&journey.rules.journey));
                    book.trial_kinds.extend(journey.trial_kinds());
                    book.journeys.push(Arc::new(journey));
                }
                Err(_) if is_over(record.life) => {}
                Err(problems) => {
                    // Those inside can be taken out without knowing what the nodes do.
                    if record.life == Life::Stopping
                        && let Some(bare) = rules::bare(store, &record).await?
                    {
                        let journey = LiveJourney::new(record.clone(), Arc::new(bare), false);
                        book.journeys.push(Arc::new(journey));
                    }
                    book.broken.push(BrokenJourney { record, problems });
                }
            }
        }
        Ok(book)
    }

    /// The version of a run.
    #[must_use]
    pub fn of_run(&self, run: i64) -> Option<&Arc<LiveJourney>> {
        let place = self.journeys.binary_search_by_key(&run, |journey| journey.record.run).ok()?;
        self.journeys.get(place)
    }

    /// The version of a run, or a finished one that still counts goals.
    #[must_use]
    pub fn counting(&self, run: i64) -> Option<&Arc<LiveJourney>> {
        self.of_run(run).or_else(|| self.past.iter().find(|live| live.record.run == run))
    }

    /// All that count goals and what A/B tests want.
    pub fn all_counting(&self) -> impl Iterator<Item = &Arc<LiveJourney>> {
        self.journeys.iter().chain(&self.past)
    }

    /// The version of a journey that newcomers take.
    #[must_use]
    pub fn open(&self, journey: &Slug) -> Option<&Arc<LiveJourney>> {
        self.journeys.iter().rfind(|live| live.open && live.record.journey == *journey)
    }
}

/// Whether a life is over.
#[must_use]
pub const fn is_over(life: Life) -> bool {
    matches!(life, Life::Finished | Life::Stopped)
}

/// The runs that newcomers take or would take: the last one of each journey that is active or paused.
fn newest_open(lives: &[LifeRecord]) -> BTreeSet<i64> {
    let mut newest: BTreeMap<&Slug, i64> = BTreeMap::new();
    for record in lives.iter().filter(|record| matches!(record.life, Life::Active | Life::Paused)) {
        // By run, ascending: the last one stays.
        newest.insert(&record.journey, record.run);
    }
    newest.into_values().collect()
}

/// The number that says which rules are in force.
///
/// # Errors
/// What the database says.
pub async fn rules_version<S: SettingsStore + Sync>(store: &S) -> Result<u64> {
    let setting = store.load_setting(RULES_VERSION.to_owned()).await?;
    Ok(setting.and_then(|value| value.as_u64()).unwrap_or_default())
}

/// Says that rules changed, where that is not part of a transaction which says it itself (a field, a segment, sending
/// rules).
///
/// # Errors
/// What the database says.
pub async fn touch_rules<S: SettingsStore + Sync>(store: &S) -> Result<()> {
    let next = rules_version(store).await? + 1;
    store.save_setting(RULES_VERSION.to_owned(), json!(next)).await
}

impl LiveJourney {
    /// A version at work; whether it is the last one that newcomers take, or would if it were not paused.
    #[must_use]
    pub fn new(record: LifeRecord, rules: Arc<Rules>, newest: bool) -> Self {
        let pinned: Pinned = serde_json::from_value(record.pinned.clone()).unwrap_or_default();
        let sends = send_points(&rules, &pinned, &record);
        let winners = winners(&rules.journey, &record.memo);
        let memo = Memo::of(&record);
        let open = newest && record.life == Life::Active;
        let holds = newest && record.life == Life::Paused && memo.resumes_to() == Life::Active;
        let began = memo.began_at.unwrap_or(record.since);
        Self { rules, sends, winners, open, holds, began, moved_to: memo.moved_to(), record }
    }

    /// Whether somebody may come in now: nobody does before the journey's `starts_at`, nor from its `ends_at` on.
    #[must_use]
    pub fn takes(&self, now: Timestamp) -> bool {
        self.open && self.is_within(now)
    }

    /// Whether what would start the journey now is held until a pause ends.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.holds && self.is_within(now)
    }

    /// Its A/B tests that are not decided, with the numbers of their nodes.
    pub fn open_trials(&self) -> impl Iterator<Item = (u16, &Trial)> {
        let decided = |node: u16| self.winners.iter().any(|(known, _)| *known == node);
        self.rules.journey.trials().filter(move |(node, _)| !decided(*node))
    }

    fn trial_kinds(&self) -> Vec<String> {
        self.open_trials().flat_map(|(_, trial)| trial.kinds()).map(str::to_owned).collect()
    }

    fn is_within(&self, now: Timestamp) -> bool {
        let journey = &self.rules.journey;
        journey.starts_at.is_none_or(|at| at <= now) && journey.ends_at.is_none_or(|at| now < at)
    }
}

/// By node: what its messages have in common.
#[must_use]
pub fn send_points(rules: &Rules, pinned: &Pinned, record: &LifeRecord) -> Vec<Option<Arc<SendPoint>>> {
    let point = |node: &journey::Node| {
        let sending = node.step.sending()?;
        // A webhook has neither template nor purpose: it is named by what it is.
        let or_kind = |word: &str| Slug::parse(if word.is_empty() { node.kind.word } else { word }).ok();
        Some(Arc::new(SendPoint {
            journey: record.journey.clone(),
            journey_version: record.version,
            run: record.run,
            node: node.id.clone(),
            channel: sending.channel,
            purpose: or_kind(sending.purpose)?,
            transactional: sending.purpose == policy::TRANSACTIONAL,
            template: or_kind(sending.template)?,
            template_version: pinned.templates.get(sending.template).copied().unwrap_or(1),
        }))
    };
    rules.journey.nodes.iter().map(point).collect()
}

/// Winners of A/B tests: `memo.winners` is a map from a node's id to its branch's word.
fn winners(journey: &journey::Journey, memo: &serde_json::Value) -> Vec<(u16, u8)> {
    let Some(decided) = memo.get("winners").and_then(serde_json::Value::as_object) else {
        return Vec::new();
    };
    let one = |(node, branch): (&String, &serde_json::Value)| {
        let number = journey.number(node)?;
        let word = branch.as_str()?;
        let place = journey.node(number).outcomes().iter().position(|own| own == word)?;
        Some((number, u8::try_from(place).ok()?))
    };
    decided.iter().filter_map(one).collect()
}

/// The kinds of events that a journey listens for.
pub(crate) fn kinds(journey: &journey::Journey) -> BTreeSet<String> {
    let listeners = journey.triggers.iter().chain(&journey.exits);
    let listeners = listeners.chain(journey.goal.iter().map(|goal| &goal.listener));
    let mut kinds: BTreeSet<String> = listeners.map(|listener| listener.on.event_kind().to_owned()).collect();
    if journey.triggers.is_empty() && journey.audience.source != journey::document::Source::Existing {
        // Newcomers join by coming, by changing, or by entering the segment that is the audience.
        let joins = [kind::CONTACT_CREATED, kind::CONTACT_UPDATED, kind::SEGMENT_ENTERED];
        kinds.extend(joins.map(str::to_owned));
    }
    for node in &journey.nodes {
        kinds.extend(node.step.listens());
    }
    kinds
}
