//! For operators: whether the server lives, whether it is ready, figures; and what lies around every answer.

mod healthz;
mod layers;
mod readyz;

pub(crate) use layers::layers;

use std::time::Duration;

use axum::{Json, Router, routing::get};
use storage::Storage;

use crate::{App, operations, section::Section};

/// Limits of the server itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// Largest body of a request, in bytes, where an operation does not say otherwise.
    pub body_max: usize,
    /// A request is answered within so long, or given up.
    pub request_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { body_max: 2 * 1024 * 1024, request_timeout: Duration::from_secs(30) }
    }
}

/// Figures about the server itself.
#[derive(Debug, Default)]
pub struct State {}

impl State {
    /// At the start.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self {}
    }
}

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("operations"), S; healthz, readyz)
}

/// The OpenAPI document, at `/api/openapi.json`.
pub(crate) fn openapi<S: Storage>(document: utoipa::openapi::OpenApi) -> Router<App<S>> {
    Router::new().route("/api/openapi.json", get(move || std::future::ready(Json(document.clone()))))
}
