//! Rankings of the whole catalogue: by price, rating, priority, age, and by what was sold or visited in a period.

use std::cmp::{Ordering, Reverse};

use model::{Amount, Period, Product, ProductId, Timestamp};

/// Which daily figure ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Orders that hold the product; equal ones by units. (One wholesaler's thousand pieces are not a trend.)
    Sales,
    /// Visits of its page.
    Visits,
}

/// What a ranking of the catalogue goes by. Ties: priority, then the smaller product number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RankingKey {
    /// Cheapest first; without a price last.
    PriceAscending,
    /// Dearest first; without a price last.
    PriceDescending,
    /// Best rated first; unrated last.
    Rating,
    /// The shop's priority, highest first.
    Priority,
    /// Newest on sale first; undated last.
    Newest,
    /// Most sold or visited in the period that ends now; products without any figure are left out.
    Figures(Metric, Period),
}

/// A ranking: the products in order, and each one's place.
#[derive(Debug)]
pub struct Ranking {
    /// Products that may be recommended, the first first.
    pub products: Vec<ProductId>,
    /// Place in `products` by position in the catalogue; [`Ranking::UNRANKED`] for those that are not in it.
    places: Vec<u32>,
}

impl Ranking {
    /// The place of a product that is not in the ranking: after all others.
    pub const UNRANKED: u32 = u32::MAX;

    pub(crate) fn new(products: Vec<ProductId>, position: impl Fn(ProductId) -> usize, len: usize) -> Self {
        let mut places = vec![Self::UNRANKED; len];
        for (place, product) in products.iter().enumerate() {
            if let Some(slot) = places.get_mut(position(*product)) {
                *slot = place as u32;
            }
        }
        Self { products, places }
    }

    /// The place of the product at a position of the catalogue.
    #[must_use]
    pub fn place(&self, position: usize) -> u32 {
        self.places.get(position).copied().unwrap_or(Self::UNRANKED)
    }
}

/// The last whole UTC day that a period ending at `now` (exclusive) reaches into, and the day before its first.
///
/// Figures are kept per UTC day: "last week" at any time of a day is that day and the six before it.
#[must_use]
pub fn days_of(period: Period, now: Timestamp) -> (i32, i32) {
    let last = now.plus(-1).day_utc();
    let first = if period.micros == i64::MAX { i32::MIN } else { period.before(now).plus(-1).day_utc() };
    (first.min(last.saturating_sub(1)), last)
}

/// Compares two products by a key that needs no figures.
pub(crate) fn compare(key: RankingKey, a: &Product, b: &Product) -> Ordering {
    let tie = || (Reverse(a.priority), a.id).cmp(&(Reverse(b.priority), b.id));
    let price = |p: &Product| p.unit_price.unwrap_or(Amount(i64::MIN));
    match key {
        RankingKey::PriceAscending => {
            let cheap = |p: &Product| p.unit_price.unwrap_or(Amount(i64::MAX));
            cheap(a).cmp(&cheap(b)).then_with(tie)
        }
        RankingKey::PriceDescending => price(b).cmp(&price(a)).then_with(tie),
        RankingKey::Rating => {
            let rating = |p: &Product| p.rating.unwrap_or(Amount(i64::MIN));
            rating(b).cmp(&rating(a)).then_with(tie)
        }
        RankingKey::Newest => {
            let at = |p: &Product| p.published_at.unwrap_or(Timestamp::MIN);
            at(b).cmp(&at(a)).then_with(tie)
        }
        RankingKey::Priority | RankingKey::Figures(..) => tie(),
    }
}
