//! For operators: whether the server lives, whether it is ready, figures; and what lies around every answer.

mod healthz;
mod layers;
pub mod listen;
mod log;
pub mod metrics;
mod readyz;

pub(crate) use layers::layers;

use std::{
    future::ready,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::{Router, body::Bytes, routing::get};
use storage::Storage;

use crate::{
    App, operations,
    section::Section,
    tag::{Known, Tag},
};

/// Limits of the server itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// Largest body of a request, in bytes, where an operation does not say otherwise.
    pub body_max: usize,
    /// A request is answered within so long, or given up.
    pub request_timeout: Duration,
    /// The file of the database's write-ahead log, for its size in the figures; none where there is none.
    pub database_log: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { body_max: 2 * 1024 * 1024, request_timeout: Duration::from_secs(30), database_log: None }
    }
}

/// What operations keep in memory.
#[derive(Debug, Default)]
pub struct State {
    /// Figures about the server itself.
    pub metrics: metrics::Metrics,
    broken: AtomicBool,
}

impl State {
    /// At the start.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self::default()
    }

    /// Says whether the living engine goes on: while it does not, the server is not ready.
    pub fn engine_works(&self, works: bool) {
        self.broken.store(!works, Ordering::Relaxed);
    }
}

/// For an address of its own that only operators reach: `/healthz`, `/readyz`, `/metrics`, without keys.
pub fn router<S: Storage>(app: App<S>) -> Router {
    Router::new()
        .route("/healthz", get(healthz::handle::<S>))
        .route("/readyz", get(readyz::handle::<S>))
        .route("/metrics", get(metrics::open::<S>))
        .with_state(app)
}

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("operations"), S; healthz, readyz, metrics)
}

/// The OpenAPI document, at `/api/openapi.json`.
pub(crate) fn openapi<S: Storage>(document: &utoipa::openapi::OpenApi) -> Router<App<S>> {
    // It never changes while the server runs: written once.
    let bytes = Bytes::from(serde_json::to_vec(document).unwrap_or_default());
    let tag = Tag::of_bytes(&bytes);
    let handle = move |known: Known| ready(known.answer_written(&tag, bytes.clone()));
    Router::new().route("/api/openapi.json", get(handle))
}
