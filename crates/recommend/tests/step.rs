//! The definition of the step: what is read, what is refused and how.

use model::{Period, doc};
use recommend::{Case, GetProducts, step};

fn parse(text: &str) -> Result<GetProducts, Vec<String>> {
    GetProducts::parse(&doc::parse(text).unwrap(), "nodes.x").map_err(|problems| {
        problems
            .into_iter()
            .map(|p| format!("{} {} {}", p.code, p.field.unwrap_or_default(), p.cure.unwrap_or_default()))
            .collect()
    })
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let step = parse("{kind: get_products, main: {case: best_selling}}").unwrap();
    assert_eq!((step.total, step.fill_up, step.exclude_exported), (6, true, false));
    assert_eq!(step.main.period, Period { months: 1, micros: 0 });
    assert!(!step.main.exclude_bought && !step.main.shuffle);
    let step =
        parse("{total: 4, main: {case: contact_affinity}, additional: {case: most_visited, quantity: 2}}")
            .unwrap();
    assert_eq!((step.total, step.main.quantity), (4, 4));
    assert!(step.main.exclude_bought, "learned cases leave out what was bought");
    assert_eq!(step.additional.unwrap().quantity, 2);
    for (case, word) in Case::WORDS {
        assert_eq!(case.word(), word);
    }
}

#[test]
fn mistakes_are_named_with_a_cure() {
    for (text, expected) in [
        ("{}", "doc.missing nodes.x.main"),
        ("{main: {case: best_seling}}", "products.case nodes.x.main.case did you mean `best_selling`?"),
        (
            "{main: {case: best_selling, perid: last_week}}",
            "doc.unknown_key nodes.x.main.perid did you mean `period`?",
        ),
        ("{main: {case: best_selling, period: weekly}}", "period.invalid nodes.x.main.period"),
        ("{main: {case: best_selling, period: P0D}}", "period.invalid nodes.x.main.period"),
        ("{main: {case: manual}}", "doc.missing nodes.x.main.products"),
        ("{main: {case: related_to_cart}}", "doc.missing nodes.x.main.related_to"),
        (
            "{main: {case: filtered, related_to: {ref: nodes.a.products}}}",
            "products.setting nodes.x.main.related_to leave it out",
        ),
        (
            "{main: {case: best_selling, order: price_ascending}}",
            "products.setting nodes.x.main.order leave it out",
        ),
        (
            "{main: {case: filtered, order: price_descendng}}",
            "products.order nodes.x.main.order did you mean `price_descending`?",
        ),
        ("{main: {case: filtered, origin: everything}}", "products.origin nodes.x.main.origin"),
        ("{main: {case: filtered, origin: {ref: nope.a}}}", "ref.invalid nodes.x.main.origin"),
        (
            "{main: {case: last_purchased, exclude_bought: true}}",
            "products.contradiction nodes.x.main.exclude_bought",
        ),
        ("{main: {case: filtered}, fill: true}", "doc.unknown_key nodes.x.fill"),
        ("{main: {case: filtered, where: [{field: unit_prize, greater_than: 1}]}}", "nodes.x.main.where"),
    ] {
        let problems = parse(text).unwrap_err();
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:?}");
    }
}

#[test]
fn quantities_are_tested_at_the_edges() {
    for (n, ok) in [(0, false), (1, true), (step::QUANTITY_MAX, true), (step::QUANTITY_MAX + 1, false)] {
        for text in [
            format!("{{total: {n}, main: {{case: filtered}}}}"),
            format!("{{main: {{case: filtered, quantity: {n}}}}}"),
        ] {
            assert_eq!(parse(&text).is_ok(), ok, "{text}");
        }
    }
    let list = |n: usize| format!("{{main: {{case: manual, products: [{}]}}}}", vec!["a"; n].join(","));
    assert!(parse(&list(step::QUANTITY_MAX)).is_ok());
    assert!(parse(&list(step::QUANTITY_MAX + 1)).is_err());
}

#[test]
fn needs_say_how_far_back() {
    let needs = |text: &str| parse(text).unwrap().needs();
    assert!(needs("{main: {case: best_selling}}").is_nothing());
    assert_eq!(needs("{main: {case: best_selling, exclude_bought: true}}").bought, Some(Period::days(365)));
    let last = needs("{main: {case: last_purchased}, additional: {case: contact_affinity}}");
    assert_eq!(last.bought, Some(Period { months: 0, micros: i64::MAX }));
    assert!(last.visited.is_some() && last.added_not_bought.is_some());
    assert_eq!(needs("{main: {case: last_visited, within: P7D}}").visited, Some(Period::days(7)));
    let figures = |text: &str| parse(text).unwrap().figures_period();
    assert_eq!(figures("{main: {case: best_selling}}"), Period { months: 12, micros: 0 });
    assert_eq!(figures("{main: {case: filtered, order: {best_selling: P900D}}}"), Period::days(900));
}
