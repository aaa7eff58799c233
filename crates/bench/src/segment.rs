//! `relance bench segment`: a new segment with one activity condition, from its definition as text to committed members
//! and their count. A million contacts, ten events each, two of them of the kind asked for.

use std::sync::Arc;

use engine::segments::{self, Workspace};
use segment::SegmentFile;
use serde_json::{Value, json};
use storage::segments::SegmentStore;

use crate::{
    Plan, Report, Stopwatch,
    synthetic::{self, END, Shape},
};

/// Contacts unless told otherwise.
pub const CONTACTS: u64 = 1_000_000;
/// Events for each contact, on average.
const EVENTS_EACH: u64 = 10;
/// The measured definition: two in a window of a year.
const MEASURED: &str = "{did: Product Viewed, count: {at_least: 2}, within: P365D}";
/// Other definitions, reported beside it.
const BESIDE: [(&str, &str); 5] = [
    ("within_30_days", "{did: Product Viewed, within: P30D}"),
    ("did_not", "{did_not: Product Viewed, within: P90D}"),
    ("profile_field", "{field: country, is: France}"),
    (
        "consent_and_activity",
        "[{consent: newsletter, is: subscribed}, {did: Product Viewed, count: {at_least: 3}}]",
    ),
    ("property", "{did: Product Viewed, where: {property: product_id, starts_with: p0001}, within: P90D}"),
];

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let contacts = plan.size.unwrap_or(CONTACTS);
    let shape = Shape {
        seed: plan.seed,
        contacts,
        orders: contacts,
        events: contacts * EVENTS_EACH,
        products: 5_000,
    };
    let base = synthetic::base(plan, &shape).await?;
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let (count, _) = storage::contacts::ContactStore::count_contacts(&base.db).await.map_err(|e| text(&e))?;
    // The first question opens connections and warms the file's pages; it is reported on its own.
    let (first, _) = measure(&base.db, "bench-first", MEASURED).await?;
    let (mut report, members) = measure(&base.db, "bench-measured", MEASURED).await?;
    report.size = count;
    report.rate = count as f64 / report.seconds.max(1e-9);
    report.more.insert("events".into(), json!(shape.events));
    report.more.insert("members".into(), json!(members));
    report.more.insert("condition".into(), Value::String(MEASURED.into()));
    report.more.insert("first_seconds".into(), json!(first.seconds));
    for (name, condition) in BESIDE {
        let (beside, members) =
            measure(&base.db, &format!("bench-{}", name.replace('_', "-")), condition).await?;
        let figures = json!({
            "seconds": beside.seconds, "cpu_seconds": beside.cpu_seconds, "members": members, "condition": condition,
        });
        report.more.insert(name.into(), figures);
    }
    report.more.insert("database".into(), json!(base.db.path()));
    Ok(report)
}

/// From the text to committed members and their count, as read back.
async fn measure(db: &storage_sqlite::Sqlite, slug: &str, condition: &str) -> Result<(Report, u64), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let stopwatch = Stopwatch::start();
    let workspace = Workspace::load(db).await.map_err(|error| text(&error))?;
    let file = format!("format: 1\nsegment: {slug}\ncondition: {condition}\n");
    let problems = |problems: Vec<model::Problem>| format!("{problems:?}");
    let (file, _) = SegmentFile::parse(&file, None, &workspace.schema).map_err(problems)?;
    segments::save(db, std::slice::from_ref(&file), END).await.map_err(|error| text(&error))?;
    let workspace = Arc::new(workspace.with([file]).map_err(problems)?);
    segments::build(db, &workspace, slug, END, segments::silent()).await.map_err(|error| text(&error))?;
    let records = db.load_segments().await.map_err(|error| text(&error))?;
    let record = records.into_iter().find(|record| record.slug.as_str() == slug);
    let members = record.map(|record| record.members).ok_or("the segment was not committed")?;
    Ok((stopwatch.report("segment", members), members))
}
