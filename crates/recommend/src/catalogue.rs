//! The catalogue as it stands at one instant: products, rankings, relations. Immutable, shared by all threads.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, PoisonError, RwLock},
};

use model::{Amount, Product, ProductId, Timestamp};
use segment::{NoData, ProductCondition};

use crate::{
    rank::{self, Metric, Ranking, RankingKey},
    relations::Relations,
};

/// What was sold and visited of one product on one UTC day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Which product.
    pub product: ProductId,
    /// Days since 1970-01-01.
    pub day: i32,
    /// Orders that hold it.
    pub orders: i64,
    /// Units sold.
    pub units: i64,
    /// Visits of its page.
    pub visits: i64,
}

/// Half-life of a purchase in *own repeats*, in days, for a shop that has not been trained.
pub const HALF_LIFE_DAYS_DEFAULT: f32 = 90.0;

/// The least stock at which products are recommended until a workspace sets another ([`Catalogue::with_min_stock`]): one
/// unit, so that what is sold out is left out.
pub const MIN_STOCK_DEFAULT: i64 = 1;
/// The greatest minimum that may be set.
pub const MIN_STOCK_MAX: i64 = 1_000_000;

/// Products, rankings for the instant that it was made for, and relations.
///
/// A ranking is made when it is first asked for and kept.
#[derive(Debug)]
pub struct Catalogue {
    now: Timestamp,
    products: Vec<Product>,
    /// By product number: position in `products`, or `u32::MAX`.
    positions: Vec<u32>,
    recommendable: Vec<bool>,
    min_stock: i64,
    by_external: HashMap<String, ProductId>,
    figures: Vec<Figures>,
    rankings: RwLock<HashMap<RankingKey, Arc<Ranking>>>,
    /// Products that satisfy a condition which reads neither the run nor the time, by the condition's key.
    satisfying: RwLock<HashMap<String, Arc<[ProductId]>>>,
    learned: Relations,
    together: Relations,
    links: Relations,
    half_life_days: f32,
}

impl Catalogue {
    /// A catalogue without learned relations. `figures` may hold days after `now`: they are not counted.
    #[must_use]
    pub fn new(mut products: Vec<Product>, figures: Vec<Figures>, now: Timestamp) -> Self {
        products.sort_by_key(|product| product.id);
        products.dedup_by_key(|product| product.id);
        let len = products.last().map_or(0, |product| product.id.0 as usize + 1);
        let mut positions = vec![u32::MAX; len];
        for (position, product) in products.iter().enumerate() {
            positions[product.id.0 as usize] = position as u32;
        }
        let by_external: HashMap<String, ProductId> =
            products.iter().map(|product| (product.external_id.clone(), product.id)).collect();
        let links = links_of(&products, &by_external);
        Self {
            now,
            recommendable: products.iter().map(Product::is_recommendable).collect(),
            min_stock: MIN_STOCK_DEFAULT,
            products,
            positions,
            by_external,
            figures,
            rankings: RwLock::default(),
            satisfying: RwLock::default(),
            learned: Relations::default(),
            together: Relations::default(),
            links,
            half_life_days: HALF_LIFE_DAYS_DEFAULT,
        }
    }

    /// With relations learned from orders: those of affinity, and those of products bought in the same orders.
    #[must_use]
    pub fn with_relations(mut self, learned: Relations, together: Relations) -> Self {
        self.learned = learned;
        self.together = together;
        self
    }

    /// With the half-life of a purchase in *own repeats*, in days; nothing changes unless it is positive.
    #[must_use]
    pub fn with_half_life(mut self, days: f32) -> Self {
        if days > 0.0 {
            self.half_life_days = days;
        }
        self
    }

    /// With the workspace's minimum stock, in units: a product of which fewer are left is chosen for nobody, unless a
    /// step sets a minimum of its own. Where the shop does not count units, there are enough.
    #[must_use]
    pub const fn with_min_stock(mut self, units: i64) -> Self {
        self.min_stock = units;
        self
    }

    /// The instant that it was made for.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// All products by number, those that may not be recommended too.
    #[must_use]
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// A product.
    #[must_use]
    pub fn product(&self, id: ProductId) -> Option<&Product> {
        self.products.get(self.position(id))
    }

    /// A product by the shop's own id.
    #[must_use]
    pub fn by_external_id(&self, id: &str) -> Option<&Product> {
        self.by_external.get(id).and_then(|id| self.product(*id))
    }

    /// Whether a product may be recommended where at least `min_stock` units must be left; the workspace's minimum when
    /// a step says nothing.
    #[must_use]
    pub fn is_recommendable(&self, id: ProductId, min_stock: Option<i64>) -> bool {
        let (position, least) = (self.position(id), min_stock.unwrap_or(self.min_stock));
        self.recommendable.get(position).copied().unwrap_or_default()
            // One unit is left of whatever is recommendable at all: the product need not be looked at.
            && (least <= MIN_STOCK_DEFAULT || self.products[position].stock.is_none_or(|units| units >= least))
    }

    /// Relations of affinity.
    #[must_use]
    pub const fn learned(&self) -> &Relations {
        &self.learned
    }

    /// Relations of purchase patterns: what was really bought in the same orders.
    #[must_use]
    pub const fn together(&self) -> &Relations {
        &self.together
    }

    /// The shop's explicit links, in the shop's order.
    #[must_use]
    pub const fn links(&self) -> &Relations {
        &self.links
    }

    /// Half-life of a purchase in *own repeats*, in days.
    #[must_use]
    pub const fn half_life_days(&self) -> f32 {
        self.half_life_days
    }

    /// Position of a product, `usize::MAX` when it is none of ours.
    pub(crate) fn position(&self, id: ProductId) -> usize {
        match self.positions.get(id.0 as usize) {
            Some(&position) if position != u32::MAX => position as usize,
            _ => usize::MAX,
        }
    }

    /// The place of a product in a ranking; [`Ranking::UNRANKED`] when it is not in it.
    #[must_use]
    pub fn place(&self, ranking: &Ranking, id: ProductId) -> u32 {
        ranking.place(self.position(id))
    }

    /// A ranking of the products that may be recommended.
    #[must_use]
    pub fn ranking(&self, key: RankingKey) -> Arc<Ranking> {
        if let Some(ranking) = self.rankings.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(ranking);
        }
        // Two threads may make the same one; the answer is the same, the first is kept.
        let made = Arc::new(self.make_ranking(key));
        Arc::clone(self.rankings.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(made))
    }

    /// The products that may be recommended and satisfy a condition which is the same for everybody at any time.
    pub(crate) fn satisfying(&self, key: &str, condition: &ProductCondition) -> Arc<[ProductId]> {
        if let Some(list) = self.satisfying.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Arc::clone(list);
        }
        let list: Arc<[ProductId]> = self
            .products
            .iter()
            .zip(&self.recommendable)
            .filter(|(product, ok)| **ok && condition.matches(product, &NoData, self.now))
            .map(|(product, _)| product.id)
            .collect();
        let mut all = self.satisfying.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(key.to_owned()).or_insert(list))
    }

    /// The products that may be recommended and cost between two prices, both included: the dearest first, as a part
    /// of the ranking by price.
    pub(crate) fn priced(&self, from: Amount, to: Amount) -> (Arc<Ranking>, Range<usize>) {
        let ranking = self.ranking(RankingKey::PriceDescending);
        let price =
            |id: &ProductId| self.product(*id).and_then(|product| product.unit_price).unwrap_or_default();
        let begin = ranking.products.partition_point(|id| price(id) > to);
        let end = ranking.products.partition_point(|id| price(id) >= from);
        (ranking, begin..end.max(begin))
    }

    fn make_ranking(&self, key: RankingKey) -> Ranking {
        let products = match key {
            RankingKey::Figures(metric, period) => self.ranked_by_figures(metric, period),
            _ => {
                let mut sorted: Vec<&Product> = self
                    .products
                    .iter()
                    .zip(&self.recommendable)
                    .filter_map(|(product, ok)| ok.then_some(product))
                    .collect();
                sorted.sort_by(|a, b| rank::compare(key, a, b));
                sorted.into_iter().map(|product| product.id).collect()
            }
        };
        Ranking::new(products, |id| self.position(id), self.products.len())
    }

    fn ranked_by_figures(&self, metric: Metric, period: model::Period) -> Vec<ProductId> {
        let (after, last) = rank::days_of(period, self.now);
        let mut sums = vec![(0_i64, 0_i64); self.products.len()];
        for day in self.figures.iter().filter(|day| day.day > after && day.day <= last) {
            // A figure of a product that is none of ours is nobody's.
            let Some(sum) = sums.get_mut(self.position(day.product)) else { continue };
            let (first, second) = match metric {
                Metric::Sales => (day.orders, day.units),
                Metric::Visits => (day.visits, 0),
            };
            *sum = (sum.0.saturating_add(first), sum.1.saturating_add(second));
        }
        let mut ranked: Vec<(&Product, (i64, i64))> = self
            .products
            .iter()
            .zip(sums)
            .zip(&self.recommendable)
            .filter_map(|((product, sum), ok)| (*ok && sum.0 > 0).then_some((product, sum)))
            .collect();
        ranked.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| rank::compare(RankingKey::Priority, a, b)));
        ranked.into_iter().map(|(product, _)| product.id).collect()
    }
}

/// The shop's own lists of related products; an unknown id and a link to itself are left out. The first of a list
/// weighs most.
fn links_of(products: &[Product], by_external: &HashMap<String, ProductId>) -> Relations {
    let rows = products
        .iter()
        .filter(|product| !product.related.is_empty())
        .map(|product| {
            let mut row: Vec<(ProductId, f32)> = Vec::with_capacity(product.related.len());
            for (i, external) in product.related.iter().enumerate() {
                if let Some(id) = by_external.get(external)
                    && row.iter().all(|(known, _)| known != id)
                {
                    row.push((*id, 1.0 / (1.0 + i as f32)));
                }
            }
            (product.id, row)
        })
        .collect();
    Relations::from_rows(rows, usize::MAX)
}
