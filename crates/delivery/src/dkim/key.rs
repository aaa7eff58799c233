//! Keys that sign: PKCS #8 in PEM, as files beside the database hold them.

use base64::{Engine, engine::general_purpose::STANDARD};
use model::Problem;
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use sha2::{Digest, Sha256};

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Understood everywhere.
    Rsa,
    /// Short and quick (RFC 8463); not understood everywhere, so beside an RSA key.
    Ed25519,
}

impl Algorithm {
    /// As `a=` says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha256",
            Self::Ed25519 => "ed25519-sha256",
        }
    }
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A key of a domain.
pub struct Key {
    /// The domain that it signs for.
    pub domain: String,
    /// What tells it apart from the domain's other keys.
    pub selector: String,
    pair: Pair,
}

/// Never shows the key.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({} {})", self.name(), self.algorithm().word())
    }
}

/// DER of the algorithm `rsaEncryption` with its empty parameters (RFC 3279 §2.3.1).
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

impl Key {
    /// The longest selector, in characters: a label of the domain name system.
    pub const SELECTOR_MAX: usize = 63;

    /// Reads a key. `domain` is folded to lower case.
    ///
    /// # Errors
    /// `dkim.domain`, `dkim.selector`, `dkim.key`.
    pub fn parse(domain: &str, selector: &str, pem: &str) -> Result<Self, Problem> {
        let domain = domain.trim_end_matches('.').to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=Self::SELECTOR_MAX).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if domain.len() > 253 || !domain.contains('.') || !domain.split('.').all(is_label) {
            return Err(Problem::new("dkim.domain", format!("`{domain}` is not a domain"))
                .value(&domain)
                .cure("give the domain of the sender's address, as in shop.example"));
        }
        if !is_label(selector) {
            return Err(Problem::new("dkim.selector", format!("`{selector}` is not a selector"))
                .value(selector)
                .cure("use letters, digits and hyphens, as in relance1"));
        }
        let bad = |why: &str| {
            Problem::new("dkim.key", format!("the key {selector} of {domain} cannot be used: {why}"))
                .cure("make one with `relance dkim create`, or give PKCS #8 in PEM: RSA of 2048 to 4096 bits, or Ed25519")
        };
        let der = decode(pem).ok_or_else(|| bad("it is no PEM"))?;
        let pair = if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
            Pair::Ed25519(Box::new(pair))
        } else {
            let read = RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der));
            Pair::Rsa(Box::new(read.map_err(|error| bad(&error.to_string()))?))
        };
        Ok(Self { domain, selector: selector.to_owned(), pair })
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Rsa(_) => Algorithm::Rsa,
            Pair::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The name of its record.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// The record to publish (TXT).
    #[must_use]
    pub fn record(&self) -> String {
        match &self.pair {
            Pair::Rsa(pair) => {
                format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(subject_key(pair.public_key().as_ref())))
            }
            Pair::Ed25519(pair) => {
                format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(pair.public_key().as_ref()))
            }
        }
    }

    /// Signs; Ed25519 signs the SHA-256 of the data (RFC 8463 §3).
    pub(super) fn sign(&self, data: &[u8]) -> Result<Vec<u8>, String> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature)
                    .map_err(|_| "the machine gives no random bytes".to_owned())?;
                Ok(signature)
            }
            Pair::Ed25519(pair) => Ok(pair.sign(&Sha256::digest(data)).as_ref().to_vec()),
        }
    }
}

/// A new Ed25519 key, PEM.
///
/// # Errors
/// `dkim.random` when the machine gives no random bytes.
pub fn new_ed25519() -> Result<String, Problem> {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| Problem::new("dkim.random", "the machine gives no random bytes"))?;
    Ok(encode(der.as_ref()))
}

/// PKCS #8 as PEM.
#[must_use]
pub fn encode(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).map(|from| &text[from..text.len().min(from + 64)]).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

/// The bytes of the first PEM block that holds a private key.
fn decode(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    if !label.ends_with("PRIVATE KEY") {
        return None;
    }
    let (coded, _) = rest.split_once("-----END ")?;
    STANDARD.decode(coded.split_whitespace().collect::<String>()).ok()
}

/// A SubjectPublicKeyInfo around an RSA public key.
fn subject_key(rsa: &[u8]) -> Vec<u8> {
    let mut bits = vec![0];
    bits.extend_from_slice(rsa);
    let bits = der(0x03, &bits);
    der(0x30, &[&RSA_ENCRYPTION[..], &bits].concat())
}

/// A value of DER with its tag and length.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        short @ 0..=0x7f => bytes.push(short as u8),
        len => {
            let digits: Vec<u8> = len.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            bytes.push(0x80 | digits.len() as u8);
            bytes.extend_from_slice(&digits);
        }
    }
    bytes.extend_from_slice(content);
    bytes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::dkim) fn ed25519() -> String {
        new_ed25519().unwrap()
    }

    #[test]
    fn keys_are_read_and_say_their_record() {
        let key = Key::parse("Shop.Example.", "s1", &ed25519()).unwrap();
        assert_eq!(
            (key.name().as_str(), key.algorithm()),
            ("s1._domainkey.shop.example", Algorithm::Ed25519)
        );
        assert!(key.record().starts_with("v=DKIM1; k=ed25519; p="));
        assert_eq!(key.record().len(), "v=DKIM1; k=ed25519; p=".len() + 44);
        assert!(!format!("{key:?}").contains("Pair"));
        let pem = ed25519();
        for (domain, selector, pem, code) in [
            ("shop", "s1", pem.as_str(), "dkim.domain"),
            ("shop..example", "s1", &pem, "dkim.domain"),
            ("shop.example\r\n", "s1", &pem, "dkim.domain"),
            ("shop.example", "", &pem, "dkim.selector"),
            ("shop.example", "a.b; d=evil", &pem, "dkim.selector"),
            ("shop.example", &"s".repeat(64), &pem, "dkim.selector"),
            ("shop.example", "s1", "junk", "dkim.key"),
            (
                "shop.example",
                "s1",
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
                "dkim.key",
            ),
        ] {
            assert_eq!(Key::parse(domain, selector, pem).unwrap_err().code, code, "{domain} {selector}");
        }
        assert!(Key::parse("shop.example", &"s".repeat(63), &pem).is_ok());
    }

    #[test]
    fn lengths_of_der() {
        assert_eq!(der(3, &[0; 127])[..2], [3, 127]);
        assert_eq!(der(3, &[0; 128])[..3], [3, 0x81, 128]);
        assert_eq!(der(3, &[0; 256])[..4], [3, 0x82, 1, 0]);
    }
}
