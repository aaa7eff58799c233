//! What each operator says of each kind of value: one line per question.

use model::{Timestamp, Value, Zone};
use segment::{Condition, Facts, Schema, evaluate};

struct One(Option<Value>);

impl Facts for One {
    fn field(&self, _: &str) -> Option<Value> {
        self.0.clone()
    }
}

fn schema() -> Schema<'static> {
    let field = |slug: &str, kind: &str| -> model::FieldDef {
        serde_json::from_str(&format!(r#"{{"slug": "{slug}", {kind}}}"#)).unwrap()
    };
    let options = r#""options": [{"id": "red"}, {"id": "green"}, {"id": "blue"}]"#;
    Schema::with_fields([
        field("colours", &format!(r#""type": "checkbox", {options}"#)),
        field("size", &format!(r#""type": "radio", {options}"#)),
        field("points", r#""type": "integer""#),
        field("price", r#""type": "decimal""#),
        field("vip", r#""type": "boolean""#),
    ])
}

/// `field | value (~ for none) | operators | yes or no`, asked at 2026-11-22T08:00:00Z in Paris.
const TABLE: &str = "
country | France | is: france | yes
country | France | is: france, exactly: true | no
country | Été | is: ETE\u{301} | no
country | Été | is: \"e\u{301}te\u{301}\" | yes
country | ~ | is: France | no
country | ~ | is_not: France | yes
country | France | is_not: France | no
country | France | one_of: [Spain, FRANCE] | yes
country | ~ | none_of: [Spain] | yes
country | Spain | none_of: [Spain] | no
country | ~ | contains_not: x | yes
country | France | contains: RAN | yes
country | France | contains_not: ran | no
country | France | starts_with: fr | yes
country | France | starts_not_with: fr | no
country | France | ends_with: ce | yes
country | France | ends_not_with: ce | no
country | ~ | has_value: false | yes
country | ~ | has_value: true | no
country | France | has_value: true | yes
country | France | {starts_with: F, ends_with: x} | no
points | 5 | is: 5 | yes
points | 5 | is: 5.0 | yes
points | 5 | greater_than: 4.9999 | yes
points | 5 | greater_than: 5 | no
points | 5 | at_least: 5 | yes
points | 5 | less_than: 5 | no
points | 5 | at_most: 5 | yes
points | 5 | between: [5, 7] | yes
points | 8 | between: [5, 7] | no
points | ~ | less_than: 5 | no
points | ~ | is_not: 5 | yes
price | 0.1 | is: 0.1 | yes
price | 12.5 | one_of: [12.50, 3] | yes
vip | true | is: true | yes
vip | ~ | is: false | no
vip | ~ | is_not: true | yes
size | red | one_of: [red, blue] | yes
colours | red,green | includes_any: [green, blue] | yes
colours | red,green | includes_all: [green, blue] | no
colours | red,green | includes_all: [green, red] | yes
colours | red,green | includes_none: [blue] | yes
colours | ~ | includes_none: [blue] | yes
colours | ~ | includes_any: [blue] | no
colours | red,green | includes_none: [green] | no
colours | red | is: red | yes
colours | red,green | is: red | no
colours | red,green | starts_with: gr | yes
birth_date | 1990-11-22 | anniversary: today | yes
birth_date | 1990-11-21 | anniversary: today | no
birth_date | 1990-11-29 | anniversary_in: 7 | yes
birth_date | 1990-11-28 | anniversary_in: 7 | no
birth_date | 1990-11-28 | anniversary_within: 7 | yes
birth_date | 1990-01-02 | anniversary_within: 41 | yes
birth_date | 1990-01-02 | anniversary_within: 40 | no
birth_date | 1990-01-02 | anniversary: 2026-01-02 | yes
birth_date | 2026-11-22 | is: today | yes
birth_date | 2026-11-21 | before: today | yes
birth_date | 2026-11-22 | before: today | no
birth_date | 2026-11-23 | after: today | yes
birth_date | 2026-11-15 | within_last: P7D | yes
birth_date | 2026-11-14 | within_last: P7D | no
birth_date | 2026-11-23 | within_last: P7D | no
birth_date | 2026-11-29 | within_next: P7D | yes
birth_date | 2026-11-30 | within_next: P7D | no
birth_date | 2026-11-14 | more_than_ago: P7D | yes
birth_date | 2026-11-15 | more_than_ago: P7D | no
birth_date | 2026-11-12 | between_ago: [P7D, P10D] | yes
birth_date | 2026-11-16 | between_ago: [P7D, P10D] | no
birth_date | 1990-06-03 | month: [june, 7] | yes
birth_date | 1990-08-03 | month: [june, 7] | no
birth_date | 2026-11-21 | weekday: saturday | yes
birth_date | 2026-11-22 | weekday: [saturday, monday] | no
birth_date | 2026-11-30 | calendar: this_month | yes
birth_date | 2026-10-31 | calendar: last_month | yes
birth_date | 2026-10-31 | between: [2026-10-01, 2026-10-31] | yes
birth_date | 2026-10-31 | is_not: 2026-10-31 | no
birth_date | ~ | is_not: 2026-10-31 | yes
birth_date | ~ | within_last: P7D | no
created_at | 2026-11-21T23:30:00Z | is: today | yes
created_at | 2026-11-21T22:30:00Z | is: today | no
created_at | 2026-11-22T07:59:59Z | within_last: PT1S | yes
created_at | 2026-11-22T07:59:58Z | within_last: PT1S | no
created_at | 2026-11-22T08:00:00Z | within_last: PT1S | no
created_at | 2026-11-22T08:00:00Z | before: now | no
created_at | 2026-11-22T08:00:00Z | within_next: PT1H | yes
created_at | 2026-11-21T23:30:00Z | calendar: today | yes
created_at | 2026-11-21T23:30:00Z | weekday: sunday | yes
created_at | 2026-10-31T23:30:00Z | calendar: this_month | yes
created_at | 2026-11-01T00:00:00Z | after: \"2026-10-31T23:59:59Z\" | yes
created_at | 2026-11-15T08:00:00Z | more_than_ago: P7D | no
created_at | 2026-11-15T07:59:59Z | more_than_ago: P7D | yes
";

#[test]
fn operators_by_kind() {
    let schema = schema();
    let (now, zone) =
        (Timestamp::parse("2026-11-22 08:00", &Zone::UTC).unwrap(), Zone::parse("Europe/Paris").unwrap());
    for line in TABLE.lines().filter(|line| !line.is_empty()) {
        let [field, value, operators, wanted] = line.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let kind = schema.field_type(field).unwrap();
        let value = (value != "~").then(|| Value::parse(&value.replace(',', "|"), kind).unwrap());
        let operators = operators.trim_matches(['{', '}']);
        let node = model::doc::parse(&format!("{{field: {field}, {operators}}}")).unwrap();
        let condition =
            Condition::parse(&node, &schema, "").unwrap_or_else(|problems| panic!("{line}: {problems:?}"));
        let member = evaluate(&condition, &One(value), now, &zone).member;
        assert_eq!(if member { "yes" } else { "no" }, wanted, "{line}");
    }
}

#[test]
fn limits_are_tested_at_the_edge_and_one_past_it() {
    let code = |text: String| {
        let node = model::doc::parse(&text).unwrap();
        match Condition::parse(&node, &schema(), "c") {
            Ok(_) => "ok".to_owned(),
            Err(problems) => problems[0].code.to_string(),
        }
    };
    let leaves = |n: usize| format!("[{}]", vec!["{field: vip, is: true}"; n].join(", "));
    assert_eq!(code(leaves(segment::LEAVES_MAX)), "ok");
    assert_eq!(code(leaves(segment::LEAVES_MAX + 1)), "condition.too_many");
    let values = |n: usize| format!("{{field: points, one_of: [{}]}}", vec!["1"; n].join(", "));
    assert_eq!(code(values(segment::VALUES_MAX)), "ok");
    assert_eq!(code(values(segment::VALUES_MAX + 1)), "condition.values");
    let days = |n: i64| format!("{{field: birth_date, anniversary_in: {n}}}");
    assert_eq!(code(days(segment::ANNIVERSARY_DAYS_MAX)), "ok");
    assert_eq!(code(days(segment::ANNIVERSARY_DAYS_MAX + 1)), "condition.days");
    let filters = |n: usize| format!("{{did: X, where: [{}]}}", vec!["{property: a, is: 1}"; n].join(", "));
    assert_eq!(code(filters(10)), "ok");
    assert_eq!(code(filters(11)), "condition.too_many_filters");
}

#[test]
fn wrong_right_sides_are_named() {
    for (text, code) in [
        ("{field: size, is: rde}", "field.unknown_option"),
        ("{field: points, is: many}", "condition.value"),
        ("{field: points, between: [1]}", "condition.two_values"),
        ("{field: birth_date, is: 2026-02-30}", "condition.value"),
        ("{field: birth_date, within_last: 7}", "period.invalid"),
        ("{field: birth_date, within_last: PT0S}", "period.zero"),
        ("{field: birth_date, between_ago: [P10D, P7D]}", "condition.order"),
        ("{field: birth_date, weekday: mondy}", "condition.name"),
        ("{field: birth_date, calendar: this_moth}", "condition.calendar"),
        ("{field: country}", "condition.no_operator"),
        ("{field: country, is: \"\"}", "condition.value"),
        ("{field: country, is: {ref: nodes.x.y}}", "ref.unknown"),
        ("{field: points, is: {ref: contact.country}}", "condition.type"),
        ("{consent: newsletter, is: subscibed}", "consent.unknown_state"),
        ("{did: X, within: P1D, calendar: today}", "condition.mixed"),
        ("{did: X, count: {is: 1}, last: {before: today}}", "condition.mixed"),
        ("{did: Order Completed, sum: totl, is: 1}", "order.unknown_property"),
        ("{did: X, where: {property: a, is: {ref: contact.country}}}", "ref.not_here"),
        ("{did: X, since: {ref: contact.created_at}}", "ref.not_here"),
        ("{cart: {id: {is: {ref: run.key}}}}", "ref.not_here"),
        ("{did: X, since: 2026-02-01, until: 2026-01-01}", "condition.order"),
        ("{cart: {state: abandonned}}", "cart.unknown_state"),
        ("{all: []}", "condition.empty"),
        ("{all: [{segment: a}], any: [{segment: b}]}", "condition.mixed"),
        ("[1]", "condition.expected"),
    ] {
        let node = model::doc::parse(text).unwrap();
        let problems = Condition::parse(&node, &schema(), "c").unwrap_err();
        assert_eq!(problems[0].code, code, "{text}: {}", problems[0]);
        assert!(problems[0].place.is_some(), "{text}");
    }
}
