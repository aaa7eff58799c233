//! Nodes that ask: what they are short for, what they need, which way a contact goes, and what is wrong with a file.

use std::{collections::BTreeMap, sync::Arc};

use journey::{
    Beside, Document, Entry, Found, FrozenProducts, Journey, Need, Person, Progress, Run, World, advance,
    check::Content, compile, trace,
};
use model::{
    Amount, Consent, ConsentState, Contact, ContactId, Currency, Event, Line, Order, OrderNo, OrderStatus,
    Problem, Problems, Product, ProductId, Slug, Timestamp, Value, Zone,
};
use recommend::Catalogue;
use template::{CompileContext, Document as Page, Template};

static UTC: Zone = Zone::UTC;
const NOW: Timestamp = Timestamp(1_780_000_000_000_000);

const TEMPLATE: &str = "format: 1
template: hello
name: Hello
languages: [en]
subject: {en: Hello}
blocks:
  - {kind: text, text: {en: \"Hello\"}}
  - {kind: footer, address: \"Shop, Street 1\"}
";

const HEAD: &str = "format: 1
journey: test
audience: {who: all, source: existing_and_new}
triggers: [{event: Cart Updated, key: trigger.cart_id}]
";

fn beside() -> Beside {
    let page = Page::parse(TEMPLATE, "hello.yaml").unwrap();
    let template = Template::compile(&page, &CompileContext::default()).unwrap();
    Beside {
        segments: vec!["vip".into()],
        templates: BTreeMap::from([("hello".to_owned(), Content::Ready(Arc::new(template)))]),
        ..Beside::default()
    }
}

/// A journey of these nodes, one after the other.
fn chain(nodes: &[&str]) -> Result<(Journey, Problems), Problems> {
    let mut text = format!("{HEAD}nodes:\n");
    let mut links = String::from("links:\n");
    let mut before = "start".to_owned();
    for node in nodes {
        let id = node.split(':').next().unwrap_or_default().trim();
        text.push_str(&format!("  {node}\n"));
        links.push_str(&format!("  - {{from: {before}, to: {id}}}\n"));
        before = id.to_owned();
    }
    Document::parse(&(text + &links), "journey.yaml").and_then(|document| compile(&document, &beside()))
}

fn sound(nodes: &[&str]) -> Journey {
    chain(nodes).unwrap_or_else(|problems| panic!("{nodes:?}: {problems:?}")).0
}

/// One node, with a message before it where it speaks of one.
fn asking(node: &str) -> Journey {
    match node.contains("message_of") {
        true => sound(&["mail: {kind: send_email, template: hello, purpose: newsletter}", node]),
        false => sound(&[node]),
    }
}

#[test]
fn kinds_are_short_for_the_one_language() {
    let cases = [
        (
            "{kind: has_purchased, count: {greater_than: 0}, within: PT8H}",
            "{did: Order Completed, count: {greater_than: 0}, within: PT8H}",
        ),
        ("{kind: has_purchased}", "{did: Order Completed}"),
        (
            "{kind: has_purchased, sum: total, at_least: 50}",
            "{did: Order Completed, sum: total, at_least: 50}",
        ),
        (
            "{kind: has_purchased, since: {ref: run.entered_at}, where: {property: cart_id, is: {ref: run.key}}}",
            "{did: Order Completed, since: {ref: run.entered_at}, where: {property: cart_id, is: {ref: run.key}}}",
        ),
        ("{kind: has_done, did: Page Viewed, within: P1D}", "{did: Page Viewed, within: P1D}"),
        ("{kind: has_message, was: opened}", "{did: Email Opened}"),
        (
            "{kind: has_message, was: clicked, channel: sms, template: hello, within: P1D}",
            "{did: SMS Link Clicked, within: P1D, where: [{property: template, is: hello}]}",
        ),
        (
            "{kind: has_message, was: opened, machine: true, within: P1D}",
            "{did: Email Opened, machine: true, within: P1D}",
        ),
        (
            "{kind: has_message, was: received, channel: push, where: {property: campaign, is: x}, purpose: news}",
            "{did: Push Sent, where: [{property: campaign, is: x}, {property: purpose, is: news}]}",
        ),
        (
            "{kind: has_message, was: clicked, message_of: mail, link: shop}",
            "{did: Email Link Clicked, where: [{property: message_id, is: {ref: run.message.mail}},
              {any: [{property: link, is: shop}, {property: url, is: shop}]}]}",
        ),
        (
            "{kind: cart_is, state: abandoned, id: {is: {ref: run.key}}, total: {at_least: 5}, within: P2D}",
            "{cart: {state: abandoned, id: {is: {ref: run.key}}, total: {at_least: 5}}, within: P2D}",
        ),
    ];
    for (node, condition) in cases {
        let short = asking(&format!("ask: {node}"));
        let condition = condition.split_whitespace().collect::<Vec<_>>().join(" ");
        let long = format!("ask: {{kind: check_value, condition: {condition}}}");
        let long = match condition.contains("message.mail") {
            true => sound(&["mail: {kind: send_email, template: hello, purpose: newsletter}", &long]),
            false => sound(&[&long]),
        };
        assert_eq!(short.conditions.len(), 1, "{node}");
        assert_eq!(short.conditions[0].root(), long.conditions[0].root(), "{node}");
    }
    // What the profile says needs nobody's help.
    for node in [
        "{kind: has_field, field: country, is: France}",
        "{kind: in_list, list: vip}",
        "{kind: has_consent, purpose: newsletter}",
        "{kind: check_value, condition: {all: [{list: vip}, {segment: vip}, {field: created_at, before: now}]}}",
    ] {
        assert_eq!(sound(&[&format!("ask: {node}")]).conditions.len(), 0, "{node}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        ("{kind: has_purchased, counted: {is: 1}}", "doc.unknown_key", "nodes.ask.counted", "count"),
        (
            "{kind: has_purchased, where: {property: totl, is: 1}}",
            "order.unknown_property",
            "nodes.ask.where.property",
            "total",
        ),
        (
            "{kind: has_purchased, since: {ref: run.enterd}}",
            "ref.unknown",
            "nodes.ask.since",
            "run.entered_at",
        ),
        ("{kind: has_purchased, within: P1D, since: 2026-01-01}", "condition.mixed", "nodes.ask", ""),
        ("{kind: has_done}", "doc.missing", "nodes.ask.did", ""),
        ("{kind: has_message, was: opend}", "message.unknown", "nodes.ask.was", "opened"),
        ("{kind: has_message, was: opened, channel: sms}", "message.unknown", "nodes.ask.was", "received"),
        ("{kind: has_message, was: opened, channel: fax}", "message.unknown", "nodes.ask.channel", ""),
        ("{kind: has_message, was: opened, message_of: nobody}", "ref.unknown", "", ""),
        ("{kind: cart_is, state: lost}", "cart.unknown_state", "nodes.ask.state", ""),
        ("{kind: cart_is, total: {greater_than: a lot}}", "condition.value", "nodes.ask.total", ""),
        ("{kind: has_field, field: contry, is: France}", "field.unknown", "nodes.ask.field", "country"),
        ("{kind: has_consent, purpose: News Letter}", "slug.invalid", "nodes.ask.purpose", ""),
        (
            "{kind: has_consent, purpose: news, is: subscribd}",
            "journey.unknown_word",
            "nodes.ask.is",
            "subscribed",
        ),
        ("{kind: get_purchase_data, of: refund}", "journey.unknown_word", "nodes.ask.of", "purchase"),
        ("{kind: get_purchase_data, order: dearest}", "products.order", "nodes.ask.order", ""),
        ("{kind: get_purchase_data, count: {is: 2}}", "doc.unknown_key", "nodes.ask.count", ""),
    ];
    for (node, code, field, cure) in cases {
        let problems = chain(&[&format!("ask: {node}")]).err().unwrap_or_else(|| panic!("{node} is taken"));
        let told = |problem: &Problem| format!("{problem:?}");
        let problem = problems.iter().find(|problem| problem.code == code);
        let problem =
            problem.unwrap_or_else(|| panic!("{node}: {:?}", problems.iter().map(told).collect::<Vec<_>>()));
        let place = problem.field.clone().unwrap_or_default();
        assert!(place.starts_with(field), "{node}: {place}");
        assert!(problem.cure.clone().unwrap_or_default().contains(cure), "{node}: {problem:?}");
    }
}

fn catalogue() -> Catalogue {
    let product = |n: u32| Product {
        id: ProductId(n),
        external_id: format!("P{n}"),
        name: format!("Thing {n}"),
        unit_price: Some(Amount::units(i64::from(n))),
        blacklisted: n == 4,
        service: n == 5,
        ..Product::default()
    };
    Catalogue::new((1..=5).map(product).collect(), Vec::new(), NOW)
}

fn person() -> Person {
    let consent = |purpose: &str, state| Consent {
        purpose: Slug::purpose(purpose).unwrap(),
        state,
        at: NOW,
        source: "test".into(),
        proof: "test".into(),
    };
    let contact = Contact {
        id: ContactId(1),
        email: Some("ann@example.test".into()),
        country: Some("France".into()),
        consents: vec![
            consent("newsletter", ConsentState::Subscribed),
            consent("newsletter/offers", ConsentState::Unsubscribed),
        ],
        lists: vec![Slug::parse("vip").unwrap()],
        ..Contact::default()
    };
    Person { contact, ..Person::default() }
}

/// Runs to the end, every condition with this answer; tells the trace and what was needed.
fn go(
    journey: &Journey,
    holds: bool,
    found: Option<&Found>,
    look: impl Fn(&Run, &World<'_>, Need),
) -> String {
    let catalogue = catalogue();
    let frozen = FrozenProducts::new(&catalogue, Currency::EUR);
    let sending = policy::SendingRules::default();
    let world = World {
        journey,
        catalogue: &catalogue,
        frozen: &frozen,
        defaults: &[],
        now: NOW,
        zone: &UTC,
        seed: 7,
        run: 1,
        sending: &sending,
        winners: &[],
        paused: false,
    };
    let entry = Entry { key: "cart-1".into(), ..Entry::first(NOW.plus(-Timestamp::HOUR)) };
    let mut run = Run::new(person(), entry);
    while let Progress::Needs(needs) = advance(&mut run, &world) {
        for need in needs {
            look(&run, &world, need);
            match need {
                Need::Condition(n) => run.answers().set_condition(n, holds),
                Need::Found(n) => run.answers().set_found(n, found.cloned()),
                Need::Member(n) => run.answers().set_member(n, holds),
                other => panic!("{other:?}"),
            }
        }
    }
    let record = trace::Record { at: NOW, steps: run.finish().effects.trace };
    trace::describe(&[record], journey)
}

#[test]
fn contacts_go_by_the_answer() {
    for (node, holds, goes) in [
        ("{kind: has_purchased, within: PT8H}", true, "yes"),
        ("{kind: has_purchased, within: PT8H}", false, "no"),
        ("{kind: cart_is, state: active}", true, "yes"),
        ("{kind: has_field, field: country, is: France}", false, "yes"),
        ("{kind: has_field, field: country, is: Spain}", true, "no"),
        ("{kind: in_list, list: vip}", false, "yes"),
        ("{kind: in_list, list: other}", true, "no"),
        ("{kind: has_consent, purpose: newsletter}", false, "yes"),
        ("{kind: has_consent, purpose: newsletter/promotions}", false, "yes"),
        ("{kind: has_consent, purpose: newsletter/offers}", true, "no"),
        ("{kind: has_consent, purpose: newsletter/offers, is: unsubscribed}", false, "yes"),
        ("{kind: has_consent, purpose: sms}", true, "no"),
        ("{kind: check_value, condition: {segment: vip}}", true, "yes"),
        ("{kind: check_value, condition: {ref: run.key, is: cart-1}}", false, "yes"),
        ("{kind: check_value, condition: {ref: run.entered_at, before: now}}", false, "yes"),
        ("{kind: check_value, condition: {ref: run.entered_at, within_last: PT30M}}", true, "no"),
    ] {
        let text = format!(
            "{HEAD}nodes:\n  ask: {node}\n  yes_end: {{kind: end}}\n  no_end: {{kind: end}}\nlinks:\n  - {{from: start, to: ask}}\n  - {{from: ask, to: yes_end, when: \"yes\"}}\n  - {{from: ask, to: no_end, when: \"no\"}}\n"
        );
        let document = Document::parse(&text, "journey.yaml").unwrap();
        let (journey, _) = compile(&document, &beside()).unwrap_or_else(|problems| panic!("{problems:?}"));
        let told = go(&journey, holds, None, |_, _, _| {});
        assert!(told.contains(&format!("{goes}_end")), "{node}: {told}");
    }
}

#[test]
fn a_message_of_this_run_is_known_by_its_id() {
    let journey = asking("ask: {kind: has_message, was: opened, message_of: mail}");
    let asked = std::cell::Cell::new(0);
    go(&journey, true, None, |run, world, need| {
        let Need::Condition(n) = need else { return };
        let data = run.data(world);
        let (path, _) = &journey.conditions[usize::from(n)].refs()[0];
        let id = segment::Data::value(&data, path).unwrap();
        let Value::Text(id) = id else { panic!("{id:?}") };
        assert!(model::MessageId::parse(&id).is_some(), "{id}");
        asked.set(asked.get() + 1);
    });
    assert_eq!(asked.get(), 1);
}

fn order(lines: &[(u32, i64)]) -> Found {
    let line = |(product, quantity): &(u32, i64)| Line {
        product: ProductId(*product),
        quantity: *quantity,
        unit_price: Amount::units(1),
    };
    Found::Order(Arc::new(Order {
        no: OrderNo(1),
        external_id: "O1".into(),
        contact: Some(ContactId(1)),
        at: NOW,
        total: Amount::units(9),
        refunded: Amount::units(2),
        currency: Currency::EUR,
        status: OrderStatus::Completed,
        cart_id: "cart-1".into(),
        lines: lines.iter().map(line).collect(),
    }))
}

#[test]
fn purchase_data_is_exported() {
    let checks = |settings: &str, checks: &[&str]| {
        let mut nodes = vec![format!("data: {{kind: get_purchase_data{settings}}}")];
        for (number, check) in checks.iter().enumerate() {
            nodes.push(format!("c{number}: {{kind: check_value, condition: {{ref: nodes.data.{check}}}}}"));
        }
        sound(&nodes.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let all_yes = |journey: &Journey, found: &Found| {
        let told = go(journey, false, Some(found), |_, _, _| {});
        assert!(!told.contains("no"), "{told}");
    };
    let bought = order(&[(1, 1), (3, 2), (5, 1), (4, 1), (9, 1), (2, -1), (1, 1)]);
    let journey = checks(
        "",
        &[
            "id, is: O1",
            "cart_id, is: cart-1",
            "total, is: 7",
            "currency, is: EUR",
            "at, before: 2027-01-01",
            "size, is: 3",
            "products.0.external_id, is: P1",
        ],
    );
    all_yes(&journey, &bought);
    let journey = checks(
        ", order: price_descending, exclude_blacklisted: true",
        &["size, is: 2", "products.0.external_id, is: P3"],
    );
    all_yes(&journey, &bought);
    let seen = Found::Event(Arc::new(Event {
        contact: ContactId(1),
        at: NOW,
        received_at: NOW,
        kind: "Product Viewed".into(),
        message_id: None,
        properties: serde_json::from_str("{\"product_id\": \"P2\"}").unwrap(),
    }));
    all_yes(&checks(", of: view", &["size, is: 1", "products.0.external_id, is: P2"]), &seen);
    // A view has no total; nothing found is the way `no`.
    assert!(
        chain(&[
            "data: {kind: get_purchase_data, of: view}",
            "c: {kind: check_value, condition: {ref: nodes.data.total, is: 1}}"
        ])
        .is_err()
    );
    let told = go(&checks("", &["size, has_value: true"]), false, None, |_, _, _| {});
    assert!(told.contains("no"), "{told}");
}

#[test]
fn every_example_of_the_documentation_is_read() {
    let docs = include_str!("../../../docs/journeys.md");
    let section = docs.split("### Conditions").nth(1).and_then(|rest| rest.split("\n### ").next()).unwrap();
    let mut kinds = Vec::new();
    for fragment in section.split("```yaml").skip(1).filter_map(|rest| rest.split("```").next()) {
        let nodes: Vec<&str> = fragment.lines().filter(|line| !line.is_empty()).collect();
        kinds.extend(sound(&nodes).nodes.iter().map(|node| node.kind.word));
    }
    for kind in [
        "check_value",
        "has_field",
        "in_list",
        "has_consent",
        "has_purchased",
        "has_done",
        "has_message",
        "cart_is",
        "get_purchase_data",
    ] {
        assert!(kinds.contains(&kind), "no example of {kind}");
    }
}
