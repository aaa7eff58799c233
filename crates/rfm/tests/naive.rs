//! Cut points and scores against a naive implementation by sorting and plain fractions.

use std::cmp::Ordering;

use model::Timestamp;
use proptest::prelude::*;
use rfm::{CutPoints, Figures, Measure, RfmModel, Scorer, recency_days};

/// A fraction as two numbers, compared by cross products (the values here are small).
type Fraction = (i128, i128);

fn compare(a: Fraction, b: Fraction) -> Ordering {
    (a.0 * b.1).cmp(&(b.0 * a.1))
}

/// Quantile of type 7 by sorting.
fn quantile(values: &[Fraction], part: i128, whole: i128) -> Fraction {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| compare(*a, *b));
    let height = (sorted.len() as i128 - 1) * part;
    let (low, rest) = ((height / whole) as usize, height % whole);
    let high = if rest == 0 { low } else { low + 1 };
    let (a, b) = (sorted[low], sorted[high]);
    (a.0 * b.1 * (whole - rest) + b.0 * a.1 * rest, a.1 * b.1 * whole)
}

fn naive_scores(values: &[Fraction], levels: i128) -> Vec<u8> {
    let cuts: Vec<Fraction> = (1..levels).map(|k| quantile(values, k, levels)).collect();
    let below = |value: Fraction| cuts.iter().filter(|cut| compare(**cut, value) == Ordering::Less).count();
    values.iter().map(|value| 1 + below(*value) as u8).collect()
}

fn check(base: &Figures, model: &RfmModel) {
    if base.is_empty() {
        return;
    }
    let cuts = CutPoints::of(model, base);
    let scorer = Scorer::new(model, &cuts);
    let fractions = |column: &[u32]| column.iter().map(|v| (i128::from(*v), 1)).collect::<Vec<_>>();
    let levels = i128::from(model.levels);
    let money: Vec<Fraction> = base
        .spent
        .iter()
        .zip(&base.orders)
        .map(|(sum, count)| match model.measure {
            Measure::Average => (i128::from(*sum), i128::from(*count)),
            Measure::Sum => (i128::from(*sum), 1),
        })
        .collect();
    let frequency = naive_scores(&fractions(&base.orders), levels);
    let monetary = naive_scores(&money, levels);
    let recency: Vec<u8> = match model.slug.as_str() {
        "groups-6" => base.days.iter().map(|d| 3 - u8::from(*d > 180) - u8::from(*d > 365)).collect(),
        _ => naive_scores(&fractions(&base.days), levels).into_iter().map(|s| model.levels + 1 - s).collect(),
    };
    for i in 0..base.len() {
        let code = scorer.score(base.days[i], base.orders[i], base.spent[i]);
        assert_eq!(
            (code.recency, code.frequency, code.monetary),
            (recency[i], frequency[i], monetary[i]),
            "contact {i} of {base:?}"
        );
        let group = model.group_of(code.recency, code.frequency, code.monetary);
        assert_eq!(scorer.group(code), group);
    }
    assert_eq!(CutPoints::from_json(&cuts.to_json()).as_ref(), Some(&cuts));
}

/// Many ties, and values near to one another.
fn base() -> impl Strategy<Value = Figures> {
    let few = prop_oneof![Just(1_u32), Just(2), Just(3), 1..40_u32, Just(7_000_000)];
    let money = prop_oneof![
        (0..6_i64).prop_map(|n| n * 33_333),
        -50_000..2_000_000_i64,
        Just(9_000_000_000_000_000),
        Just(9_000_000_000_000_001)
    ];
    let usual = prop_oneof![Just(0_u32), Just(180), Just(181), Just(365), Just(366), 0..800_u32];
    prop::collection::vec((usual, few, money), 0..60).prop_map(|rows| {
        let mut base = Figures::default();
        for (days, orders, spent) in rows {
            base.push(days, orders, spent);
        }
        base
    })
}

proptest! {
    #[test]
    fn scores_equal_the_naive_ones(base in base()) {
        for slug in RfmModel::BUILT_IN {
            check(&base, &RfmModel::built_in(slug).unwrap());
        }
    }

    /// The same without the huge values, so that averages are told apart by floats.
    #[test]
    fn scores_equal_the_naive_ones_on_the_fast_path(
        rows in prop::collection::vec((0..500_u32, 1..9_u32, 0..60_i64), 0..120)
    ) {
        let mut base = Figures::default();
        for (days, orders, units) in rows {
            base.push(days, orders, units * 10_000);
        }
        for slug in RfmModel::BUILT_IN {
            check(&base, &RfmModel::built_in(slug).unwrap());
        }
    }
}

#[test]
fn small_and_flat_bases_make_sense() {
    let classic = RfmModel::built_in("classic-11").unwrap();
    let nobody = CutPoints::of(&classic, &Figures::default());
    assert!(nobody.recency.is_empty() && nobody.monetary.is_empty());
    // One contact, and contacts who are all alike: nothing lies below anything.
    for n in [1, 3, 1000] {
        let mut base = Figures::default();
        for _ in 0..n {
            base.push(12, 3, 100_000);
        }
        let scorer = Scorer::new(&classic, &CutPoints::of(&classic, &base));
        assert_eq!(scorer.score(12, 3, 100_000).digits(), 511, "{n}");
        // Whoever is better than all of them gets the best scores.
        assert_eq!(scorer.score(0, 4, 400_004).digits(), 555, "{n}");
    }
    // Fewer contacts than levels: the best is best, the worst is worst.
    let mut two = Figures::default();
    two.push(1, 9, 9_000_000);
    two.push(200, 1, 10_000);
    let scorer = Scorer::new(&classic, &CutPoints::of(&classic, &two));
    assert_eq!(scorer.score(1, 9, 9_000_000).digits(), 555);
    assert_eq!(scorer.score(200, 1, 10_000).digits(), 111);
}

#[test]
fn recency_counts_whole_days() {
    let at = Timestamp(100 * Timestamp::DAY);
    for (last, days) in [
        (at.plus(-1), 0),
        (at.plus(-Timestamp::DAY), 1),
        (at.plus(1 - Timestamp::DAY), 0),
        (at.plus(-180 * Timestamp::DAY - 5 * Timestamp::HOUR), 180),
        (at, 0),
        (at.plus(1), 0),
        (Timestamp::MIN, 106_751_991),
    ] {
        assert_eq!(recency_days(last, at), days, "{last:?}");
    }
}

#[test]
fn fixed_days_are_inclusive() {
    let six = RfmModel::built_in("groups-6").unwrap();
    let mut base = Figures::default();
    base.push(0, 1, 10_000);
    let scorer = Scorer::new(&six, &CutPoints::of(&six, &base));
    for (days, recency) in [(0, 3), (180, 3), (181, 2), (365, 2), (366, 1), (u32::MAX, 1)] {
        assert_eq!(scorer.score(days, 1, 10_000).recency, recency, "{days}");
    }
}
