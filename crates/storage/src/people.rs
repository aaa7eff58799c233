//! Contacts as people: anonymous identifiers, merges, export and erasure.

/// Contacts as people: anonymous identifiers, merges, export and erasure.
pub trait PeopleStore {}
