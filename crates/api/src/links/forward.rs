//! `/f/TOKEN`: tells a friend of a message. One transactional mail with a link to the page of the message; the friend
//! becomes no contact. What is written into the mail is a name of letters alone, so that the form carries nobody else's
//! words.

use axum::{extract::State, http::StatusCode, response::Response};
use delivery::{LinkKind, links::Link};
use model::{Channel, Contact};
use serde_json::json;
use storage::{
    Storage, StoreError,
    consents::{Forward, Forwarded},
    outbox::AddressHash,
};

use super::{
    FRIENDS_MAX,
    look::{Form, Look, settled, unreadable},
    mails,
    visitor::Visitor,
};
use crate::{App, extract::Named};

/// Longest name, in characters.
const NAME_LEN_MAX: usize = 40;

/// A name: letters with blanks, hyphens and apostrophes; empty when none is given.
fn name(text: &str) -> Option<String> {
    let name = text.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let good = name.chars().all(|c| c.is_alphabetic() || " -'’".contains(c));
    (good && name.chars().count() <= NAME_LEN_MAX).then_some(name)
}

async fn asked<S: Storage>(app: &App<S>, token: &str) -> Result<Option<(Link, Option<Contact>)>, StoreError> {
    let Ok(link) = app.links.verify_kind(token, LinkKind::Forward) else { return Ok(None) };
    let contact = app.store.linked_contact(link.contact).await?;
    Ok(Some((link, contact)))
}

fn form(look: &Look<'_>, status: StatusCode, problem: &str, (to, name): (&str, &str)) -> Response {
    let short = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let needs = json!({
        "problem": problem,
        "to": short(to, 254),
        "name": short(name, NAME_LEN_MAX),
        "name_max": NAME_LEN_MAX,
    });
    look.page(status, "forward_title", "forward.html", needs)
}

pub(super) async fn show<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
) -> Response {
    let work = async {
        let Some((_, contact)) = asked(&app, &token).await? else {
            return Ok(Look::of(&app, &visitor, None).await?.invalid());
        };
        let look = Look::of(&app, &visitor, contact.as_ref()).await?;
        if contact.is_none() {
            return Ok(look.text(StatusCode::GONE, "gone_title", "gone"));
        }
        Ok(form(&look, StatusCode::OK, "", ("", "")))
    };
    settled(visitor.lang(None), work.await)
}

pub(super) async fn send<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
    Form(sent): Form,
) -> Response {
    let work = async {
        let Some((link, contact)) = asked(&app, &token).await? else {
            return Ok(Look::of(&app, &visitor, None).await?.invalid());
        };
        let look = Look::of(&app, &visitor, contact.as_ref()).await?;
        let pairs = match sent {
            Ok(pairs) => pairs,
            Err(status) => return Ok(unreadable(&look, status)),
        };
        if !app.link_state.takes_form(&visitor.client, app.now()) {
            return Ok(look.text(StatusCode::TOO_MANY_REQUESTS, "slow_title", "slow"));
        }
        let given = (Form::get(&pairs, "to"), Form::get(&pairs, "name"));
        let again = |status, text| form(&look, status, look.say(text), (&given.0, &given.1));
        let Ok(to) = model::field::parse_email(&given.0) else {
            return Ok(again(StatusCode::UNPROCESSABLE_ENTITY, "forward_address"));
        };
        let Some(sender) = name(&given.1) else {
            return Ok(again(StatusCode::UNPROCESSABLE_ENTITY, "forward_bad_name"));
        };
        let address = AddressHash::of(Channel::Email, &to);
        let mail = mails::told(&app, &link, (to, &sender), (look.shop(), look.lang)).await?;
        let forward = Forward { message: link.message, address, mail, at: app.now(), most: FRIENDS_MAX };
        Ok(match app.store.tell_friend(forward).await? {
            Forwarded::Decided => {
                app.delivery_bell.notify_one();
                look.text(StatusCode::OK, "forward_sent_title", "forward_sent")
            }
            Forwarded::Before => look.text(StatusCode::OK, "forward_sent_title", "forward_sent"),
            Forwarded::TooMany => again(StatusCode::TOO_MANY_REQUESTS, "forward_too_many"),
            Forwarded::Gone => look.text(StatusCode::GONE, "gone_title", "gone"),
        })
    };
    settled(visitor.lang(None), work.await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_and_carries_nothing_else() {
        for (text, expected) in [
            ("", Some("")),
            ("Zoé", Some("Zoé")),
            ("  Jean-Luc   d'Été ", Some("Jean-Luc d'Été")),
            ("Ann\r\nBcc: x@y.example", None),
            ("win at evil.example", None),
            ("https://evil.example", None),
            ("<b>Ann</b>", None),
            ("{{ 7 * 7 }}", None),
        ] {
            assert_eq!(name(text).as_deref(), expected, "{text}");
        }
        assert!(name(&"é".repeat(NAME_LEN_MAX)).is_some());
        assert!(name(&"é".repeat(NAME_LEN_MAX + 1)).is_none());
    }
}
