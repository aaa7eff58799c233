//! Contacts, their identifiers and what their orders come to.

use std::future::Future;

use model::{Contact, ContactId, Totals};

use crate::Result;

/// What kind of identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum IdentifierKind {
    /// The shop's own id.
    ExternalId = 1,
    /// Email address, compared in folded form.
    Email = 2,
    /// Phone number, E.164.
    Phone = 3,
    /// What a browser or an app calls itself before anybody signs in. A contact may have many.
    Anonymous = 4,
}

impl IdentifierKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ExternalId, Self::Email, Self::Phone, Self::Anonymous];

    /// The kind of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// Its word in files and answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ExternalId => "external_id",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Anonymous => "anonymous_id",
        }
    }
}

/// Contacts.
pub trait ContactStore {
    /// The contacts with these ids, in the order of the ids; unknown ids are left out.
    fn load_contacts(&self, ids: Vec<ContactId>) -> impl Future<Output = Result<Vec<Contact>>> + Send;
    /// What their orders come to, in the order of the ids, one for each id (empty totals for a contact without orders).
    fn load_totals(&self, ids: Vec<ContactId>) -> impl Future<Output = Result<Vec<Totals>>> + Send;
    /// Whose these identifiers are, one answer for each.
    fn resolve(
        &self,
        identifiers: Vec<(IdentifierKind, String)>,
    ) -> impl Future<Output = Result<Vec<Option<ContactId>>>> + Send;
    /// The next contacts after `after` in order of id, at most `limit`; empty at the end.
    fn scan_contacts(
        &self,
        after: ContactId,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Contact>>> + Send;
    /// The number of contacts and the greatest id given so far.
    fn count_contacts(&self) -> impl Future<Output = Result<(u64, ContactId)>> + Send;
}
