//! Signed links in messages: unsubscribe, preferences, view in the browser, opens, clicks. A link says what it is for and
//! is signed, so that nobody can make one for somebody else, nor one that leads elsewhere; it needs no table.
//!
//! A token is base64url of `version (1) | kind (1) | issued day (4) | contact (8) | message (16) | purpose (text) |
//! HMAC-SHA256 over all of it, cut to 16 bytes`. Numbers are big-endian. That of a click has `version (1) | kind (1) |
//! message (16) | length of the name (1) | name | address` before its HMAC: see [`Target`].

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
    /// Confirm a consent (double opt-in). The message is the mail that asks; it names no contact.
    Confirm = 4,
    /// Tell somebody of the message.
    Forward = 5,
    /// The picture that says that a mail was opened.
    Open = 6,
}

impl LinkKind {
    /// All.
    pub const ALL: [Self; 6] =
        [Self::Unsubscribe, Self::Preferences, Self::View, Self::Confirm, Self::Forward, Self::Open];

    /// The path under the public address.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Unsubscribe => "u",
            Self::Preferences => "p",
            Self::View => "v",
            Self::Confirm => "d",
            Self::Forward => "f",
            Self::Open => "o",
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

/// A link of a message that is counted: it leads over the server, which goes nowhere else than the token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// In which message it was.
    pub message: MessageId,
    /// Whether it was in a push; else in a mail.
    pub push: bool,
    /// What it is called: as much as fits into [`Target::NAME_LEN_MAX`] bytes.
    pub name: String,
    /// Where it leads.
    pub url: String,
}

impl Target {
    /// Most bytes of a name in a link.
    pub const NAME_LEN_MAX: usize = 80;
    /// Longest address that is put into a link; a longer one stays as it is, and is not counted.
    pub const URL_LEN_MAX: usize = 1_500;
    /// The path under the public address.
    pub const PATH: &'static str = "c";
    /// The path of links of text messages.
    pub const SHORT_PATH: &'static str = "s";
    const FIXED_LEN: usize = 1 + 1 + 16 + 1;
    const TOKEN_LEN_MAX: usize =
        (Self::FIXED_LEN + Self::NAME_LEN_MAX + Self::URL_LEN_MAX + TAG_LEN).div_ceil(3) * 4;
    /// What stands where other tokens have their [`LinkKind`].
    const KINDS: [u8; 2] = [101, 102];
    /// Characters of the code of a short link: 60 bits.
    pub const SHORT_LEN: usize = 10;
}

/// The beginning of a text that is not longer than so many bytes.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
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
        // All keys are tried, so that the time does not tell which one signed.
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
        self.signed(bytes)
    }

    /// What is said with its signature, as it stands in a link.
    fn signed(&self, mut bytes: Vec<u8>) -> String {
        let tag = self.sign(&bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token says, its signature taken off.
    fn open(&self, token: &str, longest: usize) -> Result<Vec<u8>, Problem> {
        if token.len() > longest {
            return Err(invalid());
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
        let said_len = bytes.len().checked_sub(TAG_LEN).ok_or_else(invalid)?;
        let (said, tag) = bytes.split_at(said_len);
        if !self.verifies(said, tag) || said.first() != Some(&VERSION) {
            return Err(invalid());
        }
        bytes.truncate(said_len);
        Ok(bytes)
    }

    /// Reads a token; in constant time as far as the signature goes. Unsubscribe links never expire: whether an old link
    /// of another kind still counts is the caller's business (`issued_day`).
    ///
    /// # Errors
    /// `link.invalid`, whatever is wrong with it.
    pub fn verify(&self, token: &str) -> Result<Link, Problem> {
        let said = self.open(token, TOKEN_LEN_MAX)?;
        let field = |from: usize, to: usize| said.get(from..to).ok_or_else(invalid);
        let purpose = said.get(FIXED_LEN..).and_then(|bytes| std::str::from_utf8(bytes).ok());
        Ok(Link {
            kind: said.get(1).and_then(|number| LinkKind::from_number(*number)).ok_or_else(invalid)?,
            issued_day: i32::from_be_bytes(field(2, 6)?.try_into().map_err(|_| invalid())?),
            contact: ContactId(i64::from_be_bytes(field(6, 14)?.try_into().map_err(|_| invalid())?)),
            message: MessageId(field(14, 30)?.try_into().map_err(|_| invalid())?),
            purpose: Slug::purpose(purpose.ok_or_else(invalid)?).map_err(|_| invalid())?,
        })
    }

    /// Reads a token that must be of a kind: no link can be used for what another is for.
    ///
    /// # Errors
    /// `link.invalid`.
    pub fn verify_kind(&self, token: &str, kind: LinkKind) -> Result<Link, Problem> {
        self.verify(token).and_then(|link| if link.kind == kind { Ok(link) } else { Err(invalid()) })
    }

    /// The address that counts a click and goes on to a target; none for a target that is not counted: no web address, one
    /// of our own, one that is too long.
    #[must_use]
    pub fn target_url(&self, target: &Target) -> Option<String> {
        if self.is_own(&target.url)
            || !template::link::is_web_link(&target.url)
            || target.url.len() > Target::URL_LEN_MAX
        {
            return None;
        }
        let name = beginning(&target.name, Target::NAME_LEN_MAX);
        let mut bytes = Vec::with_capacity(Target::FIXED_LEN + name.len() + target.url.len() + TAG_LEN);
        bytes.push(VERSION);
        bytes.push(Target::KINDS[usize::from(target.push)]);
        bytes.extend_from_slice(&target.message.0);
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(target.url.as_bytes());
        Some(format!("{}/{}/{}", self.base, Target::PATH, self.signed(bytes)))
    }

    /// Whether an address is under our public address.
    #[must_use]
    pub fn is_own(&self, url: &str) -> bool {
        url.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Reads the token of a click.
    ///
    /// # Errors
    /// `link.invalid`, whatever is wrong with it.
    pub fn verify_target(&self, token: &str) -> Result<Target, Problem> {
        let said = self.open(token, Target::TOKEN_LEN_MAX)?;
        let kind = said.get(1).and_then(|kind| Target::KINDS.iter().position(|known| known == kind));
        let message = said.get(2..18).and_then(|bytes| bytes.try_into().ok());
        let rest = said.get(Target::FIXED_LEN..).ok_or_else(invalid)?;
        let (name, url) = rest.split_at_checked(usize::from(said[18])).ok_or_else(invalid)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| invalid());
        let url = text(url)?;
        if !template::link::is_web_link(&url) {
            return Err(invalid());
        }
        Ok(Target {
            message: MessageId(message.ok_or_else(invalid)?),
            push: kind.ok_or_else(invalid)? == 1,
            name: text(name)?,
            url,
        })
    }

    /// The code of a link of a text message: always the same one, so that a repeat writes the same message.
    #[must_use]
    pub fn short_code(&self, message: MessageId, link: u32) -> String {
        let mut mac = mac(&self.keys.0[0]);
        mac.update(b"short link\0");
        mac.update(&message.0);
        mac.update(&link.to_be_bytes());
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..8])[..Target::SHORT_LEN].to_owned()
    }

    /// The address of a short link.
    #[must_use]
    pub fn short_url(&self, code: &str) -> String {
        format!("{}/{}/{code}", self.base, Target::SHORT_PATH)
    }

    /// A text that stands for another and does not say which: with the same key always the same one.
    #[must_use]
    pub fn pseudonym(&self, text: &str) -> String {
        let mut mac = mac(&self.keys.0[0]);
        mac.update(b"pseudonym\0");
        mac.update(text.as_bytes());
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..12])
    }

    /// The signature of an address of our own that says what it opens, and until when.
    #[must_use]
    pub fn sign_address(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(&address_mac(&self.keys.0[0], text).finalize().into_bytes()[..TAG_LEN])
    }

    /// Whether a signature is of this text; in constant time.
    #[must_use]
    pub fn is_signed(&self, text: &str, signature: &str) -> bool {
        let Ok(tag) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        let mut good = false;
        // All keys are tried, so that the time does not tell which one signed.
        for key in &self.keys.0 {
            good |= address_mac(key, text).verify_truncated_left(&tag).is_ok();
        }
        // A shorter tag is a beginning of the right one, and guessed the sooner.
        good && tag.len() == TAG_LEN
    }

    /// The public address of a path that begins with `/`.
    #[must_use]
    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn address_mac(key: &[u8; Keys::LEN], text: &str) -> Hmac<Sha256> {
    let mut mac = mac(key);
    mac.update(b"address\0");
    mac.update(text.as_bytes());
    mac
}

fn invalid() -> Problem {
    Problem::new("link.invalid", "this link is not valid")
        .cure("open the link again from the message, without changing it")
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
    /// The page on which a friend is told of it.
    pub forward: String,
    /// The picture that says that it was opened.
    pub open: String,
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
            forward: url(LinkKind::Forward),
            // Some programs load only what looks like a picture.
            open: format!("{}.gif", url(LinkKind::Open)),
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
            for other in LinkKind::ALL {
                assert_eq!(
                    links(1).verify_kind(token, other).is_ok(),
                    other == kind,
                    "{kind:?} as {other:?}"
                );
            }
            assert!(links(1).verify_target(token).is_err(), "{kind:?} as a click");
        }
        let topic = Link { purpose: Slug::purpose("newsletter/sales").unwrap(), ..link(LinkKind::View) };
        assert_eq!(links(1).verify(&links(1).token(&topic)).unwrap(), topic);
    }

    fn target(url: &str) -> Target {
        Target {
            message: MessageId([7; 16]), push: false, name: "Shop – été".into(), url: url.to_owned()
        }
    }

    fn click(target: &Target) -> Option<String> {
        let url = links(1).target_url(target)?;
        Some(url.strip_prefix("https://mail.shop.example/c/").unwrap().to_owned())
    }

    #[test]
    fn a_click_goes_where_its_token_says_and_nowhere_else() {
        let push = Target { push: true, ..target("https://shop.example/?a=b#c") };
        for one in [target("https://shop.example/?a=b#c"), push] {
            let token = click(&one).unwrap();
            assert_eq!(links(1).verify_target(&token).unwrap(), one);
            assert!(links(1).verify(&token).is_err(), "a click as a link");
            let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            for i in 0..bytes.len() {
                let mut other = bytes.clone();
                other[i] ^= 1;
                assert!(links(1).verify_target(&URL_SAFE_NO_PAD.encode(other)).is_err(), "byte {i}");
            }
            for len in 0..bytes.len() {
                assert!(
                    links(1).verify_target(&URL_SAFE_NO_PAD.encode(&bytes[..len])).is_err(),
                    "cut to {len}"
                );
            }
            assert!(links(2).verify_target(&token).is_err(), "another key");
        }
        for url in ["javascript:alert(1)", "mailto:a@b.example", "//evil.example", "/x", ""] {
            assert_eq!(click(&target(url)), None, "{url}");
        }
        assert_eq!(click(&target("https://mail.shop.example/u/x")), None, "our own links are not counted");
        assert!(click(&target("https://mail.shop.example.evil.example/")).is_some());
        let long = |n: usize| format!("https://shop.example/{}", "a".repeat(n - 21));
        let most = click(&target(&long(Target::URL_LEN_MAX))).unwrap();
        assert!(links(1).verify_target(&most).is_ok());
        assert_eq!(click(&target(&long(Target::URL_LEN_MAX + 1))), None);
        let name = Target { name: "é".repeat(100), ..target("https://shop.example") };
        assert_eq!(links(1).verify_target(&click(&name).unwrap()).unwrap().name, "é".repeat(40));
    }

    #[test]
    fn short_codes_and_pseudonyms_depend_on_the_key() {
        let code = links(1).short_code(MessageId([7; 16]), 0);
        assert_eq!(code.len(), Target::SHORT_LEN);
        assert_eq!(links(1).short_code(MessageId([7; 16]), 0), code);
        assert_ne!(links(1).short_code(MessageId([7; 16]), 1), code);
        assert_ne!(links(2).short_code(MessageId([7; 16]), 0), code);
        assert_ne!(links(1).pseudonym("192.0.2.1"), links(2).pseudonym("192.0.2.1"));
        assert_eq!(links(1).pseudonym("192.0.2.1"), links(1).pseudonym("192.0.2.1"));
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
