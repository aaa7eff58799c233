//! What the *Get products* step answers, case by case, on a small shop.

use model::{Amount, Dice, Product, ProductId, Timestamp, Value};
use recommend::{Catalogue, ContactFacts, Figures, GetProducts, Relations, Seen, select};
use segment::{Data, NoData, RefPath};

const NOW: Timestamp = Timestamp(20_000 * Timestamp::DAY);

fn days_ago(days: i64) -> Timestamp {
    NOW.plus_days(-days)
}

fn seen(product: u32, days: i64) -> Seen {
    Seen { product: ProductId(product), at: days_ago(days) }
}

/// Ten products, priced 1 to 10 by number. 8 is out of stock, 9 blacklisted, 10 has no price.
fn products() -> Vec<Product> {
    (1..=10)
        .map(|n: u32| Product {
            id: ProductId(n),
            external_id: format!("SKU-{n}"),
            name: format!("Product {n}"),
            unit_price: (n != 10).then(|| Amount::units(i64::from(n))),
            out_of_stock: n == 8,
            blacklisted: n == 9,
            rating: (n == 3 || n == 5).then(|| Amount::units(i64::from(n))),
            priority: i64::from(n == 6),
            published_at: (n == 2).then(|| days_ago(3)),
            categories: vec![if n.is_multiple_of(2) { "/Even" } else { "/Odd" }.to_owned()],
            related: if n == 1 {
                vec!["SKU-5".into(), "SKU-1".into(), "SKU-2".into(), "gone".into()]
            } else {
                vec![]
            },
            ..Product::default()
        })
        .collect()
}

fn shop() -> Catalogue {
    let sold = |product: u32, days: i64, orders: i64| Figures {
        product: ProductId(product),
        day: days_ago(days).plus(-1).day_utc(),
        orders,
        units: orders,
        visits: 0,
    };
    let visited = |product: u32, days: i64, visits: i64| Figures {
        orders: 0,
        units: 0,
        visits,
        ..sold(product, days, 0)
    };
    let figures = vec![
        sold(1, 2, 50),
        sold(2, 2, 40),
        sold(3, 2, 30),
        sold(8, 2, 90), // out of stock
        sold(4, 20, 45),
        sold(5, 60, 99),
        visited(7, 1, 10),
        visited(6, 1, 20),
        visited(2, 100, 500),
        sold(6, -3, 1_000), // a day to come
    ];
    let row = |from: u32, to: &[(u32, f32)]| {
        (ProductId(from), to.iter().map(|(to, weight)| (ProductId(*to), *weight)).collect::<Vec<_>>())
    };
    let learned = Relations::from_rows(
        vec![
            row(1, &[(2, 0.9), (3, 0.5), (4, 0.4), (8, 0.95), (7, -0.5)]),
            row(2, &[(1, 0.8), (3, 0.6), (7, 0.3)]),
        ],
        40,
    );
    let together = Relations::from_rows(vec![row(1, &[(4, 0.7), (6, 0.2)])], 40);
    Catalogue::new(products(), figures, NOW).with_relations(learned, together)
}

/// Exports of earlier nodes: `nodes.a.products` is products 1 and 2, `nodes.limit.value` is 3.
struct Exports;

impl Data for Exports {
    fn value(&self, path: &RefPath) -> Option<Value> {
        (path.to_string() == "nodes.limit.value").then(|| Value::Decimal(Amount::units(3)))
    }
    fn products(&self, path: &RefPath) -> Vec<ProductId> {
        match path.to_string().as_str() {
            "nodes.a.products" => vec![ProductId(1), ProductId(2)],
            "nodes.one.product" => vec![ProductId(1)],
            "nodes.all.products" => (1..=10).rev().map(ProductId).collect(),
            _ => Vec::new(),
        }
    }
}

fn step(text: &str) -> GetProducts {
    GetProducts::parse(&model::doc::parse(text).unwrap(), "nodes.x")
        .unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

fn facts() -> ContactFacts {
    ContactFacts {
        bought: vec![seen(3, 10), seen(5, 200), seen(5, 100), seen(4, 400), seen(9, 1)],
        visited: vec![seen(7, 5), seen(2, 1), seen(7, 20), seen(1, 200)],
        added_not_bought: vec![seen(6, 2), seen(8, 1)],
    }
}

fn answer(text: &str, exported: &[u32]) -> Vec<u32> {
    let exported: Vec<ProductId> = exported.iter().copied().map(ProductId).collect();
    select(&step(text), &shop(), &facts(), &Exports, &exported, NOW, &mut Dice::new(1))
        .iter()
        .map(|p| p.0)
        .collect()
}

#[test]
fn every_case_gives_what_it_says() {
    let list = "related_to: {ref: nodes.a.products}";
    let one = "related_to: {ref: nodes.one.product}";
    for (case, expected) in [
        ("case: manual, products: [SKU-7, SKU-9, SKU-1, nobody]".to_owned(), vec![7, 1]),
        // What sold in the last month first, then by priority, then by number.
        ("case: filtered, quantity: 9".into(), vec![1, 4, 2, 3, 6, 5, 7]),
        ("case: filtered, origin: {ref: nodes.a.products}".into(), vec![1, 2]),
        ("case: filtered, order: price_descending, quantity: 3".into(), vec![7, 6, 5]),
        ("case: filtered, order: price_ascending, quantity: 2".into(), vec![1, 2]),
        ("case: filtered, order: rating_descending, quantity: 3".into(), vec![5, 3, 6]),
        ("case: filtered, order: newest, quantity: 2".into(), vec![2, 6]),
        ("case: filtered, order: {best_selling: P10D}, quantity: 2".into(), vec![1, 2]),
        (
            "case: filtered, origin: {ref: nodes.a.products}, order: price_descending, quantity: 1".into(),
            vec![2],
        ),
        ("case: most_visited".into(), vec![6, 7]),
        ("case: most_visited, period: all_time".into(), vec![2, 6, 7]),
        ("case: best_selling, period: last_week".into(), vec![1, 2, 3]),
        ("case: best_selling, period: last_month".into(), vec![1, 4, 2, 3]),
        ("case: best_selling, period: last_3_months, quantity: 2".into(), vec![5, 1]),
        ("case: last_visited".into(), vec![2, 7]),
        ("case: last_visited, within: P1Y".into(), vec![2, 7, 1]),
        ("case: last_added_not_bought".into(), vec![6]),
        ("case: last_purchased".into(), vec![3, 5, 4]),
        ("case: last_purchased, within: P30D".into(), vec![3]),
        ("case: own_repeats".into(), vec![3, 5, 4]),
        // 3 was bought ten days ago, 4 more than a year ago; 8 is out of stock.
        (format!("case: related_to_product, {one}"), vec![2, 4]),
        (format!("case: related_to_product, {one}, exclude_bought: false"), vec![2, 3, 4]),
        (format!("case: related_to_list, {list}, exclude_bought: false"), vec![3, 4]),
        (
            format!("case: related_to_cart, {list}, exclude_bought: false, order: price_descending"),
            vec![4, 3],
        ),
        (format!("case: related_to_purchase, {list}"), vec![4]),
        (
            "case: related_to_list, related_to: {products: [SKU-2]}, exclude_bought: false".into(),
            vec![1, 3, 7],
        ),
        (format!("case: bought_together_product, {one}"), vec![4, 6]),
        (format!("case: bought_together_list, {list}"), vec![4, 6]),
        (format!("case: bought_together_cart, {list}"), vec![4, 6]),
        (format!("case: bought_together_purchase, {list}"), vec![4, 6]),
        (format!("case: linked_to_product, {one}"), vec![5, 2]),
        (format!("case: linked_to_list, {list}"), vec![5]),
        (format!("case: linked_to_cart, {list}"), vec![5]),
        (format!("case: linked_to_purchase, {list}, order: price_ascending"), vec![5]),
        ("case: related_to_cart, related_to: {ref: nodes.nothing.products}".into(), vec![]),
    ] {
        let text = format!("{{fill_up: false, main: {{{case}}}}}");
        assert_eq!(answer(&text, &[]), expected, "{text}");
    }
}

#[test]
fn the_contacts_affinity_weighs_what_it_did() {
    let catalogue = shop();
    let step = step("{fill_up: false, main: {case: contact_affinity}}");
    let of = |facts: &ContactFacts| {
        select(&step, &catalogue, facts, &NoData, &[], NOW, &mut Dice::new(1))
            .iter()
            .map(|p| p.0)
            .collect::<Vec<_>>()
    };
    // What was bought is not recommended again; what was only visited may be.
    let bought = ContactFacts { bought: vec![seen(1, 1)], ..ContactFacts::default() };
    assert_eq!(of(&bought), [2, 3, 4]);
    let visited = ContactFacts { visited: vec![seen(1, 1), seen(2, 1)], ..ContactFacts::default() };
    assert_eq!(of(&visited), [3, 2, 1, 4]);
    assert_eq!(of(&ContactFacts::default()), [] as [u32; 0]);
}

#[test]
fn main_has_priority_and_additional_completes_it() {
    let both = "main: {case: manual, products: [SKU-7]}, additional: {case: best_selling, quantity: 3}";
    assert_eq!(answer(&format!("{{fill_up: false, {both}}}"), &[]), [7, 1, 4, 2]);
    assert_eq!(answer(&format!("{{fill_up: false, total: 2, {both}}}"), &[]), [7, 1]);
    // What main took is not taken again.
    let same = "{fill_up: false, total: 4, main: {case: best_selling, quantity: 2}, additional: {case: best_selling}}";
    assert_eq!(answer(same, &[]), [1, 4, 2, 3]);
}

#[test]
fn filling_up_respects_every_condition() {
    let step = "{total: 6, main: {case: best_selling, period: last_week, quantity: 1}}";
    assert_eq!(answer(step, &[]), [1, 4, 2, 3, 5, 6]);
    let odd = "{total: 6, main: {case: best_selling, where: [{field: categories, contains: /Odd}]}}";
    assert_eq!(answer(odd, &[]), [1, 3, 5, 7]);
    let both = "{total: 6, main: {case: best_selling, where: [{field: categories, contains: /Odd}]},
                 additional: {case: most_visited, where: [{field: unit_price, greater_than: 4}]}}";
    assert_eq!(answer(both, &[]), [1, 3, 6, 7, 5]);
    // Fillers do not bring back what the case left out: 3 was bought, 1 and 2 are what the list is related to.
    let related = "{total: 6, main: {case: related_to_list, related_to: {ref: nodes.a.products}}}";
    assert_eq!(answer(related, &[]), [4, 6, 7]);
}

#[test]
fn conditions_read_data_of_the_run() {
    let dearer = "{fill_up: false, main: {case: filtered, quantity: 9, order: price_ascending,
                  where: [{field: unit_price, greater_than: {ref: nodes.limit.value}}]}}";
    assert_eq!(answer(dearer, &[]), [4, 5, 6, 7]);
    let uses = step(dearer).refs();
    assert_eq!(uses.len(), 1);
    assert_eq!(
        (uses[0].path.to_string().as_str(), uses[0].field.as_str()),
        ("nodes.limit.value", "main.where")
    );
    assert!(uses[0].kind.is_some() && !uses[0].products);
}

#[test]
fn earlier_exports_are_left_out_when_asked() {
    let step = |on: bool| {
        format!("{{fill_up: true, total: 3, exclude_exported: {on}, main: {{case: best_selling}}}}")
    };
    assert_eq!(answer(&step(false), &[1, 2]), [1, 4, 2]);
    assert_eq!(answer(&step(true), &[1, 2]), [4, 3, 5]);
}

#[test]
fn what_may_not_be_recommended_never_is() {
    for (case, _) in recommend::Case::WORDS.iter().map(|(case, word)| (case, word)) {
        let mut text = format!("case: {}, quantity: 10", case.word());
        if case.takes_related() {
            text += ", related_to: {ref: nodes.a.products}";
        }
        if case.word() == "manual" {
            text += ", products: [SKU-8, SKU-9, SKU-10, SKU-3]";
        }
        let got = answer(&format!("{{total: 10, main: {{{text}}}}}"), &[]);
        assert!(got.iter().all(|id| (1..=7).contains(id)), "{text}: {got:?}");
        let mut once = got.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), got.len(), "{text}: {got:?}");
    }
}

#[test]
fn fewer_units_than_the_minimum_are_recommended_to_nobody() {
    let stocked = |stocks: &[Option<i64>]| {
        let of = |(product, stock): (Product, &Option<i64>)| Product { stock: *stock, ..product };
        products().into_iter().filter(Product::is_recommendable).zip(stocks).map(of).collect::<Vec<_>>()
    };
    let stocks = [Some(1), Some(4), Some(5), None];
    let ids: Vec<ProductId> = stocked(&stocks).iter().map(|product| product.id).collect();
    let chosen = |text: &str, min_stock: i64| {
        let catalogue = Catalogue::new(stocked(&stocks), Vec::new(), NOW).with_min_stock(min_stock);
        let facts = ContactFacts::default();
        let mut chosen = select(&step(text), &catalogue, &facts, &Exports, &[], NOW, &mut Dice::new(1));
        chosen.sort_unstable();
        chosen
    };
    let all = "main: {case: filtered, quantity: 9}";
    let filled = "main: {case: manual, products: [nobody]}\ntotal: 9";
    for text in [all, filled] {
        assert_eq!(chosen(text, recommend::MIN_STOCK_DEFAULT), ids);
        assert_eq!(chosen(text, 4), ids[1..], "the minimum itself is enough");
        assert_eq!(chosen(text, 5), ids[2..]);
        assert_eq!(chosen(text, 6), ids[3..], "uncounted stock is enough");
        // A step's own minimum holds in place of the workspace's, above it and below it.
        assert_eq!(chosen(&format!("{text}\nmin_stock: 5"), 1), ids[2..]);
        assert_eq!(chosen(&format!("{text}\nmin_stock: 1"), 5), ids);
    }
    for (least, right) in [("0", false), ("1", true), ("1000000", true), ("1000001", false), ("few", false)] {
        let node = model::doc::parse(&format!("{all}\nmin_stock: {least}")).unwrap();
        match GetProducts::parse(&node, "nodes.x") {
            Ok(step) => assert!(right && step.min_stock.map(|units| units.to_string()) == Some(least.into())),
            Err(problems) => {
                assert!(!right, "{least}: {problems:?}");
                assert_eq!(
                    (&*problems[0].code, problems[0].field.as_deref()),
                    ("products.min_stock", Some("nodes.x.min_stock"))
                );
            }
        }
    }
}

#[test]
fn shuffling_keeps_the_set_and_follows_the_seed() {
    let text = "{fill_up: false, main: {case: best_selling, quantity: 4, shuffle: true}}";
    let with = |seed: u64| {
        select(&step(text), &shop(), &facts(), &NoData, &[], NOW, &mut Dice::new(seed))
            .iter()
            .map(|p| p.0)
            .collect::<Vec<_>>()
    };
    let orders: std::collections::BTreeSet<Vec<u32>> = (0..50).map(with).collect();
    assert!(orders.len() > 5, "fifty seeds give several orders");
    for order in orders {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [1, 2, 3, 4]);
    }
    assert_eq!(with(7), with(7));
}

#[test]
fn a_year_is_how_long_a_purchase_counts() {
    let text = "{fill_up: false, main: {case: related_to_product, related_to: {ref: nodes.one.product}}}";
    let with = |days: i64| {
        let facts = ContactFacts { bought: vec![seen(2, days)], ..ContactFacts::default() };
        select(&step(text), &shop(), &facts, &Exports, &[], NOW, &mut Dice::new(1)).contains(&ProductId(2))
    };
    assert!(!with(recommend::step::EXCLUDE_BOUGHT_DAYS));
    assert!(with(recommend::step::EXCLUDE_BOUGHT_DAYS + 1));
}

#[test]
fn narrow_conditions_give_what_trying_every_product_gives() {
    // A larger shop, so that shortcuts are taken: 400 products, sold the more the higher their number's last digits.
    let products: Vec<Product> = (1..=400_u32)
        .map(|n| Product {
            id: ProductId(n),
            external_id: format!("SKU-{n}"),
            unit_price: Some(Amount::units(i64::from(n * 37 % 101 + 1))),
            categories: vec![format!("/C{}", n % 40)],
            ..Product::default()
        })
        .collect();
    let figures = (1..=300_u32)
        .map(|n| Figures {
            product: ProductId(n),
            day: days_ago(i64::from(n % 80) + 1).day_utc(),
            orders: i64::from(n * 53 % 97 + 1),
            units: 1,
            visits: i64::from(n * 31 % 89),
        })
        .collect();
    let catalogue = Catalogue::new(products, figures, NOW);
    struct Limit(i64);
    impl Data for Limit {
        fn value(&self, _: &RefPath) -> Option<Value> {
            Some(Value::Decimal(Amount::units(self.0)))
        }
        fn products(&self, _: &RefPath) -> Vec<ProductId> {
            Vec::new()
        }
    }
    let ids = |text: &str, limit: i64| {
        select(&step(text), &catalogue, &ContactFacts::default(), &Limit(limit), &[], NOW, &mut Dice::new(1))
    };
    for limit in [0, 3, 50, 97, 101, 500] {
        for case in [
            "best_selling",
            "most_visited, period: last_week",
            "filtered, order: price_ascending",
            "filtered",
        ] {
            for (narrow, plain) in [
                (
                    "{field: unit_price, greater_than: {ref: contact.x}}",
                    "{not: {field: unit_price, at_most: {ref: contact.x}}}",
                ),
                (
                    "{field: unit_price, less_than: {ref: contact.x}}",
                    "{not: {field: unit_price, at_least: {ref: contact.x}}}",
                ),
                (
                    "{field: categories, contains: /C7}",
                    "{any: [{field: categories, contains: /C7}, {field: unit_price, less_than: 0}]}",
                ),
            ] {
                // Turned round, the price is no bound that the step could use; both must say the same.
                let with =
                    |condition: &str| format!("{{total: 20, main: {{case: {case}, where: [{condition}]}}}}");
                let (quick, slow) = (ids(&with(narrow), limit), ids(&with(plain), limit));
                assert_eq!(quick, slow, "{limit}: {case}, {narrow}");
            }
        }
    }
}
