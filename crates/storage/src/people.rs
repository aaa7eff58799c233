//! Contacts as people: anonymous identifiers, merges, export and erasure. The rules of identity are in docs/identity.md.

use std::future::Future;

use model::{ContactId, Timestamp};

use crate::Result;

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

/// Contacts as people.
pub trait PeopleStore {
    /// Makes the loser part of the winner in one transaction: everything that is the loser's becomes the winner's, and
    /// the former number leads to it ([`PeopleStore::forward`]). The winner's values of the profile stay, gaps are
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
    fn forward(&self, contacts: Vec<ContactId>) -> impl Future<Output = Result<Vec<ContactId>>> + Send;
    /// The number of the last merge or erasure: what a batch has taken is as of it.
    fn last_departure(&self) -> impl Future<Output = Result<i64>> + Send;
}
