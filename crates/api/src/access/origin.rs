//! Requests that somebody else's page makes a browser send: told apart by what browsers say of them, which no page can
//! change.

use axum::http::{HeaderMap, Method, StatusCode, header};
use model::Problem;

use crate::ApiError;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A page of ours.
    Here,
    /// Somebody else's page.
    Elsewhere,
    /// Nothing was said: no browser, or an old one.
    Unknown,
}

fn from(headers: &HeaderMap, public_url: &str) -> From {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return if site == "same-origin" { From::Here } else { From::Elsewhere };
    }
    match text(header::ORIGIN.as_str()) {
        Some(origin) if origin.eq_ignore_ascii_case(origin_of(public_url)) => From::Here,
        Some(_) => From::Elsewhere,
        None => From::Unknown,
    }
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

/// Whether a method changes nothing (RFC 9110, section 9.2.1).
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

fn foreign() -> ApiError {
    let problem = Problem::new("access.origin", "the request comes from another site")
        .cure("open the pages under the server's public_url; programs use a key instead of a session");
    ApiError::new(StatusCode::FORBIDDEN, problem)
}

/// Refuses what another site sends.
///
/// # Errors
/// `access.origin`.
pub(crate) fn refuse_foreign(headers: &HeaderMap, public_url: &str) -> Result<(), ApiError> {
    if from(headers, public_url) == From::Elsewhere { Err(foreign()) } else { Ok(()) }
}

/// Refuses what does not surely come from a page of ours.
///
/// # Errors
/// `access.origin`.
pub(crate) fn only_ours(headers: &HeaderMap, public_url: &str) -> Result<(), ApiError> {
    if from(headers, public_url) == From::Here { Ok(()) } else { Err(foreign()) }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_what_browsers_call_ours_is_ours() {
        for (headers, expected) in [
            (&[][..], From::Unknown),
            (&[("sec-fetch-site", "same-origin")], From::Here),
            (&[("sec-fetch-site", "same-site")], From::Elsewhere),
            (&[("sec-fetch-site", "cross-site")], From::Elsewhere),
            (&[("origin", "https://mail.shop.example")], From::Here),
            (&[("origin", "https://mail.shop.example.evil.example")], From::Elsewhere),
            (&[("origin", "http://mail.shop.example")], From::Elsewhere),
            (&[("origin", "null")], From::Elsewhere),
            (&[("origin", "https://mail.shop.example"), ("sec-fetch-site", "cross-site")], From::Elsewhere),
        ] {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            assert_eq!(from(&headers, "https://mail.shop.example/relance"), expected, "{headers:?}");
        }
    }
}
