//! Definitions that are taken back: a segment, a template, a coupon set, an RFM model that nothing uses any more.
//!
//! Its versions stay, so that what refers to one — a journey that is over, a message that was sent — can be read as it
//! was. What stands behind the last of them is a version that says that it is gone (`null`): a definition that is saved
//! under the slug later goes on counting from there. What is kept *for* it goes: members of a segment, codes of a set
//! that nobody was given, scores of a model.

use std::future::Future;

use model::{Slug, Timestamp};

use crate::{Result, audit::Deed, settings::DefinitionKind};

/// How definitions and rules stand: another mark says that something changed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RulesMark {
    /// The number of [`crate::lives::RULES_VERSION`].
    pub rules: u64,
    /// How many versions of definitions there are.
    pub definitions: u64,
}

/// A definition to take back.
#[derive(Clone, Debug, PartialEq)]
pub struct Retirement {
    /// Of what.
    pub kind: DefinitionKind,
    /// Its name.
    pub slug: Slug,
    /// Its last version, as whoever takes it back knows it.
    pub version: u32,
    /// The mark under which it was found that nothing uses it.
    pub mark: RulesMark,
    /// What is written down of it, in the same transaction.
    pub deed: Deed,
    /// When.
    pub at: Timestamp,
}

/// Taking back definitions.
pub trait RetireStore {
    /// How definitions and rules stand now.
    fn rules_mark(&self) -> impl Future<Output = Result<RulesMark>> + Send;
    /// Takes a definition back with all that is kept for it, and says that rules changed: one transaction. False, and
    /// nothing written, when it is not at this version any more, or when anything changed since the mark.
    fn retire_definition(&self, retirement: Retirement) -> impl Future<Output = Result<bool>> + Send;
}
