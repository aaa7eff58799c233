//! What is in the base.

use engine::{live::Book, segments::ZONE_SETTING};
use model::Timestamp;
use storage::{
    access::{AccessStore, KeyScope},
    contacts::ContactStore,
    live::LiveStore,
    outbox::OutboxStore,
    settings::{SettingsStore, key},
    upkeep::UpkeepStore,
};
use storage_sqlite::Sqlite;

use super::Finding;
use crate::{commands::deliver::lock, context::Failure};

/// An alarm or a message that is overdue for so long is not being worked on.
const LATE: i64 = 5 * Timestamp::MINUTE;

/// Looks.
///
/// # Errors
/// What the database says.
pub(super) async fn look(store: &Sqlite, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let health = store.health().await?;
    findings.push(if health.faults.is_empty() {
        let (contacts, _) = store.count_contacts().await?;
        let found =
            format!("sound: schema {}, {} MB, {contacts} contacts", health.schema, health.bytes / 1_000_000);
        Finding::well("database", found)
    } else {
        Finding::bad("database", health.faults.join("; "), "restore a backup: relance restore FOLDER")
    });
    for (name, missing) in [
        (key::CURRENCY, "the first order sets it"),
        (ZONE_SETTING, "days begin at midnight UTC: relance setting set time_zone Europe/Paris"),
    ] {
        findings.push(match store.load_setting(name.to_owned()).await? {
            Some(value) => Finding::well("setting", format!("{name} is {value}")),
            None => Finding::look("setting", format!("{name} is not set"), missing),
        });
    }
    findings.push(keys(store).await?);
    findings.extend(work(store, now).await?);
    Ok(findings)
}

async fn keys(store: &Sqlite) -> Result<Finding, Failure> {
    let keys = store.list_keys().await?;
    let usable = |scope| keys.iter().any(|key| key.scope == scope && key.revoked_at.is_none());
    Ok(if usable(KeyScope::Track) {
        Finding::well("keys", format!("{} keys, one of them may track", keys.len()))
    } else {
        Finding::look("keys", "no key may track", "relance key create --scope track")
    })
}

/// Whether somebody does what is due.
async fn work(store: &Sqlite, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let book = Book::load_at(store, now).await?;
    let mut findings: Vec<Finding> = book
        .broken
        .iter()
        .map(|broken| {
            let why: Vec<String> = broken.problems.iter().map(ToString::to_string).collect();
            let found = format!("`{}` is broken: {}", broken.record.journey, why.join("; "));
            Finding::bad("journey", found, "mend it and publish it again: relance journey publish DIR")
        })
        .collect();
    findings.push(Finding::well("journeys", format!("{} at work", book.journeys.len())));
    let late = |due: Option<Timestamp>| due.filter(|due| now.since(*due) > LATE);
    let inputs = store.take_inputs(i64::MAX, 1).await?;
    let waits = inputs.first().filter(|input| now.since(input.event.received_at) > LATE);
    let works = lock(store.path(), "engine")?.is_none();
    findings.push(match (works, waits.is_some() || late(store.next_alarm().await?).is_some()) {
        (true, false) => Finding::well("living engine", "works"),
        (true, true) => Finding::look("living engine", "works, and is behind", "see its log and /metrics"),
        (false, true) => Finding::bad(
            "living engine",
            "nobody works on what is due",
            "start relance serve (or relance work)",
        ),
        (false, false) => Finding::look("living engine", "does not run", "start relance serve"),
    });
    let delivers = lock(store.path(), "deliver")?.is_none();
    let next = store.next_due().await?;
    let behind = late(next.map(|(due, _)| due)).is_some();
    let waiting = next.map_or(0, |(_, waiting)| waiting);
    findings.push(match (delivers, behind) {
        (true, _) => Finding::well("delivery", format!("works; {waiting} messages wait")),
        (false, true) => Finding::bad(
            "delivery",
            format!("nobody delivers, {waiting} messages wait"),
            "start relance serve --smtp URL (or relance deliver)",
        ),
        (false, false) => Finding::look("delivery", "does not run", "start relance serve --smtp URL"),
    });
    Ok(findings)
}
