//! Pages for who has no password yet: the set-up of the first user, and choosing a password with the link of a mail. They
//! work without JavaScript: the token stands behind the `#` of a link, which no server and no log gets to see; a line of
//! script copies it into its field, and without it one pastes it.

mod words;

use axum::{
    Form, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use storage::Storage;

use super::{Stranger, passwords, setup};
use crate::{ApiError, ApiResult, App};
use words::{EN, FR, Words};

/// What the pages load, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("account.css");
const SCRIPT: &str = include_str!("account.js");

/// Their routes.
pub(super) fn router<S: Storage>() -> Router<App<S>> {
    let file = |kind: &'static str, text: &'static str| {
        get(move || std::future::ready(([(header::CONTENT_TYPE, kind)], text)))
    };
    Router::new()
        .route("/account/password", get(ask_password).post(take_password::<S>))
        .route("/account/setup", get(ask_setup).post(take_setup::<S>))
        .route("/account/account.css", file("text/css; charset=utf-8", STYLE))
        .route("/account/account.js", file("text/javascript; charset=utf-8", SCRIPT))
}

/// What the forms hold.
#[derive(Default, Deserialize)]
struct Filled {
    token: String,
    password: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
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
    let html = format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{title} – Relance</title><link rel=\"stylesheet\" \
         href=\"/account/account.css\"><script defer src=\"/account/account.js\"></script></head><body><main>\
         <h1>{title}</h1>{body}</main></body></html>",
        words.language
    );
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response()
}

/// A form that posts to where it stands, with what was filled in before but for the password.
fn form(words: &Words, is_setup: bool, filled: &Filled, wrong: Option<&str>) -> Response {
    let wrong = wrong.map(|text| format!("<p role=\"alert\" id=\"wrong\">{}</p>", escaped(text)));
    let field = |name: &str, label: &str, kind: &str, value: &str, more: &str| {
        format!(
            "<label for=\"{name}\">{label}</label><input id=\"{name}\" name=\"{name}\" type=\"{kind}\" value=\"{}\" {more}>",
            escaped(value)
        )
    };
    let who = if is_setup {
        field("email", words.email, "email", &filled.email, "required autocomplete=\"username\"")
            + &field("name", words.name, "text", &filled.name, "maxlength=\"200\" autocomplete=\"name\"")
    } else {
        String::new()
    };
    let described = if wrong.is_some() { "rules wrong" } else { "rules" };
    let password = format!("required autocomplete=\"new-password\" aria-describedby=\"{described}\"");
    let body = format!(
        "{}<form method=\"post\">{}{who}{}<p id=\"rules\">{}</p><button>{}</button></form>",
        wrong.unwrap_or_default(),
        field(
            "token",
            words.token,
            "text",
            &filled.token,
            "required autocomplete=\"off\" spellcheck=\"false\""
        ),
        field("password", words.password, "password", "", &password),
        words.rules,
        words.button,
    );
    page(words, if is_setup { words.setup } else { words.choose }, &body)
}

/// The form once more, with what was wrong.
fn refused(words: &Words, is_setup: bool, filled: &Filled, error: &ApiError) -> Response {
    let first = error.problems.first();
    let told = first.map(|problem| words.problem(&problem.code).unwrap_or(&problem.message));
    let mut response = form(words, is_setup, filled, told);
    *response.status_mut() = error.status;
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

async fn ask_password(headers: HeaderMap) -> Response {
    form(words(&headers), false, &Filled::default(), None)
}

async fn take_password<S: Storage>(
    State(app): State<App<S>>,
    stranger: ApiResult<Stranger>,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Response {
    let words = words(&headers);
    let taken = match stranger {
        Ok(stranger) => passwords::choose(&app, &stranger, filled.token.trim(), &filled.password).await,
        Err(error) => Err(error),
    };
    match taken {
        Ok(()) => page(words, words.choose, &format!("<p role=\"status\">{}</p>", words.chosen)),
        Err(error) => refused(words, false, &filled, &error),
    }
}

async fn ask_setup(headers: HeaderMap) -> Response {
    form(words(&headers), true, &Filled::default(), None)
}

async fn take_setup<S: Storage>(
    State(app): State<App<S>>,
    stranger: ApiResult<Stranger>,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Response {
    let words = words(&headers);
    let asked = setup::Setup {
        token: filled.token.trim().to_owned(),
        email: filled.email.clone(),
        password: filled.password.clone(),
        name: filled.name.clone(),
        locale: Some(words.language.to_owned()),
    };
    let made = match stranger {
        Ok(stranger) => setup::make(&app, &stranger, asked).await,
        Err(error) => Err(error),
    };
    match made {
        Ok((cookies, _)) => {
            let done = page(words, words.setup, &format!("<p role=\"status\">{}</p>", words.set_up));
            (StatusCode::CREATED, cookies, done).into_response()
        }
        Err(error) => refused(words, true, &filled, &error),
    }
}
