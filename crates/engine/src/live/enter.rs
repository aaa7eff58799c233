//! Whether a contact belongs to a journey's audience.

use journey::document::{Audience, Source, Who};
use model::{Contact, Event, Timestamp, event::kind};

/// Whether a contact with so many push subscriptions is in the audience of a journey that began at `since`; `member`
/// answers for segments.
pub(crate) fn is_in(
    audience: &Audience,
    contact: &Contact,
    push: u32,
    since: Timestamp,
    member: impl Fn(&str) -> Option<bool>,
) -> bool {
    let came = match audience.source {
        Source::Existing => contact.created_at <= since,
        Source::New => contact.created_at > since,
        Source::ExistingAndNew => true,
    };
    let excluded = |(slug, _): &(String, _)| member(slug).unwrap_or_default();
    came && !audience.exclude.as_ref().is_some_and(excluded)
        && match &audience.who {
            Who::All => true,
            Who::WithEmail => contact.email.is_some(),
            Who::WithoutEmail => contact.email.is_none(),
            Who::WithPhone => contact.phone.is_some(),
            Who::PushSubscribers => push > 0,
            Who::Segment(slug) => member(slug).unwrap_or_default(),
        }
}

/// Whether an event may make a newcomer of a contact in a journey without triggers: it came, or changed so that it
/// belongs to the audience now.
pub(crate) fn joins(audience: &Audience, event: &Event) -> bool {
    if audience.source == Source::Existing {
        return false;
    }
    match &audience.who {
        Who::Segment(slug) => {
            let segment = event.properties.get("segment").and_then(serde_json::Value::as_str);
            event.kind == kind::SEGMENT_ENTERED && segment == Some(slug.as_str())
        }
        _ => event.kind == kind::CONTACT_CREATED || event.kind == kind::CONTACT_UPDATED,
    }
}
