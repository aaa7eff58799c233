//! The figures of a simulation, added up over its contacts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use journey::{Counts, Journey, trace::STAYS};
use model::{Slug, Timestamp};
use storage::{Result, Storage, segments::OrderMark};

use super::{Options, Part, Piece, Played, stage::Stage};
use crate::{live::LiveJourney, rules::Rules};

/// What people bought within the days that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Group {
    /// How many enrolments (or contacts) were looked at.
    pub people: u64,
    /// Orders of theirs that count; of the others the number expected of as many people over the same days.
    pub orders: f64,
    /// What they come to after refunds, in the workspace's currency.
    pub revenue: f64,
}

/// What was bought afterwards. None of this is a proof of cause: those who enter differ from those who do not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Purchases {
    /// Within so many days.
    pub days: i64,
    /// After an entry, those in a holdout group left out.
    pub entered: Group,
    /// After the first message of an enrolment.
    pub messaged: Group,
    /// After an entry, by those in a holdout group of the journey.
    pub held_out: Group,
    /// Those who did not enter, over the same days as the entries: weighted by day.
    pub others: Group,
}

/// What was played.
pub struct Simulation {
    live: Arc<LiveJourney>,
    /// What was asked for.
    pub options: Options,
    /// Contacts that were looked at.
    pub contacts: u64,
    /// Contacts that were played: to whom something happened that might start the journey.
    pub played: u64,
    /// Contacts who entered.
    pub people: u64,
    /// Enrolments.
    pub entered: u64,
    /// Enrolments by the trigger's place; none: with the audience.
    pub by_trigger: BTreeMap<Option<usize>, u64>,
    /// Passages by node and outcome, refused messages by reason.
    pub counts: Counts,
    /// Who stays at each node at the last instant.
    pub waiting: BTreeMap<u16, u64>,
    /// By node: messages decided, and those among them that quiet hours hold for later.
    pub messages: BTreeMap<u16, (u64, u64)>,
    /// Enrolments that reached the goal.
    pub goals: u64,
    /// Codes that would have been taken, by set, with those that are free now; none: one code for all.
    pub coupons: BTreeMap<Slug, (u64, Option<u64>)>,
    /// What was bought afterwards.
    pub purchases: Purchases,
    /// What cannot be known, as code and sentence.
    pub notes: Vec<(&'static str, String)>,
    /// What came of each contact, where it was asked for.
    pub parts: Vec<Part>,
}

impl Simulation {
    /// The draft.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.live.rules
    }

    /// The draft, compiled.
    #[must_use]
    pub fn journey(&self) -> &Journey {
        &self.live.rules.journey
    }

    /// How many days of contacts were played: contacts times days.
    #[must_use]
    pub fn contact_days(&self) -> u64 {
        let days = self.options.to.since(self.options.from).max(0) as f64 / Timestamp::DAY as f64;
        (self.contacts as f64 * days) as u64
    }
}

/// Orders and their worth, by day since the first instant.
type Days = Vec<(u64, i128)>;

pub(super) struct Tally {
    options: Options,
    contacts: u64,
    played: u64,
    people: u64,
    entered: u64,
    by_trigger: BTreeMap<Option<usize>, u64>,
    counts: Counts,
    waiting: BTreeMap<u16, u64>,
    messages: BTreeMap<u16, (u64, u64)>,
    goals: u64,
    coupons: BTreeMap<Slug, u64>,
    /// Entries by day.
    entries: Vec<u64>,
    others: Days,
    in_groups: [(u64, u64, i128); 3],
    parts: Vec<Part>,
    live: Arc<LiveJourney>,
}

const ENTERED: usize = 0;
const MESSAGED: usize = 1;
const HELD_OUT: usize = 2;

impl Tally {
    pub fn new(stage: &Stage) -> Self {
        Self {
            options: stage.options.clone(),
            contacts: 0,
            played: 0,
            people: 0,
            entered: 0,
            by_trigger: BTreeMap::new(),
            counts: Counts::default(),
            waiting: BTreeMap::new(),
            messages: BTreeMap::new(),
            goals: 0,
            coupons: BTreeMap::new(),
            entries: Vec::new(),
            others: Vec::new(),
            in_groups: [(0, 0, 0); 3],
            parts: Vec::new(),
            live: Arc::clone(&stage.live),
        }
    }

    fn day(&self, at: Timestamp) -> usize {
        usize::try_from(at.since(self.options.from) / Timestamp::DAY).unwrap_or_default()
    }

    /// Adds a piece.
    pub fn add(&mut self, piece: Piece) {
        self.contacts += piece.contacts;
        self.played += piece.played;
        let mut orders: HashMap<model::ContactId, &[OrderMark]> = HashMap::new();
        for own in piece.orders.chunk_by(|a, b| a.contact == b.contact) {
            orders.insert(own[0].contact, own);
        }
        for part in piece.parts {
            let own = orders.get(&part.contact).copied().unwrap_or_default();
            if !part.enrolments.is_empty() {
                self.people += 1;
                // Who entered is none of the others.
                orders.remove(&part.contact);
            }
            for played in &part.enrolments {
                self.enrolment(played, own);
            }
            if self.options.keep {
                self.parts.push(part);
            }
        }
        for mark in orders.into_values().flatten() {
            let day = self.day(mark.at);
            if self.others.len() <= day {
                self.others.resize(day + 1, (0, 0));
            }
            self.others[day].0 += 1;
            self.others[day].1 += i128::from(mark.total - mark.refunded);
        }
    }

    fn enrolment(&mut self, played: &Played, orders: &[OrderMark]) {
        self.entered += 1;
        *self.by_trigger.entry(played.trigger).or_default() += 1;
        for record in &played.trace {
            self.counts.add(&record.steps);
        }
        for node in &played.stays {
            *self.waiting.entry(*node).or_default() += 1;
        }
        for (node, _, held) in &played.messages {
            let count = self.messages.entry(*node).or_default();
            count.0 += 1;
            count.1 += u64::from(*held);
        }
        self.goals += u64::from(played.goal_at.is_some());
        for set in &played.coupons {
            *self.coupons.entry(set.clone()).or_default() += 1;
        }
        let journey = &self.live.rules.journey;
        let held_out = played
            .steps()
            .any(|step| step.outcome == 0 && step.outcome != STAYS && journey.node(step.node).step.holds());
        self.bought(if held_out { HELD_OUT } else { ENTERED }, played.entered_at, orders);
        if let Some(first) = played.messages.iter().map(|(_, at, _)| *at).min() {
            self.bought(MESSAGED, first, orders);
        }
        let day = self.day(played.entered_at);
        if self.entries.len() <= day {
            self.entries.resize(day + 1, 0);
        }
        self.entries[day] += 1;
    }

    /// What a contact bought after an instant.
    fn bought(&mut self, group: usize, since: Timestamp, orders: &[OrderMark]) {
        let until = since.plus_days(self.options.within_days);
        let own = &mut self.in_groups[group];
        own.0 += 1;
        for mark in orders.iter().filter(|mark| mark.at > since && mark.at <= until) {
            own.1 += 1;
            own.2 += i128::from(mark.total - mark.refunded);
        }
    }

    /// What as many of the others bought over the same days.
    fn others(&self) -> Group {
        let people = self.contacts.saturating_sub(self.people);
        let mut expected = (0.0, 0.0);
        let span = usize::try_from(self.options.within_days).unwrap_or_default();
        for (day, entries) in self.entries.iter().enumerate().filter(|(_, entries)| **entries > 0) {
            let days = self.others.iter().skip(day).take(span);
            let (orders, worth) = days.fold((0_u64, 0_i128), |sum, day| (sum.0 + day.0, sum.1 + day.1));
            let share = *entries as f64 / people.max(1) as f64;
            expected.0 += orders as f64 * share;
            expected.1 += worth as f64 * share;
        }
        Group { people, orders: expected.0, revenue: money(expected.1) }
    }

    pub async fn finish<S: Storage>(self, store: &S, stage: &Stage) -> Result<Simulation> {
        let group = |place: usize| {
            let (people, orders, worth) = self.in_groups[place];
            Group { people, orders: orders as f64, revenue: money(worth as f64) }
        };
        let purchases = Purchases {
            days: self.options.within_days,
            entered: group(ENTERED),
            messaged: group(MESSAGED),
            held_out: group(HELD_OUT),
            others: self.others(),
        };
        let sets: Vec<Slug> = self.coupons.keys().cloned().collect();
        let stocks = store.coupon_stocks(sets.clone()).await?;
        let mut coupons = BTreeMap::new();
        for (set, stock) in sets.into_iter().zip(stocks) {
            let single =
                stage.terms.get(&set).is_some_and(|terms| terms.kind == model::CouponKind::SingleUse);
            let needed = self.coupons.get(&set).copied().unwrap_or_default();
            coupons.insert(set, (needed, single.then_some(stock.free)));
        }
        Ok(Simulation {
            live: self.live,
            options: self.options,
            contacts: self.contacts,
            played: self.played,
            people: self.people,
            entered: self.entered,
            by_trigger: self.by_trigger,
            counts: self.counts,
            waiting: self.waiting,
            messages: self.messages,
            goals: self.goals,
            coupons,
            purchases,
            notes: stage.notes.clone(),
            parts: self.parts,
        })
    }
}

/// Ten-thousandths as units.
fn money(amount: f64) -> f64 {
    amount / model::Amount::SCALE as f64
}
