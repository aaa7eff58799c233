//! Somebody who has not signed in, where anybody may ask: with a limit on how often.

use std::net::IpAddr;

use axum::{extract::FromRequestParts, http::request::Parts};
use serde_json::Value;
use storage::{Storage, audit::Deed};

use super::{account::agent_of, client, cookie::SESSION, guard::neighbourhood, origin, token};
use crate::{ApiError, App};

/// Whoever sends the request. Refused when another site's page sends it, and when too much comes from there.
#[derive(Clone, Debug)]
pub struct Stranger {
    /// The network address, when it is known.
    pub client: Option<IpAddr>,
    /// What the browser calls itself, shortened.
    pub agent: String,
    /// The token of a session that the request brought along, good or not.
    pub(crate) old_session: Option<String>,
}

impl Stranger {
    /// What they do now, to be written down.
    pub(crate) fn deed<S: Storage>(
        &self,
        app: &App<S>,
        who: String,
        action: &'static str,
        object: &str,
        details: Value,
    ) -> Deed {
        Deed {
            at: app.now(),
            who,
            action: action.to_owned(),
            object: object.to_owned(),
            details,
            client: self.client.map(|address| address.to_string()),
        }
    }
}

impl<S: Storage> FromRequestParts<App<S>> for Stranger {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, ApiError> {
        let config = &app.config.access;
        if !origin::is_safe(&parts.method) {
            origin::refuse_foreign(&parts.headers, &app.config.public_url)?;
        }
        let client = client::address(&parts.extensions, &parts.headers, &config.trusted_proxies);
        app.access.rates.take(("stranger", client.map(neighbourhood)), config.stranger_rate, app.now())?;
        let old = SESSION.read(&parts.headers, &app.config.public_url);
        Ok(Self {
            client,
            agent: agent_of(&parts.headers),
            old_session: old.filter(|text| text.len() == token::TOKEN_LEN),
        })
    }
}
