//! Postmark: one event; it signs nothing, so the call must hold a secret (basic authorization in the address that is
//! given to Postmark).

use model::{Problem, Timestamp};
use serde_json::Value;
use storage::post::ReportKind;

use super::{Event, Heard, Parts, about, events, instant, text};
use crate::links::Links;

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

/// What a type of bounce means.
fn bounce(name: &str) -> Option<ReportKind> {
    match name {
        "HardBounce" | "BadEmailAddress" => Some(ReportKind::Hard),
        "SpamComplaint" => Some(ReportKind::Complaint),
        "Unsubscribe" => Some(ReportKind::Unsubscribed),
        "AutoResponder"
        | "ChallengeVerification"
        | "Subscribe"
        | "AddressChange"
        | "OpenRelayTest"
        | "TemplateRenderingFailed"
        | "InboundError" => None,
        _ => Some(ReportKind::Soft),
    }
}

fn one(links: &Links, event: &Value, now: Timestamp) -> Event {
    let record = text(event, "RecordType");
    let (kind, at) = match record {
        "Delivery" => (Some(ReportKind::Delivered), text(event, "DeliveredAt")),
        "Bounce" => (bounce(text(event, "Type")), text(event, "BouncedAt")),
        "SpamComplaint" => (Some(ReportKind::Complaint), text(event, "BouncedAt")),
        "SubscriptionChange" => {
            let off = event.get("SuppressSending").and_then(Value::as_bool).unwrap_or_default();
            let kind = match (off, text(event, "SuppressionReason")) {
                (false, _) => None,
                (true, "HardBounce") => Some(ReportKind::Hard),
                (true, "SpamComplaint") => Some(ReportKind::Complaint),
                (true, _) => Some(ReportKind::Unsubscribed),
            };
            (kind, text(event, "ChangedAt"))
        }
        "" => return Event::Unreadable,
        _ => return Event::Ignored,
    };
    let own = event.pointer("/Metadata/relance_message").and_then(Value::as_str).unwrap_or_default();
    let address = [text(event, "Email"), text(event, "Recipient")];
    let id = match event.get("ID").and_then(Value::as_i64) {
        Some(id) => id.to_string(),
        None => format!("{}:{at}", text(event, "MessageID")),
    };
    Parts {
        source: "postmark",
        about: about(links, &[own], address.into_iter().find(|one| !one.is_empty()).unwrap_or_default()),
        kind,
        at: instant(at),
        now,
        status: text(event, "Type"),
        detail: text(event, "Details"),
        once: &format!("{record}:{id}"),
    }
    .event()
}
