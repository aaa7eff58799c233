//! `/api/v1/contacts`: people, known and anonymous.

mod body;
mod consents;
mod create;
mod erase;
mod export;
mod get;
mod given;
mod list;
mod merge;
mod patch;
mod timeline;
mod trace;

pub(crate) use body::ContactBody;

use axum::http::StatusCode;
use model::{Contact, ContactId, Problem};
use storage::{Storage, contacts::IdentifierKind};

use crate::{ApiError, ApiResult, App, operations, said, section::Section};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(
        Section::new("contacts"), S;
        list, create, get, patch, timeline, trace, merge, export, erase, consents
    )
}

/// The contact that a path names: as `said::find_contact`, or with what the text is, as in `email:anna@shop.example`. The
/// number of a contact that was merged leads to the one that it is part of.
///
/// # Errors
/// 404 `contact.unknown`.
pub(crate) async fn named<S: Storage>(app: &App<S>, text: &str) -> ApiResult<Contact> {
    let unknown = || {
        let problem = Problem::new("contact.unknown", format!("nobody is known as `{text}`"))
            .field("contact")
            .value(text)
            .cure("give the shop's id, an email address, id:42, or what it is: email:, external_id:, phone:, anonymous_id:");
        ApiError::new(StatusCode::NOT_FOUND, problem)
    };
    let found = match text.split_once(':') {
        Some(("id", number)) => match number.parse() {
            Ok(number) => app.store.successors(vec![ContactId(number)]).await?.first().copied(),
            Err(_) => None,
        },
        Some((word, value)) if let Some(kind) = kind_of(word) => {
            app.store.resolve(vec![(kind, value.to_owned())]).await?.into_iter().next().flatten()
        }
        _ => return said::find_contact(&app.store, text).await,
    };
    let Some(id) = found else { return Err(unknown()) };
    app.store.load_contacts(vec![id]).await?.into_iter().next().ok_or_else(unknown)
}

fn kind_of(word: &str) -> Option<IdentifierKind> {
    IdentifierKind::ALL.into_iter().find(|kind| kind.word() == word)
}
