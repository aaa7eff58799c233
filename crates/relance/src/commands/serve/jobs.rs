//! Jobs inside the server: imports, exports, simulations.

use std::time::Duration;

use api::App;
use storage_sqlite::Sqlite;

use super::stop::Stop;

/// After a failure of the database it is tried again after so long.
const AGAIN: Duration = Duration::from_secs(10);

/// Works on jobs until it is told to stop.
pub(super) async fn run(app: App<Sqlite>, stop: Stop) {
    loop {
        match api::admin::jobs::work(app.clone(), stop.told()).await {
            Ok(()) => return,
            Err(error) => tracing::error!(%error, "jobs cannot be taken up"),
        }
        tokio::select! {
            () = stop.told() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}
