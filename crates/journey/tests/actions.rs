//! Nodes that do something: lists, fields, coupons, events, webhooks, alerts. And: every example of their documentation is
//! read.

use std::{collections::BTreeMap, sync::Arc};

use journey::{
    Beside, Document, Entry, Finished, FrozenProducts, Journey, Need, Person, Progress, Run, World, advance,
    check::Content,
    compile,
    run::{Coupon, CouponNeed},
    trace,
};
use model::{Channel, Contact, ContactId, Currency, Problem, Timestamp, Value, Zone, event::kind};
use recommend::Catalogue;
use serde_json::json;
use template::{CompileContext, Document as Page, Template};

const FIELDS: &str = "fields:
  visits: {type: integer, default: 0, max: 3}
  renewal: {type: date}
  seen: {type: instant}
  note: {type: text}
  interests: {type: checkbox, options: [tea, mugs, cups]}
  level: {type: radio, options: [silver, gold]}
";

const TEMPLATE: &str = "format: 1
template: hello
name: Hello
languages: [en]
subject: {en: Hello}
variables:
  who: {type: text, optional: true}
blocks:
  - {kind: text, text: {en: \"Hello {{ who }}\"}}
  - {kind: footer, address: \"Shop, Street 1\"}
";

static UTC: Zone = Zone::UTC;
const NOW: Timestamp = Timestamp(1_780_000_000_000_000);

fn beside() -> Beside {
    let page = Page::parse(TEMPLATE, "hello.yaml").unwrap_or_else(|problems| panic!("{problems:?}"));
    let template = Template::compile(&page, &CompileContext::default()).unwrap_or_else(|p| panic!("{p:?}"));
    Beside {
        fields: journey::fields::parse(FIELDS, "fields.yaml").unwrap_or_else(|p| panic!("{p:?}")),
        templates: BTreeMap::from([("hello".to_owned(), Content::Ready(Arc::new(template)))]),
        coupons: vec!["reactivation".into(), "summer".into()],
        ..Beside::default()
    }
}

/// A journey that takes its nodes one after the other.
fn chain(nodes: &[&str]) -> String {
    let mut text = "journey: chain\naudience: {who: all}\nnodes:\n".to_owned();
    let mut links = String::new();
    let mut before = "start";
    for node in nodes {
        text += &format!("  {node}\n");
        let id = node.split(':').next().unwrap();
        links += &format!("  - {{from: {before}, to: {id}}}\n");
        before = id;
    }
    text + "links:\n" + &links
}

fn problems(text: &str) -> Vec<Problem> {
    let compiled = Document::parse(text, "journey.yaml").and_then(|document| compile(&document, &beside()));
    compiled.err().unwrap_or_default()
}

fn compiled(text: &str) -> Journey {
    let document = Document::parse(text, "journey.yaml").unwrap_or_else(|p| panic!("{p:?}\n{text}"));
    compile(&document, &beside()).unwrap_or_else(|problems| panic!("{problems:?}\n{text}")).0
}

fn person() -> Person {
    let contact = Contact {
        id: ContactId(1),
        email: Some("ann@example.test".into()),
        lists: vec![model::Slug::parse("dormant").unwrap()],
        ..Contact::default()
    };
    Person { contact, ..Person::default() }
}

/// Runs to the end; sets have the codes given, by their place.
fn go(journey: &Journey, mut run: Run, codes: &[Option<Coupon>]) -> (Finished, Vec<CouponNeed>) {
    let catalogue = Catalogue::new(Vec::new(), Vec::new(), NOW);
    let frozen = FrozenProducts::new(&catalogue, Currency::EUR);
    let defaults = [("visits".to_owned(), Value::Integer(0))];
    let world = World {
        journey,
        catalogue: &catalogue,
        frozen: &frozen,
        defaults: &defaults,
        now: NOW,
        zone: &UTC,
        seed: 7,
        run: 1,
        sending: &policy::NO_RULES,
        winners: &[],
        paused: false,
    };
    let mut asked = Vec::new();
    while let Progress::Needs(needs) = advance(&mut run, &world) {
        for need in needs {
            let Need::Coupon(need) = need else { panic!("{need:?}") };
            asked.push(need);
            run.answers().set_coupon(need, codes[usize::from(need.set)].clone());
        }
    }
    (run.finish(), asked)
}

fn start() -> Run {
    Run::new(person(), Entry::first(NOW))
}

fn told(done: &Finished, journey: &Journey) -> String {
    trace::describe(&[trace::Record { at: NOW, steps: done.effects.trace.clone() }], journey)
}

fn coupon(code: &str, held: bool) -> Option<Coupon> {
    Some(Coupon { code: code.into(), expires_at: Some(NOW.plus_days(30)), held, left: Some(1) })
}

#[test]
fn fields_grow_shrink_and_keep_their_bounds() {
    let text = chain(&[
        "a: {kind: set_field, field: visits, operator: add, value: 3}",
        "b: {kind: set_field, field: visits, operator: add, value: 1}",
        "c: {kind: set_field, field: renewal, value: 2026-01-31}",
        "d: {kind: set_field, field: renewal, operator: add, value: P1M}",
        "e: {kind: set_field, field: interests, operator: append, value: [tea, mugs]}",
        "f: {kind: set_field, field: interests, operator: remove, value: tea}",
        "g: {kind: set_field, field: note, value: \"a; old\"}",
        "h: {kind: set_field, field: note, operator: remove, value: \"; old\"}",
        "i: {kind: set_field, field: note, operator: append, value: {ref: contact.visits}}",
        "j: {kind: set_field, field: seen, operator: subtract, value: PT1H}",
        "k: {kind: set_field, field: level, value: {ref: contact.note}}",
    ]);
    let journey = compiled(&text);
    let (done, _) = go(&journey, start(), &[]);
    let fields = &done.person.contact.fields;
    assert_eq!(fields["visits"], Value::Integer(3));
    assert_eq!(fields["renewal"].to_string(), "2026-02-28");
    assert_eq!(fields["interests"], Value::Options(vec!["mugs".into()]));
    assert_eq!(fields["note"], Value::Text("a3".into()));
    assert!(!fields.contains_key("seen") && !fields.contains_key("level"));
    let told = told(&done, &journey);
    assert!(told.contains("b: always (unchanged: 4 is out of range)"), "{told}");
    assert!(told.contains("k: always (unchanged: `a3` is not an option)"), "{told}");
}

#[test]
fn what_does_not_fit_a_field_is_refused() {
    for (node, code) in [
        ("a: {kind: set_field, field: note, operator: add, value: 1}", "journey.type"),
        ("a: {kind: set_field, field: visits, operator: append, value: 1}", "journey.type"),
        ("a: {kind: set_field, field: renewal, operator: add, value: PT8H}", "journey.type"),
        ("a: {kind: set_field, field: renewal, operator: add, value: 3}", "period.invalid"),
        ("a: {kind: set_field, field: renewal, operator: add, value: {ref: contact.visits}}", "journey.type"),
        ("a: {kind: set_field, field: interests, operator: append, value: jugs}", "field.unknown_option"),
        ("a: {kind: add_to_list, list: VIP}", "slug.invalid"),
        ("a: {kind: assign_coupon, set: reactivatoin}", "journey.unknown_coupon_set"),
        ("a: {kind: assign_coupon, set: summer, otherwise: summer}", "journey.type"),
        ("a: {kind: raise_event, event: Order Completed}", "journey.event_reserved"),
        ("a: {kind: raise_event, event: segment entered}", "journey.event_reserved"),
        ("a: {kind: raise_event, event: X, properties: {a: {ref: contact.emial}}}", "journey.unknown_field"),
        ("a: {kind: webhook, url: \"ftp://example.com\"}", "journey.url"),
        ("a: {kind: webhook, url: \"https://me:secret@example.com\"}", "journey.url"),
        ("a: {kind: webhook, url: \"https:///path\"}", "journey.url"),
        ("a: {kind: webhook, url: \"https://e.com\", secret: \"s e\"}", "slug.invalid"),
        ("a: {kind: alert}", "journey.alert"),
        ("a: {kind: alert, to: [], template: hello}", "journey.alert"),
        ("a: {kind: alert, to: nobody, template: hello}", "email.invalid"),
        ("a: {kind: alert, to: a@example.com, url: \"https://example.com\"}", "journey.alert"),
        ("a: {kind: alert, to: a@example.com, template: hallo}", "journey.unknown_template"),
    ] {
        let found = problems(&chain(&[node]));
        assert!(found.iter().any(|problem| problem.code == code), "{node}: {found:?}");
    }
}

#[test]
fn limits_at_the_edge_and_one_past_it() {
    let has =
        |node: String, code: &str| problems(&chain(&[&node])).iter().any(|problem| problem.code == code);
    let event = |length| format!("a: {{kind: raise_event, event: {}}}", "x".repeat(length));
    assert!(!has(event(model::Event::KIND_LEN_MAX), "event.kind"));
    assert!(has(event(model::Event::KIND_LEN_MAX + 1), "event.kind"));
    let deep = |levels: usize| {
        let value = (1..levels).fold("1".to_owned(), |inner, _| format!("[{inner}]"));
        format!("a: {{kind: raise_event, event: X, properties: {{a: {value}}}}}")
    };
    assert!(!has(deep(model::Event::DEPTH_MAX), "journey.too_deep"));
    assert!(has(deep(model::Event::DEPTH_MAX + 1), "journey.too_deep"));
    let max = journey::nodes::webhook::URL_LEN_MAX;
    let url = |length: usize| {
        format!(
            "a: {{kind: webhook, url: \"https://e.com/{}\"}}",
            "x".repeat(length - "https://e.com/".len())
        )
    };
    assert!(!has(url(max), "journey.url"));
    assert!(has(url(max + 1), "journey.url"));
    let to = |n: usize| {
        let to: Vec<String> = (0..n).map(|n| format!("a{n}@example.com")).collect();
        format!("a: {{kind: alert, template: hello, to: [{}]}}", to.join(", "))
    };
    assert!(!has(to(journey::nodes::alert::TO_MAX), "journey.alert"));
    assert!(has(to(journey::nodes::alert::TO_MAX + 1), "journey.alert"));
    let body =
        |length| format!("a: {{kind: webhook, url: \"https://e.com\", body: {{a: {}}}}}", "x".repeat(length));
    let calls = |length| {
        let journey = compiled(&chain(&[&body(length)]));
        go(&journey, start(), &[]).0.effects.messages.len()
    };
    let around = r#"{"a":""}"#.len();
    assert_eq!(calls(journey::nodes::webhook::BODY_MAX - around), 1);
    assert_eq!(calls(journey::nodes::webhook::BODY_MAX - around + 1), 0);
    let event = |length| {
        let node = format!("a: {{kind: raise_event, event: X, properties: {{a: {}}}}}", "x".repeat(length));
        go(&compiled(&chain(&[&node])), start(), &[]).0.effects.raised.len()
    };
    assert_eq!(event(model::Event::SIZE_MAX - around), 1);
    assert_eq!(event(model::Event::SIZE_MAX - around + 1), 0);
}

#[test]
fn lists_and_events_and_calls_are_effects() {
    let journey = compiled(&chain(&[
        "put: {kind: add_to_list, list: back}",
        "take: {kind: remove_from_list, list: dormant}",
        "again: {kind: add_to_list, list: back}",
        "vip: {kind: raise_event, event: VIP Reached, properties: {mail: {ref: contact.email}, none: {ref: contact.note}, n: 1.5, deep: [{a: {ref: contact.visits}}]}}",
        "crm: {kind: webhook, url: \"https://crm.example.com/h\", secret: crm, body: {who: {ref: contact.email}}}",
        "staff: {kind: alert, to: [a@example.com, b@example.com, a@example.com], template: hello, variables: {who: {ref: contact.email}}}",
        "chat: {kind: alert, url: \"https://chat.example.com\", body: {text: Hi}}",
    ]));
    let (done, _) = go(&journey, start(), &[]);
    let lists: Vec<(&str, bool)> =
        done.effects.lists.iter().map(|change| (change.list.as_str(), change.member)).collect();
    assert_eq!(lists, [("back", true), ("dormant", false)]);
    let raised = &done.effects.raised[0];
    assert_eq!(raised.kind, "VIP Reached");
    assert_eq!(json!(raised.properties), json!({"mail": "ann@example.test", "n": 1.5, "deep": [{"a": 0}]}));
    let messages = &done.effects.messages;
    let to: Vec<&str> = messages.iter().filter_map(|message| message.to.as_deref()).collect();
    assert_eq!(
        to,
        ["https://crm.example.com/h", "a@example.com", "b@example.com", "https://chat.example.com"]
    );
    assert_eq!(messages[0].variables, r#"{"body":{"who":"ann@example.test"},"secret":"crm"}"#);
    assert_eq!(messages[3].variables, r#"{"body":{"text":"Hi"}}"#);
    assert_ne!(messages[1].visit, messages[2].visit, "each address has a message of its own");
    assert!(done.person.sends.is_empty(), "none of it counts as a message to the contact");
    let channel = |id: &str| journey.node(journey.number(id).unwrap()).step.sending().unwrap().channel;
    assert_eq!(
        (channel("crm"), channel("staff"), channel("chat")),
        (Channel::Webhook, Channel::Email, Channel::Webhook)
    );
    assert!(journey.nodes.iter().all(|node| !node.step.sends()), "`while` does not stop them");
}

const COUPONS: &str = r#"
journey: coupons
audience: {who: all}
nodes:
  code: {kind: assign_coupon, set: reactivation, otherwise: summer}
  wait: {kind: wait, for: P1D}
  again: {kind: assign_coupon, set: reactivation, otherwise: summer}
  keep: {kind: set_field, field: note, value: {ref: nodes.again.code}}
  none: {kind: add_to_list, list: none-left}
links:
  - {from: start, to: code}
  - {from: code, to: wait}
  - {from: code, to: none, when: none_left}
  - {from: wait, to: again}
  - {from: again, to: keep}
"#;

#[test]
fn one_code_for_each_run_even_after_a_stay() {
    let journey = compiled(COUPONS);
    let (done, asked) = go(&journey, start(), &[coupon("BACK-1", false), coupon("SUMMER", false)]);
    assert_eq!(asked, [CouponNeed { set: 0, reuse: false }]);
    assert_eq!(done.effects.coupons.len(), 1);
    assert_eq!((done.effects.coupons[0].set, done.effects.coupons[0].code.as_str()), (0, "BACK-1"));
    assert_eq!(done.effects.coupons[0].expires_at, Some(NOW.plus_days(30)));
    assert_eq!(done.effects.raised[0].kind, kind::COUPON_ASSIGNED);
    assert_eq!(done.effects.raised[0].properties["set"], "reactivation");

    let mut later = Run::resume(done.person, &done.kept.unwrap()).unwrap();
    assert!(later.ring(NOW.plus_days(1)));
    let (done, asked) = go(&journey, later, &[None, None]);
    assert_eq!((asked.len(), done.effects.coupons.len(), done.effects.raised.len()), (0, 0, 0));
    assert_eq!(done.person.contact.fields["note"], Value::Text("BACK-1".into()));
}

#[test]
fn the_alternative_set_then_none_left() {
    let journey = compiled(COUPONS);
    let (done, asked) = go(&journey, start(), &[None, coupon("SUMMER", true)]);
    assert_eq!(asked.len(), 2);
    assert!(done.effects.coupons.is_empty() && done.effects.raised.is_empty(), "it holds the code already");
    assert!(done.kept.is_some(), "it has a code, so it goes on");

    let (done, _) = go(&journey, start(), &[None, None]);
    assert!(done.kept.is_none());
    assert_eq!(told(&done, &journey), "start: always → code: none_left → none: always");
}

#[test]
fn whoever_has_no_code_does_not_take_the_plain_link() {
    let journey = compiled(&chain(&[
        "code: {kind: assign_coupon, set: summer, reuse: true}",
        "next: {kind: add_to_list, list: with-code}",
    ]));
    let (done, asked) = go(&journey, start(), &[None]);
    assert_eq!((asked, done.effects.lists.len()), (vec![CouponNeed { set: 0, reuse: true }], 0));
    let (done, _) = go(&journey, start(), &[coupon("SUMMER", false)]);
    assert_eq!(done.effects.lists.len(), 1);
}

#[test]
fn every_example_of_the_documentation_is_read() {
    let docs = include_str!("../../../docs/journeys.md");
    let section = docs.split("### Actions").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let mut kinds = Vec::new();
    for fragment in section.split("```yaml").skip(1).filter_map(|rest| rest.split("```").next()) {
        let nodes: Vec<&str> = fragment.lines().filter(|line| !line.is_empty()).collect();
        let journey = compiled(&chain(&nodes));
        kinds.extend(journey.nodes.iter().map(|node| node.kind.word));
    }
    for kind in
        ["set_field", "add_to_list", "remove_from_list", "assign_coupon", "raise_event", "webhook", "alert"]
    {
        assert!(kinds.contains(&kind), "no example of {kind}");
    }
    let coupons = include_str!("../../../docs/coupons.md");
    for file in coupons.split("```yaml").skip(1).filter_map(|rest| rest.split("```").next()) {
        model::CouponSet::parse(file, None, &UTC).unwrap_or_else(|problems| panic!("{problems:?}\n{file}"));
    }
}
