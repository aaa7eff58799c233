//! `POST /subscribe`: the same as `POST /api/v1/subscribe` for a plain HTML form of the shop, without a script. The public
//! key is a hidden field; `purpose` may be there several times. Answers with a page.

use axum::{extract::State, http::StatusCode, response::Response};
use storage::{Storage, StoreError};

use super::{
    look::{Form, Look, settled, unreadable},
    subscribe::{SubscribeBody, take},
    visitor::Visitor,
};
use crate::{App, access::key};

pub(super) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    visitor: Visitor,
    Form(form): Form,
) -> Response {
    let work = async {
        let mut look = Look::of(&app, &visitor, None).await?.at_root();
        let pairs = match form {
            Ok(pairs) => pairs,
            Err(status) => return Ok(unreadable(&look, status)),
        };
        let given = |name: &str| Some(Form::get(&pairs, name)).filter(|value| !value.is_empty());
        if let Some(locale) = given("locale") {
            look.lang = visitor.lang(Some(&locale));
        }
        if key::find(&app.store, &Form::get(&pairs, "key")).await?.is_none() {
            return Ok(wrong(&look, StatusCode::UNAUTHORIZED, "key"));
        }
        let body = SubscribeBody {
            email: Form::get(&pairs, "email"),
            purposes: Form::all(&pairs, "purpose").map(str::to_owned).collect(),
            form: Form::get(&pairs, "form"),
            text: Form::get(&pairs, "text"),
            page: Form::get(&pairs, "page"),
            locale: given("locale"),
            first_name: given("first_name"),
            last_name: given("last_name"),
        };
        Ok(match take(&app, &visitor, body).await {
            Ok(subscribed) if subscribed.confirmation => {
                look.text(StatusCode::OK, "sent_again_title", "subscribe_sent")
            }
            Ok(_) => look.text(StatusCode::OK, "confirmed_title", "subscribe_done"),
            Err(error) if error.status == StatusCode::TOO_MANY_REQUESTS => {
                look.text(error.status, "slow_title", "slow")
            }
            Err(error) if error.status.is_server_error() => {
                return Err(StoreError::Driver("a subscription was not taken".into()));
            }
            Err(error) => {
                let field = error.problems.first().and_then(|problem| problem.field.clone());
                wrong(&look, error.status, &field.unwrap_or_default())
            }
        })
    };
    settled(visitor.lang(None), work.await)
}

fn wrong(look: &Look<'_>, status: StatusCode, field: &str) -> Response {
    let lines = [look.say("subscribe_wrong").replace("{problem}", field)];
    look.sentences(status, "subscribe_wrong_title", &lines, None)
}
