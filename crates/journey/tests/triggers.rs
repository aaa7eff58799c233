//! Triggers, exits, goal and `while`: how files write them, what the checker says of them, and which events they mean.

use std::collections::BTreeMap;

use journey::{
    Beside, Document, Hearing, Journey, Person, Profile, compile,
    entry::{Every, Interest, On, Reentry},
    signal,
};
use model::{
    Amount, ContactId, Event, Period, Problem, Problems, Product, ProductId, Timestamp, Value, Zone,
};
use recommend::Catalogue;
use serde_json::json;

const SOUND: &str = "journey: j
audience: {who: all}
triggers: [{event: Order Completed, key: trigger.cart_id}]
exit: [{segment_entered: lost}]
goal: {event: Coupon Redeemed, share: 12.5}
while: {field: country, is: France}
nodes:
  note: {kind: set_field, field: note, value: {ref: trigger.order_id}}
links: [{from: start, to: note}]
";

fn beside() -> Beside {
    let fields = journey::fields::parse(
        "fields: {note: {type: text}, sum: {type: decimal}, birthday: {type: date}, n: {type: integer}}",
        "fields.yaml",
    );
    Beside {
        fields: fields.unwrap(),
        segments: vec!["vip".into(), "lost".into()],
        templates: BTreeMap::new(),
        event_kinds: vec!["Loyalty Points Earned".into()],
        ..Beside::default()
    }
}

fn check(text: &str) -> Result<(Journey, Problems), Problems> {
    Document::parse(text, "j.yaml").and_then(|document| compile(&document, &beside()))
}

fn with(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from}");
    SOUND.replace(from, to)
}

const TRIGGER: &str = "{event: Order Completed, key: trigger.cart_id}";

/// A journey with this trigger, whose node reads nothing of it.
fn with_trigger(trigger: &str) -> String {
    with(TRIGGER, trigger).replace("{ref: trigger.order_id}", "x")
}

fn on(trigger: &str) -> On {
    let (journey, _) = check(&with_trigger(trigger)).unwrap_or_else(|p| panic!("{trigger}: {p:#?}"));
    journey.triggers[0].on.clone()
}

fn codes(text: &str) -> Vec<String> {
    let problems = match check(text) {
        Ok((_, warnings)) => warnings,
        Err(problems) => problems,
    };
    problems.iter().map(|problem: &Problem| problem.code.to_string()).collect()
}

#[test]
fn a_sound_journey_has_no_problems() {
    let (journey, warnings) = check(SOUND).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(warnings, []);
    assert_eq!(journey.reentry, Reentry::AfterExit);
    let goal = journey.goal.as_ref().unwrap();
    assert_eq!((goal.share, goal.count, goal.within), (Some(1_250), None, Period::days(3)));
    let kinds: Vec<String> = journey.listens().into_iter().collect();
    assert_eq!(kinds, ["Coupon Redeemed", "Order Completed", "Segment Entered"]);
    assert!(!journey.keep.as_ref().unwrap().leave);
    assert_eq!(journey.starters("Order Completed").count(), 1);
}

#[test]
fn kinds_of_triggers_in_full_and_short() {
    assert_eq!(on("{on: event, event: A}"), On::Event("A".into()));
    assert_eq!(on("{event: A}"), on("{on: event, event: A}"));
    assert_eq!(on("A"), on("{event: A}"));
    assert_eq!(on("{segment_exited: vip}"), on("{on: segment_exited, segment: vip}"));
    let rfm = On::RfmChanged {
        model: "classic-11".into(),
        from: vec![],
        to: vec!["lost".into(), "hibernating".into()],
    };
    assert_eq!(on("{on: rfm_changed, model: classic-11, to: [lost, hibernating]}"), rfm);
    assert_eq!(on("{on: rfm_changed, to: [lost, hibernating]}"), rfm, "only one model has these groups");
    assert_eq!(on("cart_abandoned"), On::CartAbandoned { after: 30 * Timestamp::MINUTE });
    assert_eq!(on("{cart_abandoned: PT1H}"), on("{on: cart_abandoned, after: PT1H}"));
    let On::Date(date) = on("{date: birthday, days: -3, at: \"8:30\", every: year}") else { panic!() };
    assert_eq!((date.offset_days, date.minute, date.contact_zone, date.yearly), (-3, 510, true, true));
    let On::Schedule(schedule) =
        on("{on: schedule, every: month, day: 31, at: \"10:00\", zone: Europe/Paris}")
    else {
        panic!()
    };
    assert_eq!((schedule.every, schedule.month_day, schedule.minute), (Every::Month, Some(31), 600));
    let On::Schedule(schedule) = on("{schedule: week, interval: 2, days: [tuesday, monday], at: \"10:00\"}")
    else {
        panic!()
    };
    assert_eq!((schedule.interval, schedule.weekdays), (2, vec![1, 2]));
    let On::PriceDrop(drop) = on("{on: price_drop, percent: 10, interest: [viewed], within: P7D}") else {
        panic!()
    };
    assert_eq!((drop.percent, drop.interest), (Some(Amount::units(10)), vec![Interest::Viewed]));
    let On::BackInStock(back) = on("back_in_stock") else { panic!() };
    assert_eq!((back.interest, back.within), (vec![Interest::Subscribed], Period::days(30)));
    let On::LowStock(low) = on("{on: low_stock, at_most: 5}") else { panic!() };
    assert_eq!(on("{low_stock: 5}"), On::LowStock(low.clone()));
    assert_eq!(low.at_most, Some(5));
    let On::LowStock(low) = on("{on: low_stock}") else { panic!() };
    assert_eq!(low.at_most, None, "the workspace's minimum stock");
    assert_eq!((on("api"), on("{on: manual}")), (On::Api, On::Api));
}

#[test]
fn reentry_and_windows() {
    let reentry =
        |text: &str| check(&format!("{SOUND}reentry: {text}\n")).map(|(journey, _)| journey.reentry);
    assert_eq!(reentry("{after: P30D}").unwrap(), Reentry::After(Period::days(30)));
    assert_eq!(reentry("per_key").unwrap(), Reentry::PerKey);
    assert_eq!(reentry("never").unwrap(), Reentry::Never);
    let zoned = Beside { zone: Some(Zone::parse("Europe/Paris").unwrap()), ..beside() };
    let text = format!("{SOUND}starts_at: 2026-12-01 09:00\nends_at: 2026-12-24T00:00:00Z\n");
    let (journey, _) = Document::parse(&text, "j").and_then(|document| compile(&document, &zoned)).unwrap();
    let utc = |text: &str| Timestamp::parse(text, &Zone::UTC).ok();
    assert_eq!((journey.starts_at, journey.ends_at), (utc("2026-12-01 08:00"), utc("2026-12-24")));
}

#[test]
fn what_is_wrong_is_named() {
    let errors: &[(String, &str)] = &[
        (with_trigger("{evnt: A}"), "journey.listener"),
        (with_trigger("{on: evnt}"), "journey.unknown_word"),
        (with_trigger("{event: A, wher: x}"), "doc.unknown_key"),
        (with_trigger("{segment_entered: vpi}"), "journey.unknown_segment"),
        (with_trigger("{on: rfm_changed, to: champions}"), "journey.rfm_model"),
        (with_trigger("{rfm_changed: classic-11, to: champion}"), "journey.unknown_rfm_group"),
        (with_trigger("{rfm_changed: classic-12, to: lost}"), "journey.unknown_rfm_model"),
        (with_trigger("{date: birthdy, every: year}"), "journey.unknown_field"),
        (with_trigger("{date: note, every: year}"), "journey.type"),
        (with_trigger("{date: birthday}"), "doc.missing"),
        (with_trigger("{date: birthday, every: year, days: 365}"), "journey.setting"),
        (with_trigger("{date: birthday, every: year, at: \"24:00\"}"), "journey.setting"),
        (with_trigger("{schedule: week, at: \"10:00\"}"), "journey.setting"),
        (with_trigger("{schedule: month, day: 32, at: \"10:00\"}"), "journey.setting"),
        (with_trigger("{schedule: day, at: \"10:00\", interval: 0}"), "journey.setting"),
        (with_trigger("{schedule: day, at: \"10:00\", zone: Mars/Base}"), "zone.unknown"),
        (with_trigger("{on: price_drop, percent: 101}"), "journey.setting"),
        (with_trigger("{on: price_drop, percent: 10, amount: 5}"), "journey.setting"),
        (with_trigger("{on: low_stock, at_most: -1}"), "journey.setting"),
        (with_trigger("{cart_abandoned: P91D}"), "journey.setting"),
        (with_trigger("{event: A, late: PT0S}"), "period.zero"),
        (with_trigger("{segment_entered: vip, key: trigger.segmnt}"), "journey.no_such_data"),
        (
            with_trigger("{event: A, where: {ref: trigger.total, greater_than: 5, exactl: true}}"),
            "doc.unknown_key",
        ),
        (with("{segment_entered: lost}", "{on: schedule, every: day}"), "journey.unknown_word"),
        (with("share: 12.5", "share: 101"), "journey.goal_target"),
        (with("share: 12.5", "share: 50, count: 5"), "journey.goal_target"),
        (format!("{SOUND}starts_at: 2026-12-02\nends_at: 2026-12-02\n"), "journey.window"),
        (with(", key: trigger.cart_id", "") + "reentry: per_key\n", "journey.no_key"),
        (with(TRIGGER, &format!("{TRIGGER}, api")) + "reentry: per_key\n", "journey.no_key"),
        (with("{who: all}", "{segment: vip, exclude: vip}"), "journey.nobody_enters"),
        (with_trigger("{segment_exited: vip}").replace("who: all", "segment: vip"), "journey.nobody_enters"),
        (
            with("{ref: trigger.order_id}", "{ref: run.key}").replace(", key: trigger.cart_id", ""),
            "journey.no_such_data",
        ),
        (with("{ref: trigger.order_id}", "{ref: run.ky}"), "journey.no_such_data"),
        (
            with("field: note, value", "field: n, value").replace("trigger.order_id", "trigger.points"),
            "journey.type",
        ),
        (
            with(TRIGGER, &format!("{TRIGGER}, {{segment_entered: vip, key: trigger.segment}}")),
            "journey.data_not_in_every_trigger",
        ),
        (with("kind: set_field", "kind: set_field, limits: {per_contact: 0}"), "journey.limit"),
        (with("exit:", "exits: []\nexit:"), "journey.said_twice"),
    ];
    for (text, code) in errors {
        let problems = check(text).map(|_| ()).expect_err(text);
        let found: Vec<&str> = problems.iter().map(|problem| problem.code.as_ref()).collect();
        assert!(found.contains(code), "{code} not in {problems:#?}\n{text}");
        assert!(
            problems.iter().any(|p| p.code == *code && p.place.is_some() && p.field.is_some()),
            "{problems:#?}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_warned_of() {
    let warnings: &[(String, &str)] = &[
        (with_trigger("{event: Loyalty Points Earnd}"), "journey.unknown_event"),
        (with_trigger("{event: order completed}"), "journey.unknown_event"),
        (with("{who: all}", "{who: all, source: existing}"), "journey.newcomers_left_out"),
        (with(", share: 12.5", ""), "journey.goal_without_target"),
        (with("{segment_entered: lost}", "Order Completed"), "journey.exit_is_trigger"),
        (with(TRIGGER, &format!("{TRIGGER}, {TRIGGER}")), "journey.said_twice"),
        (with_trigger("{date: birthday, every: year}") + "reentry: never\n", "journey.only_once"),
        (
            with("{segment_entered: lost}", "{event: A, key: x}").replace(", key: trigger.cart_id", ""),
            "journey.no_key",
        ),
        (with("trigger.order_id", "trigger.ordr_id"), "journey.undeclared_data"),
        (
            with("{field: country, is: France}", "{did_not: Page Viewed, within: P3Y}"),
            "journey.window_too_long",
        ),
    ];
    for (text, code) in warnings {
        assert!(check(text).is_ok(), "{:#?}\n{text}", check(text).map(|_| ()));
        assert!(codes(text).iter().any(|found| found == code), "{code} not in {:?}\n{text}", codes(text));
    }
    // And none where all is well.
    for text in [
        with_trigger("{event: Loyalty Points Earned}"),
        with("{field: country, is: France}", "{did_not: Page Viewed, within: P2Y}"),
        with("{field: country, is: France}", "{did_not: Order Completed, within: P3Y}"),
        with(
            "{segment_entered: lost}",
            "{event: Order Completed, where: {ref: trigger.total, greater_than: 5}}",
        ),
        with_trigger("{date: birthday, every: once}") + "reentry: never\n",
        with("field: note, value", "field: sum, value")
            .replace("trigger.order_id", "trigger.points")
            .replace("cart_id}", "cart_id, properties: {points: decimal}}"),
    ] {
        assert_eq!(codes(&text), Vec::<String>::new(), "{text}");
    }
}

fn catalogue() -> Catalogue {
    let product = |id: u32, external: &str, name: &str| Product {
        id: ProductId(id),
        external_id: external.into(),
        name: name.into(),
        unit_price: Some(Amount::units(7)),
        ..Product::default()
    };
    Catalogue::new(vec![product(0, "MUG", "Mug"), product(1, "12", "Spoon")], Vec::new(), Timestamp(0))
}

fn event(kind: &str, properties: &serde_json::Value) -> Event {
    Event {
        contact: ContactId(1),
        at: Timestamp(5),
        received_at: Timestamp(5),
        kind: kind.into(),
        message_id: None,
        properties: properties.as_object().unwrap().clone(),
    }
}

fn hears(trigger: &str, event: &Event) -> bool {
    let (journey, _) = check(&with_trigger(trigger)).unwrap_or_else(|p| panic!("{trigger}: {p:#?}"));
    let mut person = Person::default();
    person.contact.fields.insert("sum".into(), Value::Decimal(Amount::units(50)));
    let facts = Profile { person: &person, defaults: &[], in_segment: &|slug| slug == "vip" };
    let catalogue = catalogue();
    let now = Timestamp(10);
    let hearing = Hearing { facts: &facts, catalogue: &catalogue, entry: None, now, zone: &Zone::UTC };
    journey.triggers[0].hears(event, &hearing)
}

#[test]
fn what_machines_did_is_heard_only_where_that_is_asked_for() {
    for (trigger, properties, heard) in [
        ("{event: Email Opened}", json!({}), true),
        ("{event: Email Opened}", json!({"machine": false}), true),
        ("{event: Email Opened}", json!({"machine": true, "why": "proxy"}), false),
        ("{event: Email Opened, machine: true}", json!({"machine": true}), true),
        ("{event: Email Opened, machine: true}", json!({}), true),
    ] {
        assert_eq!(hears(trigger, &event("Email Opened", &properties)), heard, "{trigger} {properties}");
    }
    // A shop's own events may call anything a machine.
    let ordered = event("Machine Ordered", &json!({"machine": true}));
    assert!(hears("{event: Machine Ordered}", &ordered));
}

#[test]
fn conditions_on_events() {
    let order = |total: serde_json::Value| {
        event(
            "Order Completed",
            &json!({"total": total, "shop": {"city": "Lyon"}, "lines": [{"n": 3}], "when": "2026-01-02T00:00:00Z"}),
        )
    };
    let asked = |condition: &str, event: &Event| {
        hears(&format!("{{event: Order Completed, where: {condition}}}"), event)
    };
    // The edge of seed 003: 50 and 50.01, as a number and as a text.
    for (total, above) in
        [(json!(50), false), (json!(50.01), true), (json!("50.01"), true), (json!("x"), false)]
    {
        assert_eq!(asked("{ref: trigger.total, greater_than: 50}", &order(total.clone())), above, "{total}");
    }
    let order = order(json!(60));
    for (condition, holds) in [
        ("{ref: trigger.shop.city, is: lyon}", true),
        ("{ref: trigger.shop.city, is: Paris}", false),
        ("{ref: trigger.shop.street, has_value: false}", true),
        ("{ref: trigger.lines.0.n, at_least: 3}", true),
        ("{ref: trigger.when, before: 2026-01-03}", true),
        ("{ref: trigger.total, greater_than: {ref: contact.sum}}", true),
        ("[{segment: vip}, {ref: trigger.total, between: [10, 100]}]", true),
        ("[{segment: lost}, {ref: trigger.total, between: [10, 100]}]", false),
        ("{ref: event.total, is: 60}", true),
    ] {
        assert_eq!(asked(condition, &order), holds, "{condition}");
    }
    assert!(!asked("{ref: trigger.total, is: 60}", &event("Order Refunded", &json!({"total": 60}))));
    let moved =
        |to: &str| event("RFM Group Changed", &json!({"model": "classic-11", "from": "champions", "to": to}));
    assert!(hears("{on: rfm_changed, from: champions, to: [lost]}", &moved("lost")));
    assert!(!hears("{rfm_changed: classic-11, to: [lost]}", &moved("at_risk")));
}

#[test]
fn keys_and_lateness() {
    let (journey, _) = check(SOUND).unwrap();
    let trigger = &journey.triggers[0];
    let key = |properties| trigger.key_of(&event("Order Completed", &properties));
    assert_eq!(key(json!({"cart_id": "C1"})).as_deref(), Some("C1"));
    assert_eq!(key(json!({"cart_id": 17})).as_deref(), Some("17"));
    assert_eq!((key(json!({"cart_id": ""})), key(json!({}))), (None, None));
    assert!(trigger.speaks_to(&event("Order Completed", &json!({"cart_id": "C1"})), "C1"));
    assert!(!trigger.speaks_to(&event("Order Completed", &json!({"cart_id": "C1"})), "C2"));
    assert!(trigger.speaks_to(&event("Order Completed", &json!({})), "C2"), "without a key it speaks to all");
    let after = |lateness: i64| Event {
        received_at: Timestamp(5 + lateness),
        ..event("Order Completed", &json!({}))
    };
    assert!(
        !trigger.is_late(&after(6 * Timestamp::HOUR - 1)) && trigger.is_late(&after(6 * Timestamp::HOUR))
    );
}

#[test]
fn data_of_events() {
    let catalogue = catalogue();
    let order = event(
        "Order Completed",
        &json!({"cart_id": 9, "total": "20.5", "currency": "GBP", "a.b": 1, "items": ["12", "MUG"],
            "products": [{"product_id": "MUG", "quantity": 2, "price": 10.25}, {"product_id": 12}, {"product_id": "gone"}]}),
    );
    let types = [("items".to_owned(), journey::DataType::ProductList)];
    let text = |path: &str| {
        let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
        match signal::declared(&order, &parts, &catalogue, &types)? {
            journey::Datum::Value(value) => Some(value.to_string()),
            other => Some(format!("{:?}", other.products())),
        }
    };
    for (path, found) in [
        ("cart_id", Some("9")),
        ("total", Some("20.5")),
        ("products", Some("[ProductId(0), ProductId(1)]")),
        ("products.size", Some("2")),
        ("products.0.name", Some("Mug")),
        ("products.1.name", Some("Spoon")),
        ("products.0.quantity", Some("2")),
        ("products.9.name", None),
        ("cart.total", Some("20.5")),
        ("cart.currency", Some("GBP")),
        ("cart.products.0.unit_price", Some("7")),
        ("items", Some("[ProductId(1), ProductId(0)]")),
        ("items.0.name", Some("Spoon")),
        ("a.b", Some("1")),
        ("nothing", None),
        ("at", Some("1970-01-01T00:00:00.000005Z")),
    ] {
        assert_eq!(text(path).as_deref(), found, "{path}");
    }
    let viewed = event("Product Viewed", &json!({"product_id": "MUG"}));
    let name = signal::datum(&viewed, &["product".into(), "name".into()], &catalogue);
    assert_eq!(name, Some(journey::Datum::Value(Value::Text("Mug".into()))));
}

/// What only the graph shows: codes and waits on one path.
#[test]
fn coupons_and_waits_on_a_path() {
    let beside = Beside { coupons: vec!["welcome".into(), "other".into()], ..beside() };
    let codes = |text: &str| -> Vec<String> {
        let read = Document::parse(text, "j.yaml").and_then(|document| compile(&document, &beside));
        let problems = read.map_or_else(|problems| problems, |(_, warnings)| warnings);
        problems.iter().map(|problem| problem.code.to_string()).collect()
    };
    let two = |second: &str| {
        format!(
            "journey: j\naudience: {{who: all}}\nnodes:\n  a: {{kind: assign_coupon, set: welcome}}\n  b: {{kind: assign_coupon, set: {second}}}\nlinks: [{{from: start, to: a}}, {{from: a, to: b}}]\n"
        )
    };
    let twice = "journey.coupon_twice".to_owned();
    assert!(codes(&two("welcome")).contains(&twice), "{:?}", codes(&two("welcome")));
    assert!(!codes(&two("other")).contains(&twice));
    let waits = |exit: &str| {
        format!(
            "journey: j\naudience: {{who: all}}\nexit: [{exit}]\nnodes:\n  w: {{kind: wait_for, event: Order Completed, limit: P1D}}\n  n: {{kind: set_field, field: note, value: x}}\nlinks: [{{from: start, to: w}}, {{from: w, to: n}}]\n"
        )
    };
    let unheard = "journey.never_heard".to_owned();
    assert!(codes(&waits("Order Completed")).contains(&unheard), "{:?}", codes(&waits("Order Completed")));
    assert!(
        !codes(&waits("{event: Order Completed, where: {ref: trigger.total, at_least: 5}}"))
            .contains(&unheard)
    );
    // A wait for a message that one path does not send. (The template is missing too; the graph is looked at after that.)
    let message = "journey: j\naudience: {who: all}\nnodes:\n  w: {kind: wait_for, message: n, is: opened, limit: P1D}\n  n: {kind: set_field, field: note, value: x}\nlinks: [{from: start, to: n}, {from: n, to: w}]\n";
    assert!(codes(message).contains(&"journey.no_sender".to_owned()), "{:?}", codes(message));
}
