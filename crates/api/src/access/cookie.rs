//! Cookies: read from a request, written into an answer. All are out of reach of scripts.

use axum::http::{HeaderMap, HeaderValue, header};

/// When a cookie is sent along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never from elsewhere: the pages ask the API from where they are.
    Strict,
    /// Also when somebody comes from elsewhere: back from an identity provider.
    Lax,
}

/// A cookie of ours.
#[derive(Clone, Copy, Debug)]
pub struct Cookie {
    /// Its name, without what is put before it.
    pub name: &'static str,
    /// When it is sent along.
    pub same_site: SameSite,
}

/// Holds the token of a session.
pub const SESSION: Cookie = Cookie { name: "relance_session", same_site: SameSite::Strict };

/// Whether the server is reached by https, so that cookies need not go any other way.
fn secure(public_url: &str) -> bool {
    public_url.starts_with("https://")
}

impl Cookie {
    /// With https the name begins with `__Host-`: browsers then take it from this very host only, so that a neighbouring
    /// one cannot plant its own.
    fn full_name(&self, public_url: &str) -> String {
        format!("{}{}", if secure(public_url) { "__Host-" } else { "" }, self.name)
    }

    /// Its value in a request.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap, public_url: &str) -> Option<String> {
        let name = self.full_name(public_url);
        headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).find_map(|line| {
            let mut pairs = line.split(';').filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
        })
    }

    /// Sets it for so many seconds.
    #[must_use]
    pub fn set(&self, value: &str, seconds: i64, public_url: &str) -> Option<HeaderValue> {
        let secure = if secure(public_url) { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite={:?}{secure}",
            self.full_name(public_url),
            self.same_site
        );
        HeaderValue::try_from(text).ok()
    }

    /// Takes it away.
    #[must_use]
    pub fn clear(&self, public_url: &str) -> Option<HeaderValue> {
        self.set("", 0, public_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_binds_the_cookie_to_the_host() {
        let https = SESSION.set("abc", 60, "https://mail.shop.example").unwrap();
        assert_eq!(
            https,
            "__Host-relance_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
        );
        let http = SESSION.set("abc", 60, "http://localhost:7070").unwrap();
        assert_eq!(http, "relance_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        assert_eq!(SESSION.set("a\r\nb", 60, ""), None);
    }

    #[test]
    fn reads_its_own_and_nothing_else() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; relance_session=planted"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2; __Host-relance_session=good"));
        assert_eq!(SESSION.read(&headers, "https://x.example").as_deref(), Some("good"));
        assert_eq!(SESSION.read(&headers, "http://x.example").as_deref(), Some("planted"));
        assert_eq!(SESSION.read(&HeaderMap::new(), ""), None);
    }
}
