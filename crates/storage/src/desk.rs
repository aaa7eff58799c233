//! What the admin API keeps beside the workspace itself: answers of requests that may be repeated, and drafts.

use std::future::Future;

use model::{Slug, Timestamp};

use crate::{Result, settings::DefinitionKind};

/// How long an answer is kept for repeats of its request, in microseconds: a day.
pub const ANSWERS_KEPT: i64 = Timestamp::DAY;
/// A request that began so long ago and has no answer is taken as lost with its process, in microseconds.
pub const ANSWER_LOST: i64 = 10 * Timestamp::MINUTE;

/// A request with the key by which a repeat is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMark {
    /// Who asks.
    pub who: String,
    /// The key that they chose.
    pub key: String,
    /// What was asked: SHA-256 of method, path and body.
    pub request: [u8; 32],
    /// When.
    pub at: Timestamp,
}

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers that belong to it.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// What a request with a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The first one: it is to be worked on, then [`DeskStore::end_request`].
    New,
    /// A repeat: this was the answer.
    Answered(KeptAnswer),
    /// A repeat of one that is being worked on.
    Running,
    /// The key was used for something else.
    Other,
}

/// What is being written and is not published.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Of what.
    pub kind: DefinitionKind,
    /// Its name.
    pub slug: Slug,
    /// SHA-256 of the content's compact JSON, as hexadecimal digits.
    pub hash: String,
    /// What was written.
    pub content: serde_json::Value,
    /// When it was changed last.
    pub changed_at: Timestamp,
    /// By whom.
    pub changed_by: String,
}

/// A draft to keep.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDraft {
    /// Of what.
    pub kind: DefinitionKind,
    /// Its name.
    pub slug: Slug,
    /// What was written.
    pub content: serde_json::Value,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// A version of a definition without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionMark {
    /// From 1.
    pub version: u32,
    /// When it was saved.
    pub created_at: Timestamp,
    /// SHA-256 of its content.
    pub hash: String,
}

/// Answers and drafts.
pub trait DeskStore {
    /// Begins a request, unless it is a repeat. Answers older than [`ANSWERS_KEPT`] are forgotten.
    fn begin_request(&self, mark: RequestMark) -> impl Future<Output = Result<Begun>> + Send;
    /// Keeps the answer of a request; without one the request may be tried again.
    fn end_request(
        &self,
        who: String,
        key: String,
        answer: Option<KeptAnswer>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The drafts of a kind, by slug.
    fn load_drafts(&self, kind: DefinitionKind) -> impl Future<Output = Result<Vec<Draft>>> + Send;
    /// One draft.
    fn load_draft(
        &self,
        kind: DefinitionKind,
        slug: Slug,
    ) -> impl Future<Output = Result<Option<Draft>>> + Send;
    /// Keeps a draft in place of the one with the hash `before` (none: there must be none yet). The draft as it is kept;
    /// none, and nothing written, when another one stands there.
    fn save_draft(
        &self,
        draft: NewDraft,
        before: Option<String>,
    ) -> impl Future<Output = Result<Option<Draft>>> + Send;
    /// Takes a draft away when it has this hash; whether it did.
    fn remove_draft(
        &self,
        kind: DefinitionKind,
        slug: Slug,
        hash: String,
    ) -> impl Future<Output = Result<bool>> + Send;
    /// The versions of a definition, the last first, below `before`, at most `limit`.
    fn list_versions(
        &self,
        kind: DefinitionKind,
        slug: Slug,
        before: u32,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<VersionMark>>> + Send;
}
