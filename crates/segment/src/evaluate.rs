//! Member or not, and until when.

use model::{Cart, ConsentState, Event, Order, RfmPlacement, Timestamp, Value, Zone};

use crate::{
    Activity, CartCondition, Condition, Data, Entries, Leaf, NoData, Products, Tests, Tree,
    activity::Tally,
    condition::{NoProducts, RfmCondition},
    dates::Interval,
    test::Moment,
};

/// What is known of one contact. Everything has an empty answer, so that a caller gives only what its conditions read.
pub trait Facts {
    /// A field of the profile, built in (those from orders too) or custom, with its virtual default.
    fn field(&self, name: &str) -> Option<Value>;
    /// The recorded answer for a purpose.
    fn consent(&self, _purpose: &str) -> ConsentState {
        ConsentState::NotSubscribed
    }
    /// Whether it is in a static list.
    fn in_list(&self, _slug: &str) -> bool {
        false
    }
    /// Whether it is in a segment.
    fn in_segment(&self, _slug: &str) -> bool {
        false
    }
    /// The condition of a segment, to be asked in place, so that its flips are known; none: ask
    /// [`Facts::in_segment`]. Segments must not refer to each other in a circle.
    fn segment(&self, _slug: &str) -> Option<&Condition> {
        None
    }
    /// Where it stands in an RFM model.
    fn rfm(&self, _model: &str) -> Option<RfmPlacement> {
        None
    }
    /// The entries of an activity that count, by time.
    fn entries(&self, _activity: &Activity) -> Entries<'_> {
        Entries::default()
    }
    /// Its carts.
    fn carts(&self) -> &[Cart] {
        &[]
    }
    /// The catalogue, for product filters.
    fn products(&self) -> &dyn Products {
        &NoProducts
    }
    /// Data of earlier nodes and of the trigger.
    fn data(&self) -> &dyn Data {
        &NoData
    }
}

/// A history in memory, for the entries of any activity.
#[derive(Clone, Copy)]
pub struct History<'a> {
    /// Events of any kinds.
    pub events: &'a [Event],
    /// Orders.
    pub orders: &'a [Order],
}

impl History<'_> {
    /// The entries of an activity.
    #[must_use]
    pub fn entries(&self, activity: &Activity, products: &dyn Products, zone: &Zone) -> Entries<'static> {
        self.entries_with(activity, products, &NoData, zone)
    }

    /// As [`History::entries`], with data for references in the filter.
    #[must_use]
    pub fn entries_with(
        &self,
        activity: &Activity,
        products: &dyn Products,
        data: &dyn Data,
        zone: &Zone,
    ) -> Entries<'static> {
        let recent = activity.entries_with(self.events, self.orders, products, data, zone);
        Entries { settled: Tally::default(), recent: recent.into() }
    }
}

/// The answer for one contact at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the condition holds.
    pub member: bool,
    /// The next instant at which it holds no longer, or begins to hold, if nothing but time passes; none when never.
    /// After [`STEPS_MAX`] instants at which parts changed but not the whole, the instant reached: the answer is to
    /// be asked again there.
    pub next_flip: Option<Timestamp>,
}

/// Instants at which parts change that are looked at for the next change of the whole.
pub const STEPS_MAX: usize = 1_000;

/// Whether a contact satisfies a condition at `now`, and the next instant at which time alone changes that. Windows end
/// before `now`; days begin in `zone`, the workspace's.
#[must_use]
pub fn evaluate(condition: &Condition, facts: &dyn Facts, now: Timestamp, zone: &Zone) -> Outcome {
    let tree = Prepared::of(condition.root(), facts, zone);
    let (member, mut next) = tree.at(now, zone, facts);
    for _ in 0..STEPS_MAX {
        let Some(at) = next else { break };
        let (then, after) = tree.at(at, zone, facts);
        if then != member {
            break;
        }
        next = after;
    }
    Outcome { member, next_flip: next }
}

/// Only whether a contact satisfies a condition at `now`.
#[must_use]
pub fn is_member(condition: &Condition, facts: &dyn Facts, now: Timestamp, zone: &Zone) -> bool {
    Prepared::of(condition.root(), facts, zone).holds(now, zone, facts)
}

/// Whether one question of a condition has the answer yes at `now`, and an instant before which that does not change.
#[must_use]
pub fn leaf_at(leaf: &Leaf, facts: &dyn Facts, now: Timestamp, zone: &Zone) -> (bool, Option<Timestamp>) {
    Prepared::of_leaf(leaf, facts, zone).at(now, zone, facts)
}

/// Whether one question of a condition has the answer no at `now`, and at every instant up to `until` if nothing but time
/// passes.
#[must_use]
pub fn stays_no(leaf: &Leaf, facts: &dyn Facts, now: Timestamp, until: Timestamp, zone: &Zone) -> bool {
    let leaf = Prepared::of_leaf(leaf, facts, zone);
    let (mut truth, mut next) = leaf.at(now, zone, facts);
    for _ in 0..STEPS_MAX {
        match next.filter(|at| *at <= until) {
            Some(at) if !truth => (truth, next) = leaf.at(at, zone, facts),
            _ => return !truth,
        }
    }
    false
}

/// The tree with every fact looked up, so that it can be asked at several instants.
enum Prepared<'a> {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    /// Time does not touch it.
    Constant(bool),
    /// A value with its tests.
    Tests(&'a Tests, Option<Value>),
    /// Something counted: what lies inside for good, and the rest with its intervals.
    Entries(&'a Activity, Entries<'a>),
    /// Carts, each with its intervals.
    Carts(&'a CartCondition, Vec<Vec<Interval>>),
}

impl<'a> Prepared<'a> {
    fn of(tree: &'a Tree, facts: &'a dyn Facts, zone: &Zone) -> Self {
        match tree {
            Tree::All(parts) => Self::All(parts.iter().map(|part| Self::of(part, facts, zone)).collect()),
            Tree::Any(parts) => Self::Any(parts.iter().map(|part| Self::of(part, facts, zone)).collect()),
            Tree::Not(part) => Self::Not(Box::new(Self::of(part, facts, zone))),
            Tree::Leaf(leaf) => Self::of_leaf(leaf, facts, zone),
        }
    }

    fn of_leaf(leaf: &'a Leaf, facts: &'a dyn Facts, zone: &Zone) -> Self {
        match leaf {
            Leaf::Field { name, tests, .. } => Self::Tests(tests, facts.field(name)),
            Leaf::Value { path, kind, tests } => {
                let value = if *kind == crate::Kind::Products {
                    let some = !facts.data().products(path).is_empty();
                    some.then_some(Value::Boolean(true))
                } else {
                    facts.data().value(path)
                };
                Self::Tests(tests, value)
            }
            Leaf::Consent { purpose, states } => Self::Constant(states.contains(&facts.consent(purpose))),
            Leaf::Segment(slug) => match facts.segment(slug) {
                Some(condition) => Self::of(condition.root(), facts, zone),
                None => Self::Constant(facts.in_segment(slug)),
            },
            Leaf::List(slug) => Self::Constant(facts.in_list(slug)),
            Leaf::Rfm(rfm) => Self::of_rfm(rfm, facts.rfm(&rfm.model).as_ref()),
            Leaf::Activity(activity) => Self::Entries(activity, facts.entries(activity)),
            Leaf::Cart(cart) => {
                let intervals = |one: &Cart| cart.intervals(one, facts.products(), facts.data(), zone);
                Self::Carts(cart, facts.carts().iter().map(intervals).collect())
            }
        }
    }

    fn of_rfm(rfm: &'a RfmCondition, placement: Option<&RfmPlacement>) -> Self {
        let group = placement.map_or("none", |placement| placement.group.as_str());
        let previous = placement.and_then(|placement| placement.previous_group.as_deref());
        let in_groups = (rfm.groups.is_empty() || rfm.groups.iter().any(|one| one == group))
            && (rfm.previous_groups.is_empty()
                || rfm.previous_groups.iter().any(|one| Some(one.as_str()) == previous));
        let mut parts = vec![Self::Constant(in_groups)];
        // A contact in the group `none` has no scores.
        let scored = placement.filter(|placement| placement.group != "none");
        let score =
            |read: fn(&RfmPlacement) -> u8| scored.map(|placement| Value::Integer(read(placement).into()));
        for (tests, value) in [
            (&rfm.recency, score(|placement| placement.recency)),
            (&rfm.frequency, score(|placement| placement.frequency)),
            (&rfm.monetary, score(|placement| placement.monetary)),
            (&rfm.since, placement.map(|placement| Value::Instant(placement.since))),
        ] {
            if !tests.0.is_empty() {
                parts.push(Self::Tests(tests, value));
            }
        }
        Self::All(parts)
    }

    fn holds(&self, now: Timestamp, zone: &Zone, facts: &dyn Facts) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(now, zone, facts)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(now, zone, facts)),
            Self::Not(part) => !part.holds(now, zone, facts),
            Self::Constant(truth) => *truth,
            Self::Tests(tests, value) => tests.hold(value.as_ref(), &Moment { now, zone }, facts.data()),
            Self::Entries(activity, entries) => {
                let value = measured(activity, entries, now, zone, facts.data()).0;
                activity.tests.hold(value.as_ref(), &Moment { now, zone }, facts.data())
            }
            Self::Carts(cart, carts) => {
                let count = carts.iter().filter(|own| own.iter().any(|interval| interval.holds(now))).count();
                cart.count.hold(Some(&Value::Integer(count as i64)), &Moment { now, zone }, facts.data())
            }
        }
    }

    /// The answer at an instant, and an instant before which it does not change (it may not change there either).
    fn at(&self, now: Timestamp, zone: &Zone, facts: &dyn Facts) -> (bool, Option<Timestamp>) {
        match self {
            Self::All(parts) => combine(parts, now, zone, facts, true),
            Self::Any(parts) => combine(parts, now, zone, facts, false),
            Self::Not(part) => {
                let (truth, next) = part.at(now, zone, facts);
                (!truth, next)
            }
            Self::Constant(truth) => (*truth, None),
            Self::Tests(tests, value) => {
                let moment = Moment { now, zone };
                (tests.hold(value.as_ref(), &moment, facts.data()), tests.next_flip(value.as_ref(), &moment))
            }
            Self::Entries(activity, entries) => {
                let (value, next) = measured(activity, entries, now, zone, facts.data());
                let moment = Moment { now, zone };
                let truth = activity.tests.hold(value.as_ref(), &moment, facts.data());
                let of_tests = activity.tests.next_flip(value.as_ref(), &moment);
                (truth, [next, of_tests].into_iter().flatten().min())
            }
            Self::Carts(_, carts) => {
                let next = carts.iter().flatten().filter_map(|interval| interval.next(now)).min();
                (self.holds(now, zone, facts), next)
            }
        }
    }
}

/// A conjunction that is false can only become true when all parts that are false have changed, and the contrary for a
/// disjunction: so a part that never changes silences the others.
fn combine(
    parts: &[Prepared<'_>],
    now: Timestamp,
    zone: &Zone,
    facts: &dyn Facts,
    all: bool,
) -> (bool, Option<Timestamp>) {
    let answers: Vec<(bool, Option<Timestamp>)> =
        parts.iter().map(|part| part.at(now, zone, facts)).collect();
    if answers.iter().all(|(truth, _)| *truth == all) {
        return (all, answers.iter().filter_map(|(_, next)| *next).min());
    }
    let mut latest = Some(Timestamp::MIN);
    for (_, next) in answers.iter().filter(|(truth, _)| *truth != all) {
        latest = latest.zip(*next).map(|(a, b)| a.max(b));
    }
    (!all, latest)
}

/// The measure at an instant, and the next instant at which an entry comes in or goes out.
fn measured(
    activity: &Activity,
    entries: &Entries<'_>,
    now: Timestamp,
    zone: &Zone,
    data: &dyn Data,
) -> (Option<Value>, Option<Timestamp>) {
    let window = activity.window.resolved(data, zone);
    let mut tally = entries.settled;
    let mut next: Option<Timestamp> = None;
    for entry in entries.recent.iter() {
        let interval = window.interval(entry.at, zone);
        if interval.holds(now) {
            tally.add(entry);
        }
        next = [next, interval.next(now)].into_iter().flatten().min();
    }
    (tally.measure(&activity.measure), next)
}
