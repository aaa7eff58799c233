//! `/account/sign-in`: address and password, then the code where the user has one; or the identity provider.

use axum::{
    Form,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use storage::Storage;

use super::{Field, HOME, Wrong, failed, go, page, refused, words, words::Words};
use crate::{
    ApiResult, App,
    access::{
        Stranger, account,
        session::{self, SignIn},
        setup,
    },
    extract::Asked,
};

/// Refusals after which the form asks for a code too.
const WITH_CODE: [&str; 2] = ["access.code_needed", "access.code"];

/// Why the browser comes back from the identity provider.
#[derive(Default, Deserialize)]
pub(super) struct Back {
    problem: Option<String>,
}

/// What the form holds.
#[derive(Default, Deserialize)]
pub(super) struct Filled {
    email: String,
    password: String,
    code: Option<String>,
}

/// The form, with what was filled in before but for secrets.
fn form<S: Storage>(
    app: &App<S>,
    words: &Words,
    email: &str,
    with_code: bool,
    wrong: &Wrong<'_>,
) -> Response {
    let field = |name, label, kind, value, more| Field { name, label, kind, value, more };
    let (first, then) = if with_code { ("", "autofocus") } else { ("autofocus", "") };
    let email = field("email", words.email, "email", email, "required autocomplete=\"username\"");
    let password =
        field("password", words.password, "password", "", "required autocomplete=\"current-password\"");
    let code = field(
        "code",
        words.code,
        "text",
        "",
        "required autocomplete=\"one-time-code\" autocapitalize=\"off\" spellcheck=\"false\"",
    );
    let mut fields = with_focus(&email.html(wrong, None), first);
    if with_code {
        fields += &with_focus(&password.html(wrong, Some("again")), then);
        fields += &format!("<p class=\"hint\" id=\"again\">{}</p>", words.code_again);
        fields += &code.html(wrong, Some("codes"));
        fields += &format!("<p class=\"hint\" id=\"codes\">{}</p>", words.code_how);
    } else {
        fields += &password.html(wrong, None);
    }
    let mut body = format!(
        "{}<form class=\"sign-in\" method=\"post\">{fields}<button>{}</button></form>\
         <p><a href=\"/account/forgotten\">{}</a></p>",
        wrong.html(),
        words.sign_in,
        words.forgot
    );
    if app.config.access.oidc.is_some() {
        // A link: the form of a page may not lead to another site.
        body += &format!("<p><a class=\"button\" href=\"/api/v1/oidc/start\">{}</a></p>", words.oidc);
    }
    page(words, words.sign_in, &body)
}

fn with_focus(field: &str, more: &str) -> String {
    if more.is_empty() { field.to_owned() } else { field.replacen("<input ", &format!("<input {more} "), 1) }
}

pub(super) async fn ask<S: Storage>(
    State(app): State<App<S>>,
    headers: HeaderMap,
    back: ApiResult<Asked<Back>>,
) -> Response {
    let words = words(&headers);
    let problem = back.ok().and_then(|Asked(back)| back.problem);
    match account::looks(&app, &headers).await {
        Ok(Some(_)) => return go(HOME),
        Ok(None) => {}
        Err(error) => return failed(words, &error),
    }
    match setup::is_needed(&app).await {
        Ok(false) => {}
        Ok(true) => return page(words, words.setup, &format!("<p>{}</p>", words.setup_first)),
        Err(error) => return failed(words, &error.into()),
    }
    let told = problem.map(|code| match words.problem(&code) {
        Some(known) => known.to_owned(),
        // What stands in a link is anybody's: only what can be a code is shown.
        None if code.len() <= 40
            && code.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte)) =>
        {
            format!("{} ({code})", words.oidc_refused)
        }
        None => words.oidc_refused.to_owned(),
    });
    form(&app, words, "", false, &Wrong { told: told.as_deref().unwrap_or_default(), field: None })
}

pub(super) async fn take<S: Storage>(
    State(app): State<App<S>>,
    stranger: ApiResult<Stranger>,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Response {
    let words = words(&headers);
    let Filled { email, password, code } = filled;
    let asked = SignIn { email: email.clone(), password, code };
    let begun = match stranger {
        Ok(stranger) => session::sign_in(&app, &stranger, asked).await,
        Err(error) => Err(error),
    };
    match begun {
        Ok((cookies, _)) => (cookies, go(HOME)).into_response(),
        Err(error) => {
            let code = error.problems.first().map_or("", |problem| &problem.code);
            let with_code = WITH_CODE.contains(&code);
            refused(form(&app, words, &email, with_code, &Wrong::of(words, &error)), &error)
        }
    }
}
