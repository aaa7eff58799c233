//! `/account/forgotten`: asks for the mail with which one chooses another password.

use axum::{Form, extract::State, http::HeaderMap, response::Response};
use serde::Deserialize;
use storage::Storage;

use super::{Field, SIGN_IN, Wrong, page, refused, words, words::Words};
use crate::{
    ApiResult, App,
    access::{Stranger, passwords},
};

/// What the form holds.
#[derive(Default, Deserialize)]
pub(super) struct Filled {
    email: String,
}

fn form(words: &Words, filled: &Filled, wrong: &Wrong<'_>) -> Response {
    let email = Field {
        name: "email",
        label: words.email,
        kind: "email",
        value: &filled.email,
        more: "required autofocus autocomplete=\"username\"",
    };
    let body = format!(
        "<p>{}</p>{}<form method=\"post\">{}<button>{}</button></form><p><a href=\"{SIGN_IN}\">{}</a></p>",
        words.forgotten_how,
        wrong.html(),
        email.html(wrong, None),
        words.forgotten_send,
        words.back,
    );
    page(words, words.forgotten, &body)
}

pub(super) async fn ask(headers: HeaderMap) -> Response {
    form(words(&headers), &Filled::default(), &Wrong::default())
}

/// The same answer whether there is such a user or not.
pub(super) async fn take<S: Storage>(
    State(app): State<App<S>>,
    stranger: ApiResult<Stranger>,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Response {
    let words = words(&headers);
    let asked = stranger.and_then(|stranger| {
        // A slip of the keyboard is worth telling: it says nothing about users.
        crate::access::users::email(&filled.email)?;
        passwords::forget(app, stranger, &filled.email)
    });
    match asked {
        Ok(()) => {
            let body = format!(
                "<p role=\"status\">{}</p><p><a href=\"{SIGN_IN}\">{}</a></p>",
                words.forgotten_sent, words.back
            );
            page(words, words.forgotten, &body)
        }
        Err(error) => refused(form(words, &filled, &Wrong::of(words, &error)), &error),
    }
}
