//! `relance bench rfm`: nightly rescoring after one more day of orders, the first scoring beside it.
//!
//! The unit is a contact. The base has ten orders a contact. After the measurement everything is scored anew, every
//! order of the window read again: nobody may move by that, or the measurement fails. With `--keep FOLDER` the orders
//! are left there as `rfm-orders.csv` (contact, instant in microseconds, amount in ten-thousandths) for the yardstick,
//! `bench/compare/rfm_duckdb.py`.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use rfm::{NO_GROUP, RfmModel};
use serde_json::{Value, json};
use storage::imports::ImportStore;
use storage_sqlite::Sqlite;

use crate::{
    Plan, Report, Stopwatch,
    synthetic::{self, END, Shape},
};

/// Contacts when no size is given.
const SIZE_DEFAULT: u64 = 1_000_000;
/// Orders per contact.
const ORDERS_EACH: u64 = 10;
/// The yardstick's file.
const ORDERS_FILE: &str = "rfm-orders.csv";

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let contacts = plan.size.unwrap_or(SIZE_DEFAULT).max(1);
    let shape =
        Shape { seed: plan.seed, contacts, orders: contacts * ORDERS_EACH, events: 0, products: 1_000 };
    let made = synthetic::base(plan, &shape).await?;
    let base = if made.is_temporary() { made } else { synthetic::copy(&made)? };
    let model = RfmModel::built_in("classic-11").ok_or("the built-in model does not read")?;
    let said = |error: storage::StoreError| error.to_string();

    let watch = Stopwatch::start();
    let first = engine::rfm::score(&base.db, &model, END, false).await.map_err(said)?;
    let (first_seconds, first_cpu) = watch.elapsed();

    for batch in synthetic::next_day(&shape) {
        base.db.import(batch).await.map_err(said)?;
    }

    let tomorrow = END.plus_days(1);
    let watch = Stopwatch::start();
    let nightly = engine::rfm::score(&base.db, &model, tomorrow, false).await.map_err(said)?;
    let mut report = watch.report("rfm", contacts);

    let again = engine::rfm::score(&base.db, &model, tomorrow, true).await.map_err(said)?;
    if again.moved() > 0 || again.groups != nightly.groups || again.cuts != nightly.cuts {
        return Err(format!("scored anew, {} contacts stand elsewhere", again.moved()));
    }
    let groups: serde_json::Map<String, Value> =
        nightly.groups.iter().map(|one| (one.group.clone(), json!(one.contacts))).collect();
    let without = nightly.groups.iter().find(|one| one.group == NO_GROUP).map_or(0, |one| one.contacts);
    for (name, value) in [
        ("orders", json!(shape.orders)),
        ("at", json!(tomorrow)),
        ("window", json!(model.window.map(|window| window.to_string()))),
        ("first_seconds", json!(first_seconds)),
        ("first_cpu_seconds", json!(first_cpu)),
        ("first_rebuilt", json!(first.rebuilt)),
        ("nightly_rebuilt", json!(nightly.rebuilt)),
        ("orders_in_or_out", json!(nightly.flow.0)),
        ("scored", json!(nightly.cuts.contacts)),
        ("without_orders", json!(without)),
        ("moved", json!(nightly.moved())),
        ("groups", Value::Object(groups)),
    ] {
        report.more.insert(name.into(), value);
    }
    if let Some(folder) = &plan.keep {
        export(&base.db, &folder.join(ORDERS_FILE)).await?;
    }
    Ok(report)
}

/// Writes all orders for the yardstick.
async fn export(db: &Sqlite, path: &Path) -> Result<(), String> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let written = db
        .read(move |connection| {
            let said = |error: &dyn std::fmt::Display| storage::StoreError::Driver(error.to_string());
            let mut out = BufWriter::with_capacity(1 << 20, file);
            let mut statement = connection
                .prepare("SELECT contact_id, at, total - refunded FROM orders INDEXED BY orders_by_time WHERE status = 0")
                .map_err(|error| said(&error))?;
            let mut rows = statement.query([]).map_err(|error| said(&error))?;
            writeln!(out, "contact,at,amount").map_err(|error| said(&error))?;
            while let Some(row) = rows.next().map_err(|error| said(&error))? {
                let number = |i: usize| row.get::<_, i64>(i).map_err(|error| said(&error));
                writeln!(out, "{},{},{}", number(0)?, number(1)?, number(2)?).map_err(|error| said(&error))?;
            }
            out.flush().map_err(|error| said(&error))
        })
        .await;
    written.map_err(|error| error.to_string())
}
