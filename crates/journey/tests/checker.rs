//! The checker finds planted faults: each case changes one thing of a sound journey and names the code, the place and,
//! where there is one, the cure that must come of it.

use std::{collections::BTreeMap, sync::Arc};

use journey::{Beside, Document, Journey, check::Content, compile};
use model::{Problem, Problems};
use template::{CompileContext, Document as Page, Template};

const SOUND: &str = r#"format: 1
journey: sound
audience: {who: with_email, source: existing}
nodes:
  vip: {kind: in_segment, segment: vip}
  cart: {kind: get_last_cart, state: purchased}
  dearest: {kind: get_products, total: 1, fill_up: false, main: {case: filtered, origin: {ref: nodes.cart.products}}}
  remember: {kind: set_field, field: highest_price, value: {ref: nodes.dearest.products.0.unit_price}}
  any: {kind: check_value, condition: {ref: nodes.dearest.size, greater_than: 0}}
  mail: {kind: send_email, template: hello, purpose: newsletter, variables: {title: Hi, products: {ref: nodes.dearest.products}}}
  stop: {kind: end}
links:
  - {from: start, to: vip}
  - {from: vip, to: cart, when: "yes"}
  - {from: vip, to: stop, when: "no"}
  - {from: cart, to: dearest}
  - {from: dearest, to: remember}
  - {from: remember, to: any}
  - {from: any, to: mail, when: "yes"}
  - {from: any, to: stop, when: "no"}
"#;

const TEMPLATE: &str = "format: 1
template: hello
name: Hello
languages: [en]
subject: {en: Hello}
variables:
  products: {type: products}
  name: {type: text, default: friend}
  title: {type: text}
  total: {type: money, optional: true}
blocks:
  - {kind: text, text: {en: \"{{ title }} {{ name }}\"}}
  - {kind: products, products: products}
  - {kind: footer, address: \"Shop, Street 1\"}
";

fn beside() -> Beside {
    let fields = journey::fields::parse(
        "fields: {highest_price: {type: decimal, min: 0, default: 0}, note: {type: text}, seen: {type: date}}",
        "fields.yaml",
    );
    let page = Page::parse(TEMPLATE, "hello.yaml").unwrap_or_else(|problems| panic!("{problems:?}"));
    let template = Template::compile(&page, &CompileContext::default()).unwrap_or_else(|p| panic!("{p:?}"));
    Beside {
        fields: fields.unwrap(),
        segments: vec!["vip".into(), "lapsed".into()],
        lists: ["reactivated".to_owned()].into_iter().collect(),
        templates: BTreeMap::from([
            ("hello".to_owned(), Content::Ready(Arc::new(template))),
            ("broken".to_owned(), Content::Broken),
        ]),
        ..Beside::default()
    }
}

fn check(text: &str) -> Result<(Journey, Problems), Problems> {
    Document::parse(text, "journey.yaml").and_then(|document| compile(&document, &beside()))
}

/// Replaces what must be there.
fn with(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "{from}");
    SOUND.replace(from, to)
}

#[test]
fn a_sound_journey_has_no_problems() {
    let (journey, warnings) = check(SOUND).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(warnings, []);
    assert_eq!(journey.nodes.len(), 8);
    assert_eq!(journey.segments.iter().map(|s| s.as_str()).collect::<Vec<_>>(), ["vip"]);
    assert_eq!(journey.changed_fields(), ["highest_price"]);
}

#[test]
fn planted_errors_are_found_where_they_stand() {
    let fan_out: String = (0..10)
        .map(|i| format!("  - {{from: f{i}, to: a{i}}}\n  - {{from: f{i}, to: b{i}}}\n  - {{from: a{i}, to: f{n}}}\n  - {{from: b{i}, to: f{n}}}\n", n = i + 1))
        .collect();
    let fan_nodes: String = (0..=10)
        .map(|i| format!("  f{i}: {{kind: set_field, field: note, value: x}}\n  a{i}: {{kind: set_field, field: note, value: x}}\n  b{i}: {{kind: set_field, field: note, value: x}}\n"))
        .collect();
    let too_many = format!(
        "journey: fan\naudience: {{who: all}}\nnodes:\n{fan_nodes}links:\n  - {{from: start, to: f0}}\n{fan_out}  - {{from: f10, to: a10}}\n  - {{from: f10, to: b10}}\n"
    );
    // Each day two come back from one: by a wait, and by what follows it.
    let doubling = "journey: j\naudience: {who: all}\nnodes:\n  a: {kind: wait, for: PT1H}\n  b: {kind: wait, for: P1D}\n  \
                    c: {kind: wait, for: P1D}\nlinks:\n  - {from: start, to: b}\n  - {from: b, to: a}\n  - {from: b, to: c}\n  \
                    - {from: a, to: b}\n  - {from: c, to: b}\n"
        .to_owned();
    for (text, code, line, cure) in [
        (
            with("kind: in_segment", "kind: in_segmnt"),
            "journey.unknown_kind",
            5,
            "did you mean `in_segment`?",
        ),
        (with("segment: vip", "segment: vpi"), "journey.unknown_segment", 5, "did you mean `vip`?"),
        (with("segment: vip", "segmnt: vip"), "doc.missing", 5, ""),
        (with("template: hello", "template: helo"), "journey.unknown_template", 10, "did you mean `hello`?"),
        (
            with("template: hello", "template: broken"),
            "journey.content_not_ready",
            10,
            "mend what is reported of its file",
        ),
        (
            with("field: highest_price", "field: higest_price"),
            "journey.unknown_field",
            8,
            "did you mean `highest_price`?",
        ),
        (with("field: highest_price", "field: email"), "journey.built_in_field", 8, ""),
        (with("to: cart, when", "to: crat, when"), "journey.unknown_node", 14, "did you mean `cart`?"),
        (
            with("ref: nodes.cart.products", "ref: nodes.crat.products"),
            "journey.unknown_node",
            7,
            "did you mean `cart`?",
        ),
        (
            with("ref: nodes.cart.products", "ref: nodes.cart.prodcts"),
            "journey.no_such_data",
            7,
            "did you mean `products`?",
        ),
        (with("0.unit_price", "0.unit_prize"), "journey.no_such_data", 8, "did you mean `unit_price`?"),
        (
            with("nodes.dearest.products.0.unit_price", "contact.frist_name"),
            "journey.unknown_field",
            8,
            "did you mean `first_name`?",
        ),
        (with("nodes.dearest.products.0.unit_price", "trigger.cart.total"), "journey.no_such_data", 8, ""),
        (with("{ref: nodes.dearest.products.0.unit_price}", "abc"), "amount.invalid", 8, ""),
        (
            with("{ref: nodes.dearest.products.0.unit_price}", "-1"),
            "field.out_of_range",
            8,
            "give at least 0",
        ),
        // Types: a product list, a product, a text where a number belongs; a number where products belong.
        (
            with("products.0.unit_price", "products"),
            "journey.type",
            8,
            "take one product's datum, as in nodes.dearest.products.0.unit_price",
        ),
        (
            with("products.0.unit_price", "products.0"),
            "journey.type",
            8,
            "take a datum of the product, as in nodes.dearest.products.0.unit_price",
        ),
        (with("products.0.unit_price", "products.0.name"), "journey.type", 8, ""),
        (with("ref: nodes.cart.products", "ref: nodes.cart.total"), "journey.type", 7, ""),
        (
            with("products: {ref: nodes.dearest.products}}", "products: {ref: nodes.cart.total}}"),
            "journey.type",
            10,
            "",
        ),
        (
            with("field: highest_price", "operator: add, field: note"),
            "journey.type",
            8,
            "use operator: assign",
        ),
        (
            with("products: {ref: nodes.dearest.products}", "prodcts: {ref: nodes.dearest.products}"),
            "journey.unknown_variable",
            10,
            "did you mean `products`?",
        ),
        (with("title: Hi, ", ""), "journey.missing_variable", 10, ""),
        (with("size, greater_than: 0", "size, greter_than: 0"), "doc.unknown_key", 9, ""),
        (with("nodes.dearest.size", "nodes.dearest.sise"), "ref.unknown", 9, ""),
        // The graph.
        (
            with("  - {from: start, to: vip}\n", ""),
            "journey.unreachable",
            5,
            "draw a link to it, or remove it",
        ),
        (
            with("{from: any, to: stop, when: \"no\"}", "{from: any, to: cart, when: \"no\"}"),
            "journey.loop",
            6,
            "",
        ),
        (
            with("to: stop, when: \"no\"}\n  - {from: cart", "to: stop, when: \"noo\"}\n  - {from: cart"),
            "journey.when",
            15,
            "did you mean `no`?",
        ),
        (with("{from: cart, to: dearest}", "{from: cart, to: dearest, when: sent}"), "journey.when", 16, ""),
        (
            with("to: stop, when: \"no\"}\n  - {from: cart", "to: start, when: \"no\"}\n  - {from: cart"),
            "journey.into_start",
            15,
            "",
        ),
        (format!("{SOUND}  - {{from: stop, to: mail}}\n"), "journey.after_end", 21, ""),
        (too_many, "journey.too_many_paths", 1, ""),
        (doubling, "journey.multiplies", 5, "let only one of the branches lead back"),
        // Data: read before it is there, and left out on one path.
        (
            with(
                "{case: filtered, origin: {ref: nodes.cart.products}}",
                "{case: related_to_list, related_to: {ref: nodes.dearest.products}}",
            ),
            "journey.data_not_before",
            7,
            "",
        ),
        (
            with("to: stop, when: \"no\"}\n  - {from: cart", "to: dearest, when: \"no\"}\n  - {from: cart"),
            "journey.data_not_on_every_path",
            7,
            "lead every path to `dearest` through `cart`, or use a node for each path",
        ),
    ] {
        let problems = check(&text).map(|(_, warnings)| warnings).expect_err(code);
        let found = problems.iter().find(|problem| problem.code == code);
        let found = found.unwrap_or_else(|| panic!("{code} not in {problems:?}"));
        assert_eq!(found.place.map(|place| place.line), Some(line), "{found}");
        assert!(found.field.is_some(), "{found}");
        if !cure.is_empty() {
            assert_eq!(found.cure.as_deref(), Some(cure), "{found}");
        }
    }
}

#[test]
fn a_path_that_leaves_data_out_is_named() {
    let text =
        with("to: stop, when: \"no\"}\n  - {from: cart", "to: dearest, when: \"no\"}\n  - {from: cart");
    let problems = check(&text).expect_err("data is left out");
    assert!(
        problems.iter().any(|p| p.message == "`cart` is left out on the path start → vip → dearest"),
        "{problems:?}"
    );
}

#[test]
fn doubtful_things_are_warned_of() {
    let guarded_by_yes = with(
        "{kind: check_value, condition: {ref: nodes.dearest.size, greater_than: 0}}",
        "{kind: in_segment, segment: lapsed}",
    )
    .replace("{from: dearest, to: remember}", "{from: dearest, to: remember, when: \"yes\"}");
    for (text, codes) in [
        (with("  - {from: vip, to: stop, when: \"no\"}\n", ""), vec!["journey.no_branch"]),
        (
            with(
                "  - {from: remember, to: any}\n",
                "  - {from: remember, to: any}\n  - {from: remember, to: mail}\n",
            ),
            vec!["journey.message_twice", "journey.unguarded_products"],
        ),
        (
            with(
                "condition: {ref: nodes.dearest.size, greater_than: 0}",
                "condition: {ref: nodes.cart.size, greater_than: 0}",
            ),
            vec!["journey.unguarded_products"],
        ),
        (guarded_by_yes, vec![]),
        (
            with("  - {from: any, to: stop, when: \"no\"}\n", "  - {from: any, to: last, when: \"no\"}\n")
                .replace("  stop:", "  last: {kind: get_last_cart}\n  stop:"),
            vec!["journey.dead_end"],
        ),
    ] {
        let (_, warnings) = check(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let mut found: Vec<String> = warnings.iter().map(|problem| problem.code.to_string()).collect();
        found.sort();
        assert_eq!(found, codes, "{text}");
        assert!(warnings.iter().all(|problem| !problem.is_error() && problem.cure.is_some()), "{warnings:?}");
    }
}

#[test]
fn a_list_that_nobody_made_is_warned_of_with_the_nearest_name() {
    let asking =
        |list: &str| with("{kind: in_segment, segment: vip}", &format!("{{kind: in_list, list: {list}}}"));
    let (_, warnings) = check(&asking("reactivatd")).unwrap_or_else(|problems| panic!("{problems:?}"));
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!((&*warning.code, warning.is_error()), ("list.unknown", false));
    assert_eq!(warning.field.as_deref(), Some("nodes.vip.list"));
    assert!(warning.place.is_some());
    assert_eq!(warning.cure.as_deref(), Some("did you mean `reactivated`?"));
    let (_, warnings) = check(&asking("reactivated")).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(warnings, []);
}

#[test]
fn messages_read_like_those_of_a_compiler() {
    let problems = check(&with("segment: vip", "segment: vpi")).expect_err("unknown segment");
    let lines: Vec<String> =
        problems.into_iter().map(|p| p.in_file("journey.yaml")).map(|p: Problem| p.to_string()).collect();
    assert_eq!(
        lines,
        [
            "error[journey.unknown_segment] journey.yaml:5:36: nodes.vip.segment: there is no segment `vpi` — did you mean `vip`?"
        ]
    );
}

#[test]
fn the_example_is_sound() {
    // Its segments and templates have tests of their own; here only the graph is looked at.
    let text = include_str!("../../../examples/s0/journey.yaml");
    let document = Document::parse(text, "journey.yaml").unwrap_or_else(|problems| panic!("{problems:?}"));
    let journey = journey::check::skeleton(&document).unwrap_or_else(|problems| panic!("{problems:?}"));
    let next = |id: &str, outcome: usize| -> Vec<&str> {
        let node = journey.node(journey.number(id).unwrap());
        node.next[outcome].iter().map(|to| journey.node(*to).id.as_str()).collect()
    };
    assert_eq!(next("high", 0), ["last_cart"]);
    assert_eq!(next("high", 1), ["medium"]);
    assert_eq!(next("medium", 1), ["low"]);
    assert_eq!(next("low", 1), [""; 0]);
}

#[test]
fn a_wait_for_a_message_comes_after_it_on_every_path() {
    let waits = with("stop: {kind: end}", "stop: {kind: wait_for, message: mail, is: opened, limit: P1D}");
    let codes = |text: &str| -> Vec<String> {
        let problems = check(text).map_or_else(|problems| problems, |(_, warnings)| warnings);
        problems.iter().map(|problem| problem.code.to_string()).collect()
    };
    let code = "journey.message_not_before".to_owned();
    assert!(codes(&format!("{waits}  - {{from: mail, to: stop}}\n")).contains(&code));
    let after = waits.replace("to: stop,", "to: mail,") + "  - {from: mail, to: stop}\n";
    assert!(!codes(&after).contains(&code), "{:?}", codes(&after));
}
