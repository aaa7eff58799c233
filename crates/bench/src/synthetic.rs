//! Synthetic bases of any size from a seed: the same shape and seed give the same rows on every machine.
//!
//! Contacts order with a heavy tail (a few order very often), fall asleep at different times, and buy few products
//! often and many seldom, as in a real shop. Everything happened before [`END`]; [`next_day`] makes the orders of the
//! day that begins there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use model::{
    Amount, Consent, ConsentState, Contact, ContactId, Currency, Dice, Event, Line, Order, OrderNo,
    OrderStatus, Product, ProductId, Slug, Timestamp, event::kind,
};
use serde_json::{Map, Value, json};
use storage::{
    imports::{ContactKey, ImportBatch, ImportLine, ImportOrder},
    settings::SettingsStore,
};
use storage_sqlite::{BulkChunk, Options, Sqlite};

use crate::Plan;

/// The instant before which everything happened: 2026-06-01T00:00:00Z.
pub const END: Timestamp = Timestamp(1_780_272_000 * Timestamp::SECOND);
/// How far back orders and events reach, in days.
pub const DAYS: i64 = 900;
/// Kinds of events with their share in percent. The first is the one that benchmarks ask for.
pub const KINDS: [(&str, u64); 6] = [
    (kind::PRODUCT_VIEWED, 20),
    (kind::PAGE_VIEWED, 40),
    (kind::PRODUCT_ADDED, 10),
    (kind::CART_VIEWED, 10),
    (kind::EMAIL_OPENED, 15),
    (kind::EMAIL_CLICKED, 5),
];
/// Contacts that are made and written at once.
const CHUNK: u64 = 5_000;
/// Setting that says that a base is whole, and which.
const SHAPE_SETTING: &str = "synthetic_shape";

/// How large a base is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Seed of everything.
    pub seed: u64,
    /// Contacts, all with an address at `example.test`; four of five are subscribed to the newsletter.
    pub contacts: u64,
    /// Orders in all; each has one to four lines.
    pub orders: u64,
    /// Events in all, of [`KINDS`].
    pub events: u64,
    /// Products, all with a price and in one of twenty categories.
    pub products: u32,
}

/// A base, with the folder that it lives in when it is not kept.
pub struct Base {
    /// The database.
    pub db: Sqlite,
    /// Where it lives when it is not kept: goes with this value.
    folder: Option<tempfile::TempDir>,
}

impl Base {
    /// Whether the folder is a temporary one.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.folder.is_some()
    }
}

/// The base of this shape: the one kept in `plan.keep` when it is there and whole, else a new one, made there or in a
/// temporary folder. A measurement that changes what it finds works on [`copy`] of a kept one.
///
/// # Errors
/// What the file system or the database says.
pub async fn base(plan: &Plan, shape: &Shape) -> Result<Base, String> {
    let text = |error: &dyn std::fmt::Display| format!("synthetic base: {error}");
    let Some(folder) = &plan.keep else {
        let folder = tempfile::tempdir().map_err(|error| text(&error))?;
        let db = build(&folder.path().join("base.db"), shape).await?;
        return Ok(Base { db, folder: Some(folder) });
    };
    fs::create_dir_all(folder).map_err(|error| text(&error))?;
    let path = folder.join(format!(
        "synthetic-{}-{}-{}-{}-{}.db",
        shape.contacts, shape.orders, shape.events, shape.products, shape.seed
    ));
    if path.exists() {
        if let Ok(db) = Sqlite::open(&path, Options::default())
            && let Ok(Some(found)) = db.load_setting(SHAPE_SETTING.into()).await
            && found == describe(shape)
        {
            return Ok(Base { db, folder: None });
        }
        for suffix in ["", "-wal", "-shm"] {
            drop(fs::remove_file(with_suffix(&path, suffix)));
        }
    }
    Ok(Base { db: build(&path, shape).await?, folder: None })
}

/// A copy of a base to change, in a temporary folder. Nobody may write to the base meanwhile.
///
/// # Errors
/// What the file system or the database says.
pub fn copy(base: &Base) -> Result<Base, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("base.db");
    for suffix in ["", "-wal"] {
        let from = with_suffix(base.db.path(), suffix);
        if from.exists() {
            fs::copy(&from, with_suffix(&path, suffix)).map_err(|error| error.to_string())?;
        }
    }
    let db = Sqlite::open(&path, Options::default()).map_err(|error| error.to_string())?;
    Ok(Base { db, folder: Some(folder) })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn describe(shape: &Shape) -> Value {
    json!([1, shape.seed, shape.contacts, shape.orders, shape.events, shape.products])
}

/// Makes a base of this shape in a new file.
///
/// # Errors
/// What the database says.
pub async fn build(path: &Path, shape: &Shape) -> Result<Sqlite, String> {
    let said = |error: storage::StoreError| format!("synthetic base: {error}");
    let db = Sqlite::open(path, Options::default()).map_err(said)?;
    db.bulk_begin().await.map_err(said)?;
    let mut maker = Maker::new(shape);
    let mut chunk = maker.chunk();
    while let Some(ready) = chunk {
        // One chunk is written while the next is made.
        let writing = tokio::spawn({
            let db = db.clone();
            async move { db.bulk_load(ready).await }
        });
        let (back, next) = tokio::task::spawn_blocking(move || {
            let next = maker.chunk();
            (maker, next)
        })
        .await
        .map_err(|error| error.to_string())?;
        (maker, chunk) = (back, next);
        writing.await.map_err(|error| error.to_string())?.map_err(said)?;
    }
    db.bulk_end().await.map_err(said)?;
    db.save_setting(storage::settings::key::CURRENCY.into(), "EUR".into()).await.map_err(said)?;
    db.save_setting(SHAPE_SETTING.into(), describe(shape)).await.map_err(said)?;
    Ok(db)
}

/// The orders of the day that begins at [`END`], in batches to import: as many as on an average day before.
#[must_use]
pub fn next_day(shape: &Shape) -> Vec<ImportBatch> {
    let mut dice = Dice::of(&[shape.seed, 2]);
    let mut batches = Vec::new();
    let count = shape.orders / DAYS.unsigned_abs();
    for first in (0..count).step_by(ImportBatch::ORDERS_GOOD) {
        let mut batch = ImportBatch::new(END.plus_days(1));
        for number in first..count.min(first + ImportBatch::ORDERS_GOOD as u64) {
            let contact = 1 + (dice.unit() * dice.unit() * shape.contacts as f64) as u64;
            let lines: Vec<ImportLine> = draw_lines(shape, &mut dice)
                .into_iter()
                .map(|line| ImportLine {
                    product: batch.code(&product_name(line.product.0)),
                    quantity: line.quantity,
                    unit_price: line.unit_price,
                })
                .collect();
            batch.orders.push(ImportOrder {
                external_id: format!("n{number:010}"),
                contact: Some(ContactKey::ExternalId(contact_name(contact.min(shape.contacts)))),
                at: END.plus(dice.below(Timestamp::DAY.unsigned_abs()).cast_signed()),
                total: Amount(lines.iter().map(|line| line.quantity * line.unit_price.0).sum()),
                refunded: Amount::ZERO,
                currency: Currency::EUR,
                status: OrderStatus::Completed,
                cart_id: None,
                coupons: Vec::new(),
                lines,
            });
        }
        batches.push(batch);
    }
    batches
}

pub(crate) fn contact_name(id: u64) -> String {
    format!("c{id:09}")
}

fn product_name(id: u32) -> String {
    format!("p{id:06}")
}

/// Draws rows, contact by contact. Each contact has dice of its own.
struct Maker {
    shape: Shape,
    next: u64,
    /// Sum of all contacts' weights, and of those that were drawn.
    weights: (f64, f64),
    orders: u64,
    events: u64,
    newsletter: Option<Slug>,
}

/// A contact's inclination to order: Pareto-like, so that the most eager tenth places about half of the orders.
fn weight(shape: &Shape, contact: u64) -> f64 {
    (1.0 - Dice::of(&[shape.seed, 1, contact]).unit()).powf(-0.55).min(200.0)
}

impl Maker {
    fn new(shape: &Shape) -> Self {
        let sum = (1..=shape.contacts).map(|contact| weight(shape, contact)).sum();
        Self {
            shape: *shape,
            next: 1,
            weights: (sum, 0.0),
            orders: 0,
            events: 0,
            newsletter: Slug::parse("newsletter").ok(),
        }
    }

    fn chunk(&mut self) -> Option<BulkChunk> {
        if self.next > self.shape.contacts {
            return None;
        }
        let mut chunk = BulkChunk::default();
        if self.next == 1 {
            chunk.products = (1..=self.shape.products).map(|id| draw_product(&self.shape, id)).collect();
        }
        for contact in self.next..(self.next + CHUNK).min(self.shape.contacts + 1) {
            self.draw_contact(contact, &mut chunk);
        }
        self.next += CHUNK;
        Some(chunk)
    }

    fn draw_contact(&mut self, number: u64, chunk: &mut BulkChunk) {
        let mut dice = Dice::of(&[self.shape.seed, 3, number]);
        let id = ContactId(number.cast_signed());
        let created_at = END.plus_days(-DAYS - dice.below(300).cast_signed());
        chunk.contacts.push(self.draw_profile(id, number, created_at, &mut dice));
        // Shares of the wholes by running sums: in the end they come to exactly the numbers asked for.
        self.weights.1 += weight(&self.shape, number);
        let share = |whole: u64, part: f64| {
            if number == self.shape.contacts { whole } else { (whole as f64 * part) as u64 }
        };
        let orders = share(self.shape.orders, self.weights.1 / self.weights.0);
        let events = share(self.shape.events, number as f64 / self.shape.contacts as f64);
        // The last sign of life lies e^-x days back, the first somewhere before.
        let asleep = ((-(1.0 - dice.unit()).ln()) * 150.0).min(DAYS as f64 - 1.0) as i64;
        let span = Timestamp::DAY * (1 + dice.below((DAYS - asleep).unsigned_abs()).cast_signed());
        let last = END.plus_days(-asleep);
        let mut times: Vec<i64> = (self.orders..orders)
            .map(|_| last.0 - 1 - dice.below(span.unsigned_abs()).cast_signed())
            .collect();
        times.sort_unstable();
        for at in times {
            self.orders += 1;
            let lines = draw_lines(&self.shape, &mut dice);
            let external_id = format!("o{:010}", self.orders);
            chunk.orders.push(Order {
                no: OrderNo(self.orders.cast_signed()),
                contact: Some(id),
                at: Timestamp(at),
                total: Amount(lines.iter().map(|line| line.quantity * line.unit_price.0).sum()),
                refunded: Amount::ZERO,
                currency: Currency::EUR,
                status: OrderStatus::Completed,
                cart_id: external_id.clone(),
                external_id,
                lines,
            });
        }
        let mut times: Vec<i64> = (self.events..events)
            .map(|_| last.0 - 1 - dice.below(span.unsigned_abs()).cast_signed())
            .collect();
        self.events = self.events.max(events);
        times.sort_unstable();
        chunk
            .events
            .extend(times.into_iter().map(|at| draw_event(&self.shape, id, Timestamp(at), &mut dice)));
    }

    fn draw_profile(&self, id: ContactId, number: u64, created_at: Timestamp, dice: &mut Dice) -> Contact {
        const PLACES: [(&str, &str); 4] =
            [("France", "fr-FR"), ("United Kingdom", "en-GB"), ("Germany", "de-DE"), ("Spain", "es-ES")];
        let (country, locale) = PLACES[dice.below(4) as usize];
        let state = if dice.below(5) == 0 { ConsentState::Unsubscribed } else { ConsentState::Subscribed };
        let consents = self.newsletter.iter().map(|purpose| Consent {
            purpose: purpose.clone(),
            state,
            at: created_at,
            source: "synthetic".into(),
            proof: "synthetic".into(),
        });
        Contact {
            id,
            external_id: Some(contact_name(number)),
            email: Some(format!("{}@example.test", contact_name(number))),
            first_name: Some(format!("First{}", number % 5_000)),
            last_name: Some(format!("Last{}", number % 20_000)),
            country: Some(country.into()),
            locale: Some(locale.into()),
            created_at,
            updated_at: created_at,
            consents: consents.collect(),
            ..Contact::default()
        }
    }
}

fn price(shape: &Shape, product: u32) -> Amount {
    let mut dice = Dice::of(&[shape.seed, 4, u64::from(product)]);
    Amount((1 + (dice.unit() * dice.unit() * 9_999.0) as i64) * 100)
}

fn draw_product(shape: &Shape, id: u32) -> Product {
    Product {
        id: ProductId(id),
        external_id: product_name(id),
        name: format!("Product {id}"),
        url: Some(format!("https://shop.example.test/p/{id}")),
        image_url: Some(format!("https://shop.example.test/i/{id}.png")),
        unit_price: Some(price(shape, id)),
        categories: vec![format!("/Shelf {}", id % 20)],
        ..Product::default()
    }
}

/// A product, few of them often.
fn draw_product_id(shape: &Shape, dice: &mut Dice) -> u32 {
    1 + (dice.unit().powi(3) * f64::from(shape.products)) as u32
}

fn draw_lines(shape: &Shape, dice: &mut Dice) -> Vec<Line> {
    (0..1 + dice.below(4))
        .map(|_| {
            let product = draw_product_id(shape, dice).min(shape.products.max(1));
            Line {
                product: ProductId(product),
                quantity: 1 + dice.below(3).cast_signed(),
                unit_price: price(shape, product),
            }
        })
        .collect()
}

fn draw_event(shape: &Shape, contact: ContactId, at: Timestamp, dice: &mut Dice) -> Event {
    let mut percent = dice.below(100);
    let kind = KINDS
        .iter()
        .find(|(_, share)| {
            let found = percent < *share;
            percent = percent.saturating_sub(*share);
            found
        })
        .map_or(KINDS[0].0, |(kind, _)| kind);
    let mut properties = Map::new();
    if matches!(kind, kind::PRODUCT_VIEWED | kind::PRODUCT_ADDED) {
        let product = draw_product_id(shape, dice);
        properties.insert("product_id".into(), product_name(product).into());
        properties.insert("price".into(), price(shape, product).to_f64().into());
    }
    Event { contact, at, received_at: at, kind: kind.to_owned(), message_id: None, properties }
}

#[cfg(test)]
mod tests {
    use storage::{contacts::ContactStore, imports::ImportStore, orders::OrderStore};

    use super::*;

    #[test]
    fn a_base_has_its_shape_and_grows_by_a_day() {
        let shape = Shape { seed: 7, contacts: 300, orders: 2_000, events: 1_000, products: 50 };
        let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
        runtime.block_on(async {
            let base = base(&Plan::default(), &shape).await.unwrap();
            assert_eq!(base.db.count_contacts().await.unwrap(), (300, ContactId(300)));
            let ids: Vec<ContactId> = (1..=300).map(ContactId).collect();
            let totals = base.db.load_totals(ids.clone()).await.unwrap();
            assert_eq!(totals.iter().map(|totals| totals.orders).sum::<u32>(), 2_000);
            let orders = base.db.load_orders(ids, Timestamp::MIN, Timestamp::MAX).await.unwrap();
            assert_eq!(orders.len(), 2_000);
            assert!(orders.iter().all(|order| order.at < END && order.at >= END.plus_days(-DAYS)));
            let copy = copy(&base).unwrap();
            let mut outcome = storage::imports::ImportOutcome::default();
            for batch in next_day(&shape) {
                outcome.add(copy.db.import(batch).await.unwrap());
            }
            assert_eq!((outcome.orders.new, outcome.contacts.new, outcome.products.new), (2, 0, 0));
            assert_eq!(base.db.last_order_at().await.unwrap().map(|at| at < END), Some(true));
        });
    }
}
