//! The identity provider: where it is asked for what, and its keys. Remembered for a while.

use std::sync::Arc;

use axum::http::StatusCode;
use model::{Problem, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    Config,
    fetch::{self, Post},
    jws::{self, Jwk, Refusal},
};
use crate::ApiError;

/// How long what a provider says of itself is believed.
const BELIEVED: i64 = Timestamp::HOUR;
/// Keys that are not known are asked for again, but not more often than this.
const ASK_AGAIN: i64 = 30 * Timestamp::SECOND;

/// What it says of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Provider {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(skip)]
    keys: Vec<Jwk>,
}

/// What is remembered of it.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Option<(Timestamp, Arc<Provider>)>>);

pub(super) fn down(problem: &Problem) -> ApiError {
    tracing::error!(%problem, "the identity provider cannot be asked");
    let told =
        Problem::new("oidc.provider", "the identity provider cannot be asked; the server's log says more");
    ApiError::new(StatusCode::BAD_GATEWAY, told.cure("try again, or sign in with a password"))
}

impl Known {
    /// What is known, asked anew when it is old.
    pub(super) async fn find(&self, config: &Config, now: Timestamp) -> Result<Arc<Provider>, Problem> {
        self.not_older_than(config, now, BELIEVED).await
    }

    async fn not_older_than(
        &self,
        config: &Config,
        now: Timestamp,
        age: i64,
    ) -> Result<Arc<Provider>, Problem> {
        // Who comes meanwhile waits here instead of asking too.
        let mut known = self.0.lock().await;
        match &*known {
            Some((asked, provider)) if now.since(*asked) < age => Ok(Arc::clone(provider)),
            _ => {
                let provider = Arc::new(Provider::ask(config).await?);
                *known = Some((now, Arc::clone(&provider)));
                Ok(provider)
            }
        }
    }

    /// The payload of a token. A key that is not known may be new: the provider is asked once more.
    pub(super) async fn verify(
        &self,
        config: &Config,
        token: &str,
        now: Timestamp,
    ) -> Result<Vec<u8>, Problem> {
        let mut found = jws::verify(token, &self.find(config, now).await?.keys);
        if found == Err(Refusal::UnknownKey) {
            found = jws::verify(token, &self.not_older_than(config, now, ASK_AGAIN).await?.keys);
        }
        found.map_err(|refusal| {
            Problem::new("oidc.token", format!("the provider's token cannot be trusted: {refusal:?}"))
        })
    }
}

impl Provider {
    async fn ask(config: &Config) -> Result<Self, Problem> {
        let base = config.issuer.trim_end_matches('/');
        let found = fetch::get(config, &format!("{base}/.well-known/openid-configuration")).await?;
        let mut provider: Self = serde_json::from_value(found).map_err(|error| {
            Problem::new("oidc.discovery", format!("the provider does not say what it has to: {error}"))
        })?;
        if provider.issuer != config.issuer {
            return Err(Problem::new("oidc.issuer", "the provider calls itself otherwise")
                .value(&provider.issuer)
                .cure("write the issuer exactly as the provider does"));
        }
        let mut found = fetch::get(config, &provider.jwks_uri).await?;
        let keys = found.get_mut("keys").and_then(Value::as_array_mut).map(std::mem::take);
        // Keys of kinds that we do not know are somebody else's.
        provider.keys =
            keys.unwrap_or_default().into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        Ok(provider)
    }

    /// Changes a code for an ID token.
    pub(super) async fn redeem(
        &self,
        config: &Config,
        code: &str,
        redirect: &str,
        verifier: &str,
    ) -> Result<String, Problem> {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier),
        ];
        let methods = &self.token_endpoint_auth_methods_supported;
        // Basic authorization is what is taken where nothing is said (Discovery, section 3).
        let basic = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
        let secret = config.client_secret.as_deref();
        let basic = secret.filter(|_| basic).map(|secret| (config.client_id.as_str(), secret));
        if basic.is_none() {
            fields.push(("client_id", &config.client_id));
            fields.extend(secret.map(|secret| ("client_secret", secret)));
        }
        let post = Post { form: fetch::form(&fields), basic };
        let answer = fetch::post(config, &self.token_endpoint, &post).await?;
        let token = answer.get("id_token").and_then(Value::as_str);
        token
            .map(str::to_owned)
            .ok_or_else(|| Problem::new("oidc.token", "the provider has sent no ID token"))
    }
}
