//! Asking the identity provider: HTTP/1.1 by `hyper`, over TLS, to an address that was checked, with limits. Redirects
//! are not followed.

use std::{fmt::Display, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    http::{HeaderValue, Method, Request, StatusCode, Uri, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use delivery::webhook::is_public;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use model::Problem;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use super::Config;

/// Largest answer that is read, in bytes.
const ANSWER_MAX: usize = 256 * 1024;
/// How long one question may take.
const TIME_MAX: Duration = Duration::from_secs(10);

/// What is posted.
pub(super) struct Post<'a> {
    /// The fields, as [`form`] writes them.
    pub(super) form: String,
    /// User and password.
    pub(super) basic: Option<(&'a str, &'a str)>,
}

/// Fields of a form (`application/x-www-form-urlencoded`).
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    fields.join("&")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte))
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

fn failed(url: &str, why: impl Display) -> Problem {
    Problem::new("oidc.provider", format!("{url}: {why}"))
}

pub(super) async fn get(config: &Config, url: &str) -> Result<Value, Problem> {
    ask(config, url, None).await
}

pub(super) async fn post(config: &Config, url: &str, post: &Post<'_>) -> Result<Value, Problem> {
    ask(config, url, Some(post)).await
}

async fn ask(config: &Config, url: &str, post: Option<&Post<'_>>) -> Result<Value, Problem> {
    let uri: Uri = url.parse().map_err(|error| failed(url, error))?;
    let asked = tokio::time::timeout(TIME_MAX, exchange(config, &uri, post)).await;
    let (status, body) = asked
        .map_err(|_| failed(url, format!("no answer within {} s", TIME_MAX.as_secs())))?
        .map_err(|why| failed(url, why))?;
    if status != StatusCode::OK {
        // The provider's own word for it; what else it says may be long.
        let error = serde_json::from_slice::<Value>(&body).ok();
        let error = error.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default().to_owned();
        return Err(failed(url, format!("{status} {}", error.chars().take(100).collect::<String>())));
    }
    serde_json::from_slice(&body).map_err(|error| failed(url, format!("no JSON: {error}")))
}

async fn exchange(
    config: &Config,
    uri: &Uri,
    post: Option<&Post<'_>>,
) -> Result<(StatusCode, Bytes), String> {
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") if config.allow_private => false,
        _ => return Err("it is no https URL".into()),
    };
    let host = uri.host().ok_or("it names no server")?;
    let bare = host.trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let found = tokio::net::lookup_host((bare, port)).await.map_err(|error| error.to_string())?;
    // The connection goes to an address that was checked: a name cannot change its mind in between.
    let allowed: Vec<SocketAddr> =
        found.filter(|address| config.allow_private || is_public(address.ip())).collect();
    if allowed.is_empty() {
        return Err("it leads into our own network; allow that with allow_private".into());
    }
    let stream = TcpStream::connect(&allowed[..]).await.map_err(|error| error.to_string())?;
    let request = request(uri, post)?;
    if !tls {
        return talk(stream, request).await;
    }
    let name = ServerName::try_from(bare.to_owned()).map_err(|error| error.to_string())?;
    let stream = connector(config)?.connect(name, stream).await.map_err(|error| error.to_string())?;
    talk(stream, request).await
}

fn connector(config: &Config) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for authority in &config.authorities {
        roots.add(authority.clone()).map_err(|error| error.to_string())?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn request(uri: &Uri, post: Option<&Post<'_>>) -> Result<Request<Full<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let host = host.rsplit('@').next().unwrap_or_default();
    let mut request = Request::builder().uri(path).header(header::HOST, host);
    request = request.header(header::ACCEPT, "application/json").header(header::USER_AGENT, "Relance");
    let body = match post {
        None => Bytes::new(),
        Some(Post { form, basic }) => {
            request = request
                .method(Method::POST)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            if let Some((user, password)) = basic {
                // Both are escaped before they are joined (RFC 6749, section 2.3.1).
                let pair = STANDARD.encode(format!("{}:{}", escape(user), escape(password)));
                let mut value =
                    HeaderValue::try_from(format!("Basic {pair}")).map_err(|error| error.to_string())?;
                value.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, value);
            }
            Bytes::from(form.clone())
        }
    };
    request.body(Full::new(body)).map_err(|error| error.to_string())
}

async fn talk<T>(stream: T, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let driven = tokio::spawn(connection);
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    }
    .await;
    driven.abort();
    answer
}
