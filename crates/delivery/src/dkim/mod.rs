//! DKIM signatures of outgoing mail (RFC 6376; Ed25519 by RFC 8463): relaxed/relaxed, one header for each key, so that RSA
//! and Ed25519 can sign the same mail.
//!
//! Every header that says who writes to whom about what is signed, and the way out of it (`List-Unsubscribe`, RFC 8058
//! §4). Those that a forger would add a second time are signed once more than they occur, so that a second one breaks the
//! signature.

mod canon;
mod key;

use base64::{Engine, engine::general_purpose::STANDARD};
use model::Timestamp;
use sha2::{Digest, Sha256};

pub use key::{Algorithm, Key, encode as encode_pem, new_ed25519};

/// Headers that are signed where they occur, in the order of `h=`.
const SIGNED: [&str; 14] = [
    "from",
    "to",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "feedback-id",
    "auto-submitted",
    "x-relance-message",
];
/// Headers that must not come a second time.
const ONCE: [&str; 6] = ["from", "to", "reply-to", "subject", "date", "content-type"];
/// So many characters of a signature stand on a line.
const LINE: usize = 72;

/// Signs mails with all of its keys.
pub struct Signer {
    keys: Vec<Key>,
}

/// Never shows a key.
impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(Key::name)).finish()
    }
}

impl Signer {
    /// The most keys that sign one mail.
    pub const KEYS_MAX: usize = 4;

    /// With those of these keys that may sign for a domain: its own, else those of the nearest domain above it. None when
    /// there are none.
    #[must_use]
    pub fn of_domain(keys: Vec<Key>, domain: &str) -> Option<Self> {
        let domain = domain.to_ascii_lowercase();
        let above = |key: &Key| domain == key.domain || domain.ends_with(&format!(".{}", key.domain));
        let mut keys: Vec<Key> = keys.into_iter().filter(above).collect();
        let nearest = keys.iter().map(|key| key.domain.len()).max()?;
        keys.retain(|key| key.domain.len() == nearest);
        keys.sort_by(|a, b| a.selector.cmp(&b.selector));
        keys.truncate(Self::KEYS_MAX);
        Some(Self { keys })
    }

    /// The signature headers of a mail, each with its line end: they go before everything else.
    ///
    /// # Errors
    /// In a sentence, when the machine gives no random bytes.
    pub fn sign(&self, mail: &[u8], now: Timestamp) -> Result<String, String> {
        let (head, body) = canon::split(mail);
        let hash = STANDARD.encode(Sha256::digest(canon::body(body)));
        let headers = canon::headers(head);
        let mut names = Vec::new();
        let mut signed = String::new();
        for name in SIGNED {
            // The last one first (RFC 6376 §5.4.2).
            for (_, line) in headers.iter().rev().filter(|(known, _)| known == name) {
                names.push(name);
                signed.push_str(line);
                signed.push_str("\r\n");
            }
            if ONCE.contains(&name) {
                names.push(name);
            }
        }
        let at = now.0.div_euclid(Timestamp::SECOND);
        let mut all = String::new();
        for key in &self.keys {
            let unsigned = format!(
                "v=1; a={}; c=relaxed/relaxed; d={};\r\n\ts={}; t={at};\r\n\th={};\r\n\tbh={hash};\r\n\tb=",
                key.algorithm().word(),
                key.domain,
                key.selector,
                folded(&names),
            );
            let data = format!("{signed}dkim-signature:{}", canon::value(&unsigned));
            let signature = STANDARD.encode(key.sign(data.as_bytes())?);
            all.push_str("DKIM-Signature: ");
            all.push_str(&unsigned);
            let pieces: Vec<&str> = (0..signature.len())
                .step_by(LINE)
                .map(|from| &signature[from..signature.len().min(from + LINE)])
                .collect();
            all.push_str(&pieces.join("\r\n\t "));
            all.push_str("\r\n");
        }
        Ok(all)
    }
}

/// Names with colons, on lines that are not too long.
fn folded(names: &[&str]) -> String {
    let mut text = String::new();
    let mut width = 0;
    for (i, name) in names.iter().enumerate() {
        if i > 0 {
            text.push(':');
            width += 1;
        }
        if width + name.len() > LINE {
            text.push_str("\r\n\t ");
            width = 0;
        }
        text.push_str(name);
        width += name.len();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] =
        b"From: Shop <news@shop.example>\r\nTo: ann@example.test\r\nSubject: Hello  there\r\n\r\nHi \r\n";

    fn ed25519(selector: &str, domain: &str) -> Key {
        Key::parse(domain, selector, &key::tests::ed25519()).unwrap()
    }

    #[test]
    fn a_mail_is_signed_by_each_key_and_what_a_forger_would_add_is_covered() {
        let keys =
            vec![ed25519("a", "shop.example"), ed25519("b", "shop.example"), ed25519("c", "other.example")];
        let signer = Signer::of_domain(keys, "Shop.Example").unwrap();
        let head = signer.sign(MAIL, Timestamp(1_780_000_000_000_000)).unwrap();
        assert_eq!(
            head.matches("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=shop.example;").count(),
            2
        );
        let flat = head.replace("\r\n\t ", "").replace("\r\n\t", " ");
        assert!(flat.contains("h=from:from:to:to:reply-to:subject:subject:date:content-type;"), "{flat}");
        assert!(flat.contains("t=1780000000;"));
        for line in head.split("\r\n") {
            assert!(line.len() <= 100, "{line}");
        }
        assert_eq!(format!("{signer:?}"), "[\"a._domainkey.shop.example\", \"b._domainkey.shop.example\"]");
    }

    #[test]
    fn keys_sign_for_their_domain_and_those_below() {
        let of = |domain: &str| {
            let keys = vec![ed25519("a", "shop.example"), ed25519("b", "mail.shop.example")];
            Signer::of_domain(keys, domain).map(|signer| format!("{signer:?}"))
        };
        assert_eq!(of("shop.example").as_deref(), Some("[\"a._domainkey.shop.example\"]"));
        assert_eq!(of("x.mail.shop.example").as_deref(), Some("[\"b._domainkey.mail.shop.example\"]"));
        assert_eq!(of("ashop.example"), None);
    }
}
