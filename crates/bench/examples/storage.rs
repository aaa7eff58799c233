//! Measures the storage verbs on a synthetic base: `cargo run --release -p bench --example storage -- CONTACTS ORDERS EVENTS`.

use bench::{Plan, Stopwatch, synthetic};
use model::{Amount, ContactId, Currency, OrderStatus, Timestamp};
use storage::{
    contacts::ContactStore,
    imports::{ContactKey, ImportBatch, ImportLine, ImportOrder, ImportStore},
    orders::{CartChoice, OrderStore},
};
use storage_sqlite::{Options, Sqlite};

fn say(what: &str, size: u64, watch: &Stopwatch) {
    let (seconds, cpu) = watch.elapsed();
    println!("{what:<24} {size:>10} in {seconds:>7.3} s ({cpu:>7.3} cpu): {:>10.0}/s", size as f64 / seconds);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [contacts, orders, events] = numbers[..] else { return Err("CONTACTS ORDERS EVENTS".into()) };
    import_lines(20_000, 20).await?;
    let shape = synthetic::Shape { seed: 1, contacts, orders, events, products: 5_000 };
    let watch = Stopwatch::start();
    let base = synthetic::base(&Plan::default(), &shape).await?;
    say("build", orders, &watch);
    println!("{:>24} MB", std::fs::metadata(base.db.path())?.len() / 1_000_000);
    let db = &base.db;
    let batches = || (0..contacts.min(200_000) / 1_000).map(|n| ids(n * 1_000));
    let count = batches().count() as u64 * 1_000;
    let watch = Stopwatch::start();
    for ids in batches() {
        db.load_contacts(ids).await?;
    }
    say("load_contacts", count, &watch);
    let watch = Stopwatch::start();
    for ids in batches() {
        db.load_totals(ids).await?;
    }
    say("load_totals", count, &watch);
    let watch = Stopwatch::start();
    for ids in batches() {
        db.load_last_carts(ids, CartChoice::Purchased, synthetic::END, Timestamp::HOUR).await?;
    }
    say("load_last_carts", count, &watch);
    let watch = Stopwatch::start();
    let mut loaded = 0;
    for ids in batches() {
        loaded += db.load_orders(ids, Timestamp::MIN, Timestamp::MAX).await?.len() as u64;
    }
    say("load_orders: contacts", count, &watch);
    say("load_orders: orders", loaded, &watch);
    let watch = Stopwatch::start();
    db.scan_orders(Timestamp::MIN, Timestamp::MAX, |_| true).await?;
    say("scan_orders", orders, &watch);
    let watch = Stopwatch::start();
    let mut day = 0;
    for batch in synthetic::next_day(&shape) {
        day += batch.orders.len() as u64;
        db.import(batch).await?;
    }
    say("next day", day, &watch);
    Ok(())
}

fn ids(after: u64) -> Vec<ContactId> {
    (1..=1_000).map(|n| ContactId((after + n).cast_signed())).collect()
}

/// Orders of many lines into a fresh base, batches made beforehand.
async fn import_lines(orders: u64, lines: u64) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let db = Sqlite::open(folder.path().join("i.db"), Options::default())?;
    let mut dice = model::Dice::new(1);
    let mut batches = Vec::new();
    for first in (0..orders).step_by(ImportBatch::ORDERS_GOOD) {
        let mut batch = ImportBatch::new(synthetic::END);
        for number in first..first + ImportBatch::ORDERS_GOOD as u64 {
            let lines = (0..lines)
                .map(|_| ImportLine {
                    product: batch.code(&format!("p{}", dice.below(4_000))),
                    quantity: 1 + dice.below(12).cast_signed(),
                    unit_price: Amount(100 * dice.below(2_000).cast_signed()),
                })
                .collect();
            batch.orders.push(ImportOrder {
                external_id: format!("{}", 500_000 + number),
                contact: Some(ContactKey::ExternalId(format!("{}", 10_000 + dice.below(4_400)))),
                at: synthetic::END.plus(number.cast_signed() * 15 * Timestamp::MINUTE),
                total: Amount::units(100),
                refunded: Amount::ZERO,
                currency: Currency::GBP,
                status: OrderStatus::Completed,
                cart_id: None,
                coupons: Vec::new(),
                lines,
            });
        }
        batches.push(batch);
    }
    let watch = Stopwatch::start();
    for batch in batches {
        db.import(batch).await?;
    }
    say("import lines", orders * lines, &watch);
    Ok(())
}
