//! SendGrid: a list of events, signed with ECDSA over P-256 (headers `X-Twilio-Email-Event-Webhook-Signature` and
//! `…-Timestamp`).

use base64::{Engine, engine::general_purpose::STANDARD};
use model::{Problem, Timestamp};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::Value;
use storage::post::ReportKind;

use super::{Event, Heard, Parts, about, check_time, events, forged, seconds, text};
use crate::{links::Links, post::status};

/// The header of the signature.
pub const SIGNATURE: &str = "x-twilio-email-event-webhook-signature";
/// The header of the instant that is signed with the body.
pub const TIMESTAMP: &str = "x-twilio-email-event-webhook-timestamp";

/// Bytes of a point of P-256, uncompressed.
const POINT: usize = 65;
/// Bytes of a SubjectPublicKeyInfo around one.
const INFO: usize = 91;

/// The key that SendGrid shows: base64 of a SubjectPublicKeyInfo.
///
/// # Errors
/// `inbound.key`.
pub fn key(shown: &str) -> Result<Vec<u8>, Problem> {
    let bytes = STANDARD.decode(shown.trim()).unwrap_or_default();
    let point = bytes.len().checked_sub(POINT).map(|from| &bytes[from..]);
    match point {
        Some(point) if bytes.len() == INFO && point[0] == 4 => Ok(point.to_vec()),
        _ => Err(Problem::new("inbound.key", "this is no verification key of SendGrid")
            .cure("copy it from Settings, Mail Settings, Event Webhook")),
    }
}

/// Whether a call is genuine.
///
/// # Errors
/// `inbound.forged`, `inbound.stale`.
pub fn verify(
    key: &[u8],
    (signature, signed_at): (Option<&str>, Option<&str>),
    body: &[u8],
    now: Timestamp,
) -> Result<(), Problem> {
    let (Some(signature), Some(signed_at)) = (signature, signed_at) else {
        return Err(forged("it is not signed"));
    };
    let signature = STANDARD.decode(signature.trim()).map_err(|_| forged("the signature is no base64"))?;
    let message = [signed_at.as_bytes(), body].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(&message, &signature)
        .map_err(|_| forged("the signature does not fit"))?;
    let at = seconds(Some(&Value::from(signed_at))).ok_or_else(|| forged("the instant is none"))?;
    check_time(at, now)
}

/// What a call says.
///
/// # Errors
/// `inbound.body`, `inbound.too_many`.
pub fn read(links: &Links, body: &[u8], now: Timestamp) -> Result<Heard, Problem> {
    let mut heard = Heard::default();
    for event in events(body)? {
        heard.add(one(links, &event, now));
    }
    Ok(heard)
}

fn one(links: &Links, event: &Value, now: Timestamp) -> Event {
    let (code, words) = (text(event, "status"), text(event, "reason"));
    let kind = match text(event, "event") {
        "delivered" => Some(ReportKind::Delivered),
        "bounce" if text(event, "type") == "blocked" => Some(ReportKind::Soft),
        "bounce" if code.is_empty() && status::enhanced(words).is_none() => Some(ReportKind::Hard),
        "bounce" => Some(status::kind(code, words)),
        "dropped" => match words {
            "Bounced Address" | "Invalid" => Some(ReportKind::Hard),
            "Spam Reporting Address" => Some(ReportKind::Complaint),
            "Unsubscribed Address" => Some(ReportKind::Unsubscribed),
            _ => None,
        },
        "spamreport" => Some(ReportKind::Complaint),
        "unsubscribe" | "group_unsubscribe" => Some(ReportKind::Unsubscribed),
        "" => return Event::Unreadable,
        _ => None,
    };
    Parts {
        source: "sendgrid",
        about: about(links, &[text(event, "relance_message"), text(event, "smtp-id")], text(event, "email")),
        kind,
        at: seconds(event.get("timestamp")),
        now,
        status: code,
        detail: words,
        once: text(event, "sg_event_id"),
    }
    .event()
}
