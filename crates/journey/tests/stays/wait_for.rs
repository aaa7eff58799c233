//! Waiting for what happens.

use std::sync::Arc;

use journey::Entry;
use model::{ConsentState, Event, Timestamp, Value};
use serde_json::{Value as Json, json};

use crate::harness::{Ride, Shop, at, check, compiled, event, journey, shop};

const NOW: &str = "2026-11-20T08:00:00Z";

fn now() -> Timestamp {
    at(NOW)
}

/// A journey that waits for something.
fn waiting(settings: &str) -> String {
    journey(
        &format!("  w: {{kind: wait_for, {settings}}}\n  met: {{kind: goal}}"),
        "  - {from: start, to: w}\n  - {from: w, to: met, when: \"yes\"}",
    )
}

/// A mail, an hour's wait, and waiting for what is done with the mail.
fn mailing(settings: &str) -> String {
    journey(
        &format!(
            "  mail: {{kind: send_email, template: hello, purpose: newsletter}}\n  \
             hour: {{kind: wait, for: PT1H}}\n  w: {{kind: wait_for, {settings}}}\n  met: {{kind: goal}}"
        ),
        "  - {from: start, to: mail}\n  - {from: mail, to: hour}\n  - {from: hour, to: w}\n  \
         - {from: w, to: met, when: \"yes\"}",
    )
}

fn riding<'a>(journey: &'a journey::Journey, shop: &'a Shop) -> Ride<'a> {
    Ride::new(journey, shop, now()).start()
}

#[test]
fn yes_at_once_and_no_at_the_limit() {
    let (journey, shop) = (compiled(&waiting("event: Order Completed, limit: P1D")), shop());
    let mut ride = riding(&journey, &shop);
    assert_eq!(ride.due(), Some(at("2026-11-21T08:00:00Z")));
    ride.until(at("2026-11-20T20:00:00Z"));
    assert!(!ride.happens("Product Viewed", &Json::Null));
    assert!(ride.happens("Order Completed", &Json::Null));
    assert!(ride.is_over());
    assert_eq!(ride.goal_at, Some(at("2026-11-20T20:00:00Z")));
    assert_eq!(
        ride.told(),
        "start: always → w: stays (until 2026-11-21T08:00:00Z) → w: yes (Order Completed) → met: always"
    );

    let mut ride = riding(&journey, &shop);
    ride.until(at("2026-11-21T08:00:00Z"));
    assert!(ride.is_over());
    assert_eq!(ride.told(), "start: always → w: stays (until 2026-11-21T08:00:00Z) → w: no");
}

#[test]
fn time_counts_by_arrival() {
    let (journey, shop) = (compiled(&waiting("event: Order Completed, limit: P1D")), shop());
    let limit = at("2026-11-21T08:00:00Z");
    let arrived = |happened: Timestamp, arrived: Timestamp| {
        let one = event("Order Completed", happened, &Json::Null);
        Arc::new(Event { received_at: arrived, ..Event::clone(&one) })
    };
    for (happened, received, heard) in [
        // The same instant as the limit: the signal goes first.
        (limit, limit, true),
        // The engine was down when the limit passed: what came later is too late, as it would have been.
        (limit.plus(1), limit.plus(1), false),
        (limit.plus(-5), limit.plus(1), false),
        // Late, but of the time since the contact came in.
        (now(), limit, true),
        // Older than the run.
        (now().plus(-1), limit, false),
    ] {
        let mut ride = riding(&journey, &shop);
        ride.now = limit.plus(Timestamp::HOUR);
        assert_eq!(ride.hear(&arrived(happened, received)), heard, "{happened} {received}");
        ride.until(ride.now);
        assert_eq!((ride.is_over(), ride.goal_at.is_some()), (true, heard));
    }
    // Of a run that an event started the event's own time counts: what came between it and its arrival is heard.
    let trigger = event("Product Viewed", now().plus(-10), &Json::Null);
    let entry = Entry { trigger: Some(trigger), ..Entry::first(now()) };
    let mut ride = Ride::new(&journey, &shop, now()).enter(entry);
    assert!(!ride.hear(&arrived(now().plus(-11), now())));
    assert!(ride.hear(&arrived(now().plus(-5), now())));
}

#[test]
fn conditions_on_the_event() {
    let settings = "event: Order Completed, limit: P1D, where: {all: [{property: total, greater_than: 50}, \
                    {any: [{ref: event.cart.kind, is: web}, {field: plan, is: gold}]}]}";
    let (journey, shop) = (compiled(&waiting(settings)), shop());
    let mut ride = riding(&journey, &shop);
    for (properties, heard) in [
        (json!({}), false),
        (json!({"total": 50, "cart": {"kind": "web"}}), false),
        (json!({"total": "much", "cart": {"kind": "web"}}), false),
        (json!({"total": 50.01, "cart": {"kind": "shop"}}), false),
        (json!({"total": 50.01, "cart": {"kind": "Web"}}), true),
    ] {
        assert_eq!(ride.happens("Order Completed", &properties), heard, "{properties}");
    }
    let mut ride = riding(&journey, &shop);
    ride.person.contact.fields.insert("plan".into(), Value::Text("gold".into()));
    assert!(ride.happens("Order Completed", &json!({"total": 51})));
}

#[test]
fn what_needs_no_contact_is_slept_through_without_it() {
    let shop = shop();
    for (filter, total, asleep) in [
        ("{property: total, greater_than: 50}", 50, true),
        ("{property: total, greater_than: 50}", 51, false),
        // Whether these hold is known of a loaded contact only.
        ("{all: [{property: total, greater_than: 50}, {field: plan, is: gold}]}", 50, false),
        ("{property: total, greater_than: {ref: contact.steps}}", 50, false),
        ("{not: {consent: newsletter, is: subscribed}}", 50, false),
        ("{list: club}", 50, false),
    ] {
        let settings = format!("event: Order Completed, limit: P1D, where: {filter}");
        let journey = compiled(&waiting(&settings));
        let mut ride = riding(&journey, &shop);
        let total = json!({"total": total});
        assert_eq!(ride.sleeps_through("Order Completed", &total), asleep, "{filter}");
        assert!(ride.sleeps_through("Product Viewed", &total), "it waits for nothing of the kind");
        // Riding checks that what is slept through is not heard.
        ride.happens("Order Completed", &total);
    }
}

#[test]
fn keys_tell_runs_apart() {
    let shop = shop();
    for (key, properties, heard) in [
        ("", json!({"cart": {"id": "C2"}}), true), // no trigger says where a key is
        ("key: cart.id, ", json!({"cart": {"id": "C1"}}), true),
        ("key: cart.id, ", json!({"cart": {"id": "C2"}}), false),
        ("key: cart.id, ", json!({"cart": {}}), true),
        ("key: number, ", json!({"number": 12}), false),
        ("key: false, ", json!({"cart": {"id": "C2"}}), true),
    ] {
        let journey = compiled(&waiting(&format!("event: Order Completed, {key}limit: P1D")));
        let entry = Entry { key: "C1".into(), ..Entry::first(now()) };
        let mut ride = Ride::new(&journey, &shop, now()).enter(entry);
        assert_eq!(ride.happens("Order Completed", &properties), heard, "{key}{properties}");
        // A run without a key hears all.
        assert!(riding(&journey, &shop).happens("Order Completed", &properties));
    }
}

#[test]
fn keys_of_the_journeys_triggers() {
    let shop = shop();
    let mut journey = compiled(&waiting("event: Order Completed, limit: P1D"));
    journey.triggers.push(journey::entry::Listener {
        on: journey::entry::On::CartAbandoned { after: Timestamp::HOUR },
        condition: None,
        key: None,
        late: Timestamp::DAY,
        machine: false,
        properties: Vec::new(),
        place: model::Place { line: 1, column: 1 },
    });
    for (properties, heard) in [
        (json!({"cart_id": "C2"}), false),
        (json!({"order_id": "O1"}), true),
        (json!({"cart_id": "C1"}), true),
    ] {
        let entry = Entry { key: "C1".into(), ..Entry::first(now()) };
        let mut ride = Ride::new(&journey, &shop, now()).enter(entry);
        assert_eq!(ride.happens("Order Completed", &properties), heard, "{properties}");
    }
}

#[test]
fn interactions_with_a_message() {
    let shop = shop();
    for (is, kind, properties, heard) in [
        ("is: opened", "Email Opened", json!({}), true),
        ("is: opened", "Email Opened", json!({"machine": true}), false),
        ("is: opened, machine: true", "Email Opened", json!({"machine": true}), true),
        ("is: opened", "Email Link Clicked", json!({"link": "shop"}), true),
        ("is: clicked", "Email Opened", json!({}), false),
        ("is: clicked", "Email Link Clicked", json!({"link": "shop"}), true),
        ("is: clicked, link: shop", "Email Link Clicked", json!({"link": "shop"}), true),
        ("is: clicked, link: shop", "Email Link Clicked", json!({"link": "foot", "url": "shop"}), true),
        ("is: clicked, link: shop", "Email Link Clicked", json!({"link": "foot"}), false),
        ("is: sent", "Email Sent", json!({}), true),
        ("is: bounced", "Email Bounced", json!({}), true),
        ("is: unsubscribed", "Unsubscribed", json!({}), true),
    ] {
        let journey = compiled(&mailing(&format!("message: mail, {is}, limit: P1D")));
        let mut own = properties.clone();
        // While staying.
        let mut ride = riding(&journey, &shop);
        own["message_id"] = json!(ride.message_id(0));
        let mut foreign = properties.clone();
        foreign["message_id"] = json!("00000000000000000000000000000000");
        ride.until(now().plus(2 * Timestamp::HOUR));
        assert!(!ride.happens(kind, &foreign) && !ride.happens(kind, &properties), "another message");
        assert_eq!(ride.happens(kind, &own), heard, "{is}: {kind} {properties}");
        assert_eq!(ride.goal_at.is_some(), heard);
        // Before the contact comes to the node: noted, and answered when it comes.
        let mut ride = riding(&journey, &shop);
        assert_eq!(ride.happens(kind, &own), heard);
        assert!(!ride.happens(kind, &own), "noted once");
        ride.until(now().plus(Timestamp::HOUR));
        assert_eq!(ride.goal_at.is_some(), heard, "{is}: {kind} {properties}");
        if heard {
            let told = ride.told();
            assert!(told.ends_with("w: yes (already) → met: always"), "{told}");
        }
    }
}

#[test]
fn a_message_that_was_not_sent_is_not_waited_for() {
    let (journey, shop) = (compiled(&mailing("message: mail, is: opened, limit: P1D")), shop());
    let mut ride = Ride::new(&journey, &shop, now());
    ride.person.contact.consents[0].state = ConsentState::Unsubscribed;
    let mut ride = ride.start();
    ride.until(now().plus(Timestamp::HOUR));
    let told = ride.told();
    assert!(told.ends_with("hour: always → w: no (mail not sent)"), "{told}");
    // With an alternative it waits for that.
    let text =
        mailing("any_of: {read: {message: mail, is: opened}, bought: {event: Order Completed}}, limit: P1D")
            .replace("when: \"yes\"", "when: bought");
    let journey = compiled(&text);
    let mut ride = Ride::new(&journey, &shop, now());
    ride.person.contact.consents[0].state = ConsentState::Unsubscribed;
    let mut ride = ride.start();
    ride.until(now().plus(Timestamp::HOUR));
    assert!(ride.happens("Order Completed", &Json::Null));
    assert!(ride.told().ends_with("w: bought (Order Completed) → met: always"));
}

#[test]
fn a_loop_asks_of_the_last_message() {
    let text = journey(
        "  mail: {kind: send_email, template: hello, purpose: newsletter}\n  \
         w: {kind: wait_for, message: mail, is: opened, limit: P1D}",
        "  - {from: start, to: mail}\n  - {from: mail, to: w}\n  - {from: w, to: mail, when: \"no\"}",
    );
    let (journey, shop) = (compiled(&text), shop());
    let mut ride = riding(&journey, &shop);
    ride.until(now().plus(Timestamp::DAY));
    assert_eq!(ride.effects.messages.len(), 2);
    let (first, second) = (ride.message_id(0), ride.message_id(1));
    assert_ne!(first, second);
    assert!(!ride.happens("Email Opened", &json!({"message_id": first})), "of the message before");
    assert!(ride.happens("Email Opened", &json!({"message_id": second})));
    assert!(ride.is_over());
    // Refused again and again: once a day, not without end.
    let mut ride = Ride::new(&journey, &shop, now());
    ride.person.contact.email = None;
    let mut ride = ride.start();
    ride.until(now().plus(3 * Timestamp::DAY));
    assert!(!ride.is_over());
    assert_eq!(ride.told().matches("mail: not_sent").count(), 5);
}

#[test]
fn segments() {
    let (journey, shop) = (compiled(&waiting("segment: vip, limit: P30D")), shop());
    let mut ride = riding(&journey, &shop);
    assert!(!ride.happens("Segment Entered", &json!({"segment": "cold"})));
    assert!(ride.happens("Segment Entered", &json!({"segment": "vip"})));
    assert!(ride.goal_at.is_some());
    let mut ride = Ride::new(&journey, &shop, now());
    ride.members = vec![0];
    let mut ride = ride.start();
    assert_eq!(ride.told(), "start: always → w: yes (already) → met: always");
}

#[test]
fn the_journey_listens_for_what_its_nodes_wait_for() {
    let text = mailing("any_of: {read: {message: mail, is: clicked}, bought: {event: Bought}, in: {segment: vip}}, limit: P1D")
        .replace("when: \"yes\"", "when: in");
    let kinds: Vec<String> = compiled(&text).listens().into_iter().collect();
    assert_eq!(
        kinds,
        ["Bought", "Email Link Clicked", "Push Clicked", "SMS Link Clicked", "Segment Entered"]
    );
}

#[test]
fn planted_errors() {
    let eleven: Vec<String> = (0..11).map(|i| format!("a{i}: {{event: E}}")).collect();
    let too_many = format!("any_of: {{{}}}, limit: P1D", eleven.join(", "));
    let ten = format!("any_of: {{{}}}, limit: P1D", eleven[..10].join(", "));
    for (settings, code) in [
        ("event: E, limit: P400D", "ok"),
        ("event: E, limit: P401D", "journey.wait_too_long"),
        ("event: E", "doc.missing"),
        ("limit: P1D", "journey.wait_for"),
        ("event: E, segment: vip, limit: P1D", "journey.wait_for"),
        ("segment: vpi, limit: P1D", "journey.unknown_segment"),
        ("message: mail, limit: P1D", "doc.missing"),
        ("message: mail, is: red, limit: P1D", "journey.unknown_word"),
        ("message: mial, is: opened, limit: P1D", "journey.unknown_node"),
        ("message: hour, is: opened, limit: P1D", "journey.no_sender"),
        ("event: E, key: .a, limit: P1D", "journey.wait_for"),
        ("event: E, where: {segment: vip}, limit: P1D", "journey.type"),
        ("event: E, where: {did: F}, limit: P1D", "journey.type"),
        ("event: E, where: {ref: nodes.gone.x, is: 1}, limit: P1D", "ref.unknown"),
        ("event: E, wher: {property: x, is: 1}, limit: P1D", "doc.unknown_key"),
        ("any_of: {no: {event: E}}, limit: P1D", "journey.branch"),
        ("any_of: {A b: {event: E}}, limit: P1D", "slug.invalid"),
        ("any_of: {}, limit: P1D", "journey.wait_for"),
        (ten.as_str(), "ok"),
        (too_many.as_str(), "journey.wait_for"),
    ] {
        let text = mailing(settings).replace(", when: \"yes\"", "");
        let found = match check(&text) {
            Ok(_) => "ok".to_owned(),
            Err(problems) => problems[0].code.to_string(),
        };
        assert_eq!(found, code, "{settings}");
    }
    // Kinds that nobody ever saw are warned of when it is known what was seen.
    let mut beside = crate::harness::beside();
    beside.event_kinds = vec!["Bought".into()];
    let document = journey::Document::parse(&waiting("event: Boughd, limit: P1D"), "j.yaml").unwrap();
    let (_, warnings) = journey::compile(&document, &beside).unwrap();
    let found = warnings.iter().find(|warning| warning.code == "journey.unknown_event").unwrap();
    assert_eq!(found.cure.as_deref(), Some("did you mean `Bought`?"));
    // A loop through a node that lets members go on at once has no end.
    let text = waiting("segment: vip, limit: P1D")
        .replace("from: w, to: met", "from: met, to: w}\n  - {from: w, to: met");
    assert_eq!(check(&text).unwrap_err()[0].code, "journey.loop");
}

#[test]
fn what_was_done_with_a_message_goes_along_into_another_version() {
    let text = mailing("message: mail, is: opened, limit: P1D");
    let (journey, shop) = (compiled(&text), shop());
    let newer = compiled(
        &text
            .replace("  mail:", "  first: {kind: goal}\n  mail:")
            .replace("{from: start, to: mail}", "{from: start, to: first}\n  - {from: first, to: mail}"),
    );
    let mut ride = riding(&journey, &shop);
    let id = ride.message_id(0);
    assert!(ride.happens("Email Opened", &json!({"message_id": id})));
    ride.move_to(&newer);
    ride.until(now().plus(Timestamp::HOUR));
    assert_eq!(ride.told(), "hour: always → w: yes (already) → met: always");
}
