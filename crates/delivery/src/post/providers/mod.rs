//! Calls of mail services: whether they are genuine, and what they say. Pure: bytes, headers and the time are arguments.
//!
//! A signature is checked over the raw body before anything of it is read. What is said is about the message that the
//! call names, by our token or our Message-ID (the call is genuine, so that may be believed), else about the last message
//! to the address.

pub mod brevo;
pub mod mailgun;
pub mod postmark;
pub mod sendgrid;
pub mod ses;

use base64::{Engine, engine::general_purpose::STANDARD};
use model::{Problem, Timestamp, field::parse_email};
use serde_json::Value;
use sha2::{Digest, Sha256};
use storage::post::{About, Report, ReportKind};

use super::{one_line, token};
use crate::{links::Links, mime};

/// A signed call is refused when it is older than this, in microseconds: services repeat what was not answered for hours.
pub const OLD_MAX: i64 = Timestamp::DAY;
/// A signed call is refused when it comes from further in the future than this, in microseconds: clocks differ.
pub const AHEAD_MAX: i64 = 5 * Timestamp::MINUTE;
/// Most events in one call.
pub const EVENTS_MAX: usize = 10_000;

/// What a call came to before anything was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// What it reports.
    pub reports: Vec<Report>,
    /// Events that lead to nothing: opens, clicks, delays.
    pub ignored: usize,
    /// Events that could not be read.
    pub unreadable: usize,
}

/// A call that is not genuine, or not now.
fn forged(what: &str) -> Problem {
    Problem::new("inbound.forged", format!("the call is not genuine: {what}"))
        .cure("check that the key of the configuration is the one that the mail service shows")
}

/// Whether a signed instant is near enough.
///
/// # Errors
/// `inbound.stale`.
pub fn check_time(at: Timestamp, now: Timestamp) -> Result<(), Problem> {
    let age = now.since(at);
    if (-AHEAD_MAX..=OLD_MAX).contains(&age) {
        return Ok(());
    }
    Err(Problem::new("inbound.stale", "the call was signed too long ago, or in the future")
        .value(at)
        .cure("check the clock of this machine; an old call is not heard again"))
}

/// Whether `Authorization` holds a secret: `Bearer SECRET`, or `Basic` with it as the password, or with `user:password`
/// as the whole.
///
/// # Errors
/// `inbound.forged`.
pub fn check_secret(authorization: Option<&str>, secret: &str) -> Result<(), Problem> {
    let (scheme, rest) = authorization.and_then(|value| value.split_once(' ')).unwrap_or_default();
    let given = if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = pair.unwrap_or_default();
        if secret.contains(':') {
            pair
        } else {
            pair.split_once(':').map_or(String::new(), |(_, p)| p.to_owned())
        }
    } else {
        String::new()
    };
    // Hashes are compared, so that the time tells nothing about where they differ.
    let same = Sha256::digest(given.as_bytes()) == Sha256::digest(secret.as_bytes());
    if same && !secret.is_empty() { Ok(()) } else { Err(forged("it does not hold the secret")) }
}

/// A text of an event; empty when it has none.
fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Seconds since 1970, as a number or a text.
fn seconds(value: Option<&Value>) -> Option<Timestamp> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (seconds.is_finite() && seconds.abs() < 1e11).then_some(Timestamp((seconds * 1e6) as i64))
}

/// RFC 3339.
fn instant(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text, &model::Zone::UTC).ok()
}

/// What an event is about: our message, by its Message-ID or token, else the address.
fn about(links: &Links, names: &[&str], address: &str) -> Option<About> {
    let named =
        names.iter().find_map(|name| token::verify(links, name.trim()).or_else(|| mime::of_message_id(name)));
    named.map(About::Message).or_else(|| parse_email(address).ok().map(About::Address))
}

/// The events of a body: a list, or a single one.
fn events(body: &[u8]) -> Result<Vec<Value>, Problem> {
    let parsed = serde_json::from_slice(body).map_err(|error| {
        Problem::new("inbound.body", format!("the body is no JSON: {error}"))
            .cure("is this the address for this mail service?")
    })?;
    let events = match parsed {
        Value::Array(events) => events,
        one => vec![one],
    };
    if events.len() > EVENTS_MAX {
        let message = format!("more than {EVENTS_MAX} events in one call");
        return Err(Problem::new("inbound.too_many", message));
    }
    Ok(events)
}

/// What an event says.
enum Event {
    Report(Report),
    Ignored,
    Unreadable,
}

impl Heard {
    fn add(&mut self, event: Event) {
        match event {
            Event::Report(report) => self.reports.push(report),
            Event::Ignored => self.ignored += 1,
            Event::Unreadable => self.unreadable += 1,
        }
    }
}

/// A report's common parts.
struct Parts<'a> {
    source: &'static str,
    about: Option<About>,
    kind: Option<ReportKind>,
    at: Option<Timestamp>,
    now: Timestamp,
    status: &'a str,
    detail: &'a str,
    once: &'a str,
}

impl Parts<'_> {
    fn event(self) -> Event {
        let Some(kind) = self.kind else { return Event::Ignored };
        let Some(about) = self.about else { return Event::Unreadable };
        // A code, and nothing that could be an address.
        let status: String = self
            .status
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
            .take(40)
            .collect();
        let once: String = self.once.chars().take(200).collect();
        Event::Report(Report {
            about,
            kind,
            at: self.at.unwrap_or(self.now).min(self.now),
            source: self.source.to_owned(),
            status,
            detail: one_line(self.detail),
            once: (!once.is_empty()).then(|| format!("{}:{once}", self.source)),
        })
    }
}

#[cfg(test)]
mod tests;
