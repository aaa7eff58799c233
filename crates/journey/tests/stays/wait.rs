//! Waits, as files say them.

use journey::{Entry, Leaving, run::TOKENS_MAX};
use model::{Timestamp, Value, Zone};
use serde_json::json;

use crate::harness::{Ride, at, check, compiled, event, journey, shop};

/// A journey that waits and then adds one to a field.
fn waiting(settings: &str) -> String {
    journey(
        &format!(
            "  w: {{kind: wait, {settings}}}\n  then: {{kind: set_field, field: steps, operator: add, value: 1}}"
        ),
        "  - {from: start, to: w}\n  - {from: w, to: then}",
    )
}

#[test]
fn waits_end_when_the_file_says() {
    // In Paris it is 09:30 on Friday, 20 November 2026.
    let now = "2026-11-20T08:30:00Z";
    for (settings, expected) in [
        ("for: PT8H", "2026-11-20T16:30:00Z"),
        ("for: P1DT15H", "2026-11-21T23:30:00Z"),
        ("for: PT1H, at: \"10:00\"", "2026-11-21T09:00:00Z"),
        ("for: P1D, at: \"10:00\", zone: workspace", "2026-11-21T10:00:00Z"),
        ("for: P1D, at: \"09:30\"", "2026-11-21T08:30:00Z"),
        ("for: P1D, only_on: [monday, tuesday, wednesday, thursday, friday]", "2026-11-23T08:30:00Z"),
        ("for: P1D, at: \"10:00\", only_on: [sunday]", "2026-11-22T09:00:00Z"),
        ("until: 2026-12-24T09:00", "2026-12-24T09:00:00Z"),
        ("until: 2026-12-24T09:00, zone: contact", "2026-12-24T08:00:00Z"),
        ("until: 2026-12-24T09:00:00+02:00", "2026-12-24T07:00:00Z"),
        ("until: {at: \"09:00\"}", "2026-11-21T08:00:00Z"),
        ("until: {at: \"09:00\", zone: workspace}", "2026-11-20T09:00:00Z"),
        ("until: {at: \"09:00\", zone: America/New_York}", "2026-11-20T14:00:00Z"),
        ("until: {weekday: tuesday, at: \"10:00\"}", "2026-11-24T09:00:00Z"),
        ("until: {weekday: [friday, monday], at: \"09:00\"}", "2026-11-23T08:00:00Z"),
        ("until: {day: 31, at: \"00:00\"}", "2026-11-29T23:00:00Z"),
        ("until: {ref: contact.due_on, days: 3, at: \"09:00\"}", "2026-12-27T08:00:00Z"),
        ("until: {ref: contact.due_on, days: -3}", "2026-12-20T23:00:00Z"),
        ("until: {ref: contact.due_on, before: PT2H, at: \"09:00\"}", "2026-12-24T06:00:00Z"),
        ("until: {ref: contact.due_on, after: P1M}", "2027-01-23T23:00:00Z"),
        ("until: {ref: run.entered_at, days: 2, at: \"12:00\"}", "2026-11-22T11:00:00Z"),
        ("until: {ref: contact.birth_date, yearly: true, days: -3, at: \"09:00\"}", "2027-02-25T08:00:00Z"),
    ] {
        let (journey, shop) = (compiled(&waiting(settings)), shop());
        let mut ride = Ride::new(&journey, &shop, at(now));
        ride.person.contact.time_zone = Some("Europe/Paris".into());
        // 24 December 2026; 29 February 2000.
        ride.person.contact.fields.insert("due_on".into(), Value::Date(20_811));
        ride.person.contact.birth_date = Some(11_016);
        let mut ride = ride.start();
        assert_eq!(ride.due().map(|due| due.to_string()).as_deref(), Some(expected), "{settings}");
        ride.until(at(expected).plus(-1));
        assert!(!ride.is_over(), "{settings}");
        ride.until(at(expected));
        assert!(ride.is_over() && ride.person.contact.fields["steps"] == Value::Integer(1), "{settings}");
    }
}

#[test]
fn ends_that_have_passed_let_go_at_once() {
    for (settings, told) in [
        ("for: PT0S", "w: always"),
        ("until: 2026-11-20T08:30", "w: always"),
        ("until: 2011-01-01", "w: always"),
        ("until: {at: \"08:30\"}", "w: always"),
        ("for: PT0S, at: \"08:30\"", "w: always"),
        ("until: {ref: contact.due_on}", "w: reached"),
        // No date; one too far ahead; a text that is none.
        ("until: {ref: contact.birth_date, yearly: true}", "w: no_date"),
        ("until: {ref: contact.due_on, days: 400, at: \"08:31\"}", "w: no_date (until 2027-12-25T08:31:00Z)"),
        ("until: {ref: contact.plan}", "w: no_date (gold)"),
    ] {
        let (journey, shop) = (compiled(&waiting(settings)), shop());
        let mut ride = Ride::new(&journey, &shop, at("2026-11-20T08:30:00Z"));
        ride.person.contact.fields.insert("due_on".into(), Value::Date(20_777)); // 20 November 2026
        ride.person.contact.fields.insert("plan".into(), Value::Text("gold".into()));
        let mut ride = ride.start();
        assert!(ride.is_over(), "{settings}");
        let line = ride.told();
        assert!(line.contains(&format!("{told} → then")), "{settings}: {line}");
    }
}

#[test]
fn clocks_that_change_are_followed() {
    let (journey, shop) = (compiled(&waiting("until: {at: \"02:30\"}")), shop());
    for (now, expected) in [
        ("2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"), // 02:30 does not exist
        ("2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"), // 02:30 comes twice: the first
        ("2026-10-25T00:40:00Z", "2026-10-26T01:30:00Z"),
    ] {
        let mut ride = Ride::new(&journey, &shop, at(now));
        ride.zone = Zone::parse("Europe/Paris").unwrap();
        // Nobody knows this zone: the workspace's counts.
        ride.person.contact.time_zone = Some("Mars/Olympus".into());
        assert_eq!(ride.start().due(), Some(at(expected)));
    }
}

#[test]
fn a_date_that_moves_is_followed() {
    let (journey, shop) = (compiled(&waiting("until: {ref: contact.due_on}")), shop());
    let mut ride = Ride::new(&journey, &shop, at("2026-11-20"));
    ride.person.contact.fields.insert("due_on".into(), Value::Date(20_787)); // 30 November
    let mut ride = ride.start();
    assert_eq!(ride.due(), Some(at("2026-11-30")));
    // Put off: noticed when the old date comes, at the latest.
    ride.person.contact.fields.insert("due_on".into(), Value::Date(20_790));
    ride.until(at("2026-12-01"));
    assert_eq!(ride.due(), Some(at("2026-12-03")));
    // Brought forward: noticed at once.
    ride.person.contact.fields.insert("due_on".into(), Value::Date(20_789));
    assert!(!ride.happens("Contact Updated", &json!({"fields": ["plan"]})));
    assert!(ride.happens("Contact Updated", &json!({"fields": ["due_on"]})));
    assert_eq!(ride.due(), Some(at("2026-12-02")));
    // Taken away: there is no date.
    ride.person.contact.fields.remove("due_on");
    assert!(ride.happens("Contact Updated", &json!({"fields": ["due_on"]})));
    assert_eq!(
        ride.told(),
        "start: always → w: stays (until 2026-11-30T00:00:00Z) → w: no_date → then: always (1)"
    );
}

#[test]
fn a_loop_finds_each_day_once() {
    let text = journey(
        "  w: {kind: wait, until: {at: \"09:00\"}}\n  add: {kind: set_field, field: steps, operator: add, value: 1}",
        "  - {from: start, to: w}\n  - {from: w, to: add}\n  - {from: add, to: w}",
    );
    let (journey, shop) = (compiled(&text), shop());
    let mut ride = Ride::new(&journey, &shop, at("2026-11-20T09:00:00Z")).start();
    ride.until(at("2026-11-24T08:59:59Z"));
    assert_eq!(ride.person.contact.fields["steps"], Value::Integer(4), "20, 21, 22 and 23 November");
    // Waits that may be over at once break no loop.
    for settings in ["for: PT0S", "until: 2026-12-24T09:00", "until: {ref: contact.due_on}"] {
        let problems = check(&text.replace("until: {at: \"09:00\"}", settings)).unwrap_err();
        assert_eq!(problems[0].code, "journey.loop", "{settings}");
    }
}

#[test]
fn planted_errors() {
    for (settings, code) in [
        ("for: P400D", "ok"),
        ("for: P400DT1S", "journey.wait_too_long"),
        ("for: P14M", "journey.wait_too_long"),
        ("for: 8h", "period.invalid"),
        ("for: PT8H, until: 2026-12-24", "journey.wait"),
        ("name: x", "journey.wait"),
        ("for: PT8H, at: \"24:00\"", "journey.time_of_day"),
        ("for: PT8H, at: 9am", "journey.time_of_day"),
        ("for: PT8H, only_on: [mondy]", "journey.unknown_word"),
        ("for: PT8H, only_on: []", "journey.wait"),
        ("for: PT8H, zone: Europe/Pari", "zone.unknown"),
        ("until: tomorrow", "time.invalid"),
        ("until: {weekday: tuesday}", "journey.wait"),
        ("until: {day: 32, at: \"09:00\"}", "journey.wait"),
        ("until: {day: 1, weekday: monday, at: \"09:00\"}", "journey.wait"),
        ("until: {ref: contact.due_on, days: 3, before: P1D}", "journey.wait"),
        ("until: {ref: contact.due_on, days: 401}", "journey.wait"),
        ("until: {ref: contact.due_off}", "journey.unknown_field"),
        ("until: {ref: contact.steps}", "journey.type"),
        ("until: {at: \"09:00\", hour: 9}", "doc.unknown_key"),
    ] {
        let found = match check(&waiting(settings)) {
            Ok(_) => "ok".to_owned(),
            Err(problems) => problems[0].code.to_string(),
        };
        assert_eq!(found, code, "{settings}");
    }
}

#[test]
fn two_tokens_stay_at_two_nodes() {
    let text = journey(
        "  a: {kind: wait, for: PT2H}\n  b: {kind: wait, for: PT1H}\n  c: {kind: wait, for: PT1H}\n  \
         out: {kind: exit, reason: enough}\n  done: {kind: goal}\n  late: {kind: wait, for: P1D}",
        "  - {from: start, to: a}\n  - {from: start, to: b}\n  - {from: b, to: c}\n  - {from: a, to: done}\n  \
         - {from: done, to: late}\n  - {from: c, to: out}",
    );
    let (journey, shop) = (compiled(&text), shop());
    let mut ride = Ride::new(&journey, &shop, at("2026-11-20")).start();
    assert_eq!(ride.due(), Some(at("2026-11-20T01:00:00Z")));
    ride.until(at("2026-11-20T01:59:59Z"));
    assert_eq!(ride.goal_at, None);
    ride.until(at("2026-11-20T02:00:00Z"));
    assert!(ride.is_over(), "an exit ends all branches");
    assert_eq!(ride.goal_at, Some(at("2026-11-20T02:00:00Z")));
    assert_eq!(
        ride.told(),
        "start: always → a: stays (until 2026-11-20T02:00:00Z) → b: stays (until 2026-11-20T01:00:00Z) → \
         b: always → c: stays (until 2026-11-20T02:00:00Z) → a: always → done: always → \
         late: stays (until 2026-11-21T02:00:00Z) → c: always → out: always (enough) → late: left (exit_node)"
    );
    let mut counts = journey::Counts::default();
    counts.add(&ride.effects.trace);
    assert_eq!(counts.mismatches(&journey, 1), []);
}

#[test]
fn leaving_while_staying() {
    let (journey, shop) = (compiled(&waiting("for: P1D")), shop());
    let mut ride = Ride::new(&journey, &shop, at("2026-11-20"));
    let mut ride = {
        ride.drops = false;
        let trigger = event("Cart Updated", ride.now, &json!({"cart_id": "C1"}));
        let entry = Entry { key: "C1".into(), trigger: Some(trigger), ..Entry::first(ride.now) };
        ride.enter(entry)
    };
    ride.leave(Leaving::ExitEvent);
    assert!(ride.is_over());
    assert_eq!(ride.told(), "start: always → w: stays (until 2026-11-21T00:00:00Z) → w: left (exit_event)");
}

#[test]
fn a_date_of_the_trigger() {
    let text = waiting("until: {ref: trigger.delivery_date, days: 3, at: \"09:00\"}")
        .replace("nodes:", "triggers: [{event: Order Shipped, properties: {delivery_date: date}}]\nnodes:");
    let (journey, shop) = (compiled(&text), shop());
    for (properties, due) in [
        (json!({"delivery_date": "2026-11-24"}), Some("2026-11-27T09:00:00Z")),
        (json!({"delivery_date": "soon"}), None),
        (json!({}), None),
    ] {
        let now = at("2026-11-20");
        let entry = Entry { trigger: Some(event("Order Shipped", now, &properties)), ..Entry::first(now) };
        let ride = Ride::new(&journey, &shop, now).enter(entry);
        assert_eq!(ride.due(), due.map(at), "{properties}");
    }
}

#[test]
fn a_loop_that_sends_branches_off_stops_at_the_limit() {
    // Each hour one more stays at `on`, for ever.
    let text = journey(
        "  a: {kind: wait, for: PT1H}\n  on: {kind: wait, for: PT1H}",
        "  - {from: start, to: a}\n  - {from: a, to: a}\n  - {from: a, to: on}\n  - {from: on, to: on}",
    );
    let (journey, shop) = (compiled(&text), shop());
    let start = at("2026-11-20");
    let stands = |hours: usize| {
        let mut ride = Ride::new(&journey, &shop, start).start();
        ride.until(start.plus(hours as i64 * Timestamp::HOUR));
        let mut counts = journey::Counts::default();
        counts.add(&ride.effects.trace);
        let staying: u64 = counts.mismatches(&journey, 1).iter().map(|(_, came, went)| came - went).sum();
        assert_eq!(staying, ride.places() as u64, "who came in and did not go stays");
        let left = ride.told().matches("left (too_many_branches)").count();
        (ride.places(), left)
    };
    assert_eq!(stands(TOKENS_MAX - 1), (TOKENS_MAX, 0));
    assert_eq!(stands(TOKENS_MAX), (TOKENS_MAX, 1));
    assert_eq!(stands(TOKENS_MAX + 2), (TOKENS_MAX, 3));
}
