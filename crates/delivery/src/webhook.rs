//! Calls of somebody's server: HTTP/1.1 POST of a JSON body, signed, with limits, and never to an address inside our own
//! network.
//!
//! The journey's file names the URL. It is resolved here, each address is checked, and the connection goes to the address
//! that was checked, so that a name cannot change its mind in between. Redirects are not followed.
//!
//! Signature (as of <https://www.standardwebhooks.com>): `webhook-id` is the message's id (the same when it is repeated),
//! `webhook-timestamp` the seconds since 1970, `webhook-signature` is `v1,` and the base64 of an HMAC-SHA256 over
//! `id.timestamp.body`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use model::{Clock, Problem, Timestamp};
use sha2::Sha256;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use crate::transport::{Answer, Lane, Mail};

/// The workspace's setting about webhooks.
pub const SETTING: &str = "webhooks";
/// Largest part of an answer that is read, in bytes.
pub const ANSWER_MAX: usize = 16 * 1024;
/// How long a call may take from the first look-up to the answer's end.
pub const TIME_MAX: Duration = Duration::from_secs(15);

/// How webhooks are called.
#[derive(Clone)]
pub struct Webhooks {
    secrets: Arc<BTreeMap<String, Vec<u8>>>,
    allow_private: bool,
    time_max: Duration,
    machine: Arc<dyn Clock>,
    tls: Arc<ClientConfig>,
}

/// Whether an address may be called from here: none of our own machine, our own network, or of no use.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && b & 0b1100_0000 == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && b & 0b1111_1110 == 18))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    // Addresses that carry one of version 4: mapped, translated (NAT64), 6to4.
    let inner = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    if let Some(v4) = address.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => inner(high, low),
        [0x2002, high, low, ..] => inner(high, low),
        // Only 2000::/3 is given out; of it not Teredo, benchmarks, documentation.
        [first, second, ..] => {
            first & 0xe000 == 0x2000
                && !(first == 0x2001 && (second == 0 || second == 2 || second == 0xdb8))
                && !(first == 0x3fff && second < 0x1000)
        }
    }
}

/// A URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let rest = rest.split('#').next()?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@')
            || url.chars().any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii())
        {
            return None;
        }
        let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        let (host, port) = match bracketed {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':')?)),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None if tls => 443,
            None => 80,
        };
        let path = match path {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        (!host.is_empty()).then(|| Self { tls, host: host.to_ascii_lowercase(), port, path })
    }

    fn header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl Webhooks {
    /// With the setting `webhooks`: `{"secrets": {"crm": "…"}, "allow_private": false}`. Secrets that begin with `whsec_`
    /// are base64 behind it, others are taken as they are. `machine` tells the time of signatures.
    ///
    /// # Errors
    /// `webhook.setting`, `webhook.secret`, `webhook.tls`.
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
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Problem::new("webhook.tls", error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            secrets: Arc::new(secrets),
            allow_private,
            time_max: TIME_MAX,
            machine,
            tls: Arc::new(tls),
        })
    }

    /// With another limit of time.
    #[must_use]
    pub const fn within(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    /// Posts a message's body.
    pub async fn call(&self, mail: &Mail) -> Answer {
        let Some(target) = Target::parse(&mail.to) else {
            return never("webhook.url", format!("`{}` is no http or https URL", mail.to));
        };
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
        let head = self.head(&target, mail, secret.map(Vec::as_slice));
        // Set once the whole request went out: from then on the other side may have acted on it.
        let mut sent = false;
        match tokio::time::timeout(self.time_max, self.exchange(&target, &head, &mail.bytes, &mut sent)).await
        {
            Ok(answer) => answer,
            Err(_) if sent => {
                Answer::Doubtful { detail: format!("no answer within {} s", self.time_max.as_secs()) }
            }
            Err(_) => later(format!("no connection within {} s", self.time_max.as_secs())),
        }
    }

    fn head(&self, target: &Target, mail: &Mail, secret: Option<&[u8]>) -> String {
        let at = self.machine.now().0.div_euclid(Timestamp::SECOND);
        let signature = secret.map_or_else(String::new, |secret| {
            format!("webhook-signature: v1,{}\r\n", sign(secret, &mail.id.to_string(), at, &mail.bytes))
        });
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             User-Agent: Relance\r\nwebhook-id: {}\r\nwebhook-timestamp: {at}\r\n{signature}Connection: close\r\n\r\n",
            target.path,
            target.header(),
            mail.bytes.len(),
            mail.id,
        )
    }

    async fn exchange(&self, target: &Target, head: &str, body: &[u8], sent: &mut bool) -> Answer {
        let found = match tokio::net::lookup_host((target.host.as_str(), target.port)).await {
            Ok(found) => found.collect::<Vec<SocketAddr>>(),
            Err(error) => return later(format!("{}: {error}", target.host)),
        };
        let allowed: Vec<SocketAddr> =
            found.iter().copied().filter(|address| self.allow_private || is_public(address.ip())).collect();
        if allowed.is_empty() && !found.is_empty() {
            return never(
                "webhook.private_address",
                format!(
                    "{} leads into our own network; allow it with allow_private in the setting `webhooks`",
                    target.host
                ),
            );
        }
        let stream = match TcpStream::connect(allowed.as_slice()).await {
            Ok(stream) => stream,
            Err(error) => return later(format!("{}: {error}", target.host)),
        };
        if !target.tls {
            return talk(stream, head, body, sent).await;
        }
        let Ok(name) = ServerName::try_from(target.host.clone()) else {
            return never("webhook.url", format!("`{}` is no name of a server", target.host));
        };
        match TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await {
            Ok(stream) => talk(stream, head, body, sent).await,
            Err(error) => later(format!("TLS with {} failed: {error}", target.host)),
        }
    }
}

fn never(reason: &'static str, detail: String) -> Answer {
    Answer::Permanent { reason, detail, bounce: None }
}

const fn later(detail: String) -> Answer {
    Answer::Temporary { reason: "webhook.unreachable", detail }
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

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    head: &str,
    body: &[u8],
    sent: &mut bool,
) -> Answer {
    let mut request = Vec::with_capacity(head.len() + body.len());
    request.extend_from_slice(head.as_bytes());
    request.extend_from_slice(body);
    if let Err(error) = stream.write_all(&request).await {
        return later(error.to_string());
    }
    *sent = true;
    if let Err(error) = stream.flush().await {
        return Answer::Doubtful { detail: error.to_string() };
    }
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_MAX as u64).read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse::<u16>().ok());
    let Some(status) = status else {
        let why = read.err().map_or_else(|| "it is no HTTP".to_owned(), |error| error.to_string());
        return Answer::Doubtful { detail: format!("the answer cannot be read: {why}") };
    };
    let detail: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
    match status {
        200..=299 => Answer::Taken { detail },
        300..=399 => never("webhook.redirect", detail),
        408 | 425 | 429 | 500..=599 => Answer::Temporary { reason: "webhook.5xx", detail },
        _ => never("webhook.4xx", detail),
    }
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
    fn only_addresses_of_others_are_called() {
        for public in ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for own in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
        ] {
            assert!(!is_public(own.parse().unwrap()), "{own}");
        }
    }

    #[test]
    fn urls_are_taken_apart_or_refused() {
        let target = |url: &str| Target::parse(url).map(|t| (t.tls, t.header(), t.port, t.path));
        let some =
            |tls, header: &str, port, path: &str| Some((tls, header.to_owned(), port, path.to_owned()));
        assert_eq!(target("https://Crm.example/h?a=1#x"), some(true, "crm.example", 443, "/h?a=1"));
        assert_eq!(target("http://crm.example:8080"), some(false, "crm.example:8080", 8080, "/"));
        assert_eq!(target("http://[::1]:80?x"), some(false, "[::1]", 80, "/?x"));
        for bad in
            ["ftp://a", "https://", "https://u:p@a", "https://a b", "https://a:x", "https://a\r\nX: y", "a"]
        {
            assert_eq!(target(bad), None, "{bad}");
        }
    }

    #[test]
    fn signs_as_the_standard_says() {
        // The example of the specification's own libraries.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
