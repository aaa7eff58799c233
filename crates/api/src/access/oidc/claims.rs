//! What a provider says of somebody (OpenID Connect Core 1.0, section 3.1.3.7).

use model::{Problem, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::Config;

/// How much clocks may differ, in seconds.
const LEEWAY: i64 = 60;
/// The longest subject, in characters (section 2).
const SUBJECT_LEN_MAX: usize = 255;

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    name: Option<String>,
    locale: Option<String>,
}

/// Claims that were checked.
pub(super) struct Claims(Payload);

impl Claims {
    /// Looks whether a token, whose signature is good, is meant for us, for now, and for this sign-in.
    ///
    /// # Errors
    /// `oidc.token`.
    pub(super) fn check(
        payload: &[u8],
        config: &Config,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let wrong = |why: &str| Problem::new("oidc.token", format!("the provider's token: {why}"));
        let payload: Payload =
            serde_json::from_slice(payload).map_err(|_| wrong("it does not say what it has to"))?;
        if payload.iss != config.issuer {
            return Err(wrong("it comes from another issuer"));
        }
        let (for_us, alone) = match &payload.aud {
            Audience::One(one) => (*one == config.client_id, true),
            Audience::Several(all) => (all.contains(&config.client_id), all.len() == 1),
        };
        let party = payload.azp.as_ref().map(|party| *party == config.client_id);
        if !for_us || !party.unwrap_or(alone) {
            return Err(wrong("it is meant for somebody else"));
        }
        let now = now.0.div_euclid(Timestamp::SECOND);
        if payload.exp.saturating_add(LEEWAY) <= now {
            return Err(wrong("it is too old"));
        }
        if payload.iat.saturating_sub(LEEWAY) > now {
            return Err(wrong("it comes from the future: check the clocks"));
        }
        if payload.nonce.as_deref() != Some(nonce) {
            return Err(wrong("it belongs to another sign-in"));
        }
        if payload.sub.is_empty() || payload.sub.chars().count() > SUBJECT_LEN_MAX {
            return Err(wrong("its subject is empty or too long"));
        }
        Ok(Self(payload))
    }

    /// Names somebody at this provider for ever, whatever their address becomes.
    pub(super) fn subject(&self, config: &Config) -> String {
        format!("{} {}", config.issuer, self.0.sub)
    }

    /// The address, when the provider says that it has verified it.
    pub(super) fn verified_email(&self) -> Result<&str, Problem> {
        let verified = match &self.0.email_verified {
            Some(Value::Bool(verified)) => *verified,
            // Some providers write it as a text.
            Some(Value::String(text)) => text == "true",
            _ => false,
        };
        let email = self.0.email.as_deref().filter(|_| verified);
        email.ok_or_else(|| Problem::new("oidc.email", "the provider has not verified the address"))
    }

    pub(super) fn name(&self) -> &str {
        self.0.name.as_deref().unwrap_or_default()
    }

    pub(super) fn locale(&self) -> &'static str {
        match self.0.locale.as_deref() {
            Some(locale) if locale.starts_with("fr") => "fr",
            _ => "en",
        }
    }
}
