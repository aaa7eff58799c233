//! A/B tests: who is in front, and whether that is chance. Pure: tallies in, a winner or none out.
//!
//! **What the shell feeds.** While a test has no winner it asks [`crate::Journey::trials`] for the tests of a version and
//! keeps a [`Tally`] for each variant:
//!
//! * `entered`: contacts that took the variant (the first passage of each contact counts). That is the node's counter for
//!   the outcome, less repeats; [`Passed::of`] reads it from an enrolment's trace.
//! * `converted`: those of them for whom [`Trial::converts`] is true of some event, each once. Events whose kind is in
//!   [`Trial::kinds`] are the only ones to look at; a goal is reached when the run says so ([`Trial::converts_by_goal`]).
//!
//! Then [`Trial::decide`], when tallies changed or [`Trial::due`] has come. A winner is put into
//! [`crate::World::winners`], and stays: from then on all contacts take it.
//!
//! **A sample.** Of a test with a sample so many contacts take a variant; those who come after them stay at the node until
//! there is a winner, and take it. They hear the decision as an event of the kind [`DECIDED`], which the shell raises. How
//! many were taken is said by [`crate::run::Passages::taken`].
//!
//! **The test.** Variants are compared by the share of contacts that converted. A winner is found before the end when the
//! best differs from each other variant by the two-sided two-proportion z-test with pooled variance, at the stated level,
//! divided by the number of comparisons (Bonferroni). The approximation by the normal distribution is trusted from
//! [`ENTERED_MIN`] contacts in each variant and [`COUNT_MIN`] with and without conversion in each pair. Whoever looks again
//! and again finds chance winners more often than the level says; the shell looks at most once an hour
//! ([`LOOK_EVERY`]). At the end the best wins, significant or not; in a tie the first in the file.

use model::{ContactId, Event, MessageId, Period, Timestamp, event::kind};

use crate::trace::{self, Record};

/// Fewest contacts of each variant before a winner is looked for.
pub const ENTERED_MIN: u64 = 100;
/// Fewest contacts with, and without, a conversion in two variants that are compared.
pub const COUNT_MIN: u64 = 10;
/// How often to look for a winner, in microseconds.
pub const LOOK_EVERY: i64 = Timestamp::HOUR;
/// Kind of the event by which those who stay at a test hear that it is decided; nobody outside of the engine sees it.
pub const DECIDED: &str = "relance: A/B test decided";
/// The longest test, in days from the journey's start; the end of one for which the file gives none.
pub const TEST_MAX_DAYS: i64 = 90;

/// What a variant has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Contacts that took it.
    pub entered: u64,
    /// Those that did what is wanted; at most `entered`.
    pub converted: u64,
}

/// What is wanted of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// It opened a message of the run; a click is an opening, one by a machine is none.
    Opens,
    /// It clicked in a message of the run.
    Clicks,
    /// It reached the journey's goal.
    Goal,
    /// It bought something.
    Purchases,
    /// This happened.
    Event(String),
}

/// A test, as the file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// How many variants.
    pub variants: u8,
    /// What is wanted.
    pub metric: Metric,
    /// How long after it took a variant a contact's deed counts.
    pub within: Period,
    /// At this level a winner ends the test early, as in 0.95; none: it runs to its end.
    pub level: Option<f64>,
    /// It ends so long after the journey's start.
    pub lasts: Option<Period>,
    /// It ends then.
    pub until: Option<Timestamp>,
    /// So many contacts, all variants together, take part; others wait for the winner. Without `lasts` and `until` it ends
    /// when the last of them has had the time `within`.
    pub sample: Option<u64>,
}

/// How an enrolment passed a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The contact.
    pub contact: ContactId,
    /// The run of the journey's version, which is part of its messages' ids.
    pub run: i64,
    /// When.
    pub at: Timestamp,
    /// Place of the variant.
    pub variant: u8,
}

/// Why a variant won.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// It is better than each other: the largest of the chances that it is not.
    Significant(f64),
    /// The test ended, and it was in front.
    End,
    /// The test ended with nobody in front: the first in the file.
    Tie,
}

/// A decided test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Winner {
    /// Place of the variant.
    pub variant: u8,
    /// Why.
    pub why: Why,
}

impl Passed {
    /// The first passage of a node in an enrolment's trace; none when it did not come there.
    #[must_use]
    pub fn of(records: &[Record], node: u16, contact: ContactId, run: i64) -> Option<Self> {
        records.iter().find_map(|record| {
            let mut steps = record.steps.iter().filter(|step| step.node == node);
            let step = steps.find(|step| !matches!(step.outcome, trace::STAYS | trace::LEFT))?;
            Some(Self { contact, run, at: record.at, variant: step.outcome })
        })
    }
}

impl Trial {
    /// The kinds of events that may be what is wanted.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        match &self.metric {
            Metric::Opens => vec![
                kind::EMAIL_OPENED,
                kind::PUSH_OPENED,
                kind::EMAIL_CLICKED,
                kind::SMS_CLICKED,
                kind::PUSH_CLICKED,
            ],
            Metric::Clicks => vec![kind::EMAIL_CLICKED, kind::SMS_CLICKED, kind::PUSH_CLICKED],
            Metric::Goal => Vec::new(),
            Metric::Purchases => vec![kind::ORDER_COMPLETED],
            Metric::Event(kind) => vec![kind],
        }
    }

    fn in_time(&self, passed: &Passed, at: Timestamp) -> bool {
        at >= passed.at && at < self.within.after(passed.at)
    }

    /// Whether an event is what is wanted of a contact that took a variant.
    #[must_use]
    pub fn converts(&self, passed: &Passed, event: &Event) -> bool {
        let about_message = matches!(self.metric, Metric::Opens | Metric::Clicks);
        let by_machine = event.properties.get("machine").and_then(serde_json::Value::as_bool);
        event.contact == passed.contact
            && self.kinds().contains(&event.kind.as_str())
            && self.in_time(passed, event.at)
            && (!about_message || (by_machine != Some(true) && is_of_run(event, passed.run)))
    }

    /// Whether a goal reached then is what is wanted of a contact that took a variant.
    #[must_use]
    pub fn converts_by_goal(&self, passed: &Passed, goal_at: Timestamp) -> bool {
        self.metric == Metric::Goal && self.in_time(passed, goal_at)
    }

    /// When it ends by time, for a journey that started then.
    #[must_use]
    pub fn due(&self, started_at: Timestamp) -> Timestamp {
        let last = started_at.plus_days(TEST_MAX_DAYS);
        let lasts = self.lasts.map_or(last, |lasts| lasts.after(started_at));
        lasts.min(self.until.unwrap_or(last)).min(last)
    }

    /// When it ends by time, for a journey that started then and a sample that was complete then.
    #[must_use]
    pub fn ends_at(&self, started_at: Timestamp, complete_at: Option<Timestamp>) -> Timestamp {
        let due = self.due(started_at);
        match complete_at {
            Some(at) if self.sample.is_some() && self.lasts.is_none() && self.until.is_none() => {
                due.min(self.within.after(at))
            }
            _ => due,
        }
    }

    /// Whether so many contacts, all variants together, are its whole sample.
    #[must_use]
    pub fn is_complete(&self, came: u64) -> bool {
        self.sample.is_some_and(|sample| came >= sample)
    }

    /// The winner, if there is one by now. Tallies are in the order of the variants; missing ones are empty. The last
    /// contact that took a variant did so at `last_at`.
    #[must_use]
    pub fn decide(
        &self,
        tallies: &[Tally],
        started_at: Timestamp,
        last_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Winner> {
        let tally = |variant: u8| tallies.get(usize::from(variant)).copied().unwrap_or_default();
        let first = (1..self.variants)
            .fold(0, |best, other| if tally(other).is_better_than(&tally(best)) { other } else { best });
        let best = tally(first);
        let others = || (0..self.variants).filter(|other| *other != first).map(tally);
        let came = (0..self.variants).map(|v| tally(v).entered).fold(0, u64::saturating_add);
        if now >= self.ends_at(started_at, last_at.filter(|_| self.is_complete(came))) {
            let tied = others().any(|other| !best.is_better_than(&other));
            return Some(Winner { variant: first, why: if tied { Why::Tie } else { Why::End } });
        }
        let level = self.level?;
        let enough = (0..self.variants).all(|v| tally(v).entered >= ENTERED_MIN);
        let comparisons = f64::from(self.variants.saturating_sub(1).max(1));
        let mut worst = 0.0_f64;
        for other in others() {
            worst = worst.max(p_value(&best, &other)?);
        }
        let found = enough && worst * comparisons <= 1.0 - level;
        found.then_some(Winner { variant: first, why: Why::Significant(worst) })
    }
}

/// A message's id begins with the run.
fn is_of_run(event: &Event, run: i64) -> bool {
    let id =
        event.properties.get("message_id").and_then(serde_json::Value::as_str).and_then(MessageId::parse);
    let run = u32::try_from(run).unwrap_or_default();
    id.is_some_and(|id| id.0[..4] == run.to_be_bytes())
}

impl Tally {
    /// Whether a larger share converted; exactly, by cross multiplication.
    #[must_use]
    pub fn is_better_than(&self, other: &Self) -> bool {
        let cross = |a: &Self, b: &Self| u128::from(a.converted) * u128::from(b.entered.max(1));
        cross(self, other) > cross(other, self)
    }
}

/// The chance of a difference as large as this, in either direction, between two variants that do not differ; none when
/// there is too little to say.
#[must_use]
pub fn p_value(one: &Tally, other: &Tally) -> Option<f64> {
    let (converted, entered) = (one.converted + other.converted, one.entered + other.entered);
    if converted < COUNT_MIN
        || entered.saturating_sub(converted) < COUNT_MIN
        || one.entered == 0
        || other.entered == 0
    {
        return None;
    }
    let (n, m) = (one.entered as f64, other.entered as f64);
    let pooled = converted as f64 / (n + m);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let z = (one.converted as f64 / n - other.converted as f64 / m) / deviation;
    Some(erfc(z.abs() / std::f64::consts::SQRT_2))
}

/// The complementary error function for `x >= 0`: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26;
/// wrong by at most 1.5e-7.
fn erfc(x: f64) -> f64 {
    const A: [f64; 5] = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let t = 1.0 / 0.327_591_1_f64.mul_add(x, 1.0);
    let series = A.iter().rev().fold(0.0, |sum, a| f64::mul_add(sum, t, *a)) * t;
    (series * (-x * x).exp()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::trace::{Detail, TraceStep};

    const START: Timestamp = Timestamp(1_780_000_000_000_000);

    fn trial() -> Trial {
        Trial {
            variants: 2,
            metric: Metric::Clicks,
            within: Period::days(5),
            level: Some(0.95),
            lasts: Some(Period::days(7)),
            until: None,
            sample: None,
        }
    }

    fn tally(converted: u64, entered: u64) -> Tally {
        Tally { entered, converted }
    }

    #[test]
    fn values_of_the_normal_distribution() {
        // Two-sided tails from the usual tables of the normal distribution.
        for (z, p) in [(0.0, 1.0), (1.0, 0.317_311), (1.644_854, 0.1), (1.959_964, 0.05), (2.575_829, 0.01)] {
            let found = erfc(z / std::f64::consts::SQRT_2);
            assert!((found - p).abs() < 1e-6, "{z}: {found}");
        }
    }

    #[test]
    fn two_proportions_by_hand() {
        // 150 and 120 of 1,000: pooled 0.135, deviation √(0.135 · 0.865 · 0.002) = 0.0152823, z = 1.96305, p = 0.04964.
        let p = p_value(&tally(150, 1_000), &tally(120, 1_000)).unwrap();
        assert!((p - 0.049_64).abs() < 1e-5, "{p}");
        // 45 of 200 and 30 of 220: pooled 75/420, deviation 0.0374187, z = 2.36877, p = 0.01785.
        let p = p_value(&tally(45, 200), &tally(30, 220)).unwrap();
        assert!((p - 0.017_847).abs() < 1e-5, "{p}");
        assert!((p_value(&tally(10, 100), &tally(10, 100)).unwrap() - 1.0).abs() < 1e-6);
        for (one, other) in [((4, 100), (5, 100)), ((100, 100), (91, 100)), ((20, 100), (0, 0))] {
            assert_eq!(p_value(&tally(one.0, one.1), &tally(other.0, other.1)), None, "too little to say");
        }
    }

    #[test]
    fn winners() {
        let (during, end) = (START.plus_days(3), START.plus_days(7));
        let test = trial();
        for (tallies, at, expected) in [
            (vec![tally(120, 1_000), tally(150, 1_000)], during, Some((1, "significant"))),
            (vec![tally(120, 1_000), tally(149, 1_000)], during, None),
            (vec![tally(120, 1_000), tally(149, 1_000)], end, Some((1, "end"))),
            (vec![tally(120, 1_000), tally(12, 100)], end, Some((0, "tie"))),
            (vec![tally(0, 0), tally(0, 0)], end, Some((0, "tie"))),
            (vec![tally(5, 99), tally(60, 200)], during, None),
            (vec![tally(5, 100), tally(60, 200)], during, Some((1, "significant"))),
            (vec![], during, None),
        ] {
            let found = test.decide(&tallies, START, None, at).map(|winner| {
                let why = match winner.why {
                    Why::Significant(_) => "significant",
                    Why::End => "end",
                    Why::Tie => "tie",
                };
                (winner.variant, why)
            });
            assert_eq!(found, expected, "{tallies:?}");
        }
        // Three variants: each comparison must stand a harder test.
        let three = Trial { variants: 3, ..trial() };
        let close = [tally(120, 1_000), tally(150, 1_000), tally(100, 1_000)];
        assert_eq!(three.decide(&close, START, None, during), None);
        let clear = [tally(120, 1_000), tally(170, 1_000), tally(100, 1_000)];
        assert_eq!(three.decide(&clear, START, None, during).map(|winner| winner.variant), Some(1));
        // Without a level it runs to its end: by size, by date, or by the longest time.
        let plain = Trial { level: None, lasts: None, ..trial() };
        assert_eq!(plain.decide(&clear, START, None, during), None);
        // A sample that is complete has the time that counts; one that is not goes on to the end.
        let sized = Trial { sample: Some(2_000), within: Period::days(2), ..plain.clone() };
        let last = Some(START.plus_days(1));
        assert!(sized.decide(&close[..2], START, last, START.plus_days(3).plus(-1)).is_none());
        assert!(sized.decide(&close[..2], START, last, START.plus_days(3)).is_some());
        let larger = Trial { sample: Some(2_001), ..sized.clone() };
        assert!(larger.decide(&close[..2], START, last, START.plus_days(3)).is_none());
        let dated = Trial { until: Some(START.plus_days(5)), ..sized };
        assert!(dated.decide(&close[..2], START, last, START.plus_days(5).plus(-1)).is_none());
        assert!(dated.decide(&close[..2], START, last, START.plus_days(5)).is_some());
        assert_eq!(plain.due(START), START.plus_days(TEST_MAX_DAYS));
        assert_eq!(Trial { until: Some(during), ..plain.clone() }.due(START), during);
        assert_eq!(
            Trial { lasts: Some(Period::days(91)), ..plain }.due(START),
            START.plus_days(TEST_MAX_DAYS)
        );
    }

    #[test]
    fn what_counts_for_a_variant() {
        let step = |node, outcome| TraceStep { node, outcome, detail: Detail::None };
        let records = [
            Record { at: START.plus(-9), steps: vec![step(0, 0), step(2, trace::STAYS)] },
            Record { at: START, steps: vec![step(2, 1), step(2, 0)] },
        ];
        let passed = Passed::of(&records, 2, ContactId(5), 7).unwrap();
        assert_eq!((passed.at, passed.variant), (START, 1), "the first passage");
        assert_eq!(Passed::of(&records, 3, ContactId(5), 7), None);
        let event = |kind: &str, at: Timestamp, properties: serde_json::Value| Event {
            contact: ContactId(5),
            at,
            received_at: at,
            kind: kind.to_owned(),
            message_id: None,
            properties: properties.as_object().cloned().unwrap_or_default(),
        };
        let own = MessageId::derive(7, 5, 1, "mail", 1).to_string();
        let other = MessageId::derive(8, 5, 1, "mail", 1).to_string();
        let hour = START.plus(Timestamp::HOUR);
        for (metric, kind, at, properties, expected) in [
            (Metric::Clicks, "Email Link Clicked", hour, json!({"message_id": own}), true),
            (Metric::Clicks, "Email Link Clicked", hour, json!({"message_id": other}), false),
            (Metric::Clicks, "Email Link Clicked", hour, json!({}), false),
            (Metric::Clicks, "Email Link Clicked", hour, json!({"message_id": own, "machine": true}), false),
            (Metric::Clicks, "Email Link Clicked", START.plus(-1), json!({"message_id": own}), false),
            (Metric::Clicks, "Email Link Clicked", START.plus_days(5), json!({"message_id": own}), false),
            (Metric::Clicks, "Email Opened", hour, json!({"message_id": own}), false),
            (Metric::Opens, "Email Opened", hour, json!({"message_id": own}), true),
            (Metric::Opens, "Email Opened", hour, json!({"message_id": own, "machine": true}), false),
            (Metric::Purchases, "Order Completed", hour, json!({}), true),
            (Metric::Event("Signed Up".into()), "Signed Up", hour, json!({}), true),
            (Metric::Goal, "Order Completed", hour, json!({}), false),
        ] {
            let test = Trial { metric: metric.clone(), ..trial() };
            assert_eq!(test.converts(&passed, &event(kind, at, properties)), expected, "{metric:?} {kind}");
            assert_eq!(test.converts_by_goal(&passed, hour), metric == Metric::Goal);
        }
    }

    proptest! {
        #[test]
        fn there_is_always_a_winner_at_the_end_and_it_is_the_best(
            raw in prop::collection::vec((0_u64..5_000, 0_u64..5_000), 2..8),
        ) {
            let tallies: Vec<Tally> = raw.iter().map(|(a, b)| tally(*a.min(b), *a.max(b))).collect();
            let test = Trial { variants: tallies.len() as u8, ..trial() };
            let end = test.decide(&tallies, START, None, START.plus_days(7)).unwrap();
            let best = tallies[usize::from(end.variant)];
            prop_assert!(tallies.iter().all(|other| !other.is_better_than(&best)));
            prop_assert!(tallies[..usize::from(end.variant)].iter().all(|other| best.is_better_than(other)));
            // Who wins early is in front.
            if let Some(early) = test.decide(&tallies, START, None, START) {
                prop_assert_eq!(early.variant, end.variant);
            }
        }
    }
}
