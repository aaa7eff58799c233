//! Hand-over by SMTP: addresses as on the command line, and the transport with its lanes.

mod connection;
mod provider;
mod reply;

use std::{sync::Arc, time::Duration};

use lettre::transport::smtp::{
    authentication::{Credentials, Mechanism},
    client::{Certificate, TlsParameters},
    extension::ClientId,
};
use model::Problem;

use crate::{
    dkim::Signer,
    links::Links,
    post::token,
    transport::{Answer, Lane, Mail, Transport},
};
use connection::Connection;
pub use provider::Provider;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all: for a server on this machine.
    None,
    /// STARTTLS when the server offers it.
    Opportunistic,
    /// STARTTLS, or nothing is sent.
    Required,
    /// TLS from the first byte (port 465).
    Wrapper,
}

const SECURITY: [(&str, Security); 4] = [
    ("none", Security::None),
    ("opportunistic", Security::Opportunistic),
    ("required", Security::Required),
    ("wrapper", Security::Wrapper),
];

/// Where mails are handed over, and how.
#[derive(Clone)]
pub struct SmtpConfig {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// The only mechanism to use, PLAIN or LOGIN; else what the server offers, PLAIN first.
    pub mechanism: Option<Mechanism>,
    /// A certificate authority of one's own, PEM.
    pub authority: Option<Vec<u8>>,
    /// Whether the server's certificate is checked.
    pub verify: bool,
    /// The name we say hello with.
    pub hello: Option<String>,
    /// How long to wait for a connection and for each answer (the last one of a mail: twice as long).
    pub timeout: Duration,
    /// How many connections.
    pub connections: usize,
    /// The service that the server belongs to: each mail then carries the headers by which its calls name our message.
    pub provider: Option<Provider>,
    /// How often a connection is tried before the server counts as unreachable.
    pub connect_tries: u32,
}

/// Never shows the password.
impl std::fmt::Debug for SmtpConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SmtpConfig({}:{} {:?})", self.host, self.port, self.security)
    }
}

impl SmtpConfig {
    /// Connections without `connections=`.
    pub const CONNECTIONS: usize = 8;
    /// The most connections.
    pub const CONNECTIONS_MAX: usize = 200;
    /// Seconds without `timeout=`.
    pub const TIMEOUT_SECONDS: u64 = 60;
    /// The longest `timeout=`, in seconds.
    pub const TIMEOUT_SECONDS_MAX: u64 = 600;
    const PARAMETERS: [&str; 8] =
        ["tls", "auth", "ca", "verify", "hello", "timeout", "connections", "provider"];

    /// Reads `smtp://user:password@host:port?tls=required&auth=plain` or `smtps://…` (TLS from the first byte).
    ///
    /// Without a port: 465 for smtps, 587 with a user, else 25. Without `tls`: required, but none for this machine
    /// (127.0.0.0/8, ::1, localhost). User, password and values may hold `%XX`. `read_file` reads the file of `ca=`.
    ///
    /// # Errors
    /// `smtp.url` and what is wrong with it.
    pub fn parse(url: &str, read_file: impl Fn(&str) -> std::io::Result<Vec<u8>>) -> Result<Self, Problem> {
        let (wrapper, rest) = match (url.strip_prefix("smtp://"), url.strip_prefix("smtps://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(refused("it starts with neither smtp:// nor smtps://")),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let rest = rest.trim_end_matches('/');
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        let credentials = match user {
            None => None,
            Some(user) => {
                let (name, password) = user
                    .split_once(':')
                    .ok_or_else(|| refused("the user has no password: write user:password@host"))?;
                Some((decoded(name)?, decoded(password)?))
            }
        };
        let (host, port) = host_and_port(place)?;
        let user = credentials.as_ref().map(|(user, _)| user.as_str());
        let mut config = Self {
            provider: Provider::of(&host, user),
            port: port.unwrap_or(match (wrapper, &credentials) {
                (true, _) => 465,
                (_, Some(_)) => 587,
                _ => 25,
            }),
            security: match (wrapper, is_loopback(&host)) {
                (true, _) => Security::Wrapper,
                (_, true) => Security::None,
                _ => Security::Required,
            },
            host,
            credentials,
            mechanism: None,
            authority: None,
            verify: true,
            hello: None,
            timeout: Duration::from_secs(Self::TIMEOUT_SECONDS),
            connections: Self::CONNECTIONS,
            connect_tries: 3,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            config.set(name, &decoded(value)?, &read_file)?;
        }
        if config.security == Security::None && config.credentials.is_some() && !is_loopback(&config.host) {
            return Err(refused("a password is not sent over an open line: use tls=required"));
        }
        Ok(config)
    }

    fn set(
        &mut self,
        name: &str,
        value: &str,
        read_file: &impl Fn(&str) -> std::io::Result<Vec<u8>>,
    ) -> Result<(), Problem> {
        let number =
            |most: u64| {
                value.parse::<u64>().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
                    refused(format!("{name}={value}: a whole number from 1 to {most} is wanted"))
                })
            };
        match name {
            "tls" => {
                let known = SECURITY.iter().find(|(word, _)| *word == value);
                self.security = known.map(|(_, security)| *security).ok_or_else(|| {
                    refused(format!("tls={value} is not known"))
                        .suggest(value, SECURITY.iter().map(|(word, _)| *word).collect::<Vec<_>>())
                })?;
            }
            "auth" => {
                self.mechanism = Some(match value {
                    "plain" => Mechanism::Plain,
                    "login" => Mechanism::Login,
                    _ => return Err(refused(format!("auth={value} is neither plain nor login"))),
                });
            }
            "ca" => {
                self.authority =
                    Some(read_file(value).map_err(|error| refused(format!("ca={value}: {error}")))?);
            }
            "verify" => {
                self.verify = match value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(refused(format!("verify={value} is neither yes nor no"))),
                }
            }
            "hello" => {
                let good = value.bytes().all(|b| b.is_ascii_alphanumeric() || b".-[]:".contains(&b));
                if value.is_empty() || !good {
                    return Err(refused(format!("hello={value} is not a host name")));
                }
                self.hello = Some(value.to_owned());
            }
            "timeout" => self.timeout = Duration::from_secs(number(Self::TIMEOUT_SECONDS_MAX)?),
            "connections" => self.connections = number(Self::CONNECTIONS_MAX as u64)? as usize,
            "provider" => {
                let known = Provider::WORDS.iter().find(|(word, _)| *word == value);
                self.provider = match known {
                    Some((_, provider)) => Some(*provider),
                    None if value == "none" => None,
                    None => {
                        let words = Provider::WORDS.iter().map(|(word, _)| *word).chain(["none"]);
                        let problem = refused(format!("provider={value} is not known"));
                        return Err(problem.suggest(value, words.collect::<Vec<_>>()));
                    }
                };
            }
            _ => {
                return Err(refused(format!("`{name}` is not known here")).suggest(name, Self::PARAMETERS));
            }
        }
        Ok(())
    }

    fn tls(&self) -> Result<TlsParameters, Problem> {
        let bad = |error: lettre::transport::smtp::Error| refused(format!("TLS: {error}"));
        let mut builder = TlsParameters::builder(self.host.clone());
        if let Some(pem) = &self.authority {
            builder = builder.add_root_certificate(Certificate::from_pem(pem).map_err(bad)?);
        }
        if !self.verify {
            builder = builder.dangerous_accept_invalid_certs(true).dangerous_accept_invalid_hostnames(true);
        }
        builder.build_rustls().map_err(bad)
    }
}

fn refused(why: impl std::fmt::Display) -> Problem {
    Problem::new("smtp.url", format!("the address of the SMTP server is not usable: {why}"))
        .field("--smtp")
        .cure("write it as in smtp://user:password@mail.example.com:587?tls=required")
}

fn host_and_port(place: &str) -> Result<(String, Option<u16>), Problem> {
    let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = port
        .map(|port| port.parse::<u16>().ok().filter(|port| *port > 0))
        .map(|port| port.ok_or_else(|| refused(format!("`{place}` has no usable port"))))
        .transpose()?;
    let good = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b));
    if host.is_empty() || !good {
        return Err(refused(format!("`{host}` is not a host name")));
    }
    Ok((host.to_owned(), port))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Undoes `%XX`.
fn decoded(text: &str) -> Result<String, Problem> {
    let bad = || refused(format!("`{text}` has a % that two hexadecimal digits do not follow"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok()).ok_or_else(bad)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// Hands mails over to one SMTP server.
pub struct Smtp {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    config: SmtpConfig,
    hello: ClientId,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    return_path: String,
    /// Signs the tokens of return paths; without it they have none.
    tokens: Option<Links>,
    signer: Option<Signer>,
}

impl Shared {
    /// Where a mail goes when it comes back.
    fn return_path(&self, mail: &Mail) -> String {
        match &self.tokens {
            Some(links) => token::return_path(links, mail.id, &self.return_path),
            None => self.return_path.clone(),
        }
    }

    /// What stands before a mail: its signatures, and what a mail service is told of it.
    fn head(&self, mail: &Mail) -> Result<String, Answer> {
        let told = self.config.provider.map_or_else(String::new, |provider| provider.headers_of(&mail.bytes));
        let Some(signer) = &self.signer else { return Ok(told) };
        let signed = signer.sign(&mail.bytes, mail.date).map_err(|detail| Answer::Unavailable {
            reason: "dkim.failed",
            detail,
            for_good: true,
        })?;
        Ok(told + &signed)
    }
}

impl Smtp {
    /// To this server; mails that cannot be delivered come back to `return_path`.
    ///
    /// # Errors
    /// `smtp.url` when the certificate authority is not usable.
    pub fn new(config: SmtpConfig, return_path: String) -> Result<Self, Problem> {
        let tls = (config.security != Security::None).then(|| config.tls()).transpose()?;
        let name = config.hello.clone().unwrap_or_else(|| crate::mailbox::domain(&return_path).to_owned());
        let credentials = config.credentials.clone().map(|(user, password)| Credentials::new(user, password));
        let hello = ClientId::Domain(name);
        let (tokens, signer) = (None, None);
        Ok(Self { shared: Shared { hello, tls, credentials, return_path, tokens, signer, config }.into() })
    }

    /// Each mail has a return path of its own, which names the message: see [`crate::post::token`]. The mailbox of the
    /// return path must take addresses with a `+` and more behind its name.
    ///
    /// # Errors
    /// `smtp.return_path` when its name is too long for that.
    pub fn with_tokens(self, links: Links) -> Result<Self, Problem> {
        let name = self.shared.return_path.rsplit_once('@').map_or("", |(name, _)| name);
        if name.is_empty() || name.len() > token::NAME_MAX {
            let cure =
                format!("use a name of at most {} characters, as in bounces@shop.example", token::NAME_MAX);
            return Err(Problem::new("smtp.return_path", "the return path has no room for a token")
                .field("--return-path")
                .value(&self.shared.return_path)
                .cure(cure));
        }
        Ok(self.change(|shared| shared.tokens = Some(links)))
    }

    /// Each mail is signed.
    #[must_use]
    pub fn signed_by(self, signer: Signer) -> Self {
        self.change(|shared| shared.signer = Some(signer))
    }

    /// Before the first lane is made nobody else holds what is shared.
    fn change(mut self, change: impl FnOnce(&mut Shared)) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            change(shared);
        }
        self
    }
}

impl Transport for Smtp {
    type Lane = SmtpLane;
    const KEEPS_PAGES: bool = false;

    fn lanes(&self) -> usize {
        self.shared.config.connections
    }

    fn lane(&self) -> SmtpLane {
        SmtpLane { shared: Arc::clone(&self.shared), connection: None }
    }

    async fn finish(&self) -> Result<(), String> {
        Ok(())
    }
}

/// One connection, made when it is first used and again when it broke.
pub struct SmtpLane {
    shared: Arc<Shared>,
    connection: Option<Connection>,
}

impl SmtpLane {
    /// A connection, new or used before (then `true`).
    async fn connection(&mut self) -> Result<(Connection, bool), Answer> {
        if let Some(connection) = self.connection.take() {
            return Ok((connection, true));
        }
        let mut tried = 0;
        loop {
            tried += 1;
            match Connection::open(&self.shared).await {
                Ok(connection) => return Ok((connection, false)),
                Err(refusal) if refusal.for_good || tried >= self.shared.config.connect_tries => {
                    let place = format!("{}:{}", self.shared.config.host, self.shared.config.port);
                    return Err(Answer::Unavailable {
                        reason: refusal.reason,
                        detail: format!("{place}: {}", refusal.detail),
                        for_good: refusal.for_good,
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(250 << tried.min(5))).await,
            }
        }
    }
}

impl Lane for SmtpLane {
    async fn hand_over(&mut self, mail: &Mail) -> Answer {
        let return_path = self.shared.return_path(mail);
        let head = match self.shared.head(mail) {
            Ok(head) => head,
            Err(answer) => return answer,
        };
        loop {
            let (mut connection, used) = match self.connection().await {
                Ok(found) => found,
                Err(answer) => return answer,
            };
            let said = connection.hand_over(&return_path, &head, mail).await;
            if connection.is_open() {
                self.connection = Some(connection);
            }
            match said {
                // A server closes idle connections: that says nothing about the mail, of which it has not seen the end.
                connection::Said::Lost { .. } if used => {}
                connection::Said::Lost { detail } => {
                    return Answer::Temporary { reason: "smtp.connection", detail };
                }
                connection::Said::Answer(answer) => return answer,
            }
        }
    }

    async fn close(mut self) {
        if let Some(connection) = self.connection.take() {
            connection.quit().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<SmtpConfig, Problem> {
        SmtpConfig::parse(url, |_| Err(std::io::Error::other("no such file")))
    }

    #[test]
    fn addresses_and_what_follows_from_them() {
        for (url, host, port, security) in [
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Security::None),
            ("smtp://localhost", "localhost", 25, Security::None),
            ("smtp://[::1]:26/", "::1", 26, Security::None),
            ("smtp://mail.example.com", "mail.example.com", 25, Security::Required),
            ("smtp://u:p@mail.example.com", "mail.example.com", 587, Security::Required),
            ("smtps://u:p@mail.example.com", "mail.example.com", 465, Security::Wrapper),
            ("smtp://mail.example.com?tls=opportunistic", "mail.example.com", 25, Security::Opportunistic),
        ] {
            let config = parse(url).unwrap();
            assert_eq!((config.host.as_str(), config.port, config.security), (host, port, security), "{url}");
        }
        let config =
            parse("smtp://me%40shop.example:p%3A%2Fw@h.example?auth=login&timeout=5&connections=3&hello=a.b&verify=no")
                .unwrap();
        assert_eq!(config.credentials, Some(("me@shop.example".into(), "p:/w".into())));
        assert_eq!((config.timeout.as_secs(), config.connections, config.verify), (5, 3, false));
        assert!(!format!("{config:?}").contains("p:/w"), "a password is never shown");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (url, word) in [
            ("mail.example.com", "neither smtp://"),
            ("smtp://", "not a host name"),
            ("smtp://u@h", "no password"),
            ("smtp://h:0", "no usable port"),
            ("smtp://h:70000", "no usable port"),
            ("smtp://h?tls=requird", "tls=requird"),
            ("smtp://h?auth=cram", "neither plain nor login"),
            ("smtp://h?tsl=none", "`tsl` is not known"),
            ("smtp://h?timeout=0", "from 1 to 600"),
            ("smtp://h?connections=201", "from 1 to 200"),
            ("smtp://h?ca=missing.pem", "no such file"),
            ("smtp://u:p@h?tls=none", "open line"),
            ("smtp://u:%zz@h", "hexadecimal"),
            ("smtp://h?hello=a%0d%0ab", "not a host name"),
        ] {
            let problem = parse(url).map(|_| ()).unwrap_err();
            assert_eq!(problem.code, "smtp.url");
            assert!(problem.message.contains(word), "{url}: {problem}");
        }
        assert!(parse("smtp://h?connections=200&timeout=600").is_ok());
        assert!(parse("smtp://h?tsl=none").unwrap_err().to_string().contains("did you mean `tls`"));
    }
}
