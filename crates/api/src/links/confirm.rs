//! `/d/TOKEN`: confirms a subscription (double opt-in). Opening the page changes nothing: programs that look at mails open
//! every link.

use axum::{extract::State, http::StatusCode, response::Response};
use delivery::{LinkKind, links::Link};
use model::{Contact, ContactId, Slug};
use policy::Purposes;
use serde_json::json;
use storage::{
    Storage, StoreError,
    consents::{Confirmed, Proof},
};

use super::{
    CONFIRM_WITHIN,
    look::{Form, Look, settled, unreadable},
    mails, preferences,
    visitor::Visitor,
};
use crate::{App, extract::Named};

/// Names of purposes in a row.
pub(super) fn names(purposes: &Purposes, slugs: &[Slug], look: &Look<'_>) -> String {
    let names: Vec<&str> = slugs.iter().map(|slug| purposes.name(slug.as_str(), look.lang)).collect();
    names.join(", ")
}

async fn contact<S: Storage>(app: &App<S>, standing: &Confirmed) -> Result<Option<Contact>, StoreError> {
    match standing {
        Confirmed::Now(id, _) | Confirmed::Before(id, _) | Confirmed::Expired(id, _) => {
            app.store.linked_contact(*id).await
        }
        Confirmed::Unknown => Ok(None),
    }
}

pub(super) async fn show<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
) -> Response {
    let work = async {
        let Ok(link) = app.links.verify_kind(&token, LinkKind::Confirm) else {
            return Ok(Look::of(&app, &visitor, None).await?.invalid());
        };
        let standing = app.store.confirmation(link.message, app.now()).await?;
        let look = Look::of(&app, &visitor, contact(&app, &standing).await?.as_ref()).await?;
        page(&app, &look, &link, standing).await
    };
    settled(visitor.lang(None), work.await)
}

/// The page of a confirmation that stands so.
async fn page<S: Storage>(
    app: &App<S>,
    look: &Look<'_>,
    link: &Link,
    standing: Confirmed,
) -> Result<Response, StoreError> {
    let purposes = preferences::rules(app).await?.purposes;
    let ask = |slugs: &[Slug]| names(&purposes, slugs, look);
    Ok(match standing {
        Confirmed::Now(_, slugs) => {
            let needs = json!({
                "ask": question(look, &ask(&slugs)),
                "about": about(&purposes, &slugs, look),
                "action": "confirm",
                "button": look.say("confirm"),
            });
            look.page(StatusCode::OK, "confirm_title", "confirm.html", needs)
        }
        Confirmed::Before(contact, slugs) => done_page(app, look, link, contact, &ask(&slugs)),
        Confirmed::Expired(_, slugs) => {
            let needs = json!({
                "ask": look.say("expired_ask").replace("{purpose}", &ask(&slugs)),
                "about": "",
                "action": "again",
                "button": look.say("expired_again"),
            });
            look.page(StatusCode::GONE, "expired_title", "confirm.html", needs)
        }
        Confirmed::Unknown => look.invalid(),
    })
}

/// What the button answers.
fn question(look: &Look<'_>, names: &str) -> String {
    look.say("confirm_ask").replace("{shop}", look.shop()).replace("{purpose}", names)
}

fn about(purposes: &Purposes, slugs: &[Slug], look: &Look<'_>) -> String {
    let about = slugs.iter().filter_map(|slug| purposes.find(slug.as_str()));
    let mut texts: Vec<&str> = about.map(|purpose| purpose.description.get(look.lang)).collect();
    texts.dedup();
    texts.join(" ").trim().to_owned()
}

fn done_page<S: Storage>(
    app: &App<S>,
    look: &Look<'_>,
    link: &Link,
    contact: ContactId,
    names: &str,
) -> Response {
    let preferences = preferences::token(app, &Link { contact, ..link.clone() });
    let lines = [look.say("confirmed").replace("{purpose}", names)];
    look.sentences(StatusCode::OK, "confirmed_title", &lines, Some(&preferences))
}

pub(super) async fn done<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
    Form(form): Form,
) -> Response {
    let work = async {
        let Ok(link) = app.links.verify_kind(&token, LinkKind::Confirm) else {
            return Ok(Look::of(&app, &visitor, None).await?.invalid());
        };
        let standing = app.store.confirmation(link.message, app.now()).await?;
        let look = Look::of(&app, &visitor, contact(&app, &standing).await?.as_ref()).await?;
        let pairs = match form {
            Ok(pairs) => pairs,
            Err(status) => return Ok(unreadable(&look, status)),
        };
        if let Confirmed::Expired(_, slugs) = &standing {
            if Form::get(&pairs, "action") == "again" {
                return again(&app, &look, &link, slugs).await;
            }
            return page(&app, &look, &link, standing).await;
        }
        let purposes = preferences::rules(&app).await?.purposes;
        let slugs = match &standing {
            Confirmed::Now(_, slugs) => slugs.as_slice(),
            _ => &[],
        };
        let proof = Proof {
            place: "confirmation_page".into(),
            text: question(&look, &names(&purposes, slugs, &look)),
            lang: preferences::tag(look.lang).into(),
            client: visitor.client.clone(),
            message_id: Some(link.message.to_string()),
            ..Proof::default()
        };
        let confirmed = app.store.confirm(link.message, app.now(), proof).await?;
        app.engine_bell.notify_one();
        match confirmed {
            Confirmed::Now(contact, slugs) | Confirmed::Before(contact, slugs) => {
                Ok(done_page(&app, &look, &link, contact, &names(&purposes, &slugs, &look)))
            }
            other => page(&app, &look, &link, other).await,
        }
    };
    settled(visitor.lang(None), work.await)
}

/// Asks once more. The page is the same whether a mail was decided or one was sent a short while ago.
async fn again<S: Storage>(
    app: &App<S>,
    look: &Look<'_>,
    link: &Link,
    slugs: &[Slug],
) -> Result<Response, StoreError> {
    let purposes = preferences::rules(app).await?.purposes;
    let names = names(&purposes, slugs, look);
    let mail = mails::question(app, (look.shop(), &names), &link.purpose, look.lang).await?;
    if app.store.ask_again(link.message, mail, app.now().plus(CONFIRM_WITHIN)).await? {
        app.delivery_bell.notify_one();
    }
    Ok(look.text(StatusCode::OK, "sent_again_title", "sent_again"))
}
