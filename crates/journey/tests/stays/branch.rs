//! Several branches by conditions or by a value.

use journey::Entry;
use model::{Timestamp, Value};
use serde_json::json;

use crate::harness::{Ride, at, check, compiled, event, journey, shop};

fn branching(settings: &str) -> String {
    journey(
        &format!("  b: {{kind: branch, {settings}}}\n  met: {{kind: goal}}"),
        "  - {from: start, to: b}\n  - {from: b, to: met}",
    )
}

#[test]
fn the_first_that_holds_wins() {
    let text = branching(
        "branches: {gold: {field: plan, is: gold}, vip: {segment: vip}, \
         late: {all: [{field: steps, at_least: 3}, {not: {field: plan, has_value: true}}]}}",
    );
    let (journey, shop) = (compiled(&text), shop());
    for (plan, steps, vip, told) in [
        (Some("Gold"), 5, true, "b: gold"),
        (Some("silver"), 5, true, "b: vip"),
        (None, 3, false, "b: late"),
        (Some("silver"), 3, false, "b: else"),
        (None, 2, false, "b: else"),
    ] {
        let mut ride = Ride::new(&journey, &shop, at("2026-11-20"));
        ride.person.contact.fields.extend(plan.map(|plan| ("plan".to_owned(), Value::Text(plan.into()))));
        ride.person.contact.fields.insert("steps".into(), Value::Integer(steps));
        ride.members.extend(vip.then_some(0));
        let line = ride.start().told();
        assert!(line.starts_with(&format!("start: always → {told}")), "{line}");
    }
}

#[test]
fn by_a_value() {
    let text = branching("by: {ref: contact.plan}, branches: {top: gold, mid: [silver, bronze]}");
    let (journey, shop) = (compiled(&text), shop());
    for (plan, told) in
        [("GOLD", "top (GOLD)"), ("bronze", "mid (bronze)"), ("tin", "else (tin)"), ("", "else")]
    {
        let mut ride = Ride::new(&journey, &shop, at("2026-11-20"));
        ride.person.contact.fields.insert("plan".into(), Value::Text(plan.into()));
        let trigger = event("Plan Chosen", Timestamp(1), &json!({"plan": plan}));
        let mut ride = ride.enter(Entry { trigger: Some(trigger), ..Entry::first(at("2026-11-20")) });
        let line = ride.told();
        assert!(line.contains(&format!("b: {told}")), "{line}");
    }
}

#[test]
fn planted_errors() {
    let many = |n: usize| {
        let all: Vec<String> = (0..n).map(|i| format!("b{i}: {{field: plan, is: p{i}}}")).collect();
        format!("branches: {{{}}}", all.join(", "))
    };
    let (most, too_many) = (many(25), many(26));
    for (settings, code) in [
        (most.as_str(), "ok"),
        (too_many.as_str(), "journey.branches"),
        ("branches: {}", "journey.branches"),
        ("branches: {else: {field: plan, is: x}}", "journey.branch"),
        ("branches: {a: {field: plam, is: x}}", "field.unknown"),
        ("branches: {a: {segment: vpi}}", "segment.unknown"),
        ("by: plan, branches: {a: x}", "doc.type"),
        ("by: {ref: contact.steps}, branches: {a: x}", "condition.value"),
        ("", "doc.missing"),
    ] {
        let found = match check(&branching(settings).replace("branch, }", "branch}")) {
            Ok(_) => "ok".to_owned(),
            Err(problems) => problems[0].code.to_string(),
        };
        assert_eq!(found, code, "{settings}");
    }
}
