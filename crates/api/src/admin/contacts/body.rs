//! A contact as the API tells it.

use std::collections::BTreeMap;

use model::{AddressStatus, Consent, ConsentState, Contact, RfmPlacement, Totals, field::format_date};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::said::At;

/// Whether an address still takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StatusWord {
    /// It does.
    Active,
    /// It bounced for good, or its owner complained.
    Bounced,
    /// Blocked by the shop.
    Blocked,
    /// Paused after soft bounces.
    Paused,
}

impl From<AddressStatus> for StatusWord {
    fn from(status: AddressStatus) -> Self {
        match status {
            AddressStatus::Active => Self::Active,
            AddressStatus::Bounced => Self::Bounced,
            AddressStatus::Blocked => Self::Blocked,
            AddressStatus::Paused => Self::Paused,
        }
    }
}

impl From<StatusWord> for AddressStatus {
    fn from(status: StatusWord) -> Self {
        match status {
            StatusWord::Active => Self::Active,
            StatusWord::Bounced => Self::Bounced,
            StatusWord::Blocked => Self::Blocked,
            StatusWord::Paused => Self::Paused,
        }
    }
}

/// The answer to "may we write to you for this purpose?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConsentWord {
    /// Never asked, or never answered.
    NotSubscribed,
    /// Yes.
    Subscribed,
    /// No.
    Unsubscribed,
}

impl From<ConsentState> for ConsentWord {
    fn from(state: ConsentState) -> Self {
        match state {
            ConsentState::NotSubscribed => Self::NotSubscribed,
            ConsentState::Subscribed => Self::Subscribed,
            ConsentState::Unsubscribed => Self::Unsubscribed,
        }
    }
}

impl From<ConsentWord> for ConsentState {
    fn from(state: ConsentWord) -> Self {
        match state {
            ConsentWord::NotSubscribed => Self::NotSubscribed,
            ConsentWord::Subscribed => Self::Subscribed,
            ConsentWord::Unsubscribed => Self::Unsubscribed,
        }
    }
}

/// A consent with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ConsentBody {
    /// Why we write, as in `newsletter`.
    pub purpose: String,
    /// The answer.
    pub state: ConsentWord,
    /// When it was given.
    pub at: At,
    /// Where it comes from.
    pub source: String,
    /// What proves it.
    pub proof: String,
}

impl From<&Consent> for ConsentBody {
    fn from(consent: &Consent) -> Self {
        Self {
            purpose: consent.purpose.to_string(),
            state: consent.state.into(),
            at: consent.at.into(),
            source: consent.source.clone(),
            proof: consent.proof.clone(),
        }
    }
}

/// A contact.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct ContactBody {
    /// Its number: `id:` and this names it in paths.
    id: i64,
    /// The shop's own id.
    external_id: Option<String>,
    /// Email address.
    email: Option<String>,
    /// Whether mail reaches it.
    email_status: StatusWord,
    /// Phone number, E.164.
    phone: Option<String>,
    /// First name.
    first_name: Option<String>,
    /// Last name.
    last_name: Option<String>,
    /// Country, as the shop writes it.
    country: Option<String>,
    /// BCP 47 locale.
    locale: Option<String>,
    /// IANA time zone.
    time_zone: Option<String>,
    /// Birthday.
    #[schema(value_type = Option<String>, format = Date)]
    birth_date: Option<String>,
    /// When it was first known.
    created_at: At,
    /// When its profile last changed.
    updated_at: At,
    /// Consents, one per purpose.
    consents: Vec<ConsentBody>,
    /// Static lists that it is on.
    lists: Vec<String>,
    /// Browsers that take push messages from us.
    push_browsers: usize,
    /// Custom fields that were given a value.
    #[schema(value_type = Object)]
    fields: BTreeMap<String, Value>,
}

impl From<&Contact> for ContactBody {
    fn from(contact: &Contact) -> Self {
        Self {
            id: contact.id.0,
            external_id: contact.external_id.clone(),
            email: contact.email.clone(),
            email_status: contact.email_status.into(),
            phone: contact.phone.clone(),
            first_name: contact.first_name.clone(),
            last_name: contact.last_name.clone(),
            country: contact.country.clone(),
            locale: contact.locale.clone(),
            time_zone: contact.time_zone.clone(),
            birth_date: contact.birth_date.map(format_date),
            created_at: contact.created_at.into(),
            updated_at: contact.updated_at.into(),
            consents: contact.consents.iter().map(ConsentBody::from).collect(),
            lists: contact.lists.iter().map(ToString::to_string).collect(),
            push_browsers: contact.push.len(),
            fields: contact
                .fields
                .iter()
                .map(|(name, value)| (name.clone(), engine::people::plain(value)))
                .collect(),
        }
    }
}

/// What a contact's orders come to, refunds taken off.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct TotalsBody {
    /// Orders that count.
    orders: u32,
    /// What they come to, in the workspace's currency, as a decimal number.
    #[schema(examples("129.90"))]
    spent: String,
    /// The first of them.
    first_order_at: Option<At>,
    /// The last of them.
    last_order_at: Option<At>,
}

impl From<&Totals> for TotalsBody {
    fn from(totals: &Totals) -> Self {
        Self {
            orders: totals.orders,
            spent: model::Amount(totals.spent).to_string(),
            first_order_at: totals.first_order_at.map(At),
            last_order_at: totals.last_order_at.map(At),
        }
    }
}

/// Where a contact stands in an RFM model.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ScoreBody {
    /// The model.
    model: String,
    /// The group.
    group: String,
    /// The group before it.
    previous_group: Option<String>,
    /// Recency score; 0 in the group `none`.
    recency: u8,
    /// Frequency score.
    frequency: u8,
    /// Monetary score.
    monetary: u8,
    /// Since when it is in the group.
    since: At,
}

impl From<RfmPlacement> for ScoreBody {
    fn from(placed: RfmPlacement) -> Self {
        Self {
            model: placed.model,
            group: placed.group,
            previous_group: placed.previous_group,
            recency: placed.recency,
            frequency: placed.frequency,
            monetary: placed.monetary,
            since: placed.since.into(),
        }
    }
}
