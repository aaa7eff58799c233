//! Reading conditions: what is taken, and what is said about the rest.

use segment::{Condition, ProductCondition, Schema};

fn parse(text: &str) -> Result<Condition, Vec<String>> {
    let node = model::doc::parse(text).unwrap();
    let mut schema = Schema::with_fields([]);
    schema.segments = ["rfm-high", "rfm-low"].into_iter().collect();
    Condition::parse(&node, &schema, "condition")
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn takes_every_leaf() {
    let condition = parse(
        r#"
all:
  - {field: country, is: France}
  - {field: birth_date, anniversary_in: 7}
  - {consent: newsletter, is: subscribed}
  - {rfm: {model: classic-11, group: [champions, loyal_customers]}}
  - {rfm: {model: classic-11, recency: {at_least: 4}}}
  - {segment: rfm-high}
  - {list: vip}
  - not: {field: email, has_value: false}
  - any:
    - {did: Order Completed, count: {at_least: 2}, within: P30D, where: [{property: total, greater_than: 50}, {product: {field: brand, is: Acme}}]}
    - {did: Order Completed, sum: total, greater_than: 100, calendar: this_year}
    - {did_not: Email Opened, within: P90D}
    - {did: Product Viewed, last: {more_than_ago: P7D}}
  - {cart: {state: abandoned, total: {greater_than: 50}}}
"#,
    )
    .unwrap();
    assert_eq!(condition.leaves().len(), 13);
    let again = Condition::from_json(condition.to_json(), &Schema::with_fields([])).unwrap();
    assert_eq!(again, condition);
}

struct NoProducts;

impl segment::Products for NoProducts {
    fn by_id(&self, _: model::ProductId) -> Option<&model::Product> {
        None
    }

    fn by_external_id(&self, _: &str) -> Option<&model::Product> {
        None
    }
}

/// What the one leaf of a condition takes of two openings, the first by a machine and the second by the contact.
fn counted(text: &str) -> Vec<bool> {
    let condition = parse(text).unwrap();
    let segment::Leaf::Activity(activity) = condition.leaves()[0] else { panic!("{text}") };
    let event = |properties: serde_json::Value| model::Event {
        contact: model::ContactId(1),
        at: model::Timestamp(1),
        received_at: model::Timestamp(1),
        kind: activity.kind.clone(),
        message_id: None,
        properties: properties.as_object().unwrap().clone(),
    };
    let of = |event| activity.entry_of_event(&event, &NoProducts, &model::Zone::UTC).is_some();
    [serde_json::json!({"machine": true, "campaign": "spring"}), serde_json::json!({"campaign": "spring"})]
        .map(|properties| of(event(properties)))
        .to_vec()
}

#[test]
fn what_machines_did_counts_only_for_who_asks() {
    for (text, expected) in [
        ("{did: Email Opened}", [false, true]),
        ("{did_not: Email Opened}", [false, true]),
        ("{did: Email Link Clicked, machine: false}", [false, true]),
        ("{did: Email Opened, machine: true}", [true, true]),
        ("{did: Email Opened, where: {property: campaign, is: spring}}", [false, true]),
        ("{did: Email Opened, machine: true, where: {property: campaign, is: spring}}", [true, true]),
        (
            "{did: Email Opened, where: {any: [{property: campaign, is: x}, {property: campaign, is: spring}]}}",
            [false, true],
        ),
        // Who asks for the property has said what counts.
        ("{did: Email Opened, where: {property: machine, is: true}}", [true, false]),
        ("{did: Email Opened, where: {not: {property: machine, is: true}}}", [false, true]),
        // A shop's own events are taken as they are.
        ("{did: Machine Ordered}", [true, true]),
    ] {
        assert_eq!(counted(text), expected, "{text}");
    }
    let told = parse("{did: Order Completed, machine: true}").unwrap_err();
    assert!(told[0].contains("condition.machine"), "{told:?}");
    assert!(parse("{did: Email Opened, machine: often}").unwrap_err()[0].contains("doc.type"));
}

#[test]
fn names_what_is_wrong_with_place_and_cure() {
    for (text, message) in [
        (
            "all:\n  - {feild: country, is: France}",
            "error[condition.unknown] 2:6: condition.all.0: `feild` is not a condition — did you mean `field`?",
        ),
        (
            "{field: contry, is: France}",
            "error[field.unknown] 1:9: condition.field: a contact has no field `contry` — did you mean `country`?",
        ),
        (
            "{field: order_count, contains: 3}",
            "error[condition.operator] 1:32: condition.contains: `contains` cannot be asked of number — use one of: is, \
             is_not, one_of, none_of, greater_than, at_least, less_than, at_most, between, has_value",
        ),
        (
            "{segment: rfm-hihg}",
            "error[segment.unknown] 1:11: condition.segment: there is no segment `rfm-hihg` — did you mean `rfm-high`?",
        ),
        (
            "{rfm: {group: champion}}",
            "error[rfm.unknown_group] 1:15: condition.rfm.group: `classic-11` has no group `champion` — did you mean \
             `champions`?",
        ),
        (
            "{rfm: {group: champions}}",
            "error[rfm.ambiguous] 1:7: condition.rfm: several RFM models could be meant — add model: classic-11 or \
             groups-6",
        ),
        (
            "{did: Order Completed, withn: P30D}",
            "error[doc.unknown_key] 1:24: condition.withn: `withn` is not known here — did you mean `within`?",
        ),
    ] {
        assert_eq!(parse(text).unwrap_err(), [message], "{text}");
    }
}

#[test]
fn takes_product_conditions() {
    let node = model::doc::parse("{field: unit_price, greater_than: {ref: contact.highest_price}}").unwrap();
    let condition = ProductCondition::parse(&node, "conditions").unwrap();
    assert_eq!(condition.refs().len(), 1);
}
