//! Learns relations between products from orders.
//!
//! Two views of the same weighted co-occurrence are blended: EASE over the well-sold products (`ease`) and a damped
//! cosine that reaches the long tail. How much an order weighs (by its size and age), the ridge and the blend are
//! chosen on the shop's own last orders (`tune`), never by hand; then everything is learned again from all orders and
//! cut to a few neighbours per product.

pub mod baskets;
mod dense;
mod ease;
mod pairs;
mod rows;
mod tune;

pub use baskets::TrainingOrder;

use model::ProductId;
use serde::{Deserialize, Serialize};

use crate::{
    catalogue::HALF_LIFE_DAYS_DEFAULT,
    relations::{NEIGHBOURS_DEFAULT, NEIGHBOURS_MAX, Relations},
};
use baskets::Baskets;
use pairs::Pairs;

/// Most products that the dense model covers: 8,000 take about 10 CPU seconds and 400 MB while training.
pub const HEAD_MAX: usize = 8_000;
/// Most products that the dense model covers while settings are compared: it is fitted several times.
const HEAD_TUNING: usize = 4_000;

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Neighbours that each product keeps, at most [`NEIGHBOURS_MAX`].
    pub neighbours: usize,
    /// Products that the dense model covers, at most [`HEAD_MAX`]; the other ones have the damped cosine alone.
    pub head: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { neighbours: NEIGHBOURS_DEFAULT, head: HEAD_MAX }
    }
}

/// Settings that are chosen on the shop's own orders.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// An order of n products weighs n to the power of minus this.
    pub size_exponent: f32,
    /// Days after which an order weighs half; none when age does not matter.
    pub half_life_days: Option<f32>,
    /// Ridge of the dense model, in orders of mean weight.
    pub ridge: f32,
    /// What the damped cosine weighs beside the dense model.
    pub cosine: f32,
    /// Days after which a customer's own purchase weighs half in *own repeats*.
    pub repeat_half_life_days: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            size_exponent: 0.5,
            half_life_days: None,
            ridge: 50.0,
            cosine: 0.2,
            repeat_half_life_days: HALF_LIFE_DAYS_DEFAULT,
        }
    }
}

/// What was learned.
#[derive(Clone, Debug, Default)]
pub struct Trained {
    /// Relations of affinity.
    pub learned: Relations,
    /// Purchase patterns: products that were really bought in the same orders, at least twice.
    pub together: Relations,
    /// The settings that were chosen.
    pub settings: Settings,
    /// How well they did on the last orders, none when there were too few to compare on: the mean nDCG@6 of finding
    /// one left-out product and of finding the second half of an order.
    pub quality: Option<f32>,
    /// Products by how many orders hold them, most first: what fills up a list when nothing is related.
    pub popular: Vec<ProductId>,
}

/// Chooses the settings on the last orders, then learns from all of them.
///
/// The answer depends on the orders (in any order) and the parameters alone. Products that must never be recommended
/// (postage and the like) have to be left out by the caller.
#[must_use]
pub fn train(orders: &[TrainingOrder], params: &Params) -> Trained {
    let baskets = Baskets::new(orders);
    let neighbours = params.neighbours.clamp(1, NEIGHBOURS_MAX);
    let head = params.head.min(HEAD_MAX);
    let (settings, quality) = tune::choose(&baskets, neighbours, head.min(HEAD_TUNING));
    learn(&baskets, neighbours, head, settings, quality)
}

/// Learns with settings that are known already.
#[must_use]
pub fn train_with(orders: &[TrainingOrder], params: &Params, settings: Settings) -> Trained {
    let neighbours = params.neighbours.clamp(1, NEIGHBOURS_MAX);
    learn(&Baskets::new(orders), neighbours, params.head.min(HEAD_MAX), settings, None)
}

fn learn(
    baskets: &Baskets,
    neighbours: usize,
    head: usize,
    settings: Settings,
    quality: Option<f32>,
) -> Trained {
    let pairs = Pairs::new(baskets, baskets.len(), settings.size_exponent, settings.half_life_days);
    let all: Vec<u32> = (0..pairs.items() as u32).collect();
    let model = ease::Ease::fit(&pairs, head, settings.ridge);
    let learned = rows::blended(&pairs, model.as_ref(), &[settings.cosine], neighbours, &all);
    drop(model);
    let together = rows::together(&pairs, neighbours, &all);
    let named = |rows: Vec<rows::Row>| {
        let name = |item: u32| baskets.products[item as usize];
        let rows = rows.into_iter().zip(&all).map(|(row, item)| {
            (name(*item), row.into_iter().map(|(to, weight)| (name(to), weight)).collect::<Vec<_>>())
        });
        Relations::from_rows(rows.collect(), neighbours)
    };
    Trained {
        learned: named(learned.into_iter().map(|mut blends| blends.pop().unwrap_or_default()).collect()),
        together: named(together),
        settings,
        quality,
        popular: baskets.products.clone(),
    }
}
