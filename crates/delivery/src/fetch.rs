//! Calls of other people's servers: HTTP/1.1 with limits, and never to an address inside our own network.
//!
//! A name is resolved here, each address is checked, and the connection goes to an address that was checked, so that a
//! name cannot change its mind in between (DNS rebinding). However an address is written (decimal, hexadecimal, mapped
//! into version 6), it is judged by what it resolves to. Redirects are not followed.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use model::Problem;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// How long a call may take from the first look-up to the answer's end.
pub const TIME_MAX: Duration = Duration::from_secs(15);

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync {
    /// The addresses of a host.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// What a look-up comes to.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// The machine's own resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Calls servers.
#[derive(Clone)]
pub struct Fetcher {
    resolver: Arc<dyn Resolve>,
    allow_private: bool,
    time_max: Duration,
    tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fetcher(allow_private: {}, within {:?})", self.allow_private, self.time_max)
    }
}

/// A call.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Where to.
    pub url: &'a str,
    /// Beside `Host`, `Content-Length`, `User-Agent` and `Connection`.
    pub headers: &'a [(&'static str, String)],
    /// What is sent.
    pub body: &'a [u8],
    /// Largest part of the answer that is read, head and body, in bytes.
    pub answer_max: usize,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its first line, shortened.
    pub line: String,
    /// Its body, as far as it was read.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is no http or https address, or no name of a server.
    Url(String),
    /// It leads into our own network.
    Private(String),
    /// The other side was not reached, and has not seen the call.
    Unreachable(String),
    /// The call went out, and no answer came that can be read.
    Doubtful(String),
}

impl Trouble {
    /// In a sentence.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Url(detail)
            | Self::Private(detail)
            | Self::Unreachable(detail)
            | Self::Doubtful(detail) => detail,
        }
    }
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

/// Whether a text is an address that can be called.
#[must_use]
pub fn is_callable(url: &str) -> bool {
    Target::parse(url).is_some()
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

    /// What travels.
    fn request(&self, call: &Call<'_>) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", call.method, self.path, self.header());
        for (name, value) in call.headers {
            // What comes from outside opens no header of its own.
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!(
            "Content-Length: {}\r\nUser-Agent: Relance\r\nConnection: close\r\n\r\n",
            call.body.len()
        ));
        let mut request = head.into_bytes();
        request.extend_from_slice(call.body);
        request
    }

    fn header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl Fetcher {
    /// Trusts the certificate authorities of browsers, and those of a PEM file beside them.
    ///
    /// # Errors
    /// `fetch.tls` when an authority cannot be read.
    pub fn new(authorities: Option<&[u8]>) -> Result<Self, Problem> {
        Ok(Self {
            resolver: Arc::new(SystemResolver),
            allow_private: false,
            time_max: TIME_MAX,
            tls: client_tls(authorities)?,
        })
    }

    /// Whether addresses in our own network may be called.
    #[must_use]
    pub const fn allowing_private(mut self, allowed: bool) -> Self {
        self.allow_private = allowed;
        self
    }

    /// With another resolver.
    #[must_use]
    pub fn resolving(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// With another limit of time.
    #[must_use]
    pub const fn within(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    /// Calls.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn call(&self, call: &Call<'_>) -> Result<Reply, Trouble> {
        let Some(target) = Target::parse(call.url) else {
            return Err(Trouble::Url(format!("`{}` is no http or https URL", call.url)));
        };
        // Set once the whole call went out: from then on the other side may have acted on it.
        let mut sent = false;
        let seconds = self.time_max.as_secs();
        match tokio::time::timeout(self.time_max, self.exchange(&target, call, &mut sent)).await {
            Ok(answer) => answer,
            Err(_) if sent => Err(Trouble::Doubtful(format!("no answer within {seconds} s"))),
            Err(_) => Err(Trouble::Unreachable(format!("no connection within {seconds} s"))),
        }
    }

    async fn exchange(&self, target: &Target, call: &Call<'_>, sent: &mut bool) -> Result<Reply, Trouble> {
        let told = |error: &dyn std::fmt::Display| Trouble::Unreachable(format!("{}: {error}", target.host));
        let found = self.resolver.resolve(&target.host, target.port).await.map_err(|error| told(&error))?;
        let allowed: Vec<SocketAddr> =
            found.iter().copied().filter(|address| self.allow_private || is_public(address.ip())).collect();
        if allowed.is_empty() && !found.is_empty() {
            return Err(Trouble::Private(format!("{} leads into our own network", target.host)));
        }
        let stream = TcpStream::connect(allowed.as_slice()).await.map_err(|error| told(&error))?;
        let request = target.request(call);
        if !target.tls {
            return talk(stream, &request, call.answer_max, sent).await;
        }
        let Ok(name) = ServerName::try_from(target.host.clone()) else {
            return Err(Trouble::Url(format!("`{}` is no name of a server", target.host)));
        };
        match TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await {
            Ok(stream) => talk(stream, &request, call.answer_max, sent).await,
            Err(error) => Err(Trouble::Unreachable(format!("TLS with {} failed: {error}", target.host))),
        }
    }
}

/// What checks servers' certificates: by the authorities of browsers, and those of a PEM text beside them.
///
/// # Errors
/// `fetch.tls` when an authority cannot be read.
pub(crate) fn client_tls(authorities: Option<&[u8]>) -> Result<Arc<ClientConfig>, Problem> {
    let bad = |error: &dyn std::fmt::Display| Problem::new("fetch.tls", error.to_string());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in authorities.map(CertificateDer::pem_slice_iter).into_iter().flatten() {
        let certificate = certificate.map_err(|error| bad(&error))?;
        roots.add(certificate).map_err(|error| bad(&error))?;
    }
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(tls))
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &[u8],
    answer_max: usize,
    sent: &mut bool,
) -> Result<Reply, Trouble> {
    if let Err(error) = stream.write_all(request).await {
        return Err(Trouble::Unreachable(error.to_string()));
    }
    *sent = true;
    if let Err(error) = stream.flush().await {
        return Err(Trouble::Doubtful(error.to_string()));
    }
    let mut answer = Vec::new();
    let read = stream.take(answer_max as u64).read_to_end(&mut answer).await;
    reply(&answer).ok_or_else(|| {
        let why = read.err().map_or_else(|| "it is no HTTP".to_owned(), |error| error.to_string());
        Trouble::Doubtful(format!("the answer cannot be read: {why}"))
    })
}

/// Reads an answer.
fn reply(answer: &[u8]) -> Option<Reply> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let head = String::from_utf8_lossy(&answer[..end.unwrap_or(answer.len())]);
    let line = head.lines().next()?;
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok())?;
    let body = end.map_or(&[][..], |end| &answer[end + 4..]);
    let chunked = head.lines().filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("transfer-encoding")
            && value.to_ascii_lowercase().contains("chunked")
    });
    let body = if chunked { unchunked(body) } else { body.to_vec() };
    Some(Reply { status, line: line.chars().filter(|c| !c.is_control()).take(200).collect(), body })
}

/// A body out of its chunks, as far as they are whole.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap_or_default();
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        let Some(chunk) =
            (1..=body.len()).contains(&size).then(|| body.get(end + 2..end + 2 + size)).flatten()
        else {
            break;
        };
        whole.extend_from_slice(chunk);
        body = body.get(end + 2 + size + 2..).unwrap_or_default();
    }
    whole
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
    fn answers_are_read_with_and_without_chunks() {
        let read = |text: &str| {
            reply(text.as_bytes()).map(|reply| (reply.status, String::from_utf8(reply.body).unwrap()))
        };
        let some = |status, body: &str| Some((status, body.to_owned()));
        assert_eq!(read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), some(200, "hi"));
        assert_eq!(
            read(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n4;x=y\r\n you\r\n0\r\n\r\n"
            ),
            some(200, "hi you")
        );
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n"), some(204, ""));
        assert_eq!(read("HTTP/1.1 500"), some(500, ""));
        for bad in ["", "SSH-2.0", "HTTP/1.1 abc"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let huge = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx";
        assert_eq!(read(huge), some(200, ""));
    }
}
