//! Tracking: Segment's HTTP protocol. A request is read and mapped by itself, waits in a bounded queue, is committed
//! together with whatever else waits, and is answered after that. docs/tracking.md says it for those who send.

mod answer;
mod batch;
mod body;
mod call;
pub mod config;
mod desk;
mod envelope;
mod job;
mod keys;
mod metrics;
mod queue;
mod rate;
mod receive;
mod refused;
mod settings;
mod snippet;
mod told;

pub use config::Config;
pub use queue::Bells;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, Method, StatusCode, header},
    routing::options,
};
use delivery::Links;
use model::Clock;
use prometheus_client::metrics::counter::Counter;
use storage::Storage;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{App, Chance, operations, section::Section};

/// What tracking keeps in memory.
pub struct State<S> {
    /// Requests that wait for their commit.
    pub(crate) queue: queue::Queue,
    /// What the workspace has chosen, as of a moment ago.
    pub(crate) desk: desk::Desk<S>,
    /// Keys that were seen a moment ago.
    pub(crate) keys: keys::Keys<S>,
    /// How fast each key sends.
    pub(crate) rates: rate::Rates,
}

impl<S: Storage> State<S> {
    /// At the start, inside a runtime: the queue has a task of its own, which ends with it. `refused` counts the messages
    /// that are refused and kept.
    #[must_use]
    pub fn new(
        store: &S,
        clock: &Arc<dyn Clock>,
        (links, chance): (&Links, &Arc<dyn Chance>),
        bells: Bells,
        refused: Counter,
        config: &Config,
    ) -> Self {
        Self {
            queue: queue::Queue::start(store, clock, bells, refused, config),
            desk: desk::Desk::new(store.clone(), links.clone(), Arc::clone(chance)),
            keys: keys::Keys::new(store.clone()),
            rates: rate::Rates::new(config.events_per_second),
        }
    }
}

/// Its operations: those that shops' pages call from any origin, and what was refused, for editors.
#[must_use]
pub fn section<S: Storage>(config: &Config) -> Section<S> {
    let cors = cors(config);
    let public = operations!(Section::new("tracking"), S; batch, call, metrics, settings);
    let public = public.map_router(|router: Router<App<S>>| preflights(router).layer(cors));
    public.undocumented(snippet::routes()).with(refused::section())
}

/// What browsers ask before they send: the layer around answers it, when there is a route.
fn preflights<S: Storage>(router: Router<App<S>>) -> Router<App<S>> {
    let answer = || std::future::ready(StatusCode::NO_CONTENT);
    ["/v1/batch", "/v1/{call}", "/v1/m"]
        .into_iter()
        .fold(router, |router, path| router.route(path, options(answer)))
}

/// Browsers may send from the shops' pages: from anywhere, unless the server is told which origins there are.
fn cors(config: &Config) -> CorsLayer {
    let origins = match &config.origins {
        None => AllowOrigin::any(),
        Some(origins) => {
            AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
        }
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::CONTENT_ENCODING])
        .max_age(std::time::Duration::from_secs(24 * 60 * 60))
}
