//! Journeys at work: each version compiled as it was published.

use std::{collections::BTreeSet, sync::Arc};

use storage::{live::LifeRecord, outbox::SendPoint};

use crate::rules::Rules;

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
}

/// All versions that somebody may be in or enter.
#[derive(Debug, Default)]
pub struct Book {
    /// By run.
    pub journeys: Vec<Arc<LiveJourney>>,
    /// Kinds of events that a trigger, an exit, a goal or a node of any of them listens for.
    pub kinds: BTreeSet<String>,
}

impl Book {
    /// The version of a run.
    #[must_use]
    pub fn of_run(&self, run: i64) -> Option<&Arc<LiveJourney>> {
        let place = self.journeys.binary_search_by_key(&run, |journey| journey.record.run).ok()?;
        self.journeys.get(place)
    }
}
