//! What was agreed to through links and forms, with its proof; and what links need to remember.

use std::future::Future;

use model::{ConsentState, Contact, ContactId, MessageId, Slug, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Result,
    imports::ContactPatch,
    outbox::{AddressHash, MessageRow, OutboxMessage},
};

/// A confirmation is asked for again no earlier than so long after the last time.
pub const ASK_AGAIN_AFTER: i64 = 10 * Timestamp::MINUTE;
/// Most confirmations that are asked for within [`ASKS_WITHIN`], for one contact and purpose.
pub const ASKS_MAX: u32 = 5;
/// See [`ASKS_MAX`].
pub const ASKS_WITHIN: i64 = Timestamp::DAY;

/// What happened to a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ConsentStep {
    /// A file said that nobody was asked.
    NotSubscribed = 0,
    /// Yes.
    Subscribed = 1,
    /// No.
    Unsubscribed = 2,
    /// A yes that has to be confirmed.
    Asked = 3,
}

impl ConsentStep {
    /// All.
    pub const ALL: [Self; 4] = [Self::NotSubscribed, Self::Subscribed, Self::Unsubscribed, Self::Asked];

    /// The step of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u8 == number)
    }

    /// As the API writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotSubscribed => "not_subscribed",
            Self::Subscribed => "subscribed",
            Self::Unsubscribed => "unsubscribed",
            Self::Asked => "asked",
        }
    }
}

impl From<ConsentState> for ConsentStep {
    fn from(state: ConsentState) -> Self {
        match state {
            ConsentState::NotSubscribed => Self::NotSubscribed,
            ConsentState::Subscribed => Self::Subscribed,
            ConsentState::Unsubscribed => Self::Unsubscribed,
        }
    }
}

/// What proves an answer that was given on a page, by a form or through a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Where: the form's name, or the page.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The address of the page that held the form, without its query.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub page: String,
    /// The text that was shown beside the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The language that it was shown in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub lang: String,
    /// A keyed hash of the client's address: two answers from one place can be told to be so, the place cannot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// The message whose link was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

impl Proof {
    /// As it is kept.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A row of a contact's history of consents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentEntry {
    /// Its number, ascending.
    pub no: i64,
    /// When.
    pub at: Timestamp,
    /// For what.
    pub purpose: Slug,
    /// What happened.
    pub step: ConsentStep,
    /// Where it comes from, as in `form`, `one_click`, `import`.
    pub source: String,
    /// What proves it: the JSON of a [`Proof`], or a word of whoever wrote it, as in `import:<file hash>`.
    pub proof: String,
}

/// Answers of a contact, given now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Whose; one that was merged stands for the contact that it is now.
    pub contact: ContactId,
    /// The message whose link was used.
    pub message: Option<MessageId>,
    /// When.
    pub at: Timestamp,
    /// Where from, as in `one_click`.
    pub source: String,
    /// For each purpose or topic yes or no, with what proves it. What is as it was is left out.
    pub answers: Vec<(Slug, ConsentState, Proof)>,
}

/// A yes from tracking that counts when it was confirmed by mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToConfirm {
    /// For what.
    pub purpose: Slug,
    /// When it arrived.
    pub at: Timestamp,
    /// Where from, as in `tracking`.
    pub source: String,
    /// What proves that it was said.
    pub proof: String,
    /// The mail that asks for confirmation; its contact is filled in.
    pub mail: OutboxMessage,
    /// Until when it can be confirmed.
    pub expires_at: Timestamp,
}

/// Somebody asks by a form to be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Who: an email address, and what a contact that is not known yet begins with. A known contact's profile stays as it
    /// is: the form is open to everybody.
    pub patch: ContactPatch,
    /// When.
    pub at: Timestamp,
    /// Where from, as in `form`.
    pub source: String,
    /// Purposes and topics that need no confirmation.
    pub at_once: Vec<(Slug, Proof)>,
    /// Those that do.
    pub to_confirm: Vec<(Slug, Proof)>,
    /// The mail that asks for confirmation; its contact is filled in. Used when something is to be confirmed.
    pub mail: Option<OutboxMessage>,
    /// Until when it can be confirmed.
    pub expires_at: Timestamp,
}

/// What became of a confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// These are subscribed now.
    Now(ContactId, Vec<Slug>),
    /// It was confirmed before, and still is.
    Before(ContactId, Vec<Slug>),
    /// It came too late.
    Expired(ContactId, Vec<Slug>),
    /// Nobody asked, it was asked again since, or the consent was taken back.
    Unknown,
}

/// A link of a text message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortLink {
    /// What stands in the message.
    pub code: String,
    /// Which message.
    pub message: MessageId,
    /// Which link of it, from 0.
    pub link: u32,
    /// Where it leads.
    pub url: String,
}

/// A click that is not judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// Its number; 0 for a new one.
    pub no: i64,
    /// Of which message.
    pub message: MessageId,
    /// As in [`model::event::kind`].
    pub kind: String,
    /// What the link is called.
    pub link: String,
    /// Where it leads.
    pub url: String,
    /// When.
    pub at: Timestamp,
    /// Why it is a machine's, as far as that is known at once.
    pub why: Option<String>,
}

/// A contact tells somebody of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Of which.
    pub message: MessageId,
    /// The address that is told.
    pub address: AddressHash,
    /// The mail to it; its contact is filled in.
    pub mail: OutboxMessage,
    /// When.
    pub at: Timestamp,
    /// Most addresses that may be told of one message.
    pub most: u32,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// The mail is decided.
    Decided,
    /// That address was told before: nothing happens.
    Before,
    /// So many were told that this one is not.
    TooMany,
    /// The message or its contact is no more.
    Gone,
}

/// Consents, and what links remember.
pub trait ConsentStore {
    /// Records answers in one transaction: the contact's consents, its history, and inputs of the living engine
    /// (`Contact Updated`; `Unsubscribed` with the message's properties, in the contact's history too). The contact, and
    /// how many answers changed anything; none when it is no more.
    fn answer(&self, answers: Answers) -> impl Future<Output = Result<Option<(ContactId, usize)>>> + Send;

    /// Takes a subscription: the contact, answers that count at once, questions that are to be confirmed and the mail
    /// that asks, in one transaction. A question that was asked a short while ago ([`ASK_AGAIN_AFTER`]) or too often
    /// ([`ASKS_MAX`]) is not asked again, nor what is subscribed already. Whether a mail was decided.
    fn subscribe(&self, subscription: Subscription) -> impl Future<Output = Result<bool>> + Send;

    /// Confirms what a mail asked for; `proof` is of the page on which that was done.
    fn confirm(
        &self,
        message: MessageId,
        at: Timestamp,
        proof: Proof,
    ) -> impl Future<Output = Result<Confirmed>> + Send;

    /// Where a confirmation stands: what [`Self::confirm`] would answer, without doing it.
    fn confirmation(
        &self,
        message: MessageId,
        at: Timestamp,
    ) -> impl Future<Output = Result<Confirmed>> + Send;

    /// Asks once more for what a mail asked for and nobody confirmed, by another mail: the former one's link is void from
    /// then on. Whether it was decided (see [`Self::subscribe`]).
    fn ask_again(
        &self,
        message: MessageId,
        mail: OutboxMessage,
        expires_at: Timestamp,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// A contact's history of consents, the oldest first.
    fn load_consent_log(&self, contact: ContactId) -> impl Future<Output = Result<Vec<ConsentEntry>>> + Send;

    /// The contact that a link names: the one that it was merged into, if it was. None when it was erased.
    fn linked_contact(&self, contact: ContactId) -> impl Future<Output = Result<Option<Contact>>> + Send;

    /// A message by its id.
    fn find_message(&self, message: MessageId) -> impl Future<Output = Result<Option<MessageRow>>> + Send;

    /// Keeps links of text messages; those that are known stay.
    fn save_short_links(&self, links: Vec<ShortLink>) -> impl Future<Output = Result<()>> + Send;
    /// The link with this code.
    fn load_short_link(&self, code: String) -> impl Future<Output = Result<Option<ShortLink>>> + Send;

    /// Keeps a click until it is judged.
    fn note_click(&self, click: Click) -> impl Future<Output = Result<()>> + Send;
    /// Clicks that are not judged yet, the oldest first, at most `limit`.
    fn load_clicks(&self, limit: usize) -> impl Future<Output = Result<Vec<Click>>> + Send;
    /// Records judged clicks as [`crate::outbox::OutboxStore::record_interaction`] does, each with its properties, in one
    /// transaction. Without properties the click is only forgotten. One that was recorded meanwhile is left out.
    fn settle_clicks(
        &self,
        clicks: Vec<(Click, Option<Map<String, Value>>)>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Decides the mail that tells somebody of a message, in one transaction with the count of those who were told.
    fn tell_friend(&self, forward: Forward) -> impl Future<Output = Result<Forwarded>> + Send;
}
