//! Random branches, holdout groups, other journeys.

use std::collections::BTreeMap;

use journey::Entry;
use model::{ContactId, Timestamp};
use serde_json::json;

use crate::harness::{Ride, at, check, compiled, event, journey, shop};

fn splitting(branches: &str) -> String {
    journey(
        &format!("  s: {{kind: split, branches: {branches}}}\n  met: {{kind: goal}}"),
        "  - {from: start, to: s}\n  - {from: s, to: met}",
    )
}

/// How many of these contacts took each outcome of the node behind the start.
fn outcomes(text: &str, contacts: i64) -> BTreeMap<String, i64> {
    let (journey, shop) = (compiled(text), shop());
    let mut found = BTreeMap::new();
    for id in 1..=contacts {
        let mut ride = Ride::new(&journey, &shop, at("2026-11-20"));
        ride.person.contact.id = ContactId(id);
        let step = ride.start().effects.trace[1].clone();
        *found.entry(journey.node(step.node).outcomes[usize::from(step.outcome)].clone()).or_default() += 1;
    }
    found
}

#[test]
fn shares_are_drawn() {
    // 10,000 draws: four standard deviations of a half are 200.
    for (branches, expected) in [
        ("{a: 50, b: 30, c: 20}", vec![5_000, 3_000, 2_000]),
        ("{a: 99.99, b: 0.01}", vec![9_999, 1]),
        ("[a, b, c]", vec![3_334, 3_333, 3_333]),
    ] {
        let found: Vec<i64> = outcomes(&splitting(branches), 10_000).into_values().collect();
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 200, "{branches}: {found}, expected {expected}");
        }
    }
}

#[test]
fn planted_errors() {
    let many = |n: usize| format!("[{}]", (0..n).map(|i| format!("b{i}")).collect::<Vec<_>>().join(", "));
    let (most, too_many) = (many(25), many(26));
    for (branches, code) in [
        (most.as_str(), "ok"),
        (too_many.as_str(), "journey.branches"),
        ("[a]", "journey.branches"),
        ("{a: 100}", "journey.share"),
        ("{a: 50, b: 49.99}", "journey.branches"),
        ("{a: 50, b: 0}", "journey.share"),
        ("{a: 50.005, b: 49.995}", "journey.share"),
        ("{a: x, b: 50}", "journey.share"),
        ("[a, a]", "journey.branch"),
        ("[a, always]", "journey.branch"),
        ("[a, B C]", "slug.invalid"),
    ] {
        let found = match check(&splitting(branches)) {
            Ok(_) => "ok".to_owned(),
            Err(problems) => problems[0].code.to_string(),
        };
        assert_eq!(found, code, "{branches}");
    }
}

fn held_out(links: &str) -> String {
    journey(
        "  hold: {kind: holdout, share: 20}\n  w: {kind: wait, for: PT1H}\n  \
         mail: {kind: send_email, template: hello, purpose: newsletter}",
        links,
    )
}

#[test]
fn who_is_held_is_held_for_good_and_gets_nothing() {
    // Both ways lead to the mail, one over a stay, and one beside the holdout.
    let text = held_out(
        "  - {from: start, to: hold}\n  - {from: start, to: w}\n  - {from: hold, to: w, when: held}\n  \
         - {from: hold, to: mail, when: go_on}\n  - {from: w, to: mail}",
    );
    let (journey, shop) = (compiled(&text), shop());
    let mut held = 0;
    for id in 1..=1_000 {
        let ride = |seed: u64, ordinal: u32, drops: bool| {
            let mut ride = Ride::new(&journey, &shop, at("2026-11-20"));
            (ride.seed, ride.drops) = (seed, drops);
            ride.person.contact.id = ContactId(id);
            let mut ride = ride.enter(Entry { ordinal, ..Entry::first(at("2026-11-20")) });
            ride.until(at("2026-11-21"));
            assert!(ride.is_over());
            (ride.effects.messages.len(), ride.told())
        };
        let (sent, told) = ride(1, 1, true);
        held += i64::from(told.contains("hold: held"));
        assert_eq!(sent, if told.contains("hold: held") { 0 } else { 2 }, "{told}");
        assert_eq!(told.matches("mail: not_sent (holdout)").count(), if sent == 0 { 2 } else { 0 });
        assert_eq!(ride(2, 5, false).0, sent, "another version, a later run");
    }
    assert!((held - 200).abs() < 50, "{held}");
}

#[test]
fn a_message_before_the_holdout_is_warned_of() {
    let warned = |links: &str| {
        let (_, warnings) = check(&held_out(links)).unwrap_or_else(|problems| panic!("{problems:?}"));
        warnings.iter().any(|warning| warning.code == "journey.before_holdout")
    };
    let sound = "  - {from: start, to: hold}\n  - {from: hold, to: w, when: held}\n  \
                 - {from: hold, to: mail, when: go_on}";
    assert!(!warned(sound));
    assert!(warned(&format!("{sound}\n  - {{from: start, to: mail}}")));
}

#[test]
fn another_journey_is_entered_by_an_event() {
    let text = journey(
        "  on: {kind: go_to, journey: next, data: {total: {ref: contact.steps}, from: here}}",
        "  - {from: start, to: on}",
    );
    let (journey, shop) = (compiled(&text), shop());
    let ride = Ride::new(&journey, &shop, at("2026-11-20")).start();
    let raised = &ride.effects.raised[0];
    assert_eq!(raised.kind, "Journey Entry");
    assert_eq!(
        serde_json::Value::Object(raised.properties.clone()),
        json!({"journey": "next", "total": 0, "from": "here", "hops": 1})
    );
    // Journeys that lead into each other come to an end.
    for (hops, raised) in [(19, 1), (20, 0)] {
        let trigger = event("Journey Entry", Timestamp(1), &json!({"journey": "j", "hops": hops}));
        let entry = Entry { trigger: Some(trigger), ..Entry::first(at("2026-11-20")) };
        let ride = Ride::new(&journey, &shop, at("2026-11-20")).enter(entry);
        assert_eq!(ride.effects.raised.len(), raised);
    }
    let (_, warnings) = check(&text.replace("journey: next", "journey: nxet")).unwrap();
    let found = warnings.iter().find(|warning| warning.code == "journey.unknown_journey").unwrap();
    assert_eq!(found.cure.as_deref(), Some("did you mean `next`?"));
}

fn testing(settings: &str) -> String {
    journey(
        &format!("  t: {{kind: ab_test, {settings}}}\n  met: {{kind: goal}}"),
        "  - {from: start, to: t}\n  - {from: t, to: met}",
    )
}

#[test]
fn variants_until_there_is_a_winner() {
    let text = testing("variants: {a: 80, b: 20}, metric: clicks, end: {after: P7D, sample: 1000}");
    let found = outcomes(&text, 10_000);
    assert!((found["a"] - 8_000).abs() < 160, "{found:?}");
    let (journey, shop) = (compiled(&text), shop());
    let (number, trial) = journey.trials().next().unwrap();
    assert_eq!((trial.variants, trial.sample, trial.level), (2, Some(1_000), Some(0.95)));
    for id in 1..=200 {
        let told = |seed: u64, ordinal: u32, winners: &[(u16, u8)]| {
            let mut ride = Ride::new(&journey, &shop, at("2026-11-20"));
            (ride.seed, ride.winners) = (seed, winners.to_vec());
            ride.person.contact.id = ContactId(id);
            ride.enter(Entry { ordinal, ..Entry::first(at("2026-11-20")) }).told()
        };
        assert_eq!(told(1, 1, &[]), told(2, 3, &[]), "the same variant in each run and version");
        assert_eq!(told(1, 1, &[(number, 1)]), "start: always → t: b (winner) → met: always");
        assert_eq!(told(1, 1, &[(number + 1, 1)]), told(1, 1, &[]), "another node's winner");
    }
}

#[test]
fn planted_errors_of_tests() {
    let many =
        |n: usize| format!("variants: [{}]", (0..n).map(|i| format!("b{i}")).collect::<Vec<_>>().join(", "));
    let (most, too_many) = (many(8) + ", metric: goal", many(9) + ", metric: goal");
    for (settings, code) in [
        (most.as_str(), "ok"),
        (too_many.as_str(), "journey.branches"),
        ("variants: [a], metric: goal", "journey.branches"),
        ("variants: [a, b]", "doc.missing"),
        ("variants: [a, b], metric: {event: Signed Up}, significance: none, within: P1D", "ok"),
        ("variants: [a, b], metric: {evnt: Signed Up}", "doc.unknown_key"),
        ("variants: [a, b], metric: looks", "journey.unknown_word"),
        ("variants: [a, b], metric: opens, significance: 100", "journey.ab_test"),
        ("variants: [a, b], metric: opens, significance: 79.9", "journey.ab_test"),
        ("variants: [a, b], metric: opens, end: {sample: 0}", "journey.ab_test"),
        ("variants: [a, b], metric: opens, end: {after: P90D}", "ok"),
        ("variants: [a, b], metric: opens, end: {after: P91D}", "journey.wait_too_long"),
        ("variants: [a, b], metric: opens, end: {on: 2026-12-24T09:00, zone: Europe/Paris}", "ok"),
        ("variants: [a, b], metric: opens, end: {on: soon}", "time.invalid"),
        ("variants: [a, b], metric: opens, end: {until: 2026-12-24}", "doc.unknown_key"),
    ] {
        let mut found = match check(&testing(settings)) {
            Ok(_) => vec!["ok".to_owned()],
            Err(problems) => problems.iter().map(|problem| problem.code.to_string()).collect(),
        };
        found.retain(|found| found == code);
        assert_eq!(found.len(), 1, "{settings}");
    }
}
