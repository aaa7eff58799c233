//! Whose a message is.

use model::{Problem, field::parse_email};
use storage::imports::{ContactKey, ContactPatch};

use super::{Mapper, Message, check_id, rules::UserId};
use crate::values::Result;

/// What names the contact of a key in a patch.
pub(super) fn patch(key: &ContactKey) -> ContactPatch {
    let mut patch = ContactPatch::default();
    match key {
        ContactKey::ExternalId(id) => patch.external_id = Some(id.clone()),
        ContactKey::Email(email) => patch.email = Some(email.clone()),
        ContactKey::Anonymous(id) => patch.anonymous_ids.push(id.clone()),
        ContactKey::SignedIn { known, anonymous_id } => {
            patch = self::patch(known);
            patch.anonymous_ids.push(anonymous_id.clone());
        }
    }
    patch
}

/// Whose a message is.
///
/// # Errors
/// `message.no_identity`, `id.invalid`, `email.invalid`.
pub(super) fn key(mapper: &Mapper, message: &Message) -> Result<ContactKey> {
    let anonymous = message.anonymous_id.as_deref();
    if let Some(id) = anonymous {
        check_id("anonymousId", id)?;
    }
    let known = match &message.user_id {
        Some(id) => Some(known(mapper, id)?),
        None => email_of(message)?.map(ContactKey::Email),
    };
    match (known, anonymous) {
        (Some(known), Some(id)) => {
            Ok(ContactKey::SignedIn { known: Box::new(known), anonymous_id: id.to_owned() })
        }
        (Some(known), None) => Ok(known),
        (None, Some(id)) => Ok(ContactKey::Anonymous(id.to_owned())),
        (None, None) => {
            Err(Problem::new("message.no_identity", "the message says neither userId nor anonymousId")
                .field("userId")
                .cure("say who it is about: userId, or anonymousId for somebody who is not signed in"))
        }
    }
}

/// The key that the shop's own name for a contact is.
fn known(mapper: &Mapper, id: &str) -> Result<ContactKey> {
    check_id("userId", id)?;
    match mapper.rules.user_id {
        UserId::ExternalId => Ok(ContactKey::ExternalId(id.to_owned())),
        UserId::Email => parse_email(id).map(ContactKey::Email).map_err(|problem| problem.field("userId")),
    }
}

/// The address of somebody who has no account: among the traits, or of an order or check-out.
fn email_of(message: &Message) -> Result<Option<String>> {
    let of_context = message.context.as_ref().and_then(|context| context.traits.as_ref());
    let places = [
        ("traits.email", message.traits.as_ref().and_then(|map| map.get("email"))),
        ("context.traits.email", of_context.and_then(|traits| traits.get("email"))),
        (
            "properties.email",
            message
                .properties
                .as_ref()
                .filter(|_| message.event.as_deref().is_some_and(is_of_purchase))
                .and_then(|map| map.get("email")),
        ),
    ];
    for (field, value) in places {
        if let Some(text) = value.and_then(|value| value.as_str()).filter(|text| !text.trim().is_empty()) {
            return parse_email(text.trim()).map(Some).map_err(|problem| problem.field(field));
        }
    }
    Ok(None)
}

fn is_of_purchase(event: &str) -> bool {
    event.starts_with("Order ") || event.starts_with("Checkout ")
}
