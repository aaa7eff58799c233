//! The doors: HTTP for shops (tracking), for the pages and tools (admin API), for people who got a message (links), for
//! services that tell what came back, and for operators.
//!
//! Generic over [`storage::Storage`]; time is [`model::Clock`], secrets come from [`Chance`]. Each part has a module with
//! a `section` (its operations, see [`section`]) and a `Config`; [`router`] puts them together.

#![expect(unused_qualifications, reason = "the macros of utoipa write them")]

pub mod access;
pub mod admin;
pub mod amount;
pub mod app;
pub mod audit;
pub mod extract;
pub mod inbound;
pub mod links;
pub mod news;
pub mod once;
pub mod ops;
pub mod page;
pub mod problem;
pub mod said;
pub mod section;
pub mod tag;
pub mod track;

pub use app::{App, Chance, Config, Parts};
pub use problem::{ApiError, ApiResult};

use axum::Router;
use storage::Storage;

/// Everything that the server answers.
pub fn router<S: Storage>(app: App<S>) -> Router {
    let sections = sections::<S>(&app.config);
    let document = section::document(&sections);
    let mut router = Router::new();
    for section in sections {
        router = router.merge(section.into_router());
    }
    ops::layers(router.merge(ops::openapi(&document)), &app).with_state(app)
}

/// The OpenAPI 3.1 document of everything that the server answers.
#[must_use]
pub fn openapi<S: Storage>() -> utoipa::openapi::OpenApi {
    section::document(&sections::<S>(&Config::default()))
}

fn sections<S: Storage>(config: &Config) -> Vec<section::Section<S>> {
    vec![
        track::section(&config.track),
        access::section(),
        admin::section(),
        links::section(),
        inbound::section(),
        ops::section(),
    ]
}
