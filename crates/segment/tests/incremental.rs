//! Evaluation from kept state with flip times equals evaluation from the whole history, for random histories,
//! conditions and clocks: late events, events of a time to come, refunds and cancellations included.

use model::{Amount, ContactId, Currency, Event, Order, OrderNo, OrderStatus, Timestamp, Value, Zone};
use proptest::prelude::*;
use segment::{
    Activity, Condition, Entries, Facts, Leaf, Observed, Schema, State,
    condition::NoProducts,
    evaluate::{History, evaluate, is_member, leaf_at, stays_no},
};

/// The histories play in the days around a clock change and a leap day.
const BASE: i64 = 1_709_000_000 * Timestamp::SECOND;

#[derive(Clone, Debug)]
enum Step {
    /// An event arrives: kind, seconds before (or after) the clock, amount.
    Event(bool, i64, i64),
    /// An order arrives.
    Order(i64, i64),
    /// An order is refunded in part, or cancelled.
    Change(usize, Option<i64>),
    /// Time passes, in seconds.
    Wait(i64),
    /// Time passes until the next flip, if there is one within a year.
    UntilFlip,
}

fn step() -> impl Strategy<Value = Step> {
    let ago = prop_oneof![0..3_600_i64, 0..90 * 86_400_i64, -7_200..0_i64];
    prop_oneof![
        4 => (any::<bool>(), ago.clone(), 0..200_i64).prop_map(|(a, s, n)| Step::Event(a, s, n)),
        3 => (ago, 0..200_i64).prop_map(|(s, n)| Step::Order(s, n)),
        2 => (0..8_usize, prop::option::of(0..200_i64)).prop_map(|(i, n)| Step::Change(i, n)),
        2 => prop_oneof![Just(1_i64), 1..86_400_i64, 1..40 * 86_400_i64].prop_map(Step::Wait),
        2 => Just(Step::UntilFlip),
    ]
}

fn window() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (1..60_u32).prop_map(|days| format!(", within: P{days}D")),
        (1..72_u32).prop_map(|hours| format!(", within: PT{hours}H")),
        (1..3_u32).prop_map(|months| format!(", within: P{months}M")),
        (1..30_u32).prop_map(|days| format!(", older_than: P{days}D")),
        (1..20_u32, 21..60_u32).prop_map(|(near, far)| format!(", between_ago: [P{near}D, P{far}D]")),
        Just(", since: 2024-02-20".to_owned()),
        Just(", until: \"2024-02-27T10:00:00Z\"".to_owned()),
        prop::sample::select(vec![
            "today",
            "yesterday",
            "this_week",
            "last_week",
            "this_month",
            "last_month",
            "this_quarter",
            "last_quarter",
            "this_year",
            "last_year",
        ])
        .prop_map(|word| format!(", calendar: {word}")),
    ]
}

fn activity() -> impl Strategy<Value = String> {
    let operator =
        prop::sample::select(vec!["at_least", "greater_than", "less_than", "at_most", "is", "is_not"]);
    let kind = prop::sample::select(vec!["Order Completed", "Viewed"]);
    let measure =
        (operator, 0..4_i64, 0..300_i64, 0..7_usize).prop_map(|(operator, n, sum, which)| match which {
            0..=2 => format!(", count: {{{operator}: {n}}}"),
            3 => format!(", sum: total, {operator}: {sum}"),
            4 => format!(", average: total, {operator}: {sum}"),
            5 => format!(", last: {{more_than_ago: P{}D}}", n + 1),
            _ => format!(", first: {{within_last: P{}D}}", n + 10),
        });
    let filter = prop_oneof![
        3 => Just(String::new()),
        1 => (0..200_i64).prop_map(|n| format!(", where: {{property: total, at_least: {n}}}")),
    ];
    (any::<bool>(), kind, measure, window(), filter).prop_map(|(not, kind, measure, window, filter)| {
        if not {
            format!("{{did_not: {kind}{window}{filter}}}")
        } else {
            format!("{{did: {kind}{measure}{window}{filter}}}")
        }
    })
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        5 => activity(),
        1 => prop::sample::select(vec![
            "{field: birth_date, anniversary_in: 3}",
            "{field: birth_date, anniversary_within: 10}",
            "{field: birth_date, anniversary: today}",
            "{field: created_at, within_last: P20D}",
            "{field: created_at, calendar: this_week}",
            "{field: created_at, more_than_ago: P1M}",
            "{field: birth_date, within_next: P400D}",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|parts| format!("{{all: [{}]}}", parts.join(", "))),
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|parts| format!("{{any: [{}]}}", parts.join(", "))),
            inner.prop_map(|part| format!("{{not: {part}}}")),
        ]
    })
}

fn field(name: &str) -> Option<Value> {
    match name {
        "birth_date" => Some(Value::Date(9_555)), // 1996-02-29
        "created_at" => Some(Value::Instant(Timestamp(BASE))),
        _ => None,
    }
}

struct FromScratch<'a>(History<'a>, &'a Zone);

impl Facts for FromScratch<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        field(name)
    }
    fn entries(&self, activity: &Activity) -> Entries<'_> {
        self.0.entries(activity, &NoProducts, self.1)
    }
}

struct Kept<'a>(&'a State, &'a Condition);

impl Facts for Kept<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        field(name)
    }
    fn entries(&self, activity: &Activity) -> Entries<'_> {
        self.0.entries(self.1, activity)
    }
}

fn event(kind: bool, at: Timestamp, n: i64) -> Event {
    let kind = if kind { "Viewed" } else { "Other" };
    let properties = serde_json::json!({ "total": n });
    let serde_json::Value::Object(properties) = properties else { unreachable!() };
    Event { contact: ContactId(1), at, received_at: at, kind: kind.into(), message_id: None, properties }
}

fn order(no: i64, at: Timestamp, n: i64) -> Order {
    Order {
        no: OrderNo(no),
        external_id: no.to_string(),
        contact: Some(ContactId(1)),
        at,
        total: Amount::units(n),
        refunded: Amount::ZERO,
        currency: Currency::EUR,
        status: OrderStatus::Completed,
        cart_id: no.to_string(),
        lines: Vec::new(),
    }
}

fn play(condition: &Condition, steps: &[Step], zone: &Zone) {
    let mut now = Timestamp(BASE);
    let (mut events, mut orders): (Vec<Event>, Vec<Order>) = (Vec::new(), Vec::new());
    let mut state = State::build(condition, |_| Vec::new(), now, zone);
    for step in steps {
        let mut done = Observed::Taken;
        match step {
            Step::Event(kind, ago, n) => {
                let event = event(*kind, now.plus(-ago * Timestamp::SECOND), *n);
                done = state.observe(condition, &event, &NoProducts, zone);
                events.push(event);
            }
            Step::Order(ago, n) => {
                let order = order(orders.len() as i64 + 1, now.plus(-ago * Timestamp::SECOND), *n);
                done = state.observe_order(condition, &order, false, &NoProducts, zone);
                orders.push(order);
            }
            Step::Change(at, refund) => {
                if let Some(order) = orders.get_mut(*at) {
                    match refund {
                        Some(n) => order.refunded = Amount::units(*n).min(order.total),
                        None => order.status = OrderStatus::Cancelled,
                    }
                    done = state.observe_order(condition, order, true, &NoProducts, zone);
                }
            }
            Step::Wait(seconds) => now = now.plus(seconds * Timestamp::SECOND),
            Step::UntilFlip => {
                let next = evaluate(condition, &Kept(&state, condition), now, zone).next_flip;
                now = next.filter(|at| at.since(now) < 366 * Timestamp::DAY).unwrap_or(now);
            }
        }
        let history = FromScratch(History { events: &events, orders: &orders }, zone);
        if done == Observed::Refill {
            let from_history = |activity: &Activity| history.entries(activity).recent.into_owned();
            state = State::build(condition, from_history, now, zone);
        }
        state.advance(condition, now, zone);
        state = State::from_bytes(&state.to_bytes(), condition).unwrap();
        let (kept, scratch) = (
            evaluate(condition, &Kept(&state, condition), now, zone),
            evaluate(condition, &history, now, zone),
        );
        assert_eq!(kept, scratch, "at {now} after {step:?}");
        flips_are_exact(condition, &history, now, zone, scratch.next_flip);
        for leaf in condition.leaves() {
            no_stays_no(leaf, &history, now, zone);
        }
    }
}

/// Who is told to stay outside is outside at every instant until then; and a no that nothing ever changes is told as one.
fn no_stays_no(leaf: &Leaf, facts: &dyn Facts, now: Timestamp, zone: &Zone) {
    let until = now.plus_days(9);
    let (truth, next) = leaf_at(leaf, facts, now, zone);
    let stays = stays_no(leaf, facts, now, until, zone);
    assert!(stays || truth || next.is_some_and(|at| at <= until));
    for part in 0..=18 {
        let at = now.plus(until.since(now) / 18 * part);
        assert!(!stays || !leaf_at(leaf, facts, at, zone).0, "yes at {at}");
    }
}

/// Nothing changes before the flip, and at the flip it does.
fn flips_are_exact(
    condition: &Condition,
    facts: &dyn Facts,
    now: Timestamp,
    zone: &Zone,
    flip: Option<Timestamp>,
) {
    let member = is_member(condition, facts, now, zone);
    let end = flip.unwrap_or(now.plus_days(800));
    let span = end.since(now);
    for part in 0..12 {
        let at = now.plus((i128::from(span) * part / 12) as i64);
        assert_eq!(is_member(condition, facts, at, zone), member, "changes at {at}, before {flip:?}");
    }
    // After many instants at which parts change but never the whole, the last of them is given.
    if let Some(flip) = flip.filter(|at| at.since(now) < 300 * 366 * Timestamp::DAY) {
        assert_eq!(is_member(condition, facts, flip.plus(-1), zone), member, "just before {flip}");
        assert_ne!(is_member(condition, facts, flip, zone), member, "at {flip}");
    }
}

/// The windows' bounds and the intervals of what lies inside them say the same.
#[test]
fn bounds_are_intervals_seen_from_now() {
    let zones = [Zone::UTC, Zone::parse("Europe/Paris").unwrap()];
    proptest!(|(text in window(), now in 0..400 * 86_400_i64, ago in -3 * 86_400..900 * 86_400_i64, paris in 0..2_usize)| {
        let node = model::doc::parse(&format!("{{did: X{text}}}")).unwrap();
        let condition = Condition::parse(&node, &Schema::with_fields([]), "").unwrap();
        let window = &condition.activities()[0].window;
        let zone = &zones[paris];
        let now = Timestamp(BASE + now * Timestamp::SECOND);
        let (since, until) = window.bounds(now, zone);
        for at in [now.plus(-ago * Timestamp::SECOND), since, since.plus(-1), until, until.plus(-1)] {
            let inside = since <= at && at < until;
            prop_assert_eq!(window.interval(at, zone).holds(now), inside, "{} at {} seen from {}", text, at, now);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kept_state_answers_as_the_whole_history(
        text in condition(),
        steps in prop::collection::vec(step(), 1..25),
        paris in any::<bool>(),
    ) {
        let zone = if paris { Zone::parse("Europe/Paris").unwrap() } else { Zone::UTC };
        let node = model::doc::parse(&text).unwrap();
        let condition = Condition::parse(&node, &Schema::with_fields([]), "condition")
            .unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        play(&condition, &steps, &zone);
    }
}
