//! Webhooks to others: what happens to contacts and messages, told to those who asked for it (see [`storage::hooks`]).
//!
//! A call is a POST as <https://www.standardwebhooks.com> describes it: `webhook-id` is the event's id, the same at every
//! try and for every hook; `webhook-timestamp` the seconds since 1970 of this try; `webhook-signature` holds a `v1,…` for
//! each secret that is in force. At least once and in no promised order: a receiver drops what it has by its id, and
//! orders by `timestamp` where order matters.

pub mod circuit;
mod worker;

pub use worker::{Alert, HookWorker, Store};

use base64::{Engine, engine::general_purpose::STANDARD};
use model::{Contact, Problem, Timestamp};
use serde_json::{Value, json};
use storage::hooks::{HookDelivery, HookSecret};

use crate::webhook::sign;

/// What every secret begins with, as the standard says.
pub const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a secret that we make.
pub const SECRET_LEN: usize = 32;
/// How long the secret before the last goes on signing, in microseconds: time to change it on the other side.
pub const ROTATION: i64 = Timestamp::DAY;
/// Longest address, in bytes.
pub const URL_MAX: usize = 2_000;
/// The kind of a test.
pub const TEST_KIND: &str = "webhook.test";

/// A secret of these bytes, and the text that is shown once.
#[must_use]
pub fn secret(bytes: &[u8; SECRET_LEN]) -> (HookSecret, String) {
    let secret = STANDARD.encode(bytes);
    let text = format!("{SECRET_PREFIX}{secret}");
    (HookSecret { secret, until: None }, text)
}

/// The secrets with a new one before them: the one before signs for [`ROTATION`] more, older ones no longer than they
/// did.
#[must_use]
pub fn rotated(secrets: Vec<HookSecret>, new: HookSecret, now: Timestamp) -> Vec<HookSecret> {
    let end = now.plus(ROTATION);
    let old = secrets.into_iter().filter(|secret| secret.until.is_none_or(|until| until > now));
    let old = old
        .map(|secret| HookSecret { until: Some(secret.until.map_or(end, |until| until.min(end))), ..secret });
    // So that somebody who rotates in a hurry does not make the header grow.
    std::iter::once(new).chain(old).take(4).collect()
}

/// Whether an address can be called at all; that it leads into our own network shows only when it is called.
///
/// # Errors
/// `hooks.url`.
pub fn check_url(url: &str) -> Result<(), Problem> {
    let bad = |why: &str| {
        Problem::new("hooks.url", format!("the address cannot be called: {why}"))
            .field("url")
            .value(url)
            .cure("give an http or https address without user and password, as in https://crm.example/hooks")
    };
    if url.len() > URL_MAX {
        return Err(bad(&format!("it is longer than {URL_MAX} bytes")));
    }
    if crate::fetch::is_callable(url) { Ok(()) } else { Err(bad("it is no http or https URL")) }
}

/// The body of a call.
#[must_use]
pub fn body(delivery: &HookDelivery, contact: Option<&Contact>) -> Vec<u8> {
    let contact = match (delivery.contact, contact) {
        (None, _) => Value::Null,
        // Erased or merged meanwhile: its number alone.
        (Some(id), None) => json!({"id": id}),
        (Some(id), Some(contact)) => {
            json!({"id": id, "external_id": contact.external_id, "email": contact.email})
        }
    };
    let at = delivery.at.to_string();
    json!({
        "type": delivery.kind,
        "timestamp": at,
        "data": {"contact": contact, "properties": delivery.properties},
    })
    .to_string()
    .into_bytes()
}

/// The header `webhook-signature`.
#[must_use]
pub fn signatures(secrets: &[HookSecret], event: &str, now: Timestamp, body: &[u8]) -> String {
    let seconds = now.0.div_euclid(Timestamp::SECOND);
    let valid = secrets.iter().filter(|secret| secret.until.is_none_or(|until| until > now));
    let signed = valid.filter_map(|secret| {
        let bytes = STANDARD.decode(&secret.secret).ok()?;
        Some(format!("v1,{}", sign(&bytes, event, seconds, body)))
    });
    signed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_rotated_and_sign_together_for_a_day() {
        let now = Timestamp(1_780_000_000_000_000);
        let (first, text) = secret(&[1; SECRET_LEN]);
        assert!(text.starts_with("whsec_") && text.len() == 6 + 44);
        let both = rotated(vec![first.clone()], secret(&[2; SECRET_LEN]).0, now);
        let count = |secrets: &[HookSecret], at: Timestamp| {
            let signed = signatures(secrets, "evt_1", at, b"{}");
            signed.split(' ').filter(|one| one.starts_with("v1,")).count()
        };
        assert_eq!(count(&[first], now), 1);
        assert_eq!(count(&both, now), 2);
        assert_eq!(count(&both, now.plus(ROTATION - 1)), 2);
        assert_eq!(count(&both, now.plus(ROTATION)), 1);
        let mut many = both;
        for n in 3..20 {
            many = rotated(many, secret(&[n; SECRET_LEN]).0, now);
        }
        assert_eq!(many.len(), 4);
        assert!(!format!("{many:?}").contains(&many[0].secret), "a secret is never shown");
    }

    #[test]
    fn addresses_at_the_edge() {
        let long = |n: usize| format!("https://a.example/{}", "x".repeat(n - "https://a.example/".len()));
        assert!(check_url(&long(URL_MAX)).is_ok());
        for bad in [
            long(URL_MAX + 1),
            "ftp://a".into(),
            "https://u:p@a".into(),
            "https://a\r\nX: y".into(),
            String::new(),
        ] {
            assert_eq!(check_url(&bad).unwrap_err().code, "hooks.url", "{bad}");
        }
    }
}
