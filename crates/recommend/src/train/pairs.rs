//! What was bought together with what: weighted co-occurrence, item by item.

use model::Timestamp;
use rayon::prelude::*;

use super::baskets::Baskets;

/// Weighted counts over the first baskets of a shop.
pub(crate) struct Pairs<'a> {
    baskets: &'a Baskets,
    /// Baskets that count: the first so many by time.
    pub len: usize,
    /// By basket: its weight.
    pub weights: Vec<f32>,
    /// By item: sum of the weights of the baskets that hold it.
    pub sums: Vec<f32>,
    offsets: Vec<usize>,
    holders: Vec<u32>,
}

/// Working space of one thread.
#[derive(Default)]
pub(crate) struct Row {
    sum: Vec<f32>,
    times: Vec<u16>,
    touched: Vec<u32>,
}

impl<'a> Pairs<'a> {
    /// Over the first `len` baskets; see [`Pairs::reweigh`].
    pub fn new(baskets: &'a Baskets, len: usize, size_exponent: f32, half_life_days: Option<f32>) -> Self {
        let (offsets, holders) = baskets.by_item(len);
        let mut pairs = Self { baskets, len, weights: Vec::new(), sums: Vec::new(), offsets, holders };
        pairs.reweigh(size_exponent, half_life_days);
        pairs
    }

    /// Weighs baskets: one of n products weighs n to the power of minus `size_exponent`, halved with every half-life
    /// between it and the last basket.
    pub fn reweigh(&mut self, size_exponent: f32, half_life_days: Option<f32>) {
        let last = self.len.checked_sub(1).map_or(Timestamp::MIN, |last| self.baskets.times[last]);
        let fading = half_life_days.map_or(0.0, |days| 1.0 / (days.max(1e-3) * Timestamp::DAY as f32));
        self.weights = (0..self.len)
            .map(|basket| {
                let age = last.since(self.baskets.times[basket]) as f32;
                (self.baskets.items(basket).len() as f32).powf(-size_exponent) * (-age * fading).exp2()
            })
            .collect();
        self.sums = (0..self.baskets.products.len())
            .map(|item| {
                self.holders(item).iter().map(|b| f64::from(self.weights[*b as usize])).sum::<f64>() as f32
            })
            .collect();
    }

    /// The baskets that hold an item.
    pub fn holders(&self, item: usize) -> &[u32] {
        &self.holders[self.offsets[item]..self.offsets[item + 1]]
    }

    /// How many items there are.
    pub fn items(&self) -> usize {
        self.baskets.products.len()
    }

    /// Calls `visit` with each other item that was bought with this one, the weighted sum and the number of baskets.
    pub fn row(&self, item: u32, row: &mut Row, mut visit: impl FnMut(u32, f32, u16)) {
        row.sum.resize(self.items(), 0.0);
        row.times.resize(self.items(), 0);
        for basket in self.holders(item as usize) {
            let weight = self.weights[*basket as usize];
            for other in self.baskets.items(*basket as usize) {
                let at = *other as usize;
                if row.times[at] == 0 {
                    row.touched.push(*other);
                }
                row.sum[at] += weight;
                row.times[at] = row.times[at].saturating_add(1);
            }
        }
        for other in row.touched.drain(..) {
            let at = other as usize;
            if other != item {
                visit(other, row.sum[at], row.times[at]);
            }
            row.sum[at] = 0.0;
            row.times[at] = 0;
        }
    }

    /// The mean weight of a basket.
    pub fn mean_weight(&self) -> f32 {
        let total: f64 = self.weights.iter().map(|weight| f64::from(*weight)).sum();
        (total / self.len.max(1) as f64) as f32
    }

    /// One value per item asked for, in parallel, in the order asked.
    pub fn map_rows<T: Send>(&self, items: &[u32], make: impl Fn(u32, &mut Row) -> T + Sync) -> Vec<T> {
        items.par_iter().map_init(Row::default, |row, item| make(*item, row)).collect()
    }
}
