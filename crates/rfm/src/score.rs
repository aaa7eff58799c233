//! Scores of one contact against cut points.

use model::Timestamp;

use crate::{CutPoints, Measure, Ratio, RfmModel};

/// Whole days of 24 hours elapsed from the last order to `at`; 0 for an order that is not before `at`.
#[must_use]
pub fn recency_days(last_order: Timestamp, at: Timestamp) -> u32 {
    u32::try_from(at.since(last_order).max(0) / Timestamp::DAY).unwrap_or(u32::MAX)
}

/// Three scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// Recency, from 1 (long ago).
    pub recency: u8,
    /// Frequency, from 1.
    pub frequency: u8,
    /// Monetary, from 1.
    pub monetary: u8,
}

impl Code {
    /// As decimal digits, as in 345.
    #[must_use]
    pub const fn digits(self) -> u16 {
        self.recency as u16 * 100 + self.frequency as u16 * 10 + self.monetary as u16
    }
}

/// Cut points made ready for scoring many contacts.
#[derive(Clone, Debug)]
pub struct Scorer {
    levels: u8,
    days: Vec<u32>,
    orders: Vec<u32>,
    money: Money,
    /// Place of the group by place of the code.
    table: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Money {
    /// Sums are whole: one is above a cut point when it is above its whole part.
    Sum(Vec<i64>),
    Average(Vec<AverageCut>),
}

/// A cut point with a band of floats around it: only an average that falls into the band is compared exactly.
#[derive(Clone, Copy, Debug)]
struct AverageCut {
    exact: Ratio,
    low: f64,
    high: f64,
}

impl AverageCut {
    fn new(exact: Ratio) -> Self {
        let middle = exact.to_f64();
        // The nearest floats of cut point and average, and their quotients, err by less than 2⁻⁵⁰ of their size.
        let margin = middle.abs() * 1e-12 + 1e-12;
        Self { exact, low: middle - margin, high: middle + margin }
    }

    fn is_below(&self, sum: i64, count: u32, rough: f64) -> bool {
        if rough < self.low {
            false
        } else if rough > self.high {
            true
        } else {
            self.exact < Ratio::average(sum, count)
        }
    }
}

impl Scorer {
    /// For a model and its cut points.
    #[must_use]
    pub fn new(model: &RfmModel, cuts: &CutPoints) -> Self {
        // A whole number is above a cut point exactly when it is above the cut point's whole part.
        let whole = |list: &[Ratio]| -> Vec<u32> {
            list.iter().map(|cut| cut.floor().clamp(0, i128::from(u32::MAX)) as u32).collect()
        };
        let money = match model.measure {
            Measure::Sum => Money::Sum(
                cuts.monetary
                    .iter()
                    .map(|cut| cut.floor().clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
                    .collect(),
            ),
            Measure::Average => Money::Average(cuts.monetary.iter().copied().map(AverageCut::new).collect()),
        };
        Self {
            levels: model.levels,
            days: whole(&cuts.recency),
            orders: whole(&cuts.frequency),
            money,
            table: model.table.clone(),
        }
    }

    /// The scores of a contact with at least one order in the window.
    #[must_use]
    pub fn score(&self, days: u32, orders: u32, spent: i64) -> Code {
        let below = |cuts: &[u32], value: u32| cuts.iter().map(|cut| u8::from(*cut < value)).sum::<u8>();
        let monetary = match &self.money {
            Money::Sum(cuts) => cuts.iter().map(|cut| u8::from(*cut < spent)).sum::<u8>(),
            Money::Average(cuts) => {
                let rough = spent as f64 / f64::from(orders.max(1));
                cuts.iter().map(|cut| u8::from(cut.is_below(spent, orders, rough))).sum()
            }
        };
        Code {
            recency: self.levels - below(&self.days, days),
            frequency: 1 + below(&self.orders, orders),
            monetary: 1 + monetary,
        }
    }

    /// The place of a code's group in [`RfmModel::groups`].
    #[must_use]
    pub fn group(&self, code: Code) -> usize {
        let levels = usize::from(self.levels);
        let place = |score: u8| usize::from(score) - 1;
        usize::from(
            self.table
                [(place(code.recency) * levels + place(code.frequency)) * levels + place(code.monetary)],
        )
    }
}
