//! Signing in at an identity provider: OpenID Connect, authorization code with PKCE.
//!
//! Nothing is remembered between going there and coming back: a cookie holds one secret, and state, nonce and verifier
//! follow from it. A code that comes back with another state is nobody's.

mod callback;
mod claims;
mod fetch;
mod jws;
mod options;
mod provider;
mod start;

use std::fmt;

use model::Problem;
use storage::{Storage, users::UserRole};
use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::cookie::{Cookie, SameSite};
use crate::{operations, section::Section};

/// Holds the secret of one sign-in. It has to come along when the provider sends the browser back.
const COOKIE: Cookie = Cookie { name: "relance_oidc", same_site: SameSite::Lax };
/// Seconds that somebody may spend at the provider.
const COOKIE_SECONDS: i64 = 600;
/// Where the provider sends the browser back, under the server's public URL: to be registered there.
pub const CALLBACK: &str = "/api/v1/oidc/callback";

/// The identity provider.
#[derive(Clone)]
pub struct Config {
    /// Its issuer URL, as it stands in its tokens.
    pub issuer: String,
    /// What it calls us.
    pub client_id: String,
    /// Our secret there; none for a public client.
    pub client_secret: Option<String>,
    /// What somebody becomes who has no user yet; none: they are refused.
    pub auto_create: Option<UserRole>,
    /// Whose addresses may become users by themselves: domains, as in `shop.example`.
    pub domains: Vec<String>,
    /// Whether the provider may be in our own network, and without TLS.
    pub allow_private: bool,
    /// Whose certificates are believed beside those of the public authorities: our own network's, in DER.
    pub authorities: Vec<Authority>,
}

/// The certificate of an authority, in DER.
pub type Authority = CertificateDer<'static>;

/// Reads certificates of authorities from PEM.
///
/// # Errors
/// `oidc.ca`: there is none, or one that is damaged.
pub fn authorities(pem: &[u8]) -> Result<Vec<Authority>, Problem> {
    let cure = "write the authority's certificate as PEM: -----BEGIN CERTIFICATE-----";
    let refused = |why: String| Problem::new("oidc.ca", why).cure(cure);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| refused(format!("a certificate cannot be read: {error}")))?;
    let mut roots = RootCertStore::empty();
    for certificate in &found {
        roots.add(certificate.clone()).map_err(|error| refused(format!("a certificate is none: {error}")))?;
    }
    if found.is_empty() { Err(refused("there is no certificate".to_owned())) } else { Ok(found) }
}

/// Never shows the secret.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oidc::Config({} as {})", self.issuer, self.client_id)
    }
}

impl Config {
    /// Looks whether it can work.
    ///
    /// # Errors
    /// `oidc.issuer`, `oidc.client`, `oidc.domains`.
    pub fn check(&self) -> Result<(), Problem> {
        let scheme = self.issuer.split_once("://").map(|(scheme, _)| scheme);
        if !(scheme == Some("https") || (scheme == Some("http") && self.allow_private)) {
            return Err(Problem::new("oidc.issuer", "the issuer is no https URL")
                .value(&self.issuer)
                .cure("write it as the provider does, as in https://login.shop.example/realms/staff"));
        }
        if self.client_id.is_empty() {
            return Err(Problem::new("oidc.client", "it is not said what the provider calls us")
                .cure("register a client there, and give its id"));
        }
        if self.auto_create.is_some() && self.domains.is_empty() {
            return Err(Problem::new("oidc.domains", "anybody whom the provider knows would become a user")
                .cure("say whose addresses may, as in shop.example"));
        }
        Ok(())
    }
}

/// What is remembered of the provider.
#[derive(Debug, Default)]
pub struct State {
    known: provider::Known,
}

/// Its operations.
pub(super) fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("session"), S; options, start, callback)
}
