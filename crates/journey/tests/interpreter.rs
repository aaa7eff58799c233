//! The interpreter, driven by hand: answers by need, data of earlier nodes, fields written and read in one pass, branches
//! that fan out, refused messages; and counts that add up for random graphs and populations.

use std::{collections::BTreeMap, sync::Arc};

use journey::{
    Beside, CartChoice, Counts, Document, Entry, Finished, FrozenProducts, Journey, Need, Person, Progress,
    Run, World, advance, check::Content, compile, trace,
};
use model::{
    Amount, Cart, CartNo, Consent, ConsentState, Contact, ContactId, Currency, Dice, Line, Product,
    ProductId, Slug, Timestamp, Value, Zone,
};
use proptest::prelude::*;
use recommend::{Catalogue, ContactFacts};
use template::{CompileContext, Document as Page, Template};

const TEMPLATE: &str = "format: 1
template: hello
name: Hello
languages: [en]
subject: {en: Hello}
variables:
  products: {type: products}
  price: {type: money, optional: true}
  who: {type: text, optional: true}
blocks:
  - {kind: text, text: {en: \"Hello {{ who }}\"}}
  - {kind: products, products: products}
  - {kind: footer, address: \"Shop, Street 1\"}
";

fn beside() -> Beside {
    let fields = "fields: {highest: {type: decimal, min: 0, default: 0}, steps: {type: integer, default: 0}}";
    let page = Page::parse(TEMPLATE, "hello.yaml").unwrap_or_else(|problems| panic!("{problems:?}"));
    let template = Template::compile(&page, &CompileContext::default()).unwrap_or_else(|p| panic!("{p:?}"));
    Beside {
        fields: journey::fields::parse(fields, "fields.yaml").unwrap(),
        segments: vec!["s0".into(), "s1".into(), "s2".into()],
        templates: BTreeMap::from([("hello".to_owned(), Content::Ready(Arc::new(template)))]),
        ..Beside::default()
    }
}

fn compiled(text: &str) -> Journey {
    let document =
        Document::parse(text, "journey.yaml").unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    compile(&document, &beside()).unwrap_or_else(|problems| panic!("{problems:?}\n{text}")).0
}

struct Shop {
    catalogue: Catalogue,
    frozen: FrozenProducts,
    defaults: Vec<(String, Value)>,
}

/// Ten products, P1 at 1 euro to P10 at 10.
fn shop() -> Shop {
    let product = |n: u32| Product {
        id: ProductId(n),
        external_id: format!("P{n}"),
        name: format!("Thing {n}"),
        unit_price: Some(Amount::units(i64::from(n))),
        ..Product::default()
    };
    let catalogue = Catalogue::new((1..=10).map(product).collect(), Vec::new(), NOW);
    Shop {
        frozen: FrozenProducts::new(&catalogue, Currency::EUR),
        catalogue,
        defaults: vec![("highest".into(), Value::Decimal(Amount::ZERO)), ("steps".into(), Value::Integer(0))],
    }
}

static UTC: Zone = Zone::UTC;
const NOW: Timestamp = Timestamp(1_780_000_000_000_000);

fn world<'a>(journey: &'a Journey, shop: &'a Shop) -> World<'a> {
    World {
        journey,
        catalogue: &shop.catalogue,
        frozen: &shop.frozen,
        defaults: &shop.defaults,
        now: NOW,
        zone: &UTC,
        seed: 7,
        run: 1,
        sending: &policy::NO_RULES,
        winners: &[],
        paused: false,
    }
}

fn person(id: i64) -> Person {
    let consent = Consent {
        purpose: Slug::parse("newsletter").unwrap(),
        state: ConsentState::Subscribed,
        at: NOW,
        source: "test".into(),
        proof: "test".into(),
    };
    let contact = Contact {
        id: ContactId(id),
        email: Some(format!("c{id}@example.test")),
        first_name: Some("Ann \"A\"".into()),
        consents: vec![consent],
        ..Contact::default()
    };
    Person { contact, ..Person::default() }
}

fn cart(products: &[u32]) -> Arc<Cart> {
    let line = |id: &u32| Line { product: ProductId(*id), quantity: 1, unit_price: Amount::units(1) };
    Arc::new(Cart {
        no: CartNo(1),
        external_id: "O1".into(),
        contact: ContactId(1),
        updated_at: NOW,
        total: Amount::units(5),
        currency: Currency::EUR,
        purchased: true,
        recovery_url: None,
        lines: products.iter().map(line).collect(),
    })
}

fn told(done: &Finished, journey: &Journey) -> String {
    let record = trace::Record { at: NOW, steps: done.effects.trace.clone() };
    trace::describe(&[record], journey)
}

/// Runs to the end; members are the segments' places, `asked` keeps what was needed.
fn go(
    world: &World<'_>,
    person: Person,
    members: &[u16],
    bought: Option<&Arc<Cart>>,
) -> (Finished, Vec<Need>) {
    let (mut run, mut asked) = (Run::new(person, Entry::first(world.now)), Vec::new());
    while let Progress::Needs(needs) = advance(&mut run, world) {
        for need in needs {
            asked.push(need);
            match need {
                Need::Member(slot) => run.answers().set_member(slot, members.contains(&slot)),
                Need::LastCart(choice) => run.answers().set_last_cart(choice, bought.cloned()),
                Need::Facts(needs) => run.answers().set_facts(needs, ContactFacts::default()),
                other => panic!("{other:?}"),
            }
        }
    }
    (run.finish(), asked)
}

const UP: &str = r#"
journey: up
audience: {who: with_email}
nodes:
  cart: {kind: get_last_cart, state: purchased}
  dearest: {kind: get_products, total: 1, fill_up: false,
    main: {case: filtered, origin: {ref: nodes.cart.products}, order: price_descending}}
  remember: {kind: set_field, field: highest, value: {ref: nodes.dearest.products.0.unit_price}}
  dearer: {kind: get_products, total: 3, fill_up: false,
    main: {case: filtered, order: price_ascending, where: {field: unit_price, greater_than: {ref: contact.highest}}}}
  mail: {kind: send_email, template: hello, purpose: newsletter,
    variables: {products: {ref: nodes.dearer.products}, price: {ref: contact.highest}, who: {ref: contact.first_name}}}
  refused: {kind: set_field, field: steps, operator: add, value: 1}
links:
  - {from: start, to: cart}
  - {from: cart, to: dearest}
  - {from: dearest, to: remember}
  - {from: remember, to: dearer}
  - {from: dearer, to: mail}
  - {from: mail, to: refused, when: not_sent}
"#;

#[test]
fn what_one_node_writes_the_next_reads() {
    let (journey, shop) = (compiled(UP), shop());
    let world = world(&journey, &shop);
    let (done, asked) = go(&world, person(1), &[], Some(&cart(&[3, 6, 2])));
    assert_eq!(asked, [Need::LastCart(CartChoice::Purchased)]);
    assert_eq!(done.person.contact.fields["highest"], Value::Decimal(Amount::units(6)));
    assert_eq!((done.effects.changes.len(), &done.effects.changes[0].before), (1, &None));
    let variables: serde_json::Value = serde_json::from_str(&done.effects.messages[0].variables).unwrap();
    let prices: Vec<i64> =
        variables["products"].as_array().unwrap().iter().map(|p| p["unit_price"].as_i64().unwrap()).collect();
    assert_eq!(prices, [7, 8, 9]);
    assert_eq!(
        (&variables["price"], &variables["who"]),
        (&serde_json::json!(6), &serde_json::json!("Ann \"A\""))
    );
    assert_eq!(
        told(&done, &journey),
        "start: always → cart: yes (O1) → dearest: yes (1) → remember: always (6) → dearer: yes (3) → mail: sent"
    );
}

#[test]
fn whoever_has_no_cart_goes_on_with_nothing_and_the_default() {
    let (journey, shop) = (compiled(UP), shop());
    let (done, _) = go(&world(&journey, &shop), person(1), &[], None);
    assert_eq!(
        (done.effects.changes.len(), done.effects.messages.len()),
        (0, 1),
        "nothing to remember: the field stays"
    );
    let variables: serde_json::Value = serde_json::from_str(&done.effects.messages[0].variables).unwrap();
    assert_eq!(variables["products"].as_array().unwrap().len(), 3, "dearer than the default, 0");
    assert_eq!(variables["price"], 0);
}

#[test]
fn a_refused_message_is_recorded_and_the_contact_goes_on() {
    let (journey, shop) = (compiled(UP), shop());
    let world = world(&journey, &shop);
    let mut gone = person(1);
    gone.contact.consents[0].state = ConsentState::Unsubscribed;
    let mut silent = person(2);
    silent.contact.email = None;
    let mut suppressed = person(3);
    suppressed.suppressed = true;
    for (person, reason) in [(gone, "unsubscribed"), (silent, "missing_address"), (suppressed, "suppressed")]
    {
        let (done, _) = go(&world, person, &[], None);
        assert!(done.effects.messages.is_empty());
        assert_eq!(done.person.contact.fields["steps"], Value::Integer(1));
        let told = told(&done, &journey);
        assert!(told.ends_with(&format!("mail: not_sent ({reason}) → refused: always (1)")), "{told}");
    }
}

#[test]
fn branches_that_fan_out_are_taken_one_after_the_other() {
    let text = r"
journey: fan
audience: {who: all}
nodes:
  a: {kind: set_field, field: steps, operator: add, value: 1}
  b: {kind: set_field, field: steps, operator: add, value: 10}
  both: {kind: set_field, field: steps, operator: add, value: 100}
links:
  - {from: start, to: a}
  - {from: start, to: b}
  - {from: a, to: both}
  - {from: b, to: both}
";
    let (journey, shop) = (compiled(text), shop());
    let (done, _) = go(&world(&journey, &shop), person(1), &[], None);
    assert_eq!(done.person.contact.fields["steps"], Value::Integer(211));
    assert_eq!(
        told(&done, &journey),
        "start: always → a: always (1) → both: always (101) → b: always (111) → both: always (211)"
    );
    let mut counts = Counts::default();
    counts.add(&done.effects.trace);
    assert_eq!(counts.entered(journey.number("both").unwrap()), 2);
    assert_eq!(counts.mismatches(&journey, 1), []);
}

#[test]
fn a_value_out_of_bounds_leaves_the_field_as_it_is() {
    let text = r"
journey: bounds
audience: {who: all}
nodes:
  down: {kind: set_field, field: highest, operator: subtract, value: 1}
links: [{from: start, to: down}]
";
    let (journey, shop) = (compiled(text), shop());
    let (done, _) = go(&world(&journey, &shop), person(1), &[], None);
    assert!(done.effects.changes.is_empty(), "0 - 1 is below the least value: {:?}", done.effects.changes);
}

/// A journey of random nodes: each is reached by a link from an earlier one, others are drawn at random, fan-out too.
fn random_journey(seed: u64) -> String {
    let mut dice = Dice::new(seed);
    let n = 2 + dice.below(9);
    let mut nodes = String::new();
    let kinds: Vec<u64> = (0..n).map(|_| dice.below(5)).collect();
    for (i, kind) in kinds.iter().enumerate() {
        let body = match kind {
            0 | 1 => format!("kind: in_segment, segment: s{}", dice.below(3)),
            2 => "kind: set_field, field: steps, operator: add, value: 1".into(),
            3 => "kind: check_value, condition: {ref: contact.steps, greater_than: 1}".into(),
            _ => "kind: get_last_cart, state: purchased".into(),
        };
        nodes.push_str(&format!("  n{i}: {{{body}}}\n"));
    }
    let mut links = vec!["  - {from: start, to: n0}".to_owned()];
    for to in 1..n {
        let from = dice.below(to);
        links.push(format!("  - {{from: n{from}, to: n{to}}}"));
        for _ in 0..dice.below(2) {
            let from = dice.below(to);
            let word =
                if kinds[from as usize] == 2 { "always" } else { ["yes", "no"][dice.below(2) as usize] };
            links.push(format!("  - {{from: n{from}, to: n{to}, when: \"{word}\"}}"));
        }
    }
    links.sort();
    links.dedup();
    let links: Vec<String> = links
        .iter()
        .filter(|link| {
            // `always` beside the same link with a word would be one link twice.
            let plain = link.split(", when").next().unwrap_or_default();
            !link.contains("when: \"always\"") || !links.contains(&format!("{plain}}}"))
        })
        .cloned()
        .collect();
    format!("journey: random\naudience: {{who: all}}\nnodes:\n{nodes}links:\n{}\n", links.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn counts_add_up_whatever_the_graph(seed in any::<u64>(), contacts in 1_i64..40) {
        let text = random_journey(seed);
        let journey = compiled(&text);
        let shop = shop();
        let world = world(&journey, &shop);
        let mut counts = Counts::default();
        for id in 1..=contacts {
            let mut dice = Dice::of(&[seed, id as u64]);
            let members: Vec<u16> = (0..3).filter(|_| dice.below(2) == 0).collect();
            let bought = (dice.below(2) == 0).then(|| cart(&[1]));
            let (done, _) = go(&world, person(id), &members, bought.as_ref());
            let (again, _) = go(&world, person(id), &members, bought.as_ref());
            prop_assert_eq!(&done.effects.trace, &again.effects.trace, "a replay goes the same way");
            let record = trace::Record { at: NOW, steps: done.effects.trace.clone() };
            prop_assert_eq!(trace::decode(&trace::encode(NOW, &record.steps)), Some(vec![record]));
            counts.add(&done.effects.trace);
        }
        prop_assert_eq!(counts.mismatches(&journey, contacts as u64), vec![], "{}", text);
        // Line by line: what leaves each node is what came in.
        for (number, _) in journey.nodes.iter().enumerate() {
            let lines = counts.lines(&journey);
            let left: u64 = lines.iter().filter(|line| usize::from(line.node) == number).map(|line| line.contacts).sum();
            prop_assert_eq!(left, counts.entered(number as u16));
        }
    }
}
