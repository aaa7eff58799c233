//! Pages of users: the set-up of the first one, choosing a password with the link of a mail, asking for that mail, signing
//! in, and who is signed in. They work without JavaScript: the token of a link stands behind its `#`, which no server and no
//! log gets to see; a line of script copies it into its field, and without it one pastes it.

mod choose;
mod forget;
mod home;
mod sign_in;
mod words;

use axum::{
    Router,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use storage::Storage;

use crate::{ApiError, App};
use words::{EN, FR, Words};

/// What the pages load, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("account.css");
const SCRIPT: &str = include_str!("account.js");

/// Who is signed in.
const HOME: &str = "/account";
/// Signing in.
const SIGN_IN: &str = "/account/sign-in";

/// Their routes.
pub(super) fn router<S: Storage>() -> Router<App<S>> {
    let file = |kind: &'static str, text: &'static str| {
        get(move || std::future::ready(([(header::CONTENT_TYPE, kind)], text)))
    };
    Router::new()
        .route("/", get(|| std::future::ready(Redirect::to(HOME))))
        .route(HOME, get(home::show::<S>))
        .route(SIGN_IN, get(sign_in::ask::<S>).post(sign_in::take::<S>))
        .route("/account/sign-out", post(home::sign_out::<S>))
        .route("/account/signed-in", get(home::arrive))
        .route("/account/forgotten", get(forget::ask).post(forget::take::<S>))
        .route("/account/password", get(choose::ask_password).post(choose::take_password::<S>))
        .route("/account/setup", get(choose::ask_setup).post(choose::take_setup::<S>))
        .route("/account/account.css", file("text/css; charset=utf-8", STYLE))
        .route("/account/account.js", file("text/javascript; charset=utf-8", SCRIPT))
}

/// The language that somebody reads best: the first of ours that the browser names.
fn words(headers: &HeaderMap) -> &'static Words {
    let wanted =
        headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut wanted =
        wanted.split(',').map(|part| part.trim().get(..2).unwrap_or_default().to_ascii_lowercase());
    match wanted.find(|language| ["en", "fr"].contains(&language.as_str())).as_deref() {
        Some("fr") => &FR,
        _ => &EN,
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

fn page(words: &Words, title: &str, body: &str) -> Response {
    page_with(words, title, "", body)
}

fn page_with(words: &Words, title: &str, head: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\">{head}<title>{title} – Relance</title><link rel=\"stylesheet\" \
         href=\"/account/account.css\"><script defer src=\"/account/account.js\"></script></head><body><main>\
         <h1>{title}</h1>{body}</main></body></html>",
        words.language
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        // With none at all, browsers do not say either where a form was sent from, by which ours are known from others'.
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (headers, Html(html)).into_response()
}

/// A field with its label.
struct Field<'a> {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    value: &'a str,
    more: &'static str,
}

/// What is wrong with what was filled in.
#[derive(Default)]
struct Wrong<'a> {
    told: &'a str,
    /// The field that it is about, where it is about one.
    field: Option<&'a str>,
}

impl<'a> Wrong<'a> {
    fn of(words: &Words, error: &'a ApiError) -> Self {
        let Some(first) = error.problems.first() else { return Self::default() };
        let told = words.problem(&first.code).unwrap_or(&first.message);
        Self { told, field: first.field.as_deref() }
    }

    fn html(&self) -> String {
        if self.told.is_empty() {
            return String::new();
        }
        format!("<p role=\"alert\" id=\"wrong\">{}</p>", escaped(self.told))
    }
}

impl Field<'_> {
    /// `hint` is the id of what explains the field.
    fn html(&self, wrong: &Wrong<'_>, hint: Option<&str>) -> String {
        let Self { name, label, kind, value, more } = self;
        let is_wrong = wrong.field == Some(name);
        let by: Vec<&str> = hint.into_iter().chain(is_wrong.then_some("wrong")).collect();
        let by =
            if by.is_empty() { String::new() } else { format!(" aria-describedby=\"{}\"", by.join(" ")) };
        let invalid = if is_wrong { " aria-invalid=\"true\"" } else { "" };
        format!(
            "<label for=\"{name}\">{label}</label><input id=\"{name}\" name=\"{name}\" type=\"{kind}\" \
             value=\"{}\"{by}{invalid} {more}>",
            escaped(value)
        )
    }
}

/// A form once more, under what the refusal says of itself.
fn refused(mut form: Response, error: &ApiError) -> Response {
    *form.status_mut() = error.status;
    if let Some(seconds) = error.retry_after {
        form.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    form
}

/// A page for what went wrong where there is no form to show again.
fn failed(words: &Words, error: &ApiError) -> Response {
    refused(page(words, words.wrong, &Wrong::of(words, error).html()), error)
}

/// After something was posted: to another page, by GET.
fn go(target: &'static str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, HeaderValue::from_static(target))]).into_response()
}
