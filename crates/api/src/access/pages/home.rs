//! `/account`: who is signed in, and signing out. The pages of the product come with a later version.

use axum::{
    Form,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use storage::Storage;

use super::{HOME, SIGN_IN, escaped, failed, go, page, page_with, words};
use crate::{
    App,
    access::{
        Stranger,
        account::{self, cookie_header, who},
        bodies::UserBody,
        cookie::SESSION,
    },
};

pub(super) async fn show<S: Storage>(State(app): State<App<S>>, headers: HeaderMap) -> Response {
    let words = words(&headers);
    let account = match account::looks(&app, &headers).await {
        Ok(Some(account)) => account,
        Ok(None) => return go(SIGN_IN),
        Err(error) => return failed(words, &error),
    };
    let csrf = account.csrf;
    let user = UserBody::from(account.user);
    // Who has given no name is known by the address alone.
    let name = match user.name.as_str() {
        "" => String::new(),
        name => format!("<dt>{}</dt><dd>{}</dd>", words.name, escaped(name)),
    };
    let body = format!(
        "<p>{}</p><dl>{name}<dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd></dl>\
         <form method=\"post\" action=\"/account/sign-out\"><input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\
         <button>{}</button></form><p><a href=\"/api/openapi.json\">{}</a></p>",
        words.pages_later,
        words.email,
        escaped(&user.email),
        words.role,
        words.role_of(user.role),
        words.sign_out,
        words.api,
    );
    page(words, words.signed_in, &body)
}

/// Where the identity provider's way ends: a request that another site has begun comes without the session's cookie, the
/// one that this page begins comes with it.
pub(super) async fn arrive(headers: HeaderMap) -> Response {
    let words = words(&headers);
    let body = format!("<p><a href=\"{HOME}\">{}</a></p>", words.go_on);
    page_with(
        words,
        words.signed_in,
        &format!("<meta http-equiv=\"refresh\" content=\"0; url={HOME}\">"),
        &body,
    )
}

/// What the form holds.
#[derive(Deserialize)]
pub(super) struct Filled {
    csrf: String,
}

pub(super) async fn sign_out<S: Storage>(
    State(app): State<App<S>>,
    stranger: crate::ApiResult<Stranger>,
    headers: HeaderMap,
    Form(filled): Form<Filled>,
) -> Response {
    let words = words(&headers);
    let end = async {
        let stranger = stranger?;
        let Some(account) = account::looks(&app, &headers).await? else { return Ok(()) };
        account.only_our_page(&app, &headers, &filled.csrf)?;
        let object = who(&account.user.is.email);
        let deed = stranger.deed(&app, object.clone(), "session.end", &object, json!({}));
        app.store.end_session(account.session.user, account.session.id, deed).await?;
        Ok(())
    };
    match end.await {
        Ok(()) => {
            let cookie = cookie_header(SESSION.clear(&app.config.public_url));
            (cookie, go(SIGN_IN)).into_response()
        }
        Err(error) => failed(words, &error),
    }
}
