//! `relance bench import`: order lines from a CSV file into a fresh base. The file is written beforehand, the time runs
//! from opening it to the last commit.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
};

use connect::{
    Kind, Options,
    run::{RejectsTo, Silent, import},
    source::Source,
};
use model::{Dice, Timestamp};
use storage_sqlite::Sqlite;

use crate::{Plan, Report, Stopwatch};

/// Lines when the plan does not say.
const LINES: u64 = 2_000_000;
/// Products in the catalogue.
const PRODUCTS: u64 = 5_000;
/// Most lines of one order; they are spread evenly from 1, so that an order has 8 in the mean (Online Retail: 21).
const LINES_PER_ORDER_MAX: u64 = 15;
/// 2024-01-01T00:00:00Z.
const FIRST: Timestamp = Timestamp(1_704_067_200 * Timestamp::SECOND);

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let lines = plan.size.unwrap_or(LINES);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("orders.csv");
    let bytes = write_lines(&file, lines, plan.seed).map_err(|error| format!("writing the file: {error}"))?;
    let database = match &plan.keep {
        Some(keep) => {
            std::fs::create_dir_all(keep).map_err(|error| error.to_string())?;
            let path = keep.join("import.db");
            for end in ["", "-wal", "-shm"] {
                // What is not there need not be removed; what cannot be is reported by the opening below.
                let _ = std::fs::remove_file(keep.join(format!("import.db{end}")));
            }
            path
        }
        None => folder.path().join("import.db"),
    };
    let store =
        Sqlite::open(&database, storage_sqlite::Options::default()).map_err(|error| error.to_string())?;
    let rejects = RejectsTo { path: folder.path().join("rejected.csv"), fallback: None };
    let watch = Stopwatch::start();
    let source = Source::open(&file, "orders.csv").map_err(|problem| problem.to_string())?;
    let now = FIRST.plus_days(800);
    let outcome =
        import(&store, &source, &Options::new(Kind::Orders), &rejects, (now, now), Arc::new(Silent))
            .await
            .map_err(|error| error.to_string())?;
    let mut report = watch.report("import", outcome.lines);
    if outcome.lines != lines {
        return Err(format!("{} of {lines} lines were imported", outcome.lines));
    }
    report.more.insert("orders".into(), outcome.counts.orders.new.into());
    report.more.insert("contacts".into(), outcome.counts.contacts.new.into());
    report.more.insert("file_mb".into(), (bytes as f64 / 1e6).into());
    Ok(report)
}

/// Writes a file of order lines in the order of time; answers with its length.
fn write_lines(path: &Path, lines: u64, seed: u64) -> std::io::Result<u64> {
    let mut dice = Dice::new(seed);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    writeln!(out, "order_id,contact,ordered_at,product,name,quantity,unit_price")?;
    let contacts = (lines / 40).max(1);
    let (mut written, mut order) = (0, 0_u64);
    while written < lines {
        order += 1;
        let contact = 1 + dice.below(contacts);
        // The orders of two years, one after the other.
        let share = written as f64 / lines as f64;
        let second = (share * 730.0 * 86_400.0) as i64;
        let at = FIRST.plus(second * Timestamp::SECOND).to_string();
        let count = (1 + dice.below(LINES_PER_ORDER_MAX)).min(lines - written);
        for _ in 0..count {
            // Squared, so that some products sell well and most do not.
            let roll = dice.below(PRODUCTS);
            let product = roll * roll / PRODUCTS;
            let (quantity, cents) = (1 + dice.below(12), 50 + product % 2_000);
            writeln!(
                out,
                "{},{contact},{} {},P{product:05},Product number {product},{quantity},{}.{:02}",
                500_000 + order,
                &at[..10],
                &at[11..19],
                cents / 100,
                cents % 100
            )?;
        }
        written += count;
    }
    out.flush()?;
    path.metadata().map(|meta| meta.len())
}
