//! Calls of somebody's server that a journey makes: a POST of a JSON body, signed. The journey's file names the URL, so it
//! is called as [`crate::fetch`] does.
//!
//! Signature (as of <https://www.standardwebhooks.com>): `webhook-id` is the message's id (the same when it is repeated),
//! `webhook-timestamp` the seconds since 1970, `webhook-signature` is `v1,` and the base64 of an HMAC-SHA256 over
//! `id.timestamp.body`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use model::{Clock, Problem, Timestamp};
use sha2::Sha256;

pub use crate::fetch::{TIME_MAX, is_public};
use crate::{
    fetch::{Call, Fetcher, Reply, Trouble},
    transport::{Answer, Lane, Mail},
};

/// The workspace's setting about webhooks.
pub const SETTING: &str = "webhooks";
/// Largest part of an answer that is read, in bytes.
pub const ANSWER_MAX: usize = 16 * 1024;

/// How webhooks are called.
#[derive(Clone)]
pub struct Webhooks {
    secrets: Arc<BTreeMap<String, Vec<u8>>>,
    machine: Arc<dyn Clock>,
    fetcher: Fetcher,
}

impl Webhooks {
    /// With the setting `webhooks`: `{"secrets": {"crm": "…"}, "allow_private": false}`. Secrets that begin with `whsec_`
    /// are base64 behind it, others are taken as they are. `machine` tells the time of signatures.
    ///
    /// # Errors
    /// `webhook.setting`, `webhook.secret`, `fetch.tls`.
    pub fn new(setting: Option<&serde_json::Value>, machine: Arc<dyn Clock>) -> Result<Self, Problem> {
        let wrong = |message: &str| {
            Problem::new("webhook.setting", message.to_owned())
                .field(SETTING)
                .cure("write it as in {\"secrets\": {\"crm\": \"…\"}}")
        };
        let mut secrets = BTreeMap::new();
        let mut allow_private = false;
        if let Some(setting) = setting.filter(|setting| !setting.is_null()) {
            for (key, value) in setting.as_object().ok_or_else(|| wrong("expected a mapping"))? {
                match (key.as_str(), value) {
                    ("allow_private", serde_json::Value::Bool(allowed)) => allow_private = *allowed,
                    ("secrets", serde_json::Value::Object(named)) => {
                        for (name, secret) in named {
                            secrets.insert(name.clone(), secret_of(name, secret)?);
                        }
                    }
                    _ => return Err(wrong(&format!("`{key}` is not known here, or not of this type"))),
                }
            }
        }
        let fetcher = Fetcher::new(None)?.allowing_private(allow_private);
        Ok(Self { secrets: Arc::new(secrets), machine, fetcher })
    }

    /// What calls, as the setting says it: for others who call servers that users name.
    #[must_use]
    pub fn fetcher(&self) -> Fetcher {
        self.fetcher.clone()
    }

    /// With another limit of time.
    #[must_use]
    pub fn within(mut self, time_max: Duration) -> Self {
        self.fetcher = self.fetcher.within(time_max);
        self
    }

    /// Posts a message's body.
    pub async fn call(&self, mail: &Mail) -> Answer {
        let secret = match &mail.signed_with {
            None => None,
            Some(name) => match self.secrets.get(name) {
                Some(secret) => Some(secret),
                None => {
                    return never(
                        "webhook.secret",
                        format!("there is no secret `{name}`; put it into the setting `webhooks`"),
                    );
                }
            },
        };
        let at = self.machine.now().0.div_euclid(Timestamp::SECOND);
        let id = mail.id.to_string();
        let mut headers = vec![
            ("Content-Type", "application/json".to_owned()),
            ("webhook-id", id.clone()),
            ("webhook-timestamp", at.to_string()),
        ];
        if let Some(secret) = secret {
            headers.push(("webhook-signature", format!("v1,{}", sign(secret, &id, at, &mail.bytes))));
        }
        let call = Call {
            method: "POST",
            url: &mail.to,
            headers: &headers,
            body: &mail.bytes,
            answer_max: ANSWER_MAX,
        };
        match self.fetcher.call(&call).await {
            Ok(reply) => answer(reply),
            Err(Trouble::Url(detail)) => never("webhook.url", detail),
            Err(Trouble::Private(detail)) => never(
                "webhook.private_address",
                format!("{detail}; allow it with allow_private in the setting `webhooks`"),
            ),
            Err(Trouble::Unreachable(detail)) => Answer::Temporary { reason: "webhook.unreachable", detail },
            Err(Trouble::Doubtful(detail)) => Answer::Doubtful { detail },
        }
    }
}

fn answer(Reply { status, line: detail, .. }: Reply) -> Answer {
    match status {
        200..=299 => Answer::Taken { detail },
        300..=399 => never("webhook.redirect", detail),
        408 | 425 | 429 | 500..=599 => Answer::Temporary { reason: "webhook.5xx", detail },
        _ => never("webhook.4xx", detail),
    }
}

fn never(reason: &'static str, detail: String) -> Answer {
    Answer::Permanent { reason, detail, bounce: None }
}

fn secret_of(name: &str, secret: &serde_json::Value) -> Result<Vec<u8>, Problem> {
    let wrong = || {
        Problem::new("webhook.secret", format!("the secret `{name}` is no text, or not base64 behind whsec_"))
            .field(format!("{SETTING}.secrets.{name}"))
    };
    let text = secret.as_str().filter(|text| !text.is_empty()).ok_or_else(wrong)?;
    match text.strip_prefix("whsec_") {
        Some(coded) => STANDARD.decode(coded).map_err(|_| wrong()),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// The base64 of the HMAC-SHA256 over `id.timestamp.body`.
#[must_use]
pub fn sign(secret: &[u8], id: &str, at: i64, body: &[u8]) -> String {
    // An HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// One call at a time.
pub struct WebhookLane(pub Webhooks);

impl Lane for WebhookLane {
    async fn hand_over(&mut self, mail: &Mail) -> Answer {
        self.0.call(mail).await
    }

    async fn close(self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_standard_says() {
        // The example of the specification's own libraries.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
