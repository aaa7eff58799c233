//! Keys of tracking, looked up once in a few seconds and not for each request: a key that is revoked closes after that.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use model::Timestamp;
use sha2::{Digest, Sha256};
use storage::{Storage, access::ApiKey};
use subtle::ConstantTimeEq;

use crate::{
    ApiError,
    access::{Tracker, key, unauthorized},
};

/// A key is looked up again after so long.
pub const FRESH: i64 = 2 * Timestamp::SECOND;
/// Most keys that are remembered, those that are none among them.
const KNOWN_MAX: usize = 1_000;

/// Keys that were seen a moment ago, by their id. Secrets are not kept.
pub(crate) struct Keys<S> {
    store: S,
    known: Mutex<HashMap<String, (Option<ApiKey>, Timestamp)>>,
}

impl<S: Storage> Keys<S> {
    pub(super) fn new(store: S) -> Self {
        Self { store, known: Mutex::default() }
    }

    /// Who sends, by the key; any key may write events.
    pub(crate) async fn tracker(&self, text: &str, now: Timestamp) -> Result<Tracker, ApiError> {
        let id = key::id_of(text).ok_or_else(unauthorized)?;
        let key = match self.remembered(id, now) {
            Some(known) => known,
            None => self.look_up(id, now).await?,
        };
        let key = key.filter(|key| {
            let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
            key.revoked_at.is_none() && bool::from(hash.ct_eq(&key.hash))
        });
        Ok(Tracker { key: key.ok_or_else(unauthorized)?.id })
    }

    fn remembered(&self, id: &str, now: Timestamp) -> Option<Option<ApiKey>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, since) = known.get(id)?;
        (0..FRESH).contains(&now.since(*since)).then(|| key.clone())
    }

    async fn look_up(&self, id: &str, now: Timestamp) -> Result<Option<ApiKey>, ApiError> {
        let key = self.store.load_key(id.to_owned()).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(id.to_owned(), (key.clone(), now));
        Ok(key)
    }
}
