//! Small things that many answers say in the same shape.

use std::collections::HashMap;

use axum::http::StatusCode;
use model::{Contact, ContactId, Problem, Slug, Timestamp};
use serde::{Deserialize, Serialize};
use storage::{Storage, contacts::IdentifierKind};
use utoipa::ToSchema;

use crate::{ApiError, ApiResult};

/// An instant, RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, format = DateTime, examples("2026-11-02T10:00:00Z"))]
pub struct At(pub Timestamp);

impl From<Timestamp> for At {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

/// A text in the languages of the pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Names {
    /// English.
    pub en: String,
    /// French.
    pub fr: String,
}

impl From<&model::Localized> for Names {
    fn from(name: &model::Localized) -> Self {
        let get = |lang| name.get(lang).to_owned();
        Self { en: get(model::Lang::En), fr: get(model::Lang::Fr) }
    }
}

/// A language of names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// French.
    Fr,
}

impl From<Language> for model::Lang {
    fn from(language: Language) -> Self {
        match language {
            Language::En => Self::En,
            Language::Fr => Self::Fr,
        }
    }
}

/// A contact, by its number and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ContactName {
    /// Its number.
    pub id: i64,
    /// The shop's id, else its address, else its number.
    pub name: String,
}

/// What a contact is called.
#[must_use]
pub fn name_of(id: ContactId, contact: Option<&Contact>) -> ContactName {
    let own = contact.and_then(|contact| contact.external_id.clone().or_else(|| contact.email.clone()));
    ContactName { id: id.0, name: own.unwrap_or_else(|| id.to_string()) }
}

/// What these contacts are called: one query.
///
/// # Errors
/// What the database says.
pub async fn names<S: Storage>(
    store: &S,
    ids: impl IntoIterator<Item = ContactId>,
) -> ApiResult<HashMap<ContactId, ContactName>> {
    let mut ids: Vec<ContactId> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let contacts = store.load_contacts(ids.clone()).await?;
    let known: HashMap<ContactId, &Contact> = contacts.iter().map(|contact| (contact.id, contact)).collect();
    Ok(ids.into_iter().map(|id| (id, name_of(id, known.get(&id).copied()))).collect())
}

/// The contacts that these texts name, in their order: the shop's id, an email address, or `id:` and the contact's
/// number. One query for all.
///
/// # Errors
/// `contact.unknown` for each that nobody is known by.
pub async fn find_contacts<S: Storage>(store: &S, texts: &[String]) -> ApiResult<Vec<ContactId>> {
    let number = |text: &str| text.strip_prefix("id:").and_then(|digits| digits.parse().ok()).map(ContactId);
    let mut asked = Vec::with_capacity(texts.len() * 2);
    for text in texts {
        asked.push((IdentifierKind::ExternalId, text.clone()));
        asked.push((IdentifierKind::Email, text.clone()));
    }
    let resolved = store.resolve(asked).await?;
    let numbers: Vec<ContactId> = texts.iter().filter_map(|text| number(text)).collect();
    let mut there: Vec<ContactId> = Vec::new();
    if !numbers.is_empty() {
        there.extend(store.load_contacts(numbers).await?.iter().map(|contact| contact.id));
    }
    let (mut found, mut problems) = (Vec::with_capacity(texts.len()), Vec::new());
    for (text, pair) in texts.iter().zip(resolved.chunks(2)) {
        let by_number = number(text).filter(|id| there.contains(id));
        match by_number.or_else(|| pair.iter().flatten().next().copied()) {
            Some(id) => found.push(id),
            None => problems.push(unknown_contact(text)),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems.into()) }
}

/// The contact that a text names; see [`find_contacts`].
///
/// # Errors
/// 404 `contact.unknown`.
pub async fn find_contact<S: Storage>(store: &S, text: &str) -> ApiResult<Contact> {
    let unknown = || ApiError::new(StatusCode::NOT_FOUND, unknown_contact(text));
    let ids = find_contacts(store, &[text.to_owned()]).await.map_err(|error| ApiError {
        status: if error.problems.first().is_some_and(|problem| problem.code == "contact.unknown") {
            StatusCode::NOT_FOUND
        } else {
            error.status
        },
        ..error
    })?;
    store.load_contacts(ids).await?.into_iter().next().ok_or_else(unknown)
}

/// The contact that a list is asked for, if it is for one.
///
/// # Errors
/// 404 `contact.unknown`.
pub async fn contact_asked_for<S: Storage>(store: &S, text: Option<&str>) -> ApiResult<Option<ContactId>> {
    match text {
        Some(text) => Ok(Some(find_contact(store, text).await?.id)),
        None => Ok(None),
    }
}

fn unknown_contact(text: &str) -> Problem {
    Problem::new("contact.unknown", format!("nobody is known as `{text}`"))
        .field("contact")
        .value(text)
        .cure("give the shop's id, an email address, or id: and the contact's number, as in id:42")
}

/// Reads a slug of a path or a query.
///
/// # Errors
/// 422 `slug.invalid`.
pub fn slug(text: &str) -> ApiResult<Slug> {
    Slug::parse(text).map_err(Into::into)
}
