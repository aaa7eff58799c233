//! API keys: `rlk_<id>_<secret>`, 8 and 20 random bytes in base64url. Of the whole key only a SHA-256 is kept.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use model::Timestamp;
use sha2::{Digest, Sha256};
use storage::{
    Result,
    access::{AccessStore, ApiKey, KeyScope},
};
use subtle::ConstantTimeEq;

use crate::Chance;

/// What every key begins with: searches for leaked keys find it.
const PREFIX: &str = "rlk_";
/// Characters of the id: 8 bytes.
const ID_LEN: usize = 11;
/// Characters of the secret: 20 bytes.
const SECRET_LEN: usize = 27;
/// Characters of a key.
pub const KEY_LEN: usize = PREFIX.len() + ID_LEN + 1 + SECRET_LEN;

/// A new key: what is kept of it, and the key itself, which is shown once.
#[must_use]
pub fn make(chance: &dyn Chance, scope: KeyScope, name: &str, by: &str, now: Timestamp) -> (ApiKey, String) {
    let (mut id, mut secret) = ([0; 8], [0; 20]);
    chance.fill(&mut id);
    chance.fill(&mut secret);
    let id = URL_SAFE_NO_PAD.encode(id);
    let text = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    let key = ApiKey {
        id,
        hash: Sha256::digest(text.as_bytes()).into(),
        scope,
        name: name.to_owned(),
        created_at: now,
        created_by: by.to_owned(),
        revoked_at: None,
    };
    (key, text)
}

/// The id that a key names, when it looks like a key at all.
#[must_use]
pub fn id_of(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(PREFIX).filter(|_| text.len() == KEY_LEN && text.is_ascii())?;
    (rest.as_bytes()[ID_LEN] == b'_').then(|| &rest[..ID_LEN])
}

/// The key that this text is, unless it is unknown, wrong or revoked.
///
/// # Errors
/// What the database says.
pub async fn find<S: AccessStore>(store: &S, text: &str) -> Result<Option<ApiKey>> {
    let Some(id) = id_of(text) else { return Ok(None) };
    let Some(key) = store.load_key(id.to_owned()).await? else { return Ok(None) };
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let same = bool::from(hash.ct_eq(&key.hash));
    Ok(Some(key).filter(|key| same && key.revoked_at.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;

    impl Chance for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = 250_u8.wrapping_add(i as u8);
            }
        }
    }

    #[test]
    fn a_key_names_its_id_and_nothing_else_does() {
        let (key, text) = make(&Counting, KeyScope::Track, "shop", "test", Timestamp(1));
        assert_eq!(text.len(), KEY_LEN);
        assert_eq!(id_of(&text), Some(key.id.as_str()));
        let long = format!("{text}x");
        let other = text.replacen("rlk", "rlx", 1);
        for bad in ["", "rlk_", &text[1..], &long, &other, &"é".repeat(KEY_LEN / 2)] {
            assert_eq!(id_of(bad), None, "{bad}");
        }
    }
}
