//! Who may come in: API keys, users and their sessions.

use std::future::Future;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Result;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum KeyScope {
    /// Write events and nothing else: public, it stands in the shop's pages.
    Track = 1,
    /// Read what viewers read.
    Read = 2,
    /// What editors do.
    Write = 3,
    /// What owners do.
    Admin = 4,
}

impl KeyScope {
    /// All.
    pub const ALL: [Self; 4] = [Self::Track, Self::Read, Self::Write, Self::Admin];

    /// The scope of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| *scope as u8 == number)
    }

    /// As it is written on the command line and in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Reads its word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// An API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// The public half of the key: names it in lists and logs.
    pub id: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// What it may do.
    pub scope: KeyScope,
    /// What the shop calls it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Since when it opens nothing.
    pub revoked_at: Option<Timestamp>,
}

/// Keys, users, sessions.
pub trait AccessStore {
    /// Keeps a new key. A key with this id stays as it is: ids are random.
    fn save_key(&self, key: ApiKey) -> impl Future<Output = Result<()>> + Send;
    /// The key with this id, revoked ones too.
    fn load_key(&self, id: String) -> impl Future<Output = Result<Option<ApiKey>>> + Send;
    /// All keys, the oldest first, revoked ones too.
    fn list_keys(&self) -> impl Future<Output = Result<Vec<ApiKey>>> + Send;
    /// Revokes a key; whether there was one that was not revoked before.
    fn revoke_key(&self, id: String, at: Timestamp) -> impl Future<Output = Result<bool>> + Send;
}
