//! Whether a run is put away and taken up at each stay, or never dropped, makes no difference; and old runs can be read.

use journey::{Entry, Leaving, Person, Run};
use model::{Dice, Timestamp, Value};
use proptest::prelude::*;
use serde_json::json;

use crate::harness::{Ride, at, compiled, event, journey, shop};

/// A journey of random nodes that wait, ask, write, send and end; fan-out, or a way back to a wait.
fn random_journey(dice: &mut Dice) -> String {
    let n = 3 + dice.below(10);
    let loops = dice.below(3) == 0;
    let mut nodes = vec!["  mail: {kind: send_email, template: hello, purpose: newsletter}".to_owned()];
    let mut words: Vec<&[&str]> = Vec::new();
    for i in 0..n {
        let (body, outcomes): (String, &[&str]) = match dice.below(16) {
            0 | 1 => (format!("kind: wait, for: PT{}H", dice.below(4) + u64::from(loops)), &["always"]),
            2 => (format!("kind: wait, until: {{at: \"{:02}:30\"}}", dice.below(24)), &["always"]),
            3 => ("kind: wait, until: {ref: contact.due_on, days: 1}".into(), &["reached", "no_date"]),
            4 | 5 => (
                format!("kind: wait_for, event: E{}, limit: PT{}H", dice.below(3), 1 + dice.below(6)),
                &["yes", "no"],
            ),
            6 => (
                format!("kind: wait_for, message: mail, is: opened, limit: PT{}H", 1 + dice.below(9)),
                &["yes", "no"],
            ),
            7 => (
                format!(
                    "kind: wait_for, any_of: {{a: {{event: E0}}, b: {{message: mail, is: clicked}}}}, limit: PT{}H",
                    1 + dice.below(9)
                ),
                &["a", "b", "no"],
            ),
            8 => ("kind: send_email, template: hello, purpose: newsletter".into(), &["sent", "not_sent"]),
            9 => ("kind: set_field, field: steps, operator: add, value: 1".into(), &["always"]),
            10 => ("kind: split, branches: [x, y]".into(), &["x", "y"]),
            11 => (
                "kind: branch, branches: {odd: {field: steps, one_of: [1, 3, 5]}, vip: {segment: vip}}"
                    .into(),
                &["odd", "vip", "else"],
            ),
            12 => ("kind: check_value, condition: {did: Page Viewed, within: P1D}".into(), &["yes", "no"]),
            13 => ("kind: in_segment, segment: cold".into(), &["yes", "no"]),
            14 => (
                if dice.below(2) == 0 { "kind: goal" } else { "kind: holdout, share: 30" }.into(),
                &["always"],
            ),
            _ => (
                if dice.below(3) == 0 { "kind: exit, reason: enough" } else { "kind: go_to, journey: next" }
                    .into(),
                &["always"],
            ),
        };
        let end = body.contains("exit");
        nodes.push(format!("  n{i}: {{{body}}}"));
        words.push(if end { &[] } else { outcomes });
    }
    let mut links = vec!["  - {from: start, to: mail}".to_owned(), "  - {from: mail, to: n0}".to_owned()];
    let mut reached = vec![false; n as usize];
    for from in 0..n {
        for word in words[from as usize] {
            for _ in 0..1 + u64::from(!loops && dice.below(4) == 0) {
                let to = from + 1 + dice.below(3);
                if to < n {
                    reached[to as usize] = true;
                    links.push(format!("  - {{from: n{from}, to: n{to}, when: \"{word}\"}}"));
                }
            }
        }
        if loops && nodes[from as usize + 1].contains("wait, for") && !words[from as usize].is_empty() {
            let last = n - 1;
            if words[last as usize].first() == Some(&"always") && last > from {
                links.push(format!("  - {{from: n{last}, to: n{from}}}"));
                break;
            }
        }
    }
    // Every node is reached.
    for to in 1..n {
        if !reached[to as usize] {
            links.push(format!("  - {{from: mail, to: n{to}}}"));
        }
    }
    links.sort();
    links.dedup();
    journey(&nodes.join("\n"), &links.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn dropping_a_run_at_each_stay_changes_nothing(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let text = random_journey(&mut dice);
        let (journey, shop) = (compiled(&text), shop());
        let start = at("2026-11-20").plus(dice.below(24 * 60) as i64 * Timestamp::MINUTE);
        let trigger = (dice.below(2) == 0).then(|| event("E0", start, &json!({"total": 5, "cart_id": "C1"})));
        let entry = Entry { trigger, key: "C1".into(), ordinal: 1, at: start };
        let ride = |drops: bool| {
            let mut ride = Ride::new(&journey, &shop, start);
            (ride.drops, ride.flips, ride.seed) = (drops, true, seed);
            ride.person.contact.fields.insert("due_on".into(), Value::Date(20_778));
            ride.enter(entry.clone())
        };
        let (mut dropped, mut held) = (ride(true), ride(false));
        for _ in 0..12 {
            let now = dropped.now.plus(dice.below(5 * 60) as i64 * Timestamp::MINUTE);
            dropped.until(now);
            held.until(now);
            prop_assert_eq!(dropped.due(), held.due());
            let signal = if dice.below(2) == 0 || dropped.effects.messages.is_empty() {
                event(&format!("E{}", dice.below(3)), now, &json!({}))
            } else {
                let id = dropped.message_id(dice.below(dropped.effects.messages.len() as u64) as usize);
                let kind = if dice.below(2) == 0 { "Email Opened" } else { "Email Link Clicked" };
                event(kind, now, &json!({"message_id": id}))
            };
            prop_assert_eq!(dropped.hear(&signal), held.hear(&signal), "{}", text);
            prop_assert_eq!(dropped.is_over(), held.is_over());
            prop_assert_eq!(dropped.kept(), held.kept());
            if let Some(kept) = dropped.kept() {
                let again = Run::resume(Person::default(), &kept).map(|run| run.keep());
                prop_assert_eq!(again, Some(kept));
            }
        }
        if dice.below(2) == 0 {
            dropped.leave(Leaving::Removed);
            held.leave(Leaving::Removed);
            prop_assert!(dropped.is_over() && held.is_over());
        }
        prop_assert_eq!(dropped.told(), held.told(), "{}", text);
        prop_assert_eq!(&dropped.effects.messages, &held.effects.messages);
        prop_assert_eq!(&dropped.effects.raised, &held.effects.raised);
        prop_assert_eq!(&dropped.person.contact, &held.person.contact);
        prop_assert_eq!(dropped.goal_at, held.goal_at);
        if dropped.is_over() {
            let mut counts = journey::Counts::default();
            counts.add(&dropped.effects.trace);
            prop_assert_eq!(counts.mismatches(&journey, 1), vec![], "{}", text);
        }
        if dropped.told().contains(": held") {
            let told = dropped.told();
            let after = &told[told.find(": held").unwrap_or_default()..];
            prop_assert!(!after.contains(": sent"), "{}", told);
        }
    }

    #[test]
    fn damaged_bytes_are_refused_without_a_panic(cut in 0_usize..OLD.len(), byte in any::<u8>()) {
        let mut bytes = OLD.to_vec();
        bytes[cut] = byte;
        let _ = Run::resume(Person::default(), &bytes);
        prop_assert!(Run::resume(Person::default(), &OLD[..cut]).is_none());
    }
}

/// A run as version 1 kept it when the format was new.
const OLD: &[u8] = b"\x01{\"o\":2,\"k\":\"C1\",\"a\":\"2026-11-20T08:00:00Z\",\"t\":{\"contact\":1,\
\"at\":\"2026-11-20T07:59:00Z\",\"received_at\":\"2026-11-20T08:00:00Z\",\"kind\":\"Cart Abandoned\",\
\"properties\":{\"cart_id\":\"C1\"}},\"s\":[{\"n\":2,\"f\":\"2026-11-20T08:00:00Z\",\"u\":\"2026-11-21T08:00:00Z\",\
\"e\":[[3,\"products\",{\"l\":[4,5]}],[3,\"size\",{\"v\":{\"integer\":2}}]]},\
{\"n\":1,\"f\":\"2026-11-20T08:00:00Z\",\"m\":{\"text\":\"memo\"}}],\"v\":[[0,1]],\
\"m\":[[4,\"000000010000000000016b86b273ff34\"]],\"g\":\"2026-11-20T08:00:00Z\"}";

#[test]
fn a_run_of_the_first_version_can_be_read() {
    let text = journey(
        "  for_ever: {kind: wait_for, event: E, limit: P1D}\n  w: {kind: wait, for: P1D}\n  met: {kind: goal}",
        "  - {from: start, to: w}\n  - {from: start, to: for_ever}\n  - {from: w, to: met}",
    );
    let (journey, shop) = (compiled(&text), shop());
    let mut ride = Ride::new(&journey, &shop, at("2026-11-20T09:00:00Z"));
    ride.take_up(OLD.to_vec());
    assert_eq!(ride.due(), Some(at("2026-11-21T08:00:00Z")));
    ride.until(at("2026-11-21T08:00:00Z"));
    assert!(!ride.happens("E", &json!({"cart_id": "C1"})) || ride.is_over());
    assert!(ride.told().starts_with("w: always → met: always (already)"), "{}", ride.told());
    assert_eq!(ride.goal_at, Some(at("2026-11-20T08:00:00Z")));
    // It is written as it was: fields that were added since are left out where they are empty.
    let again = Run::resume(Person::default(), OLD).map(|run| run.keep());
    assert_eq!(
        again.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        Some(String::from_utf8_lossy(OLD).into_owned())
    );
    // Other versions are refused.
    assert!(Run::resume(Person::default(), &[&[2], &OLD[1..]].concat()).is_none());
}

#[test]
fn a_signal_goes_before_the_time_of_the_same_instant() {
    let text = journey(
        "  w: {kind: wait_for, event: E, limit: PT1H}\n  two: {kind: wait, for: PT1H}",
        "  - {from: start, to: w}\n  - {from: start, to: two}",
    );
    let (journey, shop) = (compiled(&text), shop());
    let mut ride = Ride::new(&journey, &shop, at("2026-11-20")).start();
    ride.now = at("2026-11-20T01:00:00Z");
    assert!(ride.happens("E", &json!({})));
    ride.until(ride.now);
    assert!(ride.told().ends_with("w: yes (E) → two: always"), "{}", ride.told());
}
