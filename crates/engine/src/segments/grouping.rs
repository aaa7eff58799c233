//! Asks an activity of one contact after the other while their entries stream by.

use std::sync::Arc;

use model::{ContactId, Timestamp, Value, Zone};
use segment::{Activity, Entry, Measure, Moment, NoData, activity::Tally};
use storage::segments::FLIPS_AHEAD;

/// Counts up to here are compared once and remembered.
const REMEMBERED: usize = 64;

/// What a question found among contacts, in ascending order.
#[derive(Default)]
pub(super) struct Found {
    /// Those whose answer differs from that of contacts of whom nothing is known.
    pub exceptions: Vec<u64>,
    /// Those whose answer time may change soon.
    pub near: Vec<u64>,
}

/// The question with the instants that matter for it.
pub(super) struct Question {
    pub activity: Activity,
    pub now: Timestamp,
    pub zone: Zone,
    /// What lies inside the window now.
    inside: (Timestamp, Timestamp),
    /// What lies inside when the flips that are kept end.
    later: (Timestamp, Timestamp),
    /// The answer without any entry.
    pub of_nothing: bool,
    reads_time: bool,
    remembered: Vec<bool>,
}

impl Question {
    pub(super) fn new(activity: &Activity, now: Timestamp, zone: &Zone) -> Self {
        let mut question = Self {
            inside: activity.window.bounds(now, zone),
            later: activity.window.bounds(now.plus(FLIPS_AHEAD), zone),
            activity: activity.clone(),
            now,
            zone: zone.clone(),
            of_nothing: false,
            reads_time: activity.tests.read_time(),
            remembered: Vec::new(),
        };
        if activity.measure == Measure::Count {
            question.remembered =
                (0..REMEMBERED).map(|n| question.holds(&Value::Integer(n as i64))).collect();
        }
        question.of_nothing = question.answer(&Tally::default());
        question
    }

    /// The span that must be scanned: what lies inside, and what comes in or goes out soon. Windows only move forward,
    /// so whatever lies inside at some instant until then is between these.
    pub(super) fn span(&self) -> (Timestamp, Timestamp) {
        (self.inside.0.min(self.later.0), self.inside.1.max(self.later.1))
    }

    /// Whether an entry comes in or goes out soon.
    fn moves_soon(&self, at: Timestamp, inside: bool) -> bool {
        let later = self.later.0 <= at && at < self.later.1;
        if inside && later {
            // It lies inside all the time.
            return false;
        }
        let next = self.activity.window.interval(at, &self.zone).next(self.now);
        next.is_some_and(|at| at.since(self.now) <= FLIPS_AHEAD)
    }

    fn holds(&self, value: &Value) -> bool {
        let moment = Moment { now: self.now, zone: &self.zone };
        self.activity.tests.hold(Some(value), &moment, &NoData)
    }

    fn answer(&self, tally: &Tally) -> bool {
        if self.activity.measure == Measure::Count
            && let Some(known) = usize::try_from(tally.count).ok().and_then(|n| self.remembered.get(n))
        {
            return *known;
        }
        let moment = Moment { now: self.now, zone: &self.zone };
        self.activity.tests.hold(tally.measure(&self.activity.measure).as_ref(), &moment, &NoData)
    }

    fn flips_soon(&self, tally: &Tally) -> bool {
        let moment = Moment { now: self.now, zone: &self.zone };
        let value = tally.measure(&self.activity.measure);
        let next = self.activity.tests.next_flip(value.as_ref(), &moment);
        next.is_some_and(|at| at.since(self.now) <= FLIPS_AHEAD)
    }
}

/// Takes the entries of one contact after the other.
pub(super) struct Grouping {
    question: Arc<Question>,
    contact: ContactId,
    tally: Tally,
    near: bool,
    found: Found,
}

impl Grouping {
    pub(super) fn new(question: Arc<Question>) -> Self {
        Self {
            question,
            contact: ContactId(0),
            tally: Tally::default(),
            near: false,
            found: Found::default(),
        }
    }

    /// An entry that passed the filter. Those of one contact come together.
    pub(super) fn add(&mut self, contact: ContactId, entry: &Entry) {
        if contact != self.contact {
            self.close();
            self.contact = contact;
        }
        let question = &self.question;
        let inside = question.inside.0 <= entry.at && entry.at < question.inside.1;
        if inside {
            self.tally.add(entry);
        }
        self.near = self.near || question.moves_soon(entry.at, inside);
    }

    fn close(&mut self) {
        if self.contact.0 != 0 {
            let id = self.contact.0.cast_unsigned();
            if self.question.answer(&self.tally) != self.question.of_nothing {
                self.found.exceptions.push(id);
            }
            if self.near || (self.question.reads_time && self.question.flips_soon(&self.tally)) {
                self.found.near.push(id);
            }
        }
        self.tally = Tally::default();
        self.near = false;
    }

    pub(super) fn finish(mut self) -> Found {
        self.close();
        self.found
    }
}
