//! What is learned from orders.

use model::{Dice, ProductId, Timestamp};
use proptest::prelude::*;
use recommend::{Params, Settings, TrainingOrder, train::train, train_with};

fn order(day: i64, customer: u32, products: &[u32]) -> TrainingOrder {
    TrainingOrder {
        customer: Some(customer),
        at: Timestamp(day * Timestamp::DAY),
        products: products.iter().copied().map(ProductId).collect(),
    }
}

/// Products 1 to 60 in twelve families of five: orders hold four of one family, and one in five product 100, which goes
/// with everything.
fn families(orders: u32, seed: u64) -> Vec<TrainingOrder> {
    let mut dice = Dice::new(seed);
    (0..orders)
        .map(|i| {
            let family = dice.below(12) as u32;
            let mut of_family: Vec<u32> = (1..=5).map(|n| family * 5 + n).collect();
            dice.shuffle(&mut of_family);
            let mut products = of_family[..4].to_vec();
            if dice.below(5) == 0 {
                products.push(100);
            }
            order(i64::from(i) / 10, i % 50, &products)
        })
        .collect()
}

#[test]
fn families_are_found_and_what_everybody_buys_is_not_mistaken_for_one() {
    let trained = train(&families(3_000, 1), &Params::default());
    assert!(trained.quality.is_some_and(|quality| quality > 0.5), "{:?}", trained.quality);
    for product in 1..=60 {
        let family = (product - 1) / 5;
        let first: Vec<u32> = trained.learned.of(ProductId(product)).take(3).map(|(to, _)| to.0).collect();
        assert!(first.iter().all(|to| (to - 1) / 5 == family), "{product}: {first:?}");
        let together: Vec<u32> =
            trained.together.of(ProductId(product)).take(3).map(|(to, _)| to.0).collect();
        assert!(together.iter().all(|to| (to - 1) / 5 == family), "{product}: {together:?}");
    }
    assert_eq!(trained.popular[0], ProductId(100), "in most orders, yet nobody's nearest");
    assert!(trained.learned.of(ProductId(1)).len() <= Params::default().neighbours);
}

#[test]
fn few_orders_are_enough_and_none_is_no_mistake() {
    let none = train(&[], &Params::default());
    assert!(none.learned.is_empty() && none.together.is_empty() && none.quality.is_none());
    let few = train(
        &[order(1, 1, &[1, 2]), order(2, 2, &[1, 2, 2]), order(3, 3, &[3]), order(4, 3, &[])],
        &Params::default(),
    );
    assert_eq!(few.settings, Settings::default());
    assert_eq!(few.learned.of(ProductId(1)).map(|(to, _)| to.0).collect::<Vec<_>>(), [2]);
    assert_eq!(few.learned.of(ProductId(3)).len(), 0);
    // Bought together once is chance.
    let once = train(&[order(1, 1, &[1, 2])], &Params::default());
    assert!(once.together.is_empty());
}

#[test]
fn products_beyond_the_dense_model_have_relations_too() {
    let params = Params { head: 10, neighbours: 4 };
    let trained = train_with(&families(2_000, 3), &params, Settings::default());
    for product in 1..=60 {
        let family = (product - 1) / 5;
        let row: Vec<u32> = trained.learned.of(ProductId(product)).map(|(to, _)| to.0).collect();
        assert!(row.len() <= 4, "{row:?}");
        assert!(row.iter().filter(|to| (*to - 1) / 5 == family).count() >= 2, "{product}: {row:?}");
    }
    let zero = train_with(&families(500, 3), &Params { head: 0, neighbours: 0 }, Settings::default());
    assert!(zero.learned.of(ProductId(1)).len() <= 1, "the parameters are clamped");
}

#[test]
fn own_repeats_learn_how_fast_habits_fade() {
    // Every customer buys one product for a while, then another: the recent past tells, the far one misleads.
    let mut orders = Vec::new();
    for customer in 0..150_u32 {
        for week in 0..20_i64 {
            let product = if week < 13 { customer } else { customer + 1_000 };
            let rest = [2_000 + (customer + week as u32) % 40, 2_000 + (customer * 3 + week as u32) % 40];
            orders.push(order(week * 7 + i64::from(customer % 7), customer, &[product, rest[0], rest[1]]));
        }
    }
    let trained = train(&orders, &Params::default());
    assert!(trained.settings.repeat_half_life_days <= 60.0, "{:?}", trained.settings);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_answer_depends_on_the_orders_alone(seed in any::<u64>()) {
        let orders = families(300, seed);
        let mut mixed = orders.clone();
        Dice::new(seed).shuffle(&mut mixed);
        let params = Params::default();
        let (a, b) = (train_with(&orders, &params, Settings::default()), train_with(&mixed, &params, Settings::default()));
        prop_assert_eq!(&a.learned, &b.learned);
        prop_assert_eq!(a.together, b.together);
        for product in 0..=101 {
            for (to, weight) in a.learned.of(ProductId(product)) {
                prop_assert!(to != ProductId(product) && weight.is_finite());
            }
        }
    }
}
