//! How everything hears that it is to stop: SIGTERM, SIGINT (Ctrl-C), or one part that ended. A second signal ends the
//! process at once, which loses nothing that was acknowledged.

use std::future::Future;

use tokio::sync::watch;

/// Says whether to stop.
#[derive(Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Told by the next signal.
    pub fn on_signals() -> Self {
        let stop = Self(watch::channel(false).0);
        let told = stop.clone();
        tokio::spawn(async move {
            signal().await;
            tracing::info!("stopping: what is under way is finished");
            told.tell();
            signal().await;
            std::process::exit(130);
        });
        stop
    }

    /// Tells everybody.
    pub fn tell(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was told.
    pub fn is_told(&self) -> bool {
        *self.0.borrow()
    }

    /// Ready once it was told.
    pub fn told(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut heard = self.0.subscribe();
        async move {
            // The sender lives as long as somebody can tell.
            drop(heard.wait_for(|told| *told).await);
        }
    }
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn signal() {
    drop(tokio::signal::ctrl_c().await);
}
