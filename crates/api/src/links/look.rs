//! How pages look: one shell, the shop's name and colour, a policy that lets nothing in from elsewhere.

use axum::{
    extract::{FromRequest, Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use minijinja::{Environment, UndefinedBehavior};
use model::{Contact, Lang};
use serde_json::{Map, Value, json};
use storage::{Storage, StoreError};

use super::{branding, branding::Branding, visitor::Visitor, words};
use crate::App;

/// Pages run nothing, load nothing but their style sheet, send forms to us alone, and stand in no frame.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a page is made with.
pub(crate) struct Look<'a> {
    env: &'a Environment<'static>,
    branding: Branding,
    host: String,
    pub lang: Lang,
    root: &'static str,
    /// Whether the page's address shows the same in the other language.
    switches: bool,
}

/// The pages' templates.
pub(crate) fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, source) in [
        ("shell.html", include_str!("pages/shell.html")),
        ("message.html", include_str!("pages/message.html")),
        ("unsubscribe.html", include_str!("pages/unsubscribe.html")),
        ("preferences.html", include_str!("pages/preferences.html")),
        ("confirm.html", include_str!("pages/confirm.html")),
        ("forward.html", include_str!("pages/forward.html")),
    ] {
        env.add_template(name, source).unwrap_or_else(|error| unreachable!("{name}: {error}"));
    }
    env
}

impl<'a> Look<'a> {
    /// For a contact, or for whoever asks.
    pub async fn of<S: Storage>(
        app: &'a App<S>,
        visitor: &Visitor,
        contact: Option<&Contact>,
    ) -> Result<Self, StoreError> {
        let branding = Branding::of(app.store.load_setting(branding::SETTING.to_owned()).await?);
        let host = app.config.public_url.split("://").nth(1).unwrap_or_default();
        Ok(Self {
            env: &app.link_state.env,
            branding,
            host: host.split('/').next().unwrap_or_default().to_owned(),
            lang: visitor.lang(contact.and_then(|contact| contact.locale.as_deref())),
            root: "../",
            switches: true,
        })
    }

    /// For the answer to a form that stands elsewhere.
    pub fn at_root(mut self) -> Self {
        self.root = "";
        self.switches = false;
        self
    }

    /// The shop's name.
    pub fn shop(&self) -> &str {
        if self.branding.name.is_empty() { &self.host } else { &self.branding.name }
    }

    /// A text in the page's language.
    pub fn say(&self, name: &'static str) -> &'static str {
        words::say(name, self.lang)
    }

    /// A page: its title's name, its template, and what the template needs beside the texts.
    pub fn page(
        &self,
        status: StatusCode,
        title: &'static str,
        template: &str,
        mut needs: Value,
    ) -> Response {
        let lang = if self.lang == Lang::Fr { "fr" } else { "en" };
        let other = if self.lang == Lang::Fr { "en" } else { "fr" };
        let mut common = Map::new();
        common.insert("w".into(), words::all(self.lang).into());
        common.insert("lang".into(), lang.into());
        common.insert("root".into(), self.root.into());
        common.insert("shop".into(), self.shop().into());
        common.insert("title".into(), self.say(title).into());
        let address = self.branding.address.as_ref().map(|address| address.get(self.lang));
        common.insert("address".into(), address.into());
        common.insert("switch".into(), self.switches.then_some(other).into());
        if let Value::Object(needs) = &mut needs {
            common.append(needs);
        }
        let expand = |name: &str, data: &Map<String, Value>| {
            self.env.get_template(name)?.render(minijinja::value::Serde(data))
        };
        let html = expand(template, &common).and_then(|body| {
            common.insert("body".into(), body.into());
            expand("shell.html", &common)
        });
        match html {
            Ok(html) => answer(status, html),
            Err(error) => {
                tracing::error!(%error, template, "a page could not be made");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }

    /// A page with some sentences, and a link to the preferences if there is a token for it.
    pub fn sentences(
        &self,
        status: StatusCode,
        title: &'static str,
        lines: &[String],
        preferences: Option<&str>,
    ) -> Response {
        self.page(status, title, "message.html", json!({"lines": lines, "preferences": preferences}))
    }

    /// A page with one text of ours.
    pub fn text(&self, status: StatusCode, title: &'static str, text: &'static str) -> Response {
        self.sentences(status, title, &[self.say(text).to_owned()], None)
    }

    /// The answer to a link that is not ours, whatever is wrong with it.
    pub fn invalid(&self) -> Response {
        self.text(StatusCode::NOT_FOUND, "invalid_title", "invalid")
    }
}

fn answer(status: StatusCode, html: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (status, headers, html).into_response()
}

/// What a page comes to: when the database fails, a page that says so.
pub(crate) fn settled(lang: Lang, result: Result<Response, StoreError>) -> Response {
    result.unwrap_or_else(|error| {
        tracing::error!(%error, "a page failed");
        let escaped = |name| words::say(name, lang).replace('\'', "&#39;");
        let html = format!(
            "<!doctype html><html lang=\"{}\"><meta charset=\"utf-8\"><title>{title}</title><h1>{title}</h1><p>{}</p></html>",
            if lang == Lang::Fr { "fr" } else { "en" },
            escaped("failed"),
            title = escaped("failed_title"),
        );
        answer(StatusCode::INTERNAL_SERVER_ERROR, html)
    })
}

/// Pairs of a form that was sent, or why it cannot be read.
pub(crate) struct Form(pub Result<Vec<(String, String)>, StatusCode>);

impl Form {
    /// The first value under a name, without blanks around it.
    pub fn get(pairs: &[(String, String)], name: &str) -> String {
        let found = pairs.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    }

    /// All values under a name.
    pub fn all<'p>(pairs: &'p [(String, String)], name: &'p str) -> impl Iterator<Item = &'p str> {
        pairs.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl<St: Send + Sync> FromRequest<St> for Form {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &St) -> Result<Self, Self::Rejection> {
        let form = axum::extract::Form::<Vec<(String, String)>>::from_request(request, state).await;
        Ok(Self(form.map(|form| form.0).map_err(|rejection| rejection.status())))
    }
}

/// The answer to a form that cannot be read.
pub(crate) fn unreadable(look: &Look<'_>, status: StatusCode) -> Response {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return look.text(status, "large_title", "large");
    }
    look.invalid()
}

/// The pages' style sheet: `/l/page.css`.
pub(crate) async fn style<S: Storage>(State(app): State<App<S>>) -> Response {
    let setting = app.store.load_setting(branding::SETTING.to_owned()).await.unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
    ];
    (headers, Branding::of(setting).css()).into_response()
}

/// As much of an address as its owner needs to know it.
pub(crate) fn hint(contact: &Contact) -> String {
    let Some((local, domain)) = contact.email.as_deref().and_then(|email| email.split_once('@')) else {
        return contact.phone.as_deref().map_or_else(
            || "…".to_owned(),
            |phone| {
                let last: Vec<char> = phone.chars().rev().take(2).collect();
                format!("•••{}", last.into_iter().rev().collect::<String>())
            },
        );
    };
    format!("{}•••@{domain}", local.chars().next().unwrap_or('•'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_tells_its_owner_enough_and_others_little() {
        let mail = |email: &str| hint(&Contact { email: Some(email.into()), ..Contact::default() });
        assert_eq!(mail("ann.lee@example.test"), "a•••@example.test");
        assert_eq!(mail("é@example.test"), "é•••@example.test");
        let phone = Contact { phone: Some("+33612345678".into()), ..Contact::default() };
        assert_eq!(hint(&phone), "•••78");
        assert_eq!(hint(&Contact::default()), "…");
    }
}
