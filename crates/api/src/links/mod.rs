//! Links of messages and pages for people: opens, clicks, unsubscribe, preferences, confirmations; the form by which a shop
//! lets people subscribe; purposes and how pages look.
//!
//! Pages need no script, load nothing from elsewhere, and speak the contact's language. What changes something is a POST:
//! programs that look at mails only GET. Whoever has a link may do what it is for and nothing else: its token is signed,
//! and a token that is not ours gets the same answer whatever is wrong with it.

mod appearance;
pub mod branding;
mod click;
mod confirm;
mod consent_log;
mod forward;
mod look;
mod mails;
mod open;
mod preferences;
mod purposes_get;
mod purposes_put;
mod subscribe;
mod subscribe_form;
mod unsubscribe;
mod view;
mod visitor;
mod words;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, atomic::AtomicBool},
};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{Method, StatusCode, header},
    routing::{get, options, post},
};
use delivery::view::Viewer;
use model::Timestamp;
use storage::Storage;
use tower_http::cors::{Any, CorsLayer};

pub use click::settle_clicks;
pub(crate) use mails::Asker;

use crate::{App, each_time, operations, section::Section};

/// Largest body that a page or the subscription form takes, in bytes.
pub const BODY_MAX: usize = 16 * 1024;
/// A confirmation can be given for so long.
pub const CONFIRM_WITHIN: i64 = 7 * Timestamp::DAY;
/// Most friends who are told of one message.
pub const FRIENDS_MAX: u32 = 5;
/// Forms that one client may send in a minute.
pub const FORMS_PER_MINUTE: u32 = 20;
/// So many clients are remembered for that; beyond them all are forgotten.
const CLIENTS_MAX: usize = 10_000;

/// What it is told at the start.
#[derive(Clone, Debug, Default)]
pub struct Config {}

/// What it keeps in memory.
#[derive(Debug)]
pub struct State {
    env: minijinja::Environment<'static>,
    viewer: Viewer,
    /// Whether somebody is about to judge clicks.
    judging: AtomicBool,
    /// Forms by client: the minute, and how many.
    forms: Mutex<HashMap<String, (i64, u32)>>,
}

impl State {
    /// At the start.
    #[must_use]
    pub fn new(_config: &Config) -> Self {
        Self {
            env: look::environment(),
            viewer: Viewer::default(),
            judging: AtomicBool::new(false),
            forms: Mutex::default(),
        }
    }

    /// Whether a client may send one more form in this minute. One whose address is not known may.
    fn takes_form(&self, client: &str, now: Timestamp) -> bool {
        if client.is_empty() {
            return true;
        }
        let minute = now.0.div_euclid(Timestamp::MINUTE);
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if forms.len() >= CLIENTS_MAX && !forms.contains_key(client) {
            forms.retain(|_, (at, _)| *at == minute);
            if forms.len() >= CLIENTS_MAX {
                forms.clear();
            }
        }
        let (at, count) = forms.entry(client.to_owned()).or_default();
        if *at != minute {
            (*at, *count) = (minute, 0);
        }
        *count += 1;
        *count <= FORMS_PER_MINUTE
    }
}

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    let cors = CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE]);
    // A browser asks first whether it may: the layer answers, where there is a route.
    let asked = Router::new().route("/api/v1/subscribe", options(async || StatusCode::NO_CONTENT));
    let form = each_time!(Section::new("links"), S; subscribe)
        .undocumented(asked)
        .map_router(|router| router.layer(DefaultBodyLimit::max(BODY_MAX)).layer(cors));
    operations!(Section::new("links"), S; purposes_get, purposes_put, consent_log)
        .with(appearance::section())
        .with(form)
        .undocumented(pages())
}

fn pages<S: Storage>() -> Router<App<S>> {
    Router::new()
        .route("/o/{token}", get(open::handle))
        .route("/c/{token}", get(click::counted))
        .route("/s/{code}", get(click::short))
        .route("/u/{token}", get(unsubscribe::show).post(unsubscribe::done))
        .route("/p/{token}", get(preferences::show).post(preferences::save))
        .route("/d/{token}", get(confirm::show).post(confirm::done))
        .route("/v/{token}", get(view::handle))
        .route("/f/{token}", get(forward::show).post(forward::send))
        .route("/subscribe", post(subscribe_form::handle))
        .route("/l/page.css", get(look::style))
        .layer(DefaultBodyLimit::max(BODY_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sends_so_many_forms_a_minute_and_the_memory_does_not_grow() {
        let state = State::new(&Config::default());
        let now = Timestamp(90 * Timestamp::MINUTE);
        for n in 0..FORMS_PER_MINUTE + 2 {
            assert_eq!(state.takes_form("a", now), n < FORMS_PER_MINUTE, "{n}");
        }
        assert!(state.takes_form("b", now) && state.takes_form("", now));
        assert!(state.takes_form("a", now.plus(Timestamp::MINUTE)));
        for n in 0..2 * CLIENTS_MAX {
            assert!(state.takes_form(&n.to_string(), now));
        }
        assert!(state.forms.lock().unwrap().len() <= CLIENTS_MAX);
    }
}
