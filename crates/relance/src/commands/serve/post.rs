//! Delivery inside the server: hands over what is due, sleeps until something is.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use api::App;
use delivery::{Delivery, Summary, Transport};
use model::Timestamp;
use serde_json::json;
use storage::outbox::{MessageState, OutboxStore};
use storage_sqlite::Sqlite;
use tokio::sync::Notify;

use super::stop::Stop;
use crate::commands::deliver::{Ready, Way, lock};

/// The longest sleep: what other processes put into the outbox is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// The wait after the server was not to be had, doubled each time up to [`AGAIN_MAX`].
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_MAX: Duration = Duration::from_secs(120);

/// Delivers until it is told to stop.
pub async fn run(app: App<Sqlite>, store: Sqlite, ready: Ready, bell: Arc<Notify>, stop: Stop) {
    let Ready { transport, delivery } = ready;
    let halt = Arc::clone(&delivery.stop);
    let told = stop.told();
    let halting = tokio::spawn(async move {
        told.await;
        halt.store(true, Ordering::Relaxed);
    });
    // Held as long as this delivers: whoever else held claims is dead then.
    let alone = lock(store.path(), "deliver").ok().flatten();
    if alone.is_some() {
        match store.settle_claims(Timestamp::MAX).await {
            Ok(settled) if settled.uncertain > 0 => {
                tracing::warn!(
                    messages = settled.uncertain,
                    "uncertain: an earlier run broke off; not repeated"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "claims of an earlier run are not settled"),
        }
    }
    match transport {
        Way::Server(transport) => deliver(&app, &store, &transport, &delivery, &bell, &stop).await,
        Way::Folder(transport) => deliver(&app, &store, &transport, &delivery, &bell, &stop).await,
    }
    halting.abort();
}

async fn deliver<T: Transport>(
    app: &App<Sqlite>,
    store: &Sqlite,
    transport: &Arc<T>,
    delivery: &Delivery,
    bell: &Notify,
    stop: &Stop,
) {
    let mut wait = AGAIN;
    while !stop.is_told() {
        let due = match delivery::worker::run(store, transport, delivery, |_| ()).await {
            Ok(summary) => {
                tell(app, &summary);
                match summary.stopped {
                    Some((reason, detail)) => {
                        tracing::warn!(reason, detail, "delivery waits for the mail server");
                        None
                    }
                    None => sleep(store, app.now()).await,
                }
            }
            Err(error) => {
                tracing::error!(%error, "delivery has failed");
                None
            }
        };
        let (pause, heard) = match due {
            Some(pause) => {
                wait = AGAIN;
                (pause, true)
            }
            None => {
                let pause = wait;
                wait = (wait * 2).min(AGAIN_MAX);
                (pause, false)
            }
        };
        tokio::select! {
            () = stop.told() => return,
            () = bell.notified(), if heard => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How long nothing is due; none when the database does not say.
async fn sleep(store: &Sqlite, now: Timestamp) -> Option<Duration> {
    match store.next_due().await {
        Ok(None) => Some(SLEEP_MAX),
        Ok(Some((due, _))) => {
            Some(Duration::from_micros(due.since(now).max(1_000).unsigned_abs()).min(SLEEP_MAX))
        }
        Err(error) => {
            tracing::error!(%error, "the outbox does not answer");
            None
        }
    }
}

/// Counts what was settled, and tells whoever looks on.
fn tell(app: &App<Sqlite>, summary: &Summary) {
    let mut counts = serde_json::Map::new();
    for state in MessageState::ALL {
        let count = summary.count(state);
        if count > 0 {
            app.ops.metrics.delivered(state.word(), count);
            counts.insert(state.word().to_owned(), json!(count));
        }
    }
    if !counts.is_empty() {
        tracing::info!(messages = %serde_json::Value::Object(counts.clone()), "delivered");
        app.news.tell("delivered", counts.into());
    }
}
