//! Settings of the workspace and definitions known by slug: fields, and versions of what files hold.

use std::{borrow::Cow, future::Future};

use model::{Slug, Timestamp};

use crate::{Result, audit::Deed};

/// Names of settings that storage itself reads.
pub mod key {
    /// The workspace's currency: a text, as in `"EUR"`. Set by the first order when nobody set it before.
    pub const CURRENCY: &str = "currency";
    /// Other currencies that orders may come in, with what one unit is worth in the workspace's, as in
    /// `{"USD": "0.86"}`: amounts are converted as they arrive, so that sums stay sums.
    pub const CURRENCIES_ALLOWED: &str = "currencies_allowed";
}

/// What a definition defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DefinitionKind {
    /// A custom field.
    Field = 1,
    /// A segment.
    Segment = 2,
    /// A template.
    Template = 3,
    /// A coupon set.
    CouponSet = 4,
    /// A journey.
    Journey = 5,
    /// An RFM model.
    RfmModel = 6,
}

/// What to save: content under a slug.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDefinition {
    /// Of what.
    pub kind: DefinitionKind,
    /// Its name.
    pub slug: Slug,
    /// What the file holds, as a tree or as text, as its room wants it.
    pub content: serde_json::Value,
}

/// An immutable version of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Of what.
    pub kind: DefinitionKind,
    /// Its name.
    pub slug: Slug,
    /// From 1 for each slug.
    pub version: u32,
    /// When it was saved.
    pub created_at: Timestamp,
    /// SHA-256 of the content's compact JSON, as hexadecimal digits.
    pub hash: String,
    /// What was saved.
    pub content: serde_json::Value,
}

impl Definition {
    /// The text of what its file holds, YAML or JSON, whether it was saved as a tree or as text.
    #[must_use]
    pub fn source(&self) -> Cow<'_, str> {
        match &self.content {
            serde_json::Value::String(text) => Cow::Borrowed(text),
            tree => Cow::Owned(tree.to_string()),
        }
    }
}

/// Small named values, JSON, and definitions.
pub trait SettingsStore {
    /// The value of a setting.
    fn load_setting(&self, key: String) -> impl Future<Output = Result<Option<serde_json::Value>>> + Send;
    /// Sets it.
    fn save_setting(&self, key: String, value: serde_json::Value) -> impl Future<Output = Result<()>> + Send;
    /// Sets it, and writes down who did, when it still holds what whoever sets it has read; whether it did.
    fn replace_setting(
        &self,
        key: String,
        known: Option<serde_json::Value>,
        value: serde_json::Value,
        deed: Deed,
    ) -> impl Future<Output = Result<bool>> + Send;
    /// The last version of each definition of a kind, by slug; not of those that were taken back
    /// ([`crate::retire`]).
    fn load_definitions(&self, kind: DefinitionKind) -> impl Future<Output = Result<Vec<Definition>>> + Send;
    /// Those of a kind that were taken back, each with the number of the version that says so.
    fn load_retired(&self, kind: DefinitionKind) -> impl Future<Output = Result<Vec<(Slug, u32)>>> + Send;
    /// One version of a definition, also of one that was taken back later.
    fn load_definition(
        &self,
        kind: DefinitionKind,
        slug: Slug,
        version: u32,
    ) -> impl Future<Output = Result<Option<Definition>>> + Send;
    /// Saves all of them in one transaction and answers with their versions. One whose content is that of its last
    /// version is not saved again: it keeps that version.
    fn save_definitions(
        &self,
        definitions: Vec<NewDefinition>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<u32>>> + Send;
}
