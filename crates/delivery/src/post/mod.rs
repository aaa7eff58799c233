//! What comes back: bounces (RFC 3464 and what servers write instead), complaints (RFC 5965), and the doors through which
//! they come.
//!
//! Anybody can write a mail that looks like a bounce. So a report counts only when it names our message by a token that
//! we signed ([`token`]): in the address it is sent to, or in the header `X-Relance-Message` of the mail that it returns.
//! It is then about the address that this message went to, whatever address the report names.

mod arf;
mod dsn;
mod free;
pub mod imap;
pub mod listener;
pub mod providers;
pub mod status;
pub mod token;

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use model::{MessageId, Timestamp};
use storage::{
    Result,
    post::{About, PostStore, Report, ReportKind, Reported},
};

use crate::links::Links;

/// Largest mail that is read, in bytes: bounces may return the whole mail.
pub const MAIL_MAX: usize = 1024 * 1024;

/// So much of a mail is looked through for addresses, in bytes.
const HEAD_MAX: usize = 64 * 1024;

/// What a mail says of one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub kind: ReportKind,
    /// A code without an address in it, as in `5.1.1`.
    pub status: String,
    /// The other side's words, on one line.
    pub detail: String,
}

/// What a mail came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A report of a message of ours.
    Report {
        /// Which.
        message: MessageId,
        /// How it was told: `dsn`, `arf` or `bounce`.
        source: &'static str,
        /// What.
        notice: Notice,
    },
    /// It says nothing that leads to anything: a delay, an absence note.
    Nothing,
    /// It names no message of ours by a token that we signed.
    Forged,
    /// It is no mail, or too large.
    Unreadable,
}

/// Reads a mail that came in for these recipients.
#[must_use]
pub fn read(mail: &[u8], recipients: &[String], links: &Links) -> Reading {
    if mail.len() > MAIL_MAX {
        return Reading::Unreadable;
    }
    let Some(parsed) = MessageParser::new().parse(mail) else { return Reading::Unreadable };
    let (source, notice) = match what_it_says(&parsed) {
        Some(said) => said,
        None => return Reading::Nothing,
    };
    let Some(notice) = notice else { return Reading::Nothing };
    let message = recipients
        .iter()
        .find_map(|to| token::of_address(links, to))
        .or_else(|| token::find(links, mail))
        // A mailbox keeps the envelope's recipient in a header.
        .or_else(|| token::in_addresses(links, &mail[..mail.len().min(HEAD_MAX)]))
        .or_else(|| in_parts(&parsed, links));
    match message {
        Some(message) => Reading::Report { message, source, notice },
        None => Reading::Forged,
    }
}

/// How it is told, and what, if that leads to anything.
fn what_it_says(mail: &Message<'_>) -> Option<(&'static str, Option<Notice>)> {
    for part in &mail.parts {
        let kind = part.content_type();
        let subtype = kind.filter(|kind| kind.ctype().eq_ignore_ascii_case("message"));
        match subtype.and_then(|kind| kind.subtype()).unwrap_or_default().to_ascii_lowercase().as_str() {
            "delivery-status" | "global-delivery-status" => {
                return Some(("dsn", dsn::read(&String::from_utf8_lossy(part.contents()))));
            }
            "feedback-report" => {
                return Some(("arf", arf::read(&String::from_utf8_lossy(part.contents()))));
            }
            _ => {}
        }
    }
    free::read(mail).map(|notice| ("bounce", Some(notice)))
}

/// A token in a part that was encoded, or in a mail within the mail.
fn in_parts(mail: &Message<'_>, links: &Links) -> Option<MessageId> {
    mail.parts.iter().find_map(|part| match &part.body {
        PartType::Message(inner) => {
            token::find(links, inner.raw_message()).or_else(|| in_parts(inner, links))
        }
        _ => token::find(links, part.contents()),
    })
}

/// What became of a mail that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was recorded, now or before.
    Recorded(Reported),
    /// It led to nothing: see [`Reading`].
    Nothing,
    /// See [`Reading::Forged`].
    Forged,
    /// See [`Reading::Unreadable`].
    Unreadable,
}

/// Reads a mail that came in, and records what it says.
///
/// # Errors
/// What the database says: the mail is to be kept and offered again.
pub async fn take<S: PostStore + Sync>(
    store: &S,
    links: &Links,
    now: Timestamp,
    (mail, recipients): (&[u8], &[String]),
) -> Result<Taken> {
    let (message, source, notice) = match read(mail, recipients, links) {
        Reading::Report { message, source, notice } => (message, source, notice),
        Reading::Nothing => return Ok(Taken::Nothing),
        Reading::Forged => return Ok(Taken::Forged),
        Reading::Unreadable => return Ok(Taken::Unreadable),
    };
    let report = Report {
        about: About::Message(message),
        kind: notice.kind,
        at: now,
        source: source.to_owned(),
        status: notice.status,
        detail: notice.detail,
        once: None,
    };
    let reported = store.report(now, vec![report]).await?;
    Ok(Taken::Recorded(reported.first().copied().unwrap_or(Reported::Unknown)))
}

/// Longest words of the other side, in characters.
const WORDS_MAX: usize = 300;

/// On one line, without control characters, not too long.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(WORDS_MAX).collect()
}

/// Fields of a `message/…` part (RFC 5322 syntax), by blocks that empty lines divide. Names are in lower case, folded
/// lines are joined.
fn blocks(text: &str) -> Vec<Vec<(String, String)>> {
    let mut blocks: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for line in text.lines().take(LINES_MAX) {
        if line.trim().is_empty() {
            if blocks.last().is_some_and(|block| !block.is_empty()) {
                blocks.push(Vec::new());
            }
            continue;
        }
        let Some(block) = blocks.last_mut() else { break };
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = block.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            block.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// So many lines of a report are read.
const LINES_MAX: usize = 2_000;

fn field<'a>(block: &'a [(String, String)], name: &str) -> &'a str {
    block.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

#[cfg(test)]
mod tests;
