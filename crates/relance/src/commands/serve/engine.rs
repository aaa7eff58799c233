//! The living engine inside the server. When the database fails it begins again: what was not committed is still there.

use std::{sync::Arc, time::Duration};

use api::App;
use engine::live::work::{Engine, Worked};
use serde_json::json;
use storage_sqlite::Sqlite;
use tokio::sync::Notify;

use super::stop::Stop;

/// How often the database is looked at for what commands in other processes have put there.
const LOOK: Duration = Duration::from_secs(1);
/// The wait before a failed engine begins again, doubled each time up to [`AGAIN_MAX`].
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// Works until it is told to stop.
pub async fn run(app: App<Sqlite>, store: Sqlite, bell: Arc<Notify>, delivery: Arc<Notify>, stop: Stop) {
    let mut wait = AGAIN;
    while !stop.is_told() {
        match work(&app, &store, &bell, &delivery, &stop).await {
            Ok(()) => return,
            Err(error) => {
                app.ops.engine_works(false);
                tracing::error!(%error, again_in = wait.as_secs(), "the living engine has failed");
            }
        }
        tokio::select! {
            () = stop.told() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(AGAIN_MAX);
    }
}

async fn work(
    app: &App<Sqlite>,
    store: &Sqlite,
    bell: &Arc<Notify>,
    delivery: &Arc<Notify>,
    stop: &Stop,
) -> storage::Result<()> {
    let mut engine = Engine::open(store.clone(), app.now()).await?;
    let book = &engine.ground().book;
    tracing::info!(journeys = book.journeys.len(), "the living engine works");
    for broken in &book.broken {
        let why: Vec<String> = broken.problems.iter().map(ToString::to_string).collect();
        tracing::warn!(journey = %broken.record.journey, why = why.join("; "), "its contacts wait");
    }
    app.ops.engine_works(true);
    let ended = Arc::new(Notify::new());
    let listening =
        tokio::spawn(listen(Arc::clone(bell), engine.knocker(), Arc::clone(&ended), stop.clone()));
    let told = |worked: Worked| {
        app.ops.metrics.worked(&worked);
        app.news.tell(
            "worked",
            json!({ "inputs": worked.inputs, "alarms": worked.alarms, "waves": worked.waves,
                    "steps": worked.steps, "messages": worked.messages }),
        );
        if worked.messages > 0 {
            delivery.notify_one();
        }
        if worked.low_stock > 0 {
            tracing::warn!(sets = worked.low_stock, "coupons run low: see relance coupon list");
        }
        if worked.dropped > 0 {
            tracing::warn!(inputs = worked.dropped, "dropped: too many caused each other");
        }
    };
    let result = engine.run(&*app.clock, &ended, &told).await;
    listening.abort();
    result
}

/// Passes on what wakes the engine.
async fn listen(bell: Arc<Notify>, knock: Arc<Notify>, ended: Arc<Notify>, stop: Stop) {
    let mut stopped = std::pin::pin!(stop.told());
    loop {
        tokio::select! {
            () = &mut stopped => return ended.notify_one(),
            () = bell.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        knock.notify_one();
    }
}
