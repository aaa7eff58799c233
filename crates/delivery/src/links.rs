//! Signed links in messages: unsubscribe, preferences, view in the browser. A link says what it is for and is signed,
//! so that nobody can make one for somebody else; it needs no table.
//!
//! A token is base64url of `version (1) | kind (1) | issued day (4) | contact (8) | message (16) | purpose (text) |
//! HMAC-SHA256 over all of it, cut to 16 bytes`. Numbers are big-endian.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use model::{ContactId, Problem, Slug, Timestamp};
use sha2::Sha256;
use storage::outbox::MessageId;

/// The layout described above.
const VERSION: u8 = 1;
/// Bytes before the purpose.
const FIXED_LEN: usize = 1 + 1 + 4 + 8 + 16;
/// Bytes of the signature.
const TAG_LEN: usize = 16;
/// The longest token, in characters; what is longer is not even decoded.
pub const TOKEN_LEN_MAX: usize = (FIXED_LEN + Slug::LEN_MAX + TAG_LEN).div_ceil(3) * 4;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum LinkKind {
    /// Take back the consent for the purpose; by POST without a question (RFC 8058).
    Unsubscribe = 1,
    /// The preference page.
    Preferences = 2,
    /// The message as a page.
    View = 3,
}

impl LinkKind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Unsubscribe, Self::Preferences, Self::View];

    /// The path under the public address.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Unsubscribe => "u",
            Self::Preferences => "p",
            Self::View => "v",
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is for.
    pub kind: LinkKind,
    /// Whose it is.
    pub contact: ContactId,
    /// In which message it was.
    pub message: MessageId,
    /// The purpose of that message.
    pub purpose: Slug,
    /// The day on which the message was decided, counted from 1970-01-01 in UTC.
    pub issued_day: i32,
}

/// Keys that sign and verify: the first signs, all verify, so that a key can be replaced while old links still work.
#[derive(Clone)]
pub struct Keys(Vec<[u8; Self::LEN]>);

impl Keys {
    /// Bytes of a key.
    pub const LEN: usize = 32;
    /// The most keys in a file.
    pub const COUNT_MAX: usize = 16;

    /// One key.
    #[must_use]
    pub fn new(key: [u8; Self::LEN]) -> Self {
        Self(vec![key])
    }

    /// Reads a key file: one key a line, base64url without padding (43 characters); empty lines and lines that start
    /// with `#` are skipped.
    ///
    /// # Errors
    /// `key.invalid`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let invalid = |line: usize| {
            Problem::new("key.invalid", format!("line {line} of the signing key file is not a key")).cure(
                "a key is 32 random bytes in base64url, 43 characters; remove the file and a new one is made",
            )
        };
        let mut keys = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bytes = URL_SAFE_NO_PAD.decode(line).map_err(|_| invalid(i + 1))?;
            keys.push(bytes.try_into().map_err(|_| invalid(i + 1))?);
        }
        if keys.is_empty() || keys.len() > Self::COUNT_MAX {
            return Err(Problem::new(
                "key.invalid",
                format!("the signing key file holds {} keys", keys.len()),
            )
            .cure(format!("it holds 1 to {}, one a line", Self::COUNT_MAX)));
        }
        Ok(Self(keys))
    }

    /// A key as a line of the key file.
    #[must_use]
    pub fn line(key: &[u8; Self::LEN]) -> String {
        URL_SAFE_NO_PAD.encode(key)
    }
}

/// Never shows a key.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

fn mac(key: &[u8; Keys::LEN]) -> Hmac<Sha256> {
    // A key of 32 bytes is always taken: HMAC takes any length.
    <Hmac<Sha256> as KeyInit>::new_from_slice(key)
        .unwrap_or_else(|_| unreachable!("HMAC takes any key length"))
}

/// Makes and reads links.
#[derive(Clone, Debug)]
pub struct Links {
    base: String,
    keys: Keys,
}

impl Links {
    /// Links under a public address, as in `https://mail.shop.example` (with or without a path).
    ///
    /// # Errors
    /// `url.invalid` when it is no http or https address, or has a query, a fragment, blanks or user data.
    pub fn new(public_url: &str, keys: Keys) -> Result<Self, Problem> {
        let rest = public_url.strip_prefix("https://").or_else(|| public_url.strip_prefix("http://"));
        let host = rest.unwrap_or_default().split('/').next().unwrap_or_default();
        let plain = public_url
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'@' | b'<' | b'>' | b'"'));
        if host.is_empty() || host.starts_with(':') || !plain {
            return Err(Problem::new("url.invalid", format!("`{public_url}` is not a public address"))
                .field("--public-url")
                .value(public_url)
                .cure(
                    "use the address under which contacts reach this server, as in https://mail.shop.example",
                ));
        }
        Ok(Self { base: public_url.trim_end_matches('/').to_owned(), keys })
    }

    /// Whether links are https: mail programs offer one-click unsubscribing only then (RFC 8058 §3.1).
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.base.starts_with("https://")
    }

    /// Signs other things than links with the same keys. What is signed begins with a word, as no link does.
    pub(crate) fn sign(&self, said: &[u8]) -> [u8; TAG_LEN] {
        let mut mac = mac(&self.keys.0[0]);
        mac.update(said);
        let mut tag = [0; TAG_LEN];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG_LEN]);
        tag
    }

    /// Whether one of the keys made this signature, or the beginning of one; in constant time.
    pub(crate) fn verifies(&self, said: &[u8], tag: &[u8]) -> bool {
        let mut good = false;
        for key in &self.keys.0 {
            let mut mac = mac(key);
            mac.update(said);
            good |= mac.verify_truncated_left(tag).is_ok();
        }
        good
    }

    /// The address of a link.
    #[must_use]
    pub fn url(&self, link: &Link) -> String {
        format!("{}/{}/{}", self.base, link.kind.path(), self.token(link))
    }

    /// The token of a link.
    #[must_use]
    pub fn token(&self, link: &Link) -> String {
        let mut bytes = Vec::with_capacity(FIXED_LEN + link.purpose.as_str().len() + TAG_LEN);
        bytes.push(VERSION);
        bytes.push(link.kind as u8);
        bytes.extend_from_slice(&link.issued_day.to_be_bytes());
        bytes.extend_from_slice(&link.contact.0.to_be_bytes());
        bytes.extend_from_slice(&link.message.0);
        bytes.extend_from_slice(link.purpose.as_str().as_bytes());
        let mut mac = mac(&self.keys.0[0]);
        mac.update(&bytes);
        bytes.extend_from_slice(&mac.finalize().into_bytes()[..TAG_LEN]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token; in constant time as far as the signature goes. Unsubscribe links never expire: whether an old link
    /// of another kind still counts is the caller's business (`issued_day`).
    ///
    /// # Errors
    /// `link.invalid`, whatever is wrong with it.
    pub fn verify(&self, token: &str) -> Result<Link, Problem> {
        let invalid = || {
            Problem::new("link.invalid", "this link is not valid")
                .cure("open the link again from the message, without changing it")
        };
        if token.len() > TOKEN_LEN_MAX {
            return Err(invalid());
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        if bytes.len() <= FIXED_LEN + TAG_LEN {
            return Err(invalid());
        }
        let (said, tag) = bytes.split_at(bytes.len() - TAG_LEN);
        let mut good = false;
        // All keys are tried, so that the time does not tell which one signed.
        for key in &self.keys.0 {
            let mut mac = mac(key);
            mac.update(said);
            good |= mac.verify_truncated_left(tag).is_ok();
        }
        if !good || said[0] != VERSION {
            return Err(invalid());
        }
        let field = |from: usize, to: usize| said.get(from..to).ok_or_else(invalid);
        let purpose = std::str::from_utf8(&said[FIXED_LEN..]).map_err(|_| invalid())?;
        Ok(Link {
            kind: LinkKind::from_number(said[1]).ok_or_else(invalid)?,
            issued_day: i32::from_be_bytes(field(2, 6)?.try_into().map_err(|_| invalid())?),
            contact: ContactId(i64::from_be_bytes(field(6, 14)?.try_into().map_err(|_| invalid())?)),
            message: MessageId(field(14, 30)?.try_into().map_err(|_| invalid())?),
            purpose: Slug::parse(purpose).map_err(|_| invalid())?,
        })
    }
}

/// The links of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageLinks {
    /// Take back the consent.
    pub unsubscribe: String,
    /// The preference page.
    pub preferences: String,
    /// The message as a page.
    pub view: String,
}

impl MessageLinks {
    /// Of a message to a contact, decided at an instant.
    #[must_use]
    pub fn of(
        links: &Links,
        contact: ContactId,
        message: MessageId,
        purpose: &Slug,
        decided_at: Timestamp,
    ) -> Self {
        let url = |kind| {
            links.url(&Link {
                kind,
                contact,
                message,
                purpose: purpose.clone(),
                issued_day: decided_at.day_utc(),
            })
        };
        Self {
            unsubscribe: url(LinkKind::Unsubscribe),
            preferences: url(LinkKind::Preferences),
            view: url(LinkKind::View),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(key: u8) -> Links {
        Links::new("https://mail.shop.example/", Keys::new([key; 32])).unwrap()
    }

    fn link(kind: LinkKind) -> Link {
        Link {
            kind,
            contact: ContactId(42),
            message: MessageId([7; 16]),
            purpose: Slug::parse("newsletter").unwrap(),
            issued_day: 20_000,
        }
    }

    #[test]
    fn a_link_reads_back_and_says_where_it_leads() {
        for kind in LinkKind::ALL {
            let url = links(1).url(&link(kind));
            let token = url.strip_prefix(&format!("https://mail.shop.example/{}/", kind.path())).unwrap();
            assert_eq!(links(1).verify(token).unwrap(), link(kind));
        }
    }

    #[test]
    fn no_byte_of_a_token_can_be_changed() {
        let token = links(1).token(&link(LinkKind::Unsubscribe));
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for i in 0..bytes.len() {
            let mut other = bytes.clone();
            other[i] ^= 1;
            assert_eq!(
                links(1).verify(&URL_SAFE_NO_PAD.encode(other)).unwrap_err().code,
                "link.invalid",
                "byte {i}"
            );
        }
        for len in 0..bytes.len() {
            assert!(links(1).verify(&URL_SAFE_NO_PAD.encode(&bytes[..len])).is_err(), "cut to {len}");
        }
        assert!(links(2).verify(&token).is_err(), "another key");
        for junk in ["", "é", "====", &"A".repeat(TOKEN_LEN_MAX), &"A".repeat(TOKEN_LEN_MAX + 1)] {
            assert!(links(1).verify(junk).is_err());
        }
    }

    #[test]
    fn the_longest_token_is_as_long_as_promised() {
        let purpose = Slug::parse(&"p".repeat(Slug::LEN_MAX)).unwrap();
        let token = links(1).token(&Link { purpose, ..link(LinkKind::View) });
        assert!(token.len() <= TOKEN_LEN_MAX && token.len() + 4 > TOKEN_LEN_MAX);
        assert!(links(1).verify(&token).is_ok());
    }

    #[test]
    fn an_old_key_still_verifies_after_a_new_one_was_put_before_it() {
        let old = Keys::parse(&Keys::line(&[1; 32])).unwrap();
        let both =
            Keys::parse(&format!("# new\n{}\n\n{}\n", Keys::line(&[2; 32]), Keys::line(&[1; 32]))).unwrap();
        let token = Links::new("https://a.example", old).unwrap().token(&link(LinkKind::View));
        let rotated = Links::new("https://a.example", both).unwrap();
        assert!(rotated.verify(&token).is_ok());
        assert_ne!(rotated.token(&link(LinkKind::View)), token);
        for bad in ["", "# none", "short", &"A".repeat(44)] {
            assert_eq!(Keys::parse(bad).unwrap_err().code, "key.invalid", "{bad}");
        }
    }

    #[test]
    fn public_addresses() {
        for good in ["https://a.example", "http://127.0.0.1:8080", "https://a.example/mail/"] {
            assert!(Links::new(good, Keys::new([1; 32])).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "ftp://a.example",
            "https://",
            "https://:1",
            "https://a.example/?x",
            "https://a b",
            "https://u@a",
        ] {
            assert_eq!(Links::new(bad, Keys::new([1; 32])).unwrap_err().code, "url.invalid", "{bad}");
        }
    }
}
