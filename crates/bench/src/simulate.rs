//! `relance bench simulate`: drafts played over thirty days of a synthetic base. A unit is a contact-day, idle ones
//! included. Measured is a journey that an event starts, with a wait and a message; beside it one that a segment starts, for
//! which every contact is asked at every change.

use engine::{
    campaign::launch::Silent,
    rules::{self, Folder, SourceFile, Workspace},
    simulate::{self, Options},
};
use serde_json::json;

use crate::{
    Plan, Report, Stopwatch,
    synthetic::{self, END, Shape},
};

/// Contacts unless told otherwise.
pub const CONTACTS: u64 = 1_000_000;
const MAIL: &str = "{format: 1, template: hello, languages: [en], subject: {en: Hello}, blocks: [{kind: text, text: {en: Hello}}]}";
const SEGMENT: &str =
    "{format: 1, segment: curious, condition: {did: Product Viewed, count: {at_least: 2}, within: P30D}}";

fn folder(trigger: &str) -> Folder {
    let file = |slug: &str, text: &str| SourceFile {
        file: format!("{slug}.yaml"),
        slug: slug.to_owned(),
        text: text.to_owned(),
    };
    let journey = format!(
        "
format: 1
journey: bench
audience: {{who: with_email, source: existing_and_new}}
triggers: [{trigger}]
exit: [{{on: event, event: Order Completed}}]
reentry: after_exit
nodes:
  pause: {{kind: wait, for: P1D}}
  mail: {{kind: send_email, template: hello, purpose: newsletter}}
links: [{{from: start, to: pause}}, {{from: pause, to: mail}}]
"
    );
    Folder {
        journey: file("journey", &journey),
        segments: vec![file("curious", SEGMENT)],
        templates: vec![file("hello", MAIL)],
        ..Folder::default()
    }
}

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let contacts = plan.size.unwrap_or(CONTACTS);
    let shape = Shape { seed: plan.seed, contacts, orders: contacts, events: contacts * 10, products: 5_000 };
    let base = synthetic::base(plan, &shape).await?;
    let mut report = measure(&base.db, "{on: event, event: Product Viewed}").await?;
    let segment = measure(&base.db, "{on: segment_entered, segment: curious}").await?;
    report.more.insert("segment_seconds".into(), json!(segment.seconds));
    report.more.insert("segment_rate".into(), json!(segment.rate));
    report.more.insert("segment_entered".into(), segment.more["entered"].clone());
    report.more.insert("database".into(), json!(base.db.path()));
    Ok(report)
}

async fn measure(db: &storage_sqlite::Sqlite, trigger: &str) -> Result<Report, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let stopwatch = Stopwatch::start();
    let workspace = Workspace::load(db).await.map_err(|error| text(&error))?;
    let rules = rules::compile(&folder(trigger), &workspace).map_err(|problems| format!("{problems:?}"))?;
    let played =
        simulate::run(db, rules, Options::before(END), &Silent).await.map_err(|error| text(&error))?;
    let mut report = stopwatch.report("simulate", played.contact_days());
    report.more.insert("contacts".into(), json!(played.contacts));
    report.more.insert("played".into(), json!(played.played));
    report.more.insert("entered".into(), json!(played.entered));
    Ok(report)
}
