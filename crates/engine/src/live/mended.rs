//! Versions that could not be compiled for a while: when they can be again, those inside are looked at, so that what came
//! due meanwhile is done.

use std::collections::BTreeSet;

use serde_json::json;
use storage::{Result, Storage};

use super::{Book, lives};
use model::Timestamp;

/// Setting: the runs of versions that could not be compiled when the book was loaded last.
const KNOWN: &str = "journeys_broken";

/// Has the engine look at those inside versions that were broken and are not any more.
///
/// # Errors
/// What the database says. Killed between its two transactions, it has them looked at once more, which does no harm.
pub async fn look<S: Storage>(store: &S, book: &Book, now: Timestamp) -> Result<()> {
    let broken: BTreeSet<i64> = book.broken.iter().map(|broken| broken.record.run).collect();
    let known: BTreeSet<i64> = match store.load_setting(KNOWN.to_owned()).await? {
        Some(json) => serde_json::from_value(json).unwrap_or_default(),
        None => BTreeSet::new(),
    };
    if broken == known {
        return Ok(());
    }
    let mut waves = Vec::new();
    for run in known.difference(&broken).filter(|run| book.of_run(**run).is_some()) {
        waves.extend(lives::look_at(lives::inside(store, *run).await?, now));
    }
    if !waves.is_empty() {
        store.add_inputs(Vec::new(), waves).await?;
    }
    store.save_setting(KNOWN.to_owned(), json!(broken)).await
}
