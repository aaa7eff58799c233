//! Contacts as people: who they were before, merges, everything that is kept of one, erasure, retention; static lists;
//! search. The rules of identity are in docs/identity.md, those of erasure and retention in docs/privacy.md.

use std::future::Future;

use model::{Cart, Contact, ContactId, Event, Order, Slug, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    contacts::IdentifierKind,
    journeys::Enrolment,
    outbox::{MessageRow, Suppression},
};

/// What became of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// The loser is part of the winner now.
    Done,
    /// It was before.
    Already,
    /// One of the two is not known.
    Unknown(ContactId),
    /// They are one contact.
    Same,
}

/// What became of a change of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edited {
    /// It is on disk.
    Done,
    /// The profile is not what it was when it was read. Nothing was written.
    Changed,
}

/// What a search compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindBy {
    /// Email address, upper and lower case alike.
    Email,
    /// External id, exactly as far as it is given.
    ExternalId,
    /// Phone number, E.164.
    Phone,
    /// Last name, ASCII letters of upper and lower case alike.
    LastName,
    /// First name, likewise.
    FirstName,
}

impl FindBy {
    /// All, in the order in which a search that names none goes through them.
    pub const ALL: [Self; 5] = [Self::Email, Self::ExternalId, Self::Phone, Self::LastName, Self::FirstName];
}

/// A place in the answers of a search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindPlace {
    /// What was compared.
    pub by: FindBy,
    /// Its value there.
    pub value: String,
    /// Whose.
    pub contact: ContactId,
}

/// One line of a contact's timeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Moment {
    /// Something that it did.
    Event(Event),
    /// An order.
    Order(Order),
    /// A message: its instant is the one at which it was to leave.
    Message(MessageRow),
    /// It entered a journey.
    Entered(Enrolment),
}

/// A place in a timeline: instant, kind of moment, number. The newest is first.
pub type MomentPlace = (Timestamp, u8, i64);

/// A code that a contact was given, or used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCoupon {
    /// The set.
    pub set: String,
    /// The code.
    pub code: String,
    /// When it was given.
    pub at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When an order used it.
    pub redeemed_at: Option<Timestamp>,
    /// The order.
    pub order_id: Option<String>,
}

/// Everything that is kept of a contact, as of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Its profile.
    pub contact: Contact,
    /// What it is known by beside the profile: anonymous ids, what it was called before.
    pub also: Vec<(IdentifierKind, String)>,
    /// Numbers of contacts that were merged into it, with when.
    pub merged: Vec<(ContactId, Timestamp)>,
    /// Events, the oldest first.
    pub events: Vec<Event>,
    /// Orders, the oldest first.
    pub orders: Vec<Order>,
    /// Open carts.
    pub carts: Vec<Cart>,
    /// Messages, in the order in which they were decided.
    pub messages: Vec<MessageRow>,
    /// Journeys that it went through.
    pub enrolments: Vec<Enrolment>,
    /// Coupons.
    pub coupons: Vec<HeldCoupon>,
    /// Its addresses on the suppression list, those that it had before too.
    pub suppressions: Vec<Suppression>,
    /// Names of the products that its orders and carts hold, by number.
    pub products: Vec<(model::ProductId, String, String)>,
}

/// How long what is kept, in days; none: for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Events, by when they happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u32>,
    /// Open carts, by their last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carts: Option<u32>,
    /// What messages were rendered from and what servers said, by when the message was settled. That it was sent stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_bodies: Option<u32>,
    /// Why contacts went where in journeys, by the end of the enrolment. That they were inside stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traces: Option<u32>,
    /// Anonymous contacts without an order, by what they did last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_contacts: Option<u32>,
}

impl Retention {
    /// The least number of days: shorter, and what counts days back has nothing to count.
    pub const DAYS_MIN: u32 = 7;
    /// The greatest number of days: a hundred years.
    pub const DAYS_MAX: u32 = 36_500;

    /// Whether everything is kept for good.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Its parts by name.
    #[must_use]
    pub const fn parts(&self) -> [(&'static str, Option<u32>); 5] {
        [
            ("events", self.events),
            ("carts", self.carts),
            ("message_bodies", self.message_bodies),
            ("traces", self.traces),
            ("anonymous_contacts", self.anonymous_contacts),
        ]
    }
}

/// Where the work of retention stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepPlace {
    /// Contacts up to here are done.
    pub contact: ContactId,
    /// Messages up to here are done.
    pub message: i64,
}

/// What a piece of it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Where to go on; none: all is done.
    pub next: Option<SweepPlace>,
    /// Events that went.
    pub events: u64,
    /// Carts that went.
    pub carts: u64,
    /// Messages whose content went.
    pub bodies: u64,
    /// Enrolments whose trace went.
    pub traces: u64,
    /// Anonymous contacts that were erased.
    pub contacts: u64,
}

/// A static list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRecord {
    /// Its name in files and conditions.
    pub slug: Slug,
    /// What the shop calls it; empty for one that nobody named.
    pub name: String,
    /// When it was made; none for one that only contacts name.
    pub created_at: Option<Timestamp>,
    /// How many are on it.
    pub members: u64,
}

/// Contacts as people.
pub trait PeopleStore {
    /// Makes the loser part of the winner in one transaction: everything that is the loser's becomes the winner's, and
    /// the former number leads to it ([`PeopleStore::successors`]). The winner's values of the profile stay, gaps are
    /// filled, of two answers to a purpose the newest counts. An input `Contact Merged` of the same transaction lets the
    /// engine look at the winner anew. A number that leads to somebody stands for that contact.
    fn merge_contacts(
        &self,
        winner: ContactId,
        loser: ContactId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Merged>> + Send;
    /// Who these contacts are today: the contact that each was merged into, or itself; 0 for one that was erased. One
    /// answer for each, whether it is known or not.
    fn successors(&self, contacts: Vec<ContactId>) -> impl Future<Output = Result<Vec<ContactId>>> + Send;
    /// The number of the last merge or erasure: what a batch has taken is as of it.
    fn last_departure(&self) -> impl Future<Output = Result<i64>> + Send;

    /// Writes a changed profile, with its identifiers and the input that tells of it, unless it is not `before` any more.
    ///
    /// # Errors
    /// `contact.identifier_taken` when an external id or an address belongs to somebody else.
    fn edit_contact(
        &self,
        before: Contact,
        after: Contact,
        now: Timestamp,
    ) -> impl Future<Output = Result<Edited>> + Send;

    /// Contacts of which what is compared begins with this text, in the order of `by`, each once: behind a place, at most
    /// `limit`. Every look-up is one range of an index.
    fn find_contacts(
        &self,
        text: String,
        by: Vec<FindBy>,
        after: Option<FindPlace>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(FindPlace, Contact)>>> + Send;
    /// What happened to a contact, the newest first: behind a place, at most `limit`.
    fn load_timeline(
        &self,
        contact: ContactId,
        after: Option<MomentPlace>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(MomentPlace, Moment)>>> + Send;
    /// Everything that is kept of a contact; none when it is not known.
    fn load_person(
        &self,
        contact: ContactId,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Person>>> + Send;

    /// Erases a contact and everything of it, in one transaction; whether it was known. Its orders stay without a name,
    /// for revenue and best sellers; what was counted stays counted; its addresses stay on the suppression list, as
    /// hashes. What is deleted is overwritten in the file; [`PeopleStore::scrub`] does it for copies of before.
    fn erase_contact(&self, contact: ContactId, now: Timestamp) -> impl Future<Output = Result<bool>> + Send;
    /// Rewrites the file without anything that was deleted or moved before. Nobody else can write meanwhile.
    fn scrub(&self) -> impl Future<Output = Result<()>> + Send;
    /// The next piece of the work of retention as of `now`: some thousand contacts and messages, in one transaction.
    /// Contacts whose history became shorter are told to the engine (`History Trimmed`).
    fn sweep(
        &self,
        kept: Retention,
        from: SweepPlace,
        now: Timestamp,
    ) -> impl Future<Output = Result<Swept>> + Send;

    /// Names a list; one that is there keeps its date.
    fn save_list(&self, slug: Slug, name: String, now: Timestamp) -> impl Future<Output = Result<()>> + Send;
    /// All lists, those that only contacts name too, by slug.
    fn load_lists(&self) -> impl Future<Output = Result<Vec<ListRecord>>> + Send;
    /// The contacts on a list behind one, at most `limit`.
    fn load_list_members(
        &self,
        slug: Slug,
        after: ContactId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ContactId>>> + Send;
    /// Puts contacts on a list (true) or takes them off, with the inputs that tell of it; how many changed. Those who are
    /// not known are left out.
    fn set_on_list(
        &self,
        slug: Slug,
        contacts: Vec<ContactId>,
        member: bool,
        now: Timestamp,
    ) -> impl Future<Output = Result<u64>> + Send;
    /// Forgets a list that nobody is on; whether it went.
    fn drop_list(&self, slug: Slug) -> impl Future<Output = Result<bool>> + Send;
}
