//! Who has no password yet: `/account/setup` for the first user, `/account/password` with the link of a mail.

use axum::{
    Form,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use storage::Storage;

use super::{Field, HOME, SIGN_IN, Wrong, page, refused, words, words::Words};
use crate::{
    ApiResult, App,
    access::{Stranger, passwords, setup},
};

/// What the forms hold.
#[derive(Default, Deserialize)]
pub(super) struct Filled {
    token: String,
    password: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
}

/// A form that posts to where it stands, with what was filled in before but for the password.
fn form(words: &Words, is_setup: bool, filled: &Filled, wrong: &Wrong<'_>) -> Response {
    let field = |name, label, kind, value, more| Field { name, label, kind, value, more };
    let token = field(
        "token",
        words.token,
        "text",
        &filled.token,
        "required autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\"",
    );
    let mut fields = token.html(wrong, None);
    if is_setup {
        let email = field("email", words.email, "email", &filled.email, "required autocomplete=\"username\"");
        let name = field("name", words.name, "text", &filled.name, "maxlength=\"200\" autocomplete=\"name\"");
        fields += &(email.html(wrong, None) + &name.html(wrong, None));
    }
    let password =
        field("password", words.new_password, "password", "", "required autocomplete=\"new-password\"");
    let body = format!(
        "{}<form method=\"post\">{fields}{}<p class=\"hint\" id=\"rules\">{}</p><button>{}</button></form>",
        wrong.html(),
        password.html(wrong, Some("rules")),
        words.rules,
        words.save,
    );
    page(words, if is_setup { words.setup } else { words.choose }, &body)
}

fn done(words: &Words, title: &str, told: &str, target: &str, link: &str) -> Response {
    page(words, title, &format!("<p role=\"status\">{told}</p><p><a href=\"{target}\">{link}</a></p>"))
}

pub(super) async fn ask_password(headers: HeaderMap) -> Response {
    form(words(&headers), false, &Filled::default(), &Wrong::default())
}

pub(super) async fn take_password<S: Storage>(
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
        Ok(()) => done(words, words.choose, words.chosen, SIGN_IN, words.sign_in),
        Err(error) => refused(form(words, false, &filled, &Wrong::of(words, &error)), &error),
    }
}

pub(super) async fn ask_setup(headers: HeaderMap) -> Response {
    form(words(&headers), true, &Filled::default(), &Wrong::default())
}

pub(super) async fn take_setup<S: Storage>(
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
            let done = done(words, words.setup, words.set_up, HOME, words.go_on);
            (StatusCode::CREATED, cookies, done).into_response()
        }
        Err(error) => refused(form(words, true, &filled, &Wrong::of(words, &error)), &error),
    }
}
