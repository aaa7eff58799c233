//! Who asks for a page: language, client, program.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};
use delivery::machine::Asker;
use model::Lang;
use storage::Storage;

use crate::{App, access::client};

/// What a request says of whoever sends it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visitor {
    /// The language that was chosen on the page.
    pub chosen: Option<Lang>,
    /// The browser's language.
    pub accepts: Lang,
    /// A keyed hash of the client's address; empty when that is not known.
    pub client: String,
    agent: String,
    head: bool,
    ahead: bool,
}

impl Visitor {
    /// The program that asks.
    pub fn asker(&self) -> Asker<'_> {
        Asker { agent: &self.agent, head: self.head, ahead: self.ahead }
    }

    /// The language to speak: the chosen one, else the contact's, else the browser's.
    pub fn lang(&self, locale: Option<&str>) -> Lang {
        self.chosen.unwrap_or_else(|| locale.map_or(self.accepts, Lang::of_locale))
    }
}

impl<S: Storage> FromRequestParts<App<S>> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, Infallible> {
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let trusted = &app.config.access.trusted_proxies;
        let client = client::address(&parts.extensions, &parts.headers, trusted);
        let ahead = ["sec-purpose", "purpose", "x-moz"].iter().any(|name| text(name).contains("prefetch"));
        Ok(Self {
            chosen: parts.uri.query().and_then(chosen),
            accepts: accepted(&parts.headers),
            client: client.map(|client| app.links.pseudonym(&client.to_string())).unwrap_or_default(),
            agent: text(header::USER_AGENT.as_str()).to_owned(),
            head: parts.method == Method::HEAD,
            ahead,
        })
    }
}

fn chosen(query: &str) -> Option<Lang> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("lang="))?;
    match value {
        "en" => Some(Lang::En),
        "fr" => Some(Lang::Fr),
        _ => None,
    }
}

/// The first language of `Accept-Language` that we speak, by weight.
fn accepted(headers: &HeaderMap) -> Lang {
    let value = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut best: Option<(Lang, u16)> = None;
    for part in value.split(',').take(20) {
        let (tag, weight) = part.split_once(";q=").unwrap_or((part, "1"));
        let tag = tag.trim();
        let lang = match tag.split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "fr" => Lang::Fr,
            "en" => Lang::En,
            _ => continue,
        };
        let weight =
            weight.trim().parse::<f32>().map_or(0, |weight| (weight.clamp(0.0, 1.0) * 1_000.0) as u16);
        if weight > 0 && best.is_none_or(|(_, known)| weight > known) {
            best = Some((lang, weight));
        }
    }
    best.map(|(lang, _)| lang).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_language_is_what_was_chosen_then_the_contacts_then_the_browsers() {
        for (value, lang) in [
            ("", Lang::En),
            ("de", Lang::En),
            ("fr-CA,fr;q=0.9,en;q=0.8", Lang::Fr),
            ("en;q=0.5, fr;q=0.6", Lang::Fr),
            ("fr;q=0, en;q=0.1", Lang::En),
            ("de, en;q=0.9, fr;q=0.9", Lang::En),
            ("fr;q=x, en;q=0.1", Lang::En),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static(value))]);
            assert_eq!(accepted(&headers), lang, "{value}");
        }
        let visitor = Visitor { accepts: Lang::En, ..Visitor::default() };
        assert_eq!(visitor.lang(Some("fr-FR")), Lang::Fr);
        assert_eq!(visitor.lang(None), Lang::En);
        let visitor = Visitor { chosen: chosen("a=b&lang=en"), ..Visitor::default() };
        assert_eq!(visitor.lang(Some("fr-FR")), Lang::En);
        assert_eq!(chosen("lang=xx"), None);
    }
}
