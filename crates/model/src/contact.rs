//! A person, known or anonymous, and what they allowed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Amount, ContactId, FieldType, Slug, Timestamp, Value};

/// Whether an address still takes messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressStatus {
    /// It does, as far as we know.
    #[default]
    Active,
    /// It bounced for good, or complained.
    Bounced,
    /// Blocked by the shop.
    Blocked,
    /// Paused after soft bounces.
    Paused,
}

/// The recorded answer to "may we write to you for this purpose?".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentState {
    /// Never asked, or never answered.
    #[default]
    NotSubscribed,
    /// Yes.
    Subscribed,
    /// It was yes, or was taken to be, and now is no.
    Unsubscribed,
}

/// A consent: purpose, answer, and its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// Why we write, as in `newsletter`.
    pub purpose: Slug,
    /// The answer.
    pub state: ConsentState,
    /// When it was given.
    pub at: Timestamp,
    /// Where it comes from, as in `form`, `import`, `unsubscribe_link`.
    pub source: String,
    /// What proves it, as in `import:<file hash>`.
    pub proof: String,
}

/// What a contact's orders come to, over all time, refunds taken off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The first order that counts.
    pub first_order_at: Option<Timestamp>,
    /// The last order that counts.
    pub last_order_at: Option<Timestamp>,
    /// Orders that count.
    pub orders: u32,
    /// What they come to, in ten-thousandths.
    pub spent: i64,
}

impl Totals {
    /// The average order, rounded towards zero to a ten-thousandth; none without an order.
    #[must_use]
    pub fn average(&self) -> Option<Amount> {
        (self.orders > 0).then(|| Amount(self.spent / i64::from(self.orders)))
    }
}

/// A browser that takes push messages, as the push service named it when the contact agreed (W3C Push API).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSubscription {
    /// The address that a message is posted to: what tells subscriptions apart.
    pub endpoint: String,
    /// The browser's public key, base64url; empty when it was not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub p256dh: String,
    /// The secret shared with the browser, base64url; empty when it was not given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub auth: String,
}

impl PushSubscription {
    /// Most subscriptions of one contact; beyond them the oldest goes.
    pub const MAX: usize = 20;
}

/// A contact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Dense number.
    pub id: ContactId,
    /// The shop's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether mail reaches it.
    #[serde(default)]
    pub email_status: AddressStatus,
    /// Phone number, E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// First name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Country, as the shop writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// BCP 47 locale, as in `fr-FR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Days since 1970-01-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<i32>,
    /// When it was first known.
    #[serde(default)]
    pub created_at: Timestamp,
    /// When its profile last changed.
    #[serde(default)]
    pub updated_at: Timestamp,
    /// Consents, one per purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consents: Vec<Consent>,
    /// Static lists that it is in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<Slug>,
    /// Browsers that take push messages, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub push: Vec<PushSubscription>,
    /// Custom fields that were given a value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Value>,
}

/// Built-in fields of a contact with their types; the last five come from its orders.
pub const BUILT_IN_FIELDS: &[(&str, FieldType)] = &[
    ("external_id", FieldType::Text),
    ("email", FieldType::Email),
    ("phone", FieldType::Phone),
    ("first_name", FieldType::Text),
    ("last_name", FieldType::Text),
    ("country", FieldType::Text),
    ("locale", FieldType::Text),
    ("time_zone", FieldType::Text),
    ("birth_date", FieldType::Date),
    ("created_at", FieldType::Instant),
    ("updated_at", FieldType::Instant),
    ("email_status", FieldType::Text),
    ("first_order_at", FieldType::Instant),
    ("last_order_at", FieldType::Instant),
    ("order_count", FieldType::Integer { min: None, max: None }),
    ("order_total", FieldType::Decimal { min: None, max: None }),
    ("average_order", FieldType::Decimal { min: None, max: None }),
];

impl Contact {
    /// The answer for a purpose; never asked when there is none.
    #[must_use]
    pub fn consent(&self, purpose: &str) -> ConsentState {
        self.consents
            .iter()
            .find(|consent| consent.purpose.as_str() == purpose)
            .map_or(ConsentState::NotSubscribed, |consent| consent.state)
    }

    /// A field's value by name: built-in ones of the profile (not those that come from orders: see
    /// [`Totals`]), then custom ones. Virtual defaults are the caller's business.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Value> {
        let text = |value: &Option<String>| value.clone().map(Value::Text);
        match name {
            "external_id" => text(&self.external_id),
            "email" => text(&self.email),
            "phone" => text(&self.phone),
            "first_name" => text(&self.first_name),
            "last_name" => text(&self.last_name),
            "country" => text(&self.country),
            "locale" => text(&self.locale),
            "time_zone" => text(&self.time_zone),
            "birth_date" => self.birth_date.map(Value::Date),
            "created_at" => Some(Value::Instant(self.created_at)),
            "updated_at" => Some(Value::Instant(self.updated_at)),
            "email_status" => Some(Value::Text(
                match self.email_status {
                    AddressStatus::Active => "active",
                    AddressStatus::Bounced => "bounced",
                    AddressStatus::Blocked => "blocked",
                    AddressStatus::Paused => "paused",
                }
                .to_owned(),
            )),
            custom => self.fields.get(custom).cloned(),
        }
    }
}
