//! Cut points of a base of contacts: exact quantiles of type 7, found by selection, not by sorting.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::{Cuts, Measure, Ratio, RfmModel};

/// What the contacts who have orders in the window are scored by: columns of equal length, one contact a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Whole days elapsed since the last order.
    pub days: Vec<u32>,
    /// Orders, at least 1.
    pub orders: Vec<u32>,
    /// What they come to, in ten-thousandths.
    pub spent: Vec<i64>,
}

impl Figures {
    /// How many contacts.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Adds a contact.
    pub fn push(&mut self, days: u32, orders: u32, spent: i64) {
        self.days.push(days);
        self.orders.push(orders);
        self.spent.push(spent);
    }

    /// Adds another base's contacts.
    pub fn append(&mut self, other: &Self) {
        self.days.extend_from_slice(&other.days);
        self.orders.extend_from_slice(&other.orders);
        self.spent.extend_from_slice(&other.spent);
    }
}

/// The cut points in force, ascending. A quantile of an empty base does not exist: its list is empty then, and whoever
/// comes first is scored like a base of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutPoints {
    /// Contacts that they were taken from.
    pub contacts: u64,
    /// Days.
    pub recency: Vec<Ratio>,
    /// Orders.
    pub frequency: Vec<Ratio>,
    /// Ten-thousandths.
    pub monetary: Vec<Ratio>,
}

impl CutPoints {
    /// The cut points of a model for a base.
    #[must_use]
    pub fn of(model: &RfmModel, base: &Figures) -> Self {
        let integers = |cuts: &Cuts, column: &[u32]| match cuts {
            Cuts::Values(list) => list.clone(),
            Cuts::Quantiles(shares) => {
                quantiles(shares, column.len(), |ranks| whole(&pick_integers(column, ranks)))
            }
        };
        let monetary = || match &model.monetary {
            Cuts::Values(list) => list.clone(),
            Cuts::Quantiles(shares) => quantiles(shares, base.len(), |ranks| match model.measure {
                Measure::Sum => {
                    let mut column = base.spent.clone();
                    pick(&mut column, ranks, i64::cmp).into_iter().map(Ratio::whole).collect()
                }
                Measure::Average => pick_averages(base, ranks),
            }),
        };
        let (monetary, (recency, frequency)) = rayon::join(monetary, || {
            (integers(&model.recency, &base.days), integers(&model.frequency, &base.orders))
        });
        Self { contacts: base.len() as u64, recency, frequency, monetary }
    }

    /// As JSON: exact fractions as texts; amounts in ten-thousandths.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let texts = |list: &[Ratio]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        json!({
            "contacts": self.contacts,
            "recency": texts(&self.recency),
            "frequency": texts(&self.frequency),
            "monetary": texts(&self.monetary),
        })
    }

    /// Reads what [`CutPoints::to_json`] writes; none when it is something else.
    #[must_use]
    pub fn from_json(json: &Value) -> Option<Self> {
        let list = |key: &str| -> Option<Vec<Ratio>> {
            json.get(key)?.as_array()?.iter().map(|item| item.as_str()?.parse().ok()).collect()
        };
        Some(Self {
            contacts: json.get("contacts")?.as_u64()?,
            recency: list("recency")?,
            frequency: list("frequency")?,
            monetary: list("monetary")?,
        })
    }
}

fn whole(values: &[u32]) -> Vec<Ratio> {
    values.iter().map(|value| Ratio::whole(i64::from(*value))).collect()
}

/// Quantiles of type 7 of `n` values: `values_at` answers with the values at ascending ranks from 0.
fn quantiles(shares: &[Ratio], n: usize, values_at: impl FnOnce(&[usize]) -> Vec<Ratio>) -> Vec<Ratio> {
    if n == 0 {
        return Vec::new();
    }
    // Rank (n − 1) · p as whole part and rest over the denominator of p.
    let positions: Vec<(usize, i128, i128)> = shares
        .iter()
        .map(|share| {
            let share = share.reduced();
            let height = (n as i128 - 1) * share.numerator();
            ((height / share.denominator()) as usize, height % share.denominator(), share.denominator())
        })
        .collect();
    let mut ranks: Vec<usize> = positions
        .iter()
        .flat_map(|(low, rest, _)| [Some(*low), (*rest != 0).then_some(*low + 1)])
        .flatten()
        .collect();
    ranks.sort_unstable();
    ranks.dedup();
    let values = values_at(&ranks);
    let value = |rank: usize| values[ranks.partition_point(|known| *known < rank)];
    positions
        .into_iter()
        .map(|(low, rest, denominator)| {
            let high = if rest == 0 { low } else { low + 1 };
            Ratio::between(value(low), value(high), rest, denominator)
        })
        .collect()
}

/// The values at ascending ranks; reorders the column. Linear for few ranks.
fn pick<T: Copy>(column: &mut [T], ranks: &[usize], order: fn(&T, &T) -> Ordering) -> Vec<T> {
    fn halve<T: Copy>(
        column: &mut [T],
        before: usize,
        ranks: &[usize],
        order: fn(&T, &T) -> Ordering,
        out: &mut Vec<T>,
    ) {
        let Some(middle) = ranks.len().checked_sub(1).map(|last| last / 2) else { return };
        let (left, at, right) = column.select_nth_unstable_by(ranks[middle] - before, order);
        let at = *at;
        halve(left, before, &ranks[..middle], order, out);
        out.push(at);
        halve(right, ranks[middle] + 1, &ranks[middle + 1..], order, out);
    }
    let mut out = Vec::with_capacity(ranks.len());
    halve(column, 0, ranks, order, &mut out);
    out
}

/// Columns whose greatest value is below this are counted, others selected.
const COUNTED_BELOW: u32 = 1 << 20;

fn pick_integers(column: &[u32], ranks: &[usize]) -> Vec<u32> {
    let most = column.iter().copied().max().unwrap_or(0);
    if most >= COUNTED_BELOW {
        return pick(&mut column.to_vec(), ranks, u32::cmp);
    }
    let mut counts = vec![0_usize; most as usize + 1];
    for value in column {
        counts[*value as usize] += 1;
    }
    let (mut value, mut up_to) = (0, counts[0]);
    ranks
        .iter()
        .map(|rank| {
            while up_to <= *rank {
                value += 1;
                up_to += counts[value];
            }
            value as u32
        })
        .collect()
}

/// Averages whose sum times whose number stay below this are told apart by their nearest floats: two different fractions
/// a/b and c/d are at least 1/(bd) apart, 1/(ad) of their size, which is more than a float's step, and both terms are exact as
/// floats, so that division keeps their order.
const FLOATS_EXACT_BELOW: u128 = 1 << 50;

fn pick_averages(base: &Figures, ranks: &[usize]) -> Vec<Ratio> {
    let most_orders = base.orders.iter().copied().max().unwrap_or(1);
    let most_spent = base.spent.iter().map(|spent| spent.unsigned_abs()).max().unwrap_or(0);
    let rows = || base.spent.iter().zip(&base.orders);
    if u128::from(most_spent.max(1)) * u128::from(most_orders) >= FLOATS_EXACT_BELOW {
        let mut averages: Vec<Ratio> = rows().map(|(sum, count)| Ratio::average(*sum, *count)).collect();
        return pick(&mut averages, ranks, Ratio::cmp);
    }
    let mut keys: Vec<f64> = rows().map(|(sum, count)| average_key(*sum, *count)).collect();
    let picked = pick(&mut keys, ranks, f64::total_cmp);
    // Equal floats are equal averages here: any row with the same float stands for the value.
    let mut found: Vec<Option<Ratio>> = vec![None; picked.len()];
    let mut missing = picked.len();
    for (sum, count) in rows() {
        let key = average_key(*sum, *count);
        let mut at = picked.partition_point(|known| *known < key);
        while at < picked.len() && picked[at] == key && found[at].is_none() {
            found[at] = Some(Ratio::average(*sum, *count));
            missing -= 1;
            at += 1;
        }
        if missing == 0 {
            break;
        }
    }
    found.into_iter().flatten().collect()
}

/// The nearest float of an average; never −0, which `total_cmp` would tell from 0.
fn average_key(sum: i64, count: u32) -> f64 {
    sum as f64 / f64::from(count) + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_at_ranks() {
        let column = [5, 1, 4, 1, 3];
        assert_eq!(pick(&mut column.clone(), &[0, 1, 3, 4], i32::cmp), [1, 1, 4, 5]);
        assert_eq!(pick_integers(&[5, 1, 4, 1, 3], &[0, 2, 4]), [1, 3, 5]);
        assert_eq!(
            pick_integers(&[COUNTED_BELOW, 1, COUNTED_BELOW - 1], &[1, 2]),
            [COUNTED_BELOW - 1, COUNTED_BELOW]
        );
    }

    #[test]
    fn type_7_of_known_values() {
        // R: quantile(c(1, 2, 4, 8), c(.2, .4, .6, .8)) = 1.6 2.4 3.6 5.6
        let shares: Vec<Ratio> = (1..5).filter_map(|k| Ratio::new(k, 5)).collect();
        let cuts = quantiles(&shares, 4, |ranks| whole(&pick_integers(&[8, 1, 4, 2], ranks)));
        let texts: Vec<String> = cuts.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["8/5", "12/5", "18/5", "28/5"]);
    }

    #[test]
    fn json_goes_round() {
        let cuts = CutPoints {
            contacts: 3,
            recency: vec![Ratio::whole(1)],
            frequency: Vec::new(),
            monetary: vec![Ratio::average(10, 3)],
        };
        assert_eq!(CutPoints::from_json(&cuts.to_json()).unwrap(), cuts);
        assert!(CutPoints::from_json(&json!({"contacts": 1})).is_none());
    }
}
