//! `/u/TOKEN`: GET asks, POST unsubscribes from the message's purpose. Mail programs POST without asking (RFC 8058).

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    response::Response,
};
use delivery::{LinkKind, links::Link};
use model::{ConsentState, Contact};
use policy::{Enforcement, SendingRules};
use serde_json::json;
use storage::{
    Storage, StoreError,
    consents::{Answers, Proof},
};

use super::{
    look::{Look, hint, settled, unreadable},
    preferences,
    visitor::Visitor,
};
use crate::{App, extract::Named};

/// What a mail program's POST holds (RFC 8058 §3.1).
const ONE_CLICK: &[u8] = b"List-Unsubscribe=One-Click";

/// What the pages know of a link.
struct Asked {
    link: Link,
    contact: Option<Contact>,
    rules: SendingRules,
}

async fn asked<S: Storage>(app: &App<S>, token: &str) -> Result<Option<Asked>, StoreError> {
    let Ok(link) = app.links.verify_kind(token, LinkKind::Unsubscribe) else { return Ok(None) };
    let contact = app.store.linked_contact(link.contact).await?;
    let rules = preferences::rules(app).await?;
    Ok(Some(Asked { link, contact, rules }))
}

pub(super) async fn show<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
) -> Response {
    let page = async {
        let Some(asked) = asked(&app, &token).await? else {
            return Ok(Look::of(&app, &visitor, None).await?.invalid());
        };
        let look = Look::of(&app, &visitor, asked.contact.as_ref()).await?;
        let purpose = asked.link.purpose.as_str();
        if let Some(page) = settled_page(&app, &look, &asked) {
            return Ok(page);
        }
        let contact = asked.contact.as_ref();
        let needs = json!({
            "purpose": asked.rules.purposes.name(purpose, look.lang),
            "address_hint": contact.map(hint).unwrap_or_default(),
            "preferences": preferences::token(&app, &asked.link),
        });
        Ok(look.page(StatusCode::OK, "unsubscribe", "unsubscribe.html", needs))
    };
    settled(visitor.lang(None), page.await)
}

/// The page of a link by which nothing is left to be done; none when there is.
fn settled_page<S: Storage>(app: &App<S>, look: &Look<'_>, asked: &Asked) -> Option<Response> {
    let purpose = asked.link.purpose.as_str();
    let preferences = preferences::token(app, &asked.link);
    if asked.rules.purposes.enforcement(purpose) == Enforcement::None {
        let lines = [look.say("needed").to_owned()];
        return Some(look.sentences(StatusCode::OK, "needed_title", &lines, Some(&preferences)));
    }
    let Some(contact) = &asked.contact else {
        return Some(look.text(StatusCode::OK, "unsubscribed_title", "unsubscribed_gone"));
    };
    let state = policy::consent(contact, purpose, asked.rules.topics);
    if state != ConsentState::Unsubscribed {
        return None;
    }
    let name = asked.rules.purposes.name(purpose, look.lang);
    let lines =
        [look.say("unsubscribed").replace("{purpose}", name), look.say("unsubscribed_on_way").to_owned()];
    Some(look.sentences(StatusCode::OK, "unsubscribed_title", &lines, Some(&preferences)))
}

pub(super) async fn done<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let page = async {
        let body = match body {
            Ok(body) => body,
            Err(rejection) => {
                return Ok(unreadable(&Look::of(&app, &visitor, None).await?, rejection.status()));
            }
        };
        let Some(mut asked) = asked(&app, &token).await? else {
            return Ok(Look::of(&app, &visitor, None).await?.invalid());
        };
        let look = Look::of(&app, &visitor, asked.contact.as_ref()).await?;
        if let Some(page) = settled_page(&app, &look, &asked) {
            return Ok(page);
        }
        // Whether it comes as a form or in parts (RFC 8058 allows both), the words are the same.
        let one_click = body.windows(ONE_CLICK.len()).any(|part| part == ONE_CLICK)
            || body.windows(b"One-Click".len()).any(|part| part == b"One-Click");
        take(&app, &visitor, &look, &asked, one_click).await?;
        asked.contact = app.store.linked_contact(asked.link.contact).await?;
        Ok(settled_page(&app, &look, &asked).unwrap_or_else(|| look.invalid()))
    };
    settled(visitor.lang(None), page.await)
}

async fn take<S: Storage>(
    app: &App<S>,
    visitor: &Visitor,
    look: &Look<'_>,
    asked: &Asked,
    one_click: bool,
) -> Result<(), StoreError> {
    let name = asked.rules.purposes.name(asked.link.purpose.as_str(), look.lang);
    let shown = || {
        let hint = asked.contact.as_ref().map(hint).unwrap_or_default();
        look.say("unsubscribe_ask").replace("{purpose}", name).replace("{address}", &hint)
    };
    let proof = Proof {
        place: if one_click { "list_unsubscribe" } else { "unsubscribe_page" }.to_owned(),
        text: if one_click { String::from_utf8_lossy(ONE_CLICK).into_owned() } else { shown() },
        lang: preferences::tag(look.lang).to_owned(),
        client: visitor.client.clone(),
        message_id: Some(asked.link.message.to_string()),
        ..Proof::default()
    };
    let answers = Answers {
        contact: asked.link.contact,
        message: Some(asked.link.message),
        at: app.now(),
        source: if one_click { "one_click" } else { "unsubscribe_page" }.to_owned(),
        answers: vec![(asked.link.purpose.clone(), ConsentState::Unsubscribed, proof)],
    };
    app.store.answer(answers).await?;
    app.engine_bell.notify_one();
    Ok(())
}
