//! What a life remembers: who did what and when, recurring starts that are done, A/B tests that are decided.

use std::collections::BTreeMap;

use model::Timestamp;
use serde::{Deserialize, Serialize};
use storage::live::{Life, LifeRecord};

use super::By;

/// Most changes that are remembered; the oldest go first.
const HISTORY_MAX: usize = 100;

/// What a life remembers, kept as JSON in [`LifeRecord::memo`]. Names that are not known here are left as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memo {
    /// What was done to it, the first first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Happened>,
    /// When newcomers could enter for the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// What it goes on as when a pause ends; active when it is not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_while: Option<String>,
    /// The run of the version that those inside are moved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<serde_json::Value>,
    /// Whether those inside earlier versions are moved to this one when it begins.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub moves: bool,
    /// By schedule trigger (its place in the file): the last occurrence that was done.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub occurrences: BTreeMap<String, Timestamp>,
    /// Occurrences that were missed: nothing ran, or the journey was paused, and a later one came.
    #[serde(skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// By node: the branch that an A/B test decided for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub winners: BTreeMap<String, String>,
    /// By node: how an A/B test was decided.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub decided: BTreeMap<String, Decided>,
    /// After its end, until when goals and A/B tests count what happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts_until: Option<Timestamp>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Something that was done to a life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What it became.
    pub life: String,
    /// Who did it.
    pub by: String,
}

/// How an A/B test was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    /// When.
    pub at: Timestamp,
    /// `significant`, `end` or `tie`.
    pub why: String,
    /// The largest of the chances that the winner is not better than another variant, where that decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
}

impl Memo {
    /// Of a life; empty when it cannot be read.
    #[must_use]
    pub fn of(record: &LifeRecord) -> Self {
        serde_json::from_value(record.memo.clone()).unwrap_or_default()
    }

    /// As it is kept.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        // Maps with text keys always can be written.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Notes that a life becomes something.
    pub fn note(&mut self, life: Life, by: &By) {
        if self.history.len() >= HISTORY_MAX {
            self.history.remove(0);
        }
        self.history.push(Happened { at: by.at, life: life.word().to_owned(), by: by.who.clone() });
    }

    /// What a paused life goes on as.
    #[must_use]
    pub fn resumes_to(&self) -> Life {
        match self.paused_while.as_deref() {
            Some(word) if word == Life::Closing.word() => Life::Closing,
            _ => Life::Active,
        }
    }

    /// The run of the version that those inside are moved to.
    #[must_use]
    pub fn moved_to(&self) -> Option<i64> {
        self.moved_to.as_ref()?.as_i64()
    }
}

/// A life that becomes another, noted in its memo.
#[must_use]
pub(in crate::live) fn become_(before: &LifeRecord, to: Life, by: &By) -> LifeRecord {
    let mut memo = Memo::of(before);
    match (before.life, to) {
        (Life::Closing, Life::Paused) => memo.paused_while = Some(Life::Closing.word().to_owned()),
        (Life::Paused, _) => memo.paused_while = None,
        _ => {}
    }
    if to == Life::Active && memo.began_at.is_none() {
        memo.began_at = Some(by.at);
    }
    memo.note(to, by);
    LifeRecord { life: to, since: by.at, memo: memo.to_json(), ..before.clone() }
}
