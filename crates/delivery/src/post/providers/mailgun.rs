//! Mailgun: one event, with an HMAC-SHA256 over instant and token. It does not cover the event itself, so the line must be
//! TLS; each token is heard once.

use hmac::{Hmac, KeyInit, Mac};
use model::{Problem, Timestamp};
use serde_json::Value;
use sha2::Sha256;
use storage::post::ReportKind;

use super::{Event, Heard, Parts, about, check_time, events, forged, seconds, text};
use crate::{links::Links, post::status};

/// Whether a call is genuine, and what it says.
///
/// # Errors
/// `inbound.body`, `inbound.forged`, `inbound.stale`.
pub fn read(key: &str, links: &Links, body: &[u8], now: Timestamp) -> Result<Heard, Problem> {
    let mut heard = Heard::default();
    let call = events(body)?.into_iter().next().unwrap_or_default();
    let signature = call.get("signature").ok_or_else(|| forged("it is not signed"))?;
    let token = text(signature, "token");
    // The instant is a text or a number, and is signed as it is written.
    let at = match signature.get("timestamp") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(forged("it is not signed")),
    };
    if token.is_empty() || !verifies(key, &format!("{at}{token}"), text(signature, "signature")) {
        return Err(forged("the signature does not fit"));
    }
    check_time(seconds(Some(&Value::from(at))).ok_or_else(|| forged("the instant is none"))?, now)?;
    heard.add(match call.get("event-data") {
        Some(event) => one(links, event, token, now),
        None => Event::Unreadable,
    });
    Ok(heard)
}

fn verifies(key: &str, said: &str, signature: &str) -> bool {
    let digits = signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes: Option<Vec<u8>> = digits
        .then(|| (0..64).step_by(2).map(|at| u8::from_str_radix(&signature[at..at + 2], 16).ok()).collect())
        .flatten();
    let (Some(bytes), Ok(mut mac)) = (bytes, Hmac::<Sha256>::new_from_slice(key.as_bytes())) else {
        return false;
    };
    mac.update(said.as_bytes());
    !key.is_empty() && mac.verify_slice(&bytes).is_ok()
}

fn one(links: &Links, event: &Value, token: &str, now: Timestamp) -> Event {
    let said = event.get("delivery-status").unwrap_or(&Value::Null);
    let words = format!("{} {}", text(said, "message"), text(said, "description"));
    let code = text(said, "enhanced-code");
    let kind = match (text(event, "event"), text(event, "severity"), text(event, "reason")) {
        ("delivered", ..) => Some(ReportKind::Delivered),
        ("failed", _, "suppress-bounce") => Some(ReportKind::Hard),
        ("failed", _, "suppress-complaint") => Some(ReportKind::Complaint),
        ("failed", _, "suppress-unsubscribe") => Some(ReportKind::Unsubscribed),
        ("failed", "permanent", _) => Some(status::kind(code, &words)),
        ("complained", ..) => Some(ReportKind::Complaint),
        ("unsubscribed", ..) => Some(ReportKind::Unsubscribed),
        ("", ..) => return Event::Unreadable,
        // "Failed" for a while: it is tried again.
        _ => None,
    };
    let id = event.pointer("/message/headers/message-id").and_then(Value::as_str).unwrap_or_default();
    let own = event.pointer("/user-variables/relance_message").and_then(Value::as_str).unwrap_or_default();
    Parts {
        source: "mailgun",
        about: about(links, &[own, id], text(event, "recipient")),
        kind,
        at: seconds(event.get("timestamp")),
        now,
        status: if code.is_empty() { text(event, "reason") } else { code },
        detail: &words,
        once: token,
    }
    .event()
}
