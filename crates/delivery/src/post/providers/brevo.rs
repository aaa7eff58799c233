//! Brevo: one event or a list; it signs nothing, so the call must hold a secret (`Authorization: Bearer SECRET`, set as
//! the webhook's authentication).

use model::{Problem, Timestamp};
use serde_json::Value;
use storage::post::ReportKind;

use super::{Event, Heard, Parts, about, events, seconds, text};
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

fn one(links: &Links, event: &Value, now: Timestamp) -> Event {
    let name = text(event, "event");
    let kind = match name {
        "delivered" => Some(ReportKind::Delivered),
        "soft_bounce" | "blocked" => Some(ReportKind::Soft),
        "hard_bounce" | "invalid_email" => Some(ReportKind::Hard),
        "spam" | "complaint" => Some(ReportKind::Complaint),
        "unsubscribed" => Some(ReportKind::Unsubscribed),
        "" => return Event::Unreadable,
        _ => None,
    };
    let id = text(event, "message-id");
    let at = seconds(event.get("ts_event")).or_else(|| seconds(event.get("ts")));
    // Its `id` is that of the webhook: the event is known by message, kind and instant.
    let once = format!("{name}:{id}:{}:{}", text(event, "email"), at.unwrap_or_default().0);
    Parts {
        source: "brevo",
        about: about(links, &[text(event, "X-Mailin-custom"), id], text(event, "email")),
        kind,
        at,
        now,
        status: name,
        detail: text(event, "reason"),
        once: &once,
    }
    .event()
}
