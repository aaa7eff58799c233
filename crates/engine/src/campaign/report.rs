//! What a run came to: counts per node that add up.

use std::collections::BTreeMap;

use journey::{
    Counts, Journey, Leaving,
    counts::{Line as CountLine, Measure},
    trace,
};
use policy::Refusal;
use storage::{
    Storage, StoreError,
    journeys::{CountDelta, JourneyRun},
};

use super::{
    State,
    batch::{GONE, REENTRY},
};

/// A line of the result: a node, an outcome, and where its contacts went.
pub type Line = CountLine;

/// What a run came to so far.
#[derive(Clone, Debug)]
pub struct Report {
    /// The run.
    pub run: JourneyRun,
    /// Where it stood when it was asked for.
    pub state: State,
    /// Passages by node and outcome.
    pub counts: Counts,
    /// Contacts who stay out because they were here before.
    pub stay_out: u64,
    /// Contacts of the audience who are not in the base any more.
    pub gone: u64,
    /// Events that it raised and that were dropped because too many caused each other.
    pub dropped: u64,
}

impl Report {
    /// Contacts who entered.
    #[must_use]
    pub fn enrolled(&self) -> u64 {
        self.counts.entered(0)
    }

    /// Contacts of the audience that are still to come.
    #[must_use]
    pub fn ahead(&self) -> u64 {
        self.run.audience.saturating_sub(self.enrolled() + self.stay_out + self.gone)
    }

    /// Messages decided.
    #[must_use]
    pub fn sent(&self, journey: &Journey) -> u64 {
        self.messages(journey, |refused| !refused)
    }

    /// Messages refused.
    #[must_use]
    pub fn refused(&self, journey: &Journey) -> u64 {
        self.messages(journey, |refused| refused)
    }

    fn messages(&self, journey: &Journey, wanted: impl Fn(bool) -> bool) -> u64 {
        let sending = |measure: &Measure| journey.node(measure.node).step.sending().is_some();
        self.counts
            .0
            .iter()
            .filter(|(measure, _)| sending(measure) && wanted(measure.refusal.is_some()))
            .map(|(_, n)| n)
            .sum()
    }
}

/// A batch's counts as they are stored: the outcome's word, with the reason behind a colon.
pub(crate) fn deltas(journey: &Journey, counts: &Counts) -> Vec<CountDelta> {
    let delta = |(measure, n): (&Measure, &u64)| {
        let node = journey.node(measure.node);
        let word = node.outcomes().get(usize::from(measure.outcome)).map_or("left", String::as_str);
        let measure = match (measure.refusal, measure.left) {
            (Some(refusal), _) => format!("{word}:{refusal}"),
            (None, Some(why)) => format!("{word}:{}", why.word()),
            (None, None) => word.to_owned(),
        };
        CountDelta { node: node.id.clone(), measure, n: *n }
    };
    counts.0.iter().map(delta).collect()
}

/// Measure of contacts who were put to a node by a move from another version.
pub(crate) const MOVED_IN: &str = "moved_in";

/// Measure of events that a run raised and that were dropped because too many caused each other.
pub(crate) const DROPPED: &str = "dropped";

/// Counts a contact that was put to a node by a move from another version.
pub(crate) fn moved_in(journey: &Journey, node: u16) -> CountDelta {
    CountDelta { node: journey.node(node).id.clone(), measure: MOVED_IN.into(), n: 1 }
}

/// Reads a run's counts back.
pub(super) async fn load<S: Storage>(
    store: &S,
    journey: &Journey,
    run: i64,
    state: State,
) -> Result<Report, StoreError> {
    let runs = store.load_journey_runs(journey.slug.clone()).await?;
    let run = runs.into_iter().find(|known| known.id == run).ok_or_else(|| StoreError::Inconsistent {
        table: "journey_runs",
        row: run.to_string(),
        why: "missing".into(),
    })?;
    let mut counts = Counts::default();
    let mut whole: BTreeMap<String, u64> = BTreeMap::new();
    for delta in store.load_journey_counts(run.id).await? {
        if delta.node.is_empty() {
            *whole.entry(delta.measure).or_default() += delta.n;
        } else if let Some(measure) = measure(journey, &delta) {
            *counts.0.entry(measure).or_default() += delta.n;
        }
    }
    let of = |measure: &str| whole.get(measure).copied().unwrap_or_default();
    Ok(Report { run, state, counts, stay_out: of(REENTRY), gone: of(GONE), dropped: of(DROPPED) })
}

fn measure(journey: &Journey, delta: &CountDelta) -> Option<Measure> {
    let node = journey.number(&delta.node)?;
    if let Some(reason) = delta.measure.strip_prefix("left:") {
        let left = Leaving::ALL.into_iter().find(|why| why.word() == reason);
        return Some(Measure { node, outcome: trace::LEFT, refusal: None, left });
    }
    let (word, reason) = match delta.measure.split_once(':') {
        Some((word, reason)) => (word, Some(Refusal::of_word(reason)?)),
        None => (delta.measure.as_str(), None),
    };
    let outcome = journey.node(node).outcomes().iter().position(|own| *own == word)?;
    Some(Measure { node, outcome: u8::try_from(outcome).ok()?, refusal: reason, left: None })
}
