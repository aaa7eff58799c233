//! The catalogue in memory, with best sellers and relations; and when the relations are learned anew.
//!
//! Relations are learned as a whole: 129,000 orders take half a minute of one core, and what a night adds changes the
//! weights of nearly all products a little. [`due`] says when it is worth it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use model::{Order, Period, ProductId, Timestamp};
use recommend::{Catalogue, Figures, MIN_STOCK_DEFAULT, Params, Relations, Settings, TrainingOrder, train};
use storage::{
    Result, StoreError,
    catalogue::CatalogueStore,
    orders::OrderStore,
    relations::{RelationSet, RelationStore},
    settings::SettingsStore,
};

/// How far back orders are learned from, in days.
pub const LEARN_DAYS: i64 = 730;
/// Most orders that are learned from: the latest ones.
pub const LEARN_ORDERS_MAX: usize = 1_000_000;
/// Least time between two learnings that nobody asks for.
pub const LEARN_EVERY: i64 = Timestamp::DAY;

/// Setting: the least stock at which products are recommended, in units; [`recommend::MIN_STOCK_DEFAULT`] until it is
/// set. The trigger `low_stock` means it too where the journey names no number.
pub const MIN_STOCK: &str = "min_stock";

/// The workspace's minimum stock.
///
/// # Errors
/// What the storage says.
pub async fn min_stock<S: SettingsStore>(store: &S) -> Result<i64> {
    let units = store.load_setting(MIN_STOCK.to_owned()).await?.and_then(|json| json.as_i64());
    Ok(units.unwrap_or(MIN_STOCK_DEFAULT))
}

/// What a learning came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// Version of the relations.
    pub version: u64,
    /// Orders that were learned from.
    pub orders: usize,
    /// Products in them.
    pub products: usize,
    /// Relations of affinity that were kept.
    pub relations: usize,
    /// Settings that were chosen.
    pub settings: Settings,
    /// How well they did on the shop's own last orders; see [`recommend::Trained::quality`].
    pub quality: Option<f32>,
}

/// Loads the catalogue as of `now`, with figures as far back as `figures` says (see
/// [`recommend::GetProducts::figures_period`]), the last relations that were learned and the workspace's minimum stock.
///
/// # Errors
/// What the storage says; [`StoreError::Inconsistent`] when stored relations cannot be read.
pub async fn load<S: CatalogueStore + RelationStore + SettingsStore>(
    store: &S,
    now: Timestamp,
    figures: Period,
) -> Result<Catalogue> {
    let products = store.load_products().await?;
    let (after, last) = recommend::rank::days_of(figures, now);
    let days = store.load_product_days(after.saturating_add(1), last.saturating_add(1)).await?;
    let figures = days
        .into_iter()
        .map(|day| Figures {
            product: day.product,
            day: day.day,
            orders: day.orders,
            units: day.units,
            visits: day.visits,
        })
        .collect();
    let catalogue = Catalogue::new(products, figures, now).with_min_stock(min_stock(store).await?);
    let Some(set) = store.load_relations().await? else { return Ok(catalogue) };
    let (learned, together) = (read(&set, &set.learned)?, read(&set, &set.together)?);
    let half_life = serde_json::from_value(set.settings).map_or(0.0, |s: Settings| s.repeat_half_life_days);
    Ok(catalogue.with_relations(learned, together).with_half_life(half_life))
}

/// The products that a *Get products* step would choose for a contact now: for looking at. References to earlier nodes
/// stand for nothing.
///
/// # Errors
/// What the storage says.
pub async fn choose<S: storage::Storage>(
    store: &S,
    step: &recommend::GetProducts,
    contact: model::ContactId,
    now: Timestamp,
    dice: &mut model::Dice,
) -> Result<Vec<model::Product>> {
    let catalogue = load(store, now, step.figures_period()).await?;
    let facts = crate::live::load::facts_of(store, &catalogue, &[contact], step.needs(), now).await?;
    let own = facts.into_values().next().unwrap_or_default();
    let chosen = recommend::select(step, &catalogue, &own, &segment::reference::NoData, &[], now, dice);
    Ok(chosen.into_iter().filter_map(|id| catalogue.product(id).cloned()).collect())
}

fn read(set: &RelationSet, bytes: &[u8]) -> Result<Relations> {
    Relations::from_bytes(bytes).map_err(|why| StoreError::Inconsistent {
        table: "relations",
        row: set.version.to_string(),
        why: format!("{why} (relance recommend train)"),
    })
}

/// Whether relations should be learned: never learned; or learned with orders that lie after `now` (the clock was set
/// back, as for a simulation); or new orders came and the last learning is [`LEARN_EVERY`] old.
///
/// # Errors
/// What the storage says.
pub async fn due<S: OrderStore + RelationStore>(store: &S, now: Timestamp) -> Result<bool> {
    let Some(last_order) = store.last_order_at().await? else { return Ok(false) };
    let Some(set) = store.load_relations().await? else { return Ok(true) };
    let from_the_future = set.last_order_at.is_some_and(|at| at >= now);
    let newer = set.last_order_at.is_none_or(|at| at < last_order);
    Ok(from_the_future || (newer && now.since(set.trained_at) >= LEARN_EVERY))
}

/// Learns relations when [`due`]; answers what came of it.
///
/// # Errors
/// What the storage says.
pub async fn learn_if_due<S>(store: &S, now: Timestamp, params: Params) -> Result<Option<Learned>>
where
    S: CatalogueStore + OrderStore + RelationStore,
{
    if due(store, now).await? { learn(store, now, params).await.map(Some) } else { Ok(None) }
}

/// Learns relations from the orders before `now` and keeps them. Cancelled orders, returned lines and what is no
/// product (postage and the like) are left out; orders without a contact are learned from like others.
///
/// # Errors
/// What the storage says.
pub async fn learn<S>(store: &S, now: Timestamp, params: Params) -> Result<Learned>
where
    S: CatalogueStore + OrderStore + RelationStore,
{
    let services: HashSet<ProductId> =
        store.load_products().await?.into_iter().filter(|p| p.service).map(|p| p.id).collect();
    let orders = collect(store, now, services).await?;
    let last_order_at = orders.iter().map(|order| order.at).max();
    let count = orders.len();
    let trained = tokio::task::spawn_blocking(move || train::train(&orders, &params))
        .await
        .map_err(|error| StoreError::Driver(format!("learning relations has failed: {error}")))?;
    let settings = serde_json::to_value(trained.settings)
        .map_err(|error| StoreError::Driver(format!("settings cannot be written: {error}")))?;
    storage::fault::point("relations.before_save");
    let version = store
        .save_relations(RelationSet {
            version: 0,
            trained_at: now,
            orders: count as u64,
            last_order_at,
            settings,
            learned: trained.learned.to_bytes(),
            together: trained.together.to_bytes(),
        })
        .await?;
    Ok(Learned {
        version,
        orders: count,
        products: trained.popular.len(),
        relations: trained.learned.len(),
        settings: trained.settings,
        quality: trained.quality,
    })
}

async fn collect<S: OrderStore>(
    store: &S,
    now: Timestamp,
    services: HashSet<ProductId>,
) -> Result<Vec<TrainingOrder>> {
    let latest: Arc<Mutex<Vec<TrainingOrder>>> = Arc::default();
    let collected = Arc::clone(&latest);
    store
        .scan_orders(now.plus_days(-LEARN_DAYS), now, move |orders| {
            let mut latest = collected.lock().unwrap_or_else(PoisonError::into_inner);
            latest.extend(orders.iter().filter_map(|order| lesson(order, &services)));
            if latest.len() >= 2 * LEARN_ORDERS_MAX {
                keep_latest(&mut latest);
            }
            true
        })
        .await?;
    let mut all = std::mem::take(&mut *latest.lock().unwrap_or_else(PoisonError::into_inner));
    keep_latest(&mut all);
    Ok(all)
}

fn keep_latest(orders: &mut Vec<TrainingOrder>) {
    if orders.len() > LEARN_ORDERS_MAX {
        orders.select_nth_unstable_by_key(LEARN_ORDERS_MAX - 1, |order| std::cmp::Reverse(order.at));
        orders.truncate(LEARN_ORDERS_MAX);
    }
}

/// What an order teaches; nothing when it does not count or holds no product.
fn lesson(order: &Order, services: &HashSet<ProductId>) -> Option<TrainingOrder> {
    let products: Vec<ProductId> = order
        .lines
        .iter()
        .filter(|line| line.quantity > 0 && !services.contains(&line.product))
        .map(|line| line.product)
        .collect();
    (order.counts() && !products.is_empty()).then(|| TrainingOrder {
        customer: order.contact.and_then(|contact| u32::try_from(contact.0).ok()),
        at: order.at,
        products,
    })
}
