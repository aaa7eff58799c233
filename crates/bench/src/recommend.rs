//! `relance bench recommend`: learns relations from a synthetic shop's orders, then answers carts with the *Get
//! products* step. The targets: learning from 129,000 orders and 65,000 products in under 60 CPU seconds, and 20,000
//! carts a second.

use model::{Amount, Dice, Product, ProductId, Timestamp, Value};
use recommend::{Catalogue, ContactFacts, Figures, GetProducts, Params, Seen, TrainingOrder, train::train};
use segment::{Data, RefPath};

use crate::{Plan, Report, Stopwatch};

/// Orders unless said otherwise.
const ORDERS: u64 = 129_000;
/// One product for each so many orders, about as in the yardstick's data set.
const ORDERS_PER_PRODUCT: u64 = 2;
/// Carts that are answered.
const CARTS: usize = 100_000;
/// Orders of one customer, on average.
const ORDERS_PER_CUSTOMER: u64 = 50;
/// The last day of orders, in days since 1970-01-01 (2026-01-01).
const LAST_DAY: i64 = 20_454;

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let orders = shop(plan.size.unwrap_or(ORDERS).max(1_000), plan.seed);
    let now = Timestamp(LAST_DAY * Timestamp::DAY);
    let watch = Stopwatch::start();
    let trained = train(&orders, &Params::default());
    let learning = watch.report("learning", orders.len() as u64);
    let catalogue = catalogue(&orders, &trained, now);
    let carts = carts(&orders, plan.seed);
    let step = step()?;
    // Rankings are made once per catalogue, not per cart.
    answer(&step, &catalogue, &carts[0], now);
    let watch = Stopwatch::start();
    let answered: usize = carts.iter().map(|cart| answer(&step, &catalogue, cart, now)).sum();
    let mut report = watch.report("recommend", carts.len() as u64);
    let products = catalogue.products().len();
    for (name, value) in [
        ("train_orders", serde_json::json!(orders.len())),
        ("train_products", serde_json::json!(products)),
        ("train_seconds", serde_json::json!(learning.seconds)),
        ("train_cpu_seconds", serde_json::json!(learning.cpu_seconds)),
        ("train_peak_rss_mb", serde_json::json!(learning.peak_rss_mb)),
        ("relations", serde_json::json!(trained.learned.len())),
        ("relations_bytes", serde_json::json!(trained.learned.to_bytes().len())),
        ("settings", serde_json::json!(trained.settings)),
        ("products_per_cart", serde_json::json!(answered as f64 / carts.len() as f64)),
    ] {
        report.more.insert(name.to_owned(), value);
    }
    Ok(report)
}

/// Orders of a shop in which products come in families that are bought together, a few of them far more than others,
/// and customers come back to their own families.
fn shop(orders: u64, seed: u64) -> Vec<TrainingOrder> {
    let products = (orders / ORDERS_PER_PRODUCT).max(100);
    let customers = (orders / ORDERS_PER_CUSTOMER).max(10);
    let mut dice = Dice::of(&[seed, orders]);
    (0..orders)
        .map(|i| {
            let customer = dice.below(customers);
            let size = 1 + (dice.unit() * dice.unit() * 30.0) as u64;
            let picked = (0..size).map(|line| {
                // A quarter of the lines come from what everybody buys, the others from the customer's families.
                let family = if line % 4 == 0 { 0 } else { 1 + (customer * 7 + dice.below(12)) % 499 };
                let skew = dice.unit().powi(6);
                let in_family = (skew * (products / 500).max(1) as f64) as u64;
                ProductId((family + 500 * in_family) as u32 % products as u32 + 1)
            });
            let mut picked: Vec<ProductId> = picked.collect();
            picked.sort_unstable();
            picked.dedup();
            let day = LAST_DAY - 365 + (i * 365 / orders) as i64;
            let at = Timestamp(day * Timestamp::DAY + dice.below(Timestamp::DAY as u64) as i64);
            TrainingOrder { customer: Some(customer as u32), at, products: picked }
        })
        .collect()
}

fn catalogue(orders: &[TrainingOrder], trained: &recommend::Trained, now: Timestamp) -> Catalogue {
    let products = trained.popular.iter().map(|id| Product {
        id: *id,
        external_id: format!("P{id}"),
        name: format!("Product {id}"),
        unit_price: Some(Amount::units(1 + i64::from(id.0) % 50)),
        ..Product::default()
    });
    let figures = orders.iter().flat_map(|order| {
        let day = order.at.day_utc();
        order.products.iter().map(move |product| Figures {
            product: *product,
            day,
            orders: 1,
            units: 1,
            visits: 0,
        })
    });
    Catalogue::new(products.collect(), figures.collect(), now)
        .with_relations(trained.learned.clone(), trained.together.clone())
        .with_half_life(trained.settings.repeat_half_life_days)
}

/// A cart, and what its customer bought before.
struct Cart {
    products: Vec<ProductId>,
    facts: ContactFacts,
}

impl Data for Cart {
    fn value(&self, _: &RefPath) -> Option<Value> {
        None
    }
    fn products(&self, _: &RefPath) -> Vec<ProductId> {
        self.products.clone()
    }
}

fn carts(orders: &[TrainingOrder], seed: u64) -> Vec<Cart> {
    let mut histories: std::collections::HashMap<Option<u32>, Vec<Seen>> = std::collections::HashMap::new();
    for order in orders {
        let seen = order.products.iter().map(|product| Seen { product: *product, at: order.at });
        histories.entry(order.customer).or_default().extend(seen);
    }
    let mut dice = Dice::of(&[seed, 2]);
    (0..CARTS)
        .map(|_| {
            let order = &orders[dice.below(orders.len() as u64) as usize];
            let bought = histories.get(&order.customer).cloned().unwrap_or_default();
            Cart {
                products: order.products.clone(),
                facts: ContactFacts { bought, ..ContactFacts::default() },
            }
        })
        .collect()
}

/// The step of a cross-selling mail: related to the cart, not bought in a year, filled up with best sellers.
fn step() -> Result<GetProducts, String> {
    let text = "{total: 6, main: {case: related_to_cart, related_to: {ref: trigger.cart.products}},
                 additional: {case: best_selling, period: last_month}}";
    let node = model::doc::parse(text).map_err(|problem| problem.to_string())?;
    GetProducts::parse(&node, "bench").map_err(|problems| format!("{problems:?}"))
}

fn answer(step: &GetProducts, catalogue: &Catalogue, cart: &Cart, now: Timestamp) -> usize {
    recommend::select(step, catalogue, &cart.facts, cart, &[], now, &mut Dice::new(1)).len()
}
