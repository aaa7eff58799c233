//! A rendered message as the bytes that travel: RFC 5322 headers, multipart/alternative with text and HTML.
//!
//! The same message gives the same bytes at every retry, but for its date. No value can open a header of its own:
//! control characters are taken out of names and subjects, and addresses that hold any are refused.

use std::borrow::Cow;

use mail_builder::{
    MessageBuilder,
    headers::{
        HeaderType,
        address::{Address, EmailAddress},
        content_type::ContentType,
        date::Date,
        raw::Raw,
        url::URL,
    },
    mime::{BodyPart, MimePart},
};
use model::{Problem, Timestamp};
use sha2::{Digest, Sha256};
use storage::outbox::MessageId;

use crate::{mailbox::Mailbox, post::token};

/// The longest subject that is written, in characters; the rest is cut.
pub const SUBJECT_LEN_MAX: usize = 500;

/// What is written into a mail beside its headers.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// One line.
    pub subject: &'a str,
    /// The page.
    pub html: &'a str,
    /// The same for those who read plain text.
    pub text: &'a str,
}

/// Where one may take back the consent.
#[derive(Clone, Copy, Debug)]
pub struct Unsubscribe<'a> {
    /// The signed address; one-click (RFC 8058) when it is https.
    pub url: &'a str,
    /// A mailbox that takes requests too, if the shop reads one.
    pub mailto: Option<&'a str>,
}

/// Who writes to whom.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// Who writes.
    pub from: &'a Mailbox,
    /// Where answers go, if not to who writes.
    pub reply_to: Option<&'a Mailbox>,
    /// The contact's name; may be empty.
    pub to_name: &'a str,
    /// The contact's address.
    pub to: &'a str,
    /// The message.
    pub id: MessageId,
    /// When it was decided: part of the Message-ID, so that a retry has the same.
    pub decided_at: Timestamp,
    /// When it leaves.
    pub date: Timestamp,
    /// The way out; none for transactional messages.
    pub unsubscribe: Option<Unsubscribe<'a>>,
    /// Journey and node: what complaints are counted by (Feedback-ID).
    pub campaign: &'a str,
    /// Whether the message belongs to a transaction (it then says that a program wrote it).
    pub transactional: bool,
    /// Names the message to those who send something back: see [`crate::post::token`]. Empty for what is no message to a
    /// contact.
    pub token: &'a str,
}

/// The Message-ID without its brackets: the message's id, the instant of its decision (two bases never share it) and
/// the sender's domain.
#[must_use]
pub fn message_id(id: MessageId, decided_at: Timestamp, domain: &str) -> String {
    format!("{id}.{:x}@{domain}", decided_at.0)
}

/// The message of a Message-ID that we made, with or without brackets; none for any other.
#[must_use]
pub fn of_message_id(text: &str) -> Option<MessageId> {
    let text = text.trim().trim_start_matches('<');
    let (id, rest) = text.split_once('.')?;
    rest.contains('@').then(|| MessageId::parse(id)).flatten()
}

/// Builds the mail.
///
/// # Errors
/// `mime.address` when an address holds what no header may hold.
pub fn build(content: &Content<'_>, envelope: &Envelope<'_>) -> Result<Vec<u8>, Problem> {
    for address in [envelope.to, &envelope.from.address] {
        check_address(address)?;
    }
    let message_id = message_id(envelope.id, envelope.decided_at, envelope.from.domain());
    let boundary = boundary(&message_id, envelope.to);
    let subject: String = one_line(content.subject).chars().take(SUBJECT_LEN_MAX).collect();
    let mut mail = MessageBuilder::new()
        .from(address(&envelope.from.name, &envelope.from.address))
        .to(address(envelope.to_name, envelope.to))
        .subject(subject)
        .date(Date::new(envelope.date.0.div_euclid(Timestamp::SECOND)))
        .message_id(message_id);
    if !envelope.token.is_empty() {
        mail = mail.header(token::HEADER, Raw::new(one_line(envelope.token)));
    }
    if let Some(reply_to) = envelope.reply_to {
        check_address(&reply_to.address)?;
        mail = mail.reply_to(address(&reply_to.name, &reply_to.address));
    }
    if let Some(unsubscribe) = envelope.unsubscribe {
        let mailto = unsubscribe.mailto.map(|mailbox| format!("mailto:{mailbox}?subject=unsubscribe"));
        let targets = std::iter::once(unsubscribe.url.to_owned()).chain(mailto);
        mail = mail.header("List-Unsubscribe", HeaderType::URL(URL::new_list(targets)));
        if unsubscribe.url.starts_with("https://") {
            mail = mail.header("List-Unsubscribe-Post", Raw::new("List-Unsubscribe=One-Click"));
        }
    }
    if envelope.transactional {
        mail = mail.header("Auto-Submitted", Raw::new("auto-generated"));
    } else {
        mail = mail.header("Feedback-ID", Raw::new(feedback_id(envelope.campaign, envelope.from.domain())));
    }
    // The boundary is ours, so that the bytes do not depend on the hour.
    let parts = vec![
        MimePart::new("text/plain", BodyPart::Text(content.text.into())),
        MimePart::new("text/html", BodyPart::Text(content.html.into())),
    ];
    let alternative = ContentType::new("multipart/alternative").attribute("boundary", boundary);
    mail.body(MimePart::new(alternative, parts))
        .write_to_vec()
        .map_err(|error| Problem::new("mime.failed", format!("the mail cannot be built: {error}")))
}

fn address<'a>(name: &'a str, address: &'a str) -> Address<'a> {
    let name = one_line(name);
    let name = name.trim();
    Address::Address(EmailAddress {
        name: (!name.is_empty()).then(|| Cow::Owned(name.chars().take(Mailbox::NAME_LEN_MAX).collect())),
        email: address.into(),
    })
}

/// An address is written as it is, so it must be one: no blanks, control characters, brackets or commas.
fn check_address(address: &str) -> Result<(), Problem> {
    model::field::parse_email(address).map(drop).map_err(|_| {
        Problem::new("mime.address", "the address cannot be written into a mail header")
            .value(address)
            .cure("correct the contact's address")
    })
}

/// Without control characters: each becomes a blank.
fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Nobody who writes a product's name can foresee it, so no content can end a part.
fn boundary(message_id: &str, to: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(message_id.as_bytes());
    hash.update(b"\0");
    hash.update(to.as_bytes());
    let hash = hash.finalize();
    let mut boundary = String::with_capacity(34);
    boundary.push_str("=_");
    for byte in &hash[..16] {
        boundary.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        boundary.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    boundary
}

/// `campaign:::sender`, as Gmail reads it: at most four fields, the last one the same for all mails of a sender.
fn feedback_id(campaign: &str, domain: &str) -> String {
    let safe = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_./".contains(*c)).take(64).collect()
    };
    format!("{}:::{}", safe(campaign), safe(domain))
}

/// A page for looking at a text message or a push.
pub(crate) fn short_page(title: &str, text: &str, url: &str, push: bool) -> String {
    let escaped = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', "&quot;").replace('\n', "<br>")
    };
    let heading = if push { format!("<b>{}</b><br>", escaped(title)) } else { String::new() };
    let link = if url.is_empty() { String::new() } else { format!("<p><small>{}</small></p>", escaped(url)) };
    format!(
        "<!doctype html><meta charset=\"utf-8\"><body style=\"font-family:sans-serif;background:#f2f2f2;padding:24px\">\
         <div style=\"max-width:320px;background:#fff;border-radius:16px;padding:16px\">{heading}{}{link}</div>",
        escaped(text)
    )
}

#[cfg(test)]
mod tests {
    use mail_parser::{HeaderValue, MessageParser, MimeHeaders};

    use super::*;

    fn from() -> Mailbox {
        Mailbox::parse("L'Été, boutique <news@shop.example>").unwrap()
    }

    fn envelope(from: &Mailbox) -> Envelope<'_> {
        Envelope {
            from,
            reply_to: None,
            to_name: "Zoë Ångström",
            to: "zoe@example.test",
            id: MessageId::derive(1, 2, 1, "mail", 1),
            decided_at: Timestamp(1_763_800_000_000_000),
            date: Timestamp(1_763_800_100_000_000),
            unsubscribe: Some(Unsubscribe { url: "https://mail.shop.example/u/abc", mailto: None }),
            campaign: "rfm-recommendations/mail_up",
            transactional: false,
            token: "0123456789abcdef0123456789abcdef0123456789abcdef",
        }
    }

    const CONTENT: Content<'_> = Content {
        subject: "Été à -20 % 🎁",
        html: "<p>Bonjour Zoë, c'est l'été — £3.95</p>\n",
        text: "Bonjour Zoë,\nc'est l'été\n.\nÀ bientôt\n",
    };

    #[test]
    fn reads_back_as_it_was_written() {
        let from = from();
        let bytes = build(&CONTENT, &envelope(&from)).unwrap();
        let mail = MessageParser::new().parse(&bytes).unwrap();
        assert_eq!(mail.subject(), Some(CONTENT.subject));
        let sender = mail.from().unwrap().first().unwrap();
        assert_eq!((sender.name(), sender.address()), (Some("L'Été, boutique"), Some("news@shop.example")));
        let to = mail.to().unwrap().first().unwrap();
        assert_eq!((to.name(), to.address()), (Some("Zoë Ångström"), Some("zoe@example.test")));
        assert_eq!(mail.date().unwrap().to_rfc3339(), "2025-11-22T08:28:20Z");
        assert_eq!(mail.body_html(0).unwrap().replace("\r\n", "\n"), CONTENT.html);
        assert_eq!(mail.body_text(0).unwrap().replace("\r\n", "\n"), CONTENT.text);
        assert!(mail.content_type().unwrap().subtype().unwrap() == "alternative");
        let raw = String::from_utf8(bytes.clone()).unwrap();
        assert!(raw.contains("List-Unsubscribe: <https://mail.shop.example/u/abc>\r\n"), "{raw}");
        assert!(raw.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
        assert!(raw.contains("Feedback-ID: rfm-recommendations/mail_up:::shop.example\r\n"));
        assert!(!raw.contains("Auto-Submitted"));
        assert!(
            raw.contains("X-Relance-Message: 0123456789abcdef0123456789abcdef0123456789abcdef\r\n"),
            "{raw}"
        );
        assert!(raw.contains("MIME-Version: 1.0\r\n"));
        assert_eq!(of_message_id(mail.message_id().unwrap()), Some(MessageId::derive(1, 2, 1, "mail", 1)));
    }

    #[test]
    fn a_retry_has_the_same_bytes_but_for_its_date() {
        let from = from();
        let first = build(&CONTENT, &envelope(&from)).unwrap();
        assert_eq!(first, build(&CONTENT, &envelope(&from)).unwrap());
        let later = Envelope { date: Timestamp(1_763_900_000_000_000), ..envelope(&from) };
        let strip = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.lines().filter(|line| !line.starts_with("Date:")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(strip(&first), strip(&build(&CONTENT, &later).unwrap()));
    }

    #[test]
    fn no_value_opens_a_header_or_a_part() {
        let evil = "x\r\nBcc: victim@example.test\r\n\r\n<h1>hi</h1>";
        let from = Mailbox { name: evil.into(), address: "news@shop.example".into() };
        let envelope = Envelope { to_name: evil, campaign: evil, ..envelope(&from) };
        let bytes = build(&Content { subject: evil, ..CONTENT }, &envelope).unwrap();
        let mail = MessageParser::new().parse(&bytes).unwrap();
        assert!(mail.bcc().is_none());
        assert!(
            mail.headers().iter().all(|header| !matches!(header.value(), HeaderValue::Empty)),
            "no stray header"
        );
        assert_eq!(mail.parts.len(), 3);
        assert!(mail.subject().unwrap().contains("Bcc: victim@example.test"), "kept as text");
        for bad in ["a@b.example\r\nBcc: v@x.example", "a@b.example>, <v@x.example", "a b@c.example", ""] {
            let problem = build(&CONTENT, &Envelope { to: bad, ..envelope }).unwrap_err();
            assert_eq!(problem.code, "mime.address", "{bad}");
        }
    }

    #[test]
    fn a_transactional_mail_says_that_a_program_wrote_it_and_has_no_list_headers() {
        let from = from();
        let bytes =
            build(&CONTENT, &Envelope { unsubscribe: None, transactional: true, ..envelope(&from) }).unwrap();
        let raw = String::from_utf8(bytes).unwrap();
        assert!(raw.contains("Auto-Submitted: auto-generated\r\n"));
        assert!(!raw.contains("List-Unsubscribe") && !raw.contains("Feedback-ID"));
    }

    #[test]
    fn http_links_and_mailboxes_are_listed_but_not_promised_as_one_click() {
        let from = from();
        let unsubscribe =
            Unsubscribe { url: "http://127.0.0.1:8080/u/abc", mailto: Some("stop@shop.example") };
        let bytes = build(&CONTENT, &Envelope { unsubscribe: Some(unsubscribe), ..envelope(&from) }).unwrap();
        let raw = String::from_utf8(bytes).unwrap().replace("\r\n ", " ");
        assert!(
            raw.contains("<http://127.0.0.1:8080/u/abc>, <mailto:stop@shop.example?subject=unsubscribe>"),
            "{raw}"
        );
        assert!(!raw.contains("One-Click"));
    }

    #[test]
    fn lines_are_short_whatever_the_content() {
        let from = from();
        let long = "mot ".repeat(5_000);
        let html = format!("<p>{long}é</p>{}", "x".repeat(5_000));
        let token = format!("https://mail.shop.example/u/{}", "a".repeat(200));
        let envelope =
            Envelope { unsubscribe: Some(Unsubscribe { url: &token, mailto: None }), ..envelope(&from) };
        let bytes = build(&Content { subject: &long, html: &html, text: &long }, &envelope).unwrap();
        let raw = String::from_utf8(bytes.clone()).unwrap();
        assert!(raw.is_ascii());
        for line in raw.split("\r\n") {
            assert!(line.len() <= 998 && !line.contains(['\r', '\n']), "{} {line}", line.len());
        }
        let mail = MessageParser::new().parse(&bytes).unwrap();
        assert_eq!(mail.subject().unwrap().chars().count(), SUBJECT_LEN_MAX);
        assert_eq!(mail.body_html(0).unwrap(), html);
        assert!(raw.contains(&token), "an address is never folded");
    }
}
