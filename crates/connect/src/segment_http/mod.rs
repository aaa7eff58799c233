//! Segment's HTTP protocol: from a message as the ecosystem's libraries send it to what is committed. Pure: no network, no
//! clock. docs/tracking.md has the table of what becomes of what.

mod commerce;
mod identity;
mod message;
mod person;
mod props;
mod rules;
mod when;

pub use message::{Call, Message};
pub use rules::{Catalogue, Groups, Rules, UnknownTraits, UserId};

use std::{fmt, sync::Arc};

use model::{Currency, Event, FieldDef, Lang, Problem, Slug, Timestamp, event::kind};
use serde_json::{Map, Value};
use storage::{
    imports::{ContactKey, ImportBatch, ImportEvent},
    outbox::OutboxMessage,
};

use crate::values::{ID_LEN_MAX, Result, check_text};

/// Kinds that Relance knows and that shops send. It raises all others that it knows by itself: a sender that claims them
/// would steer journeys.
const OPEN: &[&str] = &[
    kind::PAGE_VIEWED,
    kind::SCREEN_VIEWED,
    kind::SUBSCRIBED,
    kind::UNSUBSCRIBED,
    kind::PRODUCT_VIEWED,
    kind::PRODUCT_ADDED,
    kind::PRODUCT_REMOVED,
    kind::SIGNED_IN,
    kind::SIGNED_UP,
    kind::FORM_SUBMITTED,
    kind::PRODUCTS_SEARCHED,
    kind::CART_VIEWED,
    kind::CHECKOUT_STARTED,
    kind::ORDER_COMPLETED,
    kind::ORDER_UPDATED,
    kind::ORDER_REFUNDED,
    kind::ORDER_CANCELLED,
    kind::CART_UPDATED,
    kind::BACK_IN_STOCK_SUBSCRIBED,
    kind::COUPON_APPLIED,
];

/// Whether only Relance itself raises events of this kind.
#[must_use]
pub fn is_reserved(kind: &str) -> bool {
    kind::KNOWN.iter().any(|known| known.eq_ignore_ascii_case(kind) && !OPEN.contains(known))
}

/// How a message came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When.
    pub received_at: Timestamp,
    /// When the whole batch was sent, by the sender's clock.
    pub sent_at: Option<Timestamp>,
    /// What the path said that it is.
    pub call: Option<Call>,
}

/// Asks by mail whether a yes is meant (double opt-in).
pub trait Confirm: fmt::Debug + Send + Sync {
    /// The mail that asks, and until when it can be answered; none where a yes counts at once.
    fn question(&self, purpose: &Slug, lang: Lang, now: Timestamp) -> Option<(OutboxMessage, Timestamp)>;
}

/// Maps messages as the workspace wants it.
#[derive(Clone, Debug, Default)]
pub struct Mapper {
    /// What the workspace chose.
    pub rules: Rules,
    /// Its custom fields.
    pub fields: Vec<FieldDef>,
    /// Its currency, for amounts that come without one.
    pub currency: Option<Currency>,
    /// Asks for confirmations; without it every yes counts at once.
    pub confirm: Option<Arc<dyn Confirm>>,
}

/// A message at work.
struct Work<'a> {
    mapper: &'a Mapper,
    message: Message,
    /// Whose.
    contact: ContactKey,
    at: Timestamp,
    received_at: Timestamp,
    batch: ImportBatch,
}

impl Mapper {
    /// What a message comes to. All of it, or nothing.
    ///
    /// # Errors
    /// What is wrong with the message: one problem with its field.
    pub fn map(&self, json: &str, arrival: &Arrival) -> Result<ImportBatch> {
        let message = Message::read(json)?;
        let call = message.call(arrival.call)?;
        let at = when::happened(&message, arrival)?;
        if let Some(id) = &message.message_id {
            check_id("messageId", id)?;
        }
        let contact = identity::key(self, &message)?;
        let received_at = arrival.received_at;
        let batch = ImportBatch::new(received_at);
        let mut work = Work { mapper: self, message, contact, at, received_at, batch };
        match call {
            Call::Identify => work.identify()?,
            Call::Track => work.track()?,
            Call::Page => work.view(kind::PAGE_VIEWED)?,
            Call::Screen => work.view(kind::SCREEN_VIEWED)?,
            Call::Group => work.group()?,
            Call::Alias => work.alias()?,
        }
        Ok(work.batch)
    }
}

impl Work<'_> {
    fn track(&mut self) -> Result<()> {
        let kind = self.message.event.clone().unwrap_or_default();
        let kind = kind.trim();
        check_kind(kind)?;
        let kind = commerce::current_name(kind);
        if is_reserved(kind) {
            return Err(Problem::new("event.reserved", format!("`{kind}` is raised by Relance alone"))
                .field("event")
                .value(kind)
                .cure("send it under a name of your own"));
        }
        let mut properties = self.message.properties.take().unwrap_or_default();
        check_properties(&properties)?;
        if kind == kind::SUBSCRIBED || kind == kind::UNSUBSCRIBED {
            self.consent_event(kind, &properties)?;
            if kind == kind::UNSUBSCRIBED {
                // The contact's change tells of it.
                return Ok(());
            }
        }
        if self.commerce(kind, &mut properties)? {
            self.event(kind, properties);
        }
        Ok(())
    }

    /// A page or a screen.
    fn view(&mut self, kind: &str) -> Result<()> {
        let mut properties = self.message.properties.take().unwrap_or_default();
        for (name, value) in [("name", &self.message.name), ("category", &self.message.category)] {
            if let Some(text) = value
                && !properties.contains_key(name)
            {
                properties.insert(name.into(), text.clone().into());
            }
        }
        let page = self.message.context.as_ref().and_then(|context| context.page.as_ref());
        if let Some(Value::Object(page)) = page {
            for name in ["url", "path", "title", "referrer", "search"] {
                if let Some(Value::String(text)) = page.get(name)
                    && !text.is_empty()
                    && !properties.contains_key(name)
                {
                    properties.insert(name.into(), text.clone().into());
                }
            }
        }
        check_properties(&properties)?;
        self.event(kind, properties);
        Ok(())
    }

    fn event(&mut self, kind: &str, properties: Map<String, Value>) {
        self.batch.events.push(ImportEvent {
            contact: self.contact.clone(),
            at: self.at,
            kind: kind.to_owned(),
            message_id: self.message.message_id.clone(),
            properties,
        });
    }
}

fn check_kind(kind: &str) -> Result<()> {
    let length = kind.chars().count();
    if length == 0 || length > Event::KIND_LEN_MAX {
        return Err(Problem::new("event.kind", format!("the event's name has {length} characters"))
            .field("event")
            .value(kind)
            .cure(format!("name it in 1 to {} characters, as in Product Viewed", Event::KIND_LEN_MAX)));
    }
    check_text(kind, "event", Event::KIND_LEN_MAX)
}

fn check_id(field: &str, id: &str) -> Result<()> {
    if id.is_empty() || id.len() > ID_LEN_MAX || id.chars().any(char::is_control) {
        return Err(Problem::new(
            "id.invalid",
            format!("an id has 1 to {ID_LEN_MAX} bytes and no control characters"),
        )
        .field(field)
        .value(id.escape_debug())
        .cure("shorten it"));
    }
    Ok(())
}

/// The storage checks it, too; here it is checked so that a message is taken wholly or not at all.
fn check_properties(properties: &Map<String, Value>) -> Result<()> {
    if properties.values().any(|value| is_deeper(value, Event::DEPTH_MAX - 1)) {
        return Err(Problem::new("event.too_deep", "the properties are nested too deep")
            .field("properties")
            .cure(format!("nest at most {} levels", Event::DEPTH_MAX)));
    }
    Ok(())
}

/// Whether there are more than so many levels of arrays and objects.
fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(map) => levels == 0 || map.values().any(|item| is_deeper(item, levels - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_relance_raises_is_nobody_elses_to_say() {
        for (kind, reserved) in [
            ("Segment Entered", true),
            ("segment entered", true),
            ("Email Opened", true),
            ("Contact Merged", true),
            ("Cart Abandoned", true),
            ("Order Completed", false),
            ("Something Else", false),
        ] {
            assert_eq!(is_reserved(kind), reserved, "{kind}");
        }
        assert!(OPEN.iter().all(|open| kind::KNOWN.contains(open)));
    }
}
