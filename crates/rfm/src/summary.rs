//! Figures of a group: how many contacts, what their orders come to, medians.

use serde::{Deserialize, Serialize};

/// Collects the contacts of one group.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    days: Vec<u32>,
    orders: Vec<u32>,
    spent: Vec<i64>,
}

/// What a group's contacts come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupFigures {
    /// The group's slug.
    pub group: String,
    /// Contacts in it.
    pub contacts: u64,
    /// Their orders in the window.
    pub orders: u64,
    /// What those come to, in ten-thousandths, as a decimal text (it may not fit a JSON number).
    pub spent: String,
    /// Median of the whole days since the last order; the mean of the two in the middle for an even number.
    pub median_days: f64,
    /// Median of the number of orders.
    pub median_orders: f64,
    /// Median of what a contact's orders come to, in units of the currency.
    pub median_spent: f64,
}

impl Tally {
    /// Adds a contact.
    pub fn push(&mut self, days: u32, orders: u32, spent: i64) {
        self.days.push(days);
        self.orders.push(orders);
        self.spent.push(spent);
    }

    /// Adds another tally's contacts.
    pub fn append(&mut self, other: &Self) {
        self.days.extend_from_slice(&other.days);
        self.orders.extend_from_slice(&other.orders);
        self.spent.extend_from_slice(&other.spent);
    }

    /// The figures.
    #[must_use]
    pub fn figures(mut self, group: &str) -> GroupFigures {
        let spent: i128 = self.spent.iter().map(|spent| i128::from(*spent)).sum();
        GroupFigures {
            group: group.to_owned(),
            contacts: self.days.len() as u64,
            orders: self.orders.iter().map(|n| u64::from(*n)).sum(),
            spent: spent.to_string(),
            median_days: median(&mut self.days, f64::from),
            median_orders: median(&mut self.orders, f64::from),
            median_spent: median(&mut self.spent, |v| v as f64) / 10_000.0,
        }
    }
}

/// The value in the middle, or the mean of the two; 0 of nothing.
fn median<T: Copy + Ord>(values: &mut [T], float: impl Fn(T) -> f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    let even = values.len().is_multiple_of(2);
    let (left, at, _) = values.select_nth_unstable(middle);
    let at = float(*at);
    match left.iter().copied().max() {
        Some(before) if even => f64::midpoint(float(before), at),
        _ => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even() {
        let mut tally = Tally::default();
        assert_eq!(
            tally.clone().figures("x"),
            GroupFigures { group: "x".into(), spent: "0".into(), ..GroupFigures::default() }
        );
        for (days, orders, spent) in [(10, 1, 50_000), (30, 4, 10_000), (20, 2, 20_000)] {
            tally.push(days, orders, spent);
        }
        let odd = tally.clone().figures("x");
        assert_eq!((odd.median_days, odd.median_orders, odd.median_spent), (20.0, 2.0, 2.0));
        tally.push(40, 9, 30_000);
        let even = tally.figures("x");
        assert_eq!((even.median_days, even.median_orders, even.median_spent), (25.0, 3.0, 2.5));
        assert_eq!((even.contacts, even.orders, even.spent.as_str()), (4, 16, "110000"));
    }
}
