//! Links: which are allowed, and how campaign parameters are appended.

use model::Problem;

use crate::{Utm, escape, limits::URL_LEN_MAX};

/// Schemes that a link may have.
pub const SCHEMES: [&str; 4] = ["http", "https", "mailto", "tel"];

/// Whether a URL may stand in a message: one of [`SCHEMES`], no blanks or control characters, not longer than
/// [`URL_LEN_MAX`], and for web addresses a host.
#[must_use]
pub fn is_safe(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once(':') else { return false };
    if url.len() > URL_LEN_MAX
        || url.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"`\\".contains(c))
    {
        return false;
    }
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        return rest
            .strip_prefix("//")
            .is_some_and(|host| !host.starts_with(['/', '?', '#', ':']) && !host.is_empty());
    }
    !rest.is_empty() && SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Whether a URL may be loaded as a picture: `http` or `https`.
#[must_use]
pub fn is_safe_image(url: &str) -> bool {
    is_web_link(url)
}

/// Whether a URL may stand in a message and is a web address: what clicks are counted of.
#[must_use]
pub fn is_web_link(url: &str) -> bool {
    is_web(url) && is_safe(url)
}

/// Whether it is a web address.
pub(crate) fn is_web(url: &str) -> bool {
    let prefix = |p: &str| url.get(..p.len()).is_some_and(|start| start.eq_ignore_ascii_case(p));
    prefix("https://") || prefix("http://")
}

/// Why a URL of a file is refused.
pub(crate) fn check(url: &str) -> Result<(), Problem> {
    if is_safe(url) {
        return Ok(());
    }
    Err(Problem::new("template.link", format!("`{url}` is not a link that a message may have"))
        .value(url)
        .cure("write a full address that begins with https://, mailto: or tel:"))
}

/// Campaign parameters, encoded once per message.
#[derive(Debug, Default)]
pub(crate) struct Campaign {
    /// `utm_source=…&utm_medium=…&utm_campaign=…`
    query: String,
}

impl Campaign {
    pub(crate) fn new(utm: &Utm) -> Self {
        let mut query = String::with_capacity(96);
        let parts =
            [("utm_source", &utm.source), ("utm_medium", &utm.medium), ("utm_campaign", &utm.campaign)];
        for (name, value) in parts {
            if value.is_empty() {
                continue;
            }
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(name);
            query.push('=');
            escape::percent(&mut query, value);
        }
        Self { query }
    }

    /// The URL with the campaign's parameters and `utm_content`: what query and fragment it has are kept; a link that
    /// has UTM parameters of its own, and one that is no web address, stay as they are.
    pub(crate) fn append(&self, url: &str, content: &str) -> String {
        let (base, fragment) = url.find('#').map_or((url, ""), |at| url.split_at(at));
        let own =
            base.split_once('?').is_some_and(|(_, query)| query.split('&').any(|p| p.starts_with("utm_")));
        if self.query.is_empty() || own || !is_web(url) {
            return url.to_owned();
        }
        let mut out = String::with_capacity(url.len() + self.query.len() + content.len() * 2 + 16);
        out.push_str(base);
        if !base.ends_with(['?', '&']) {
            out.push(if base.contains('?') { '&' } else { '?' });
        }
        out.push_str(&self.query);
        if !content.is_empty() {
            out.push_str("&utm_content=");
            escape::percent(&mut out, content);
        }
        out.push_str(fragment);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_links() {
        for good in ["https://shop.test", "HTTP://shop.test/a?b#c", "mailto:a@shop.test", "tel:+33123"] {
            assert!(is_safe(good), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\nscript:alert(1)",
            " https://shop.test",
            "data:text/html,x",
            "vbscript:x",
            "//shop.test",
            "/page",
            "https:",
            "https:///x",
            "https://x\" onclick=\"y",
            "mailto:",
            "",
        ] {
            assert!(!is_safe(bad), "{bad}");
        }
        assert!(!is_safe_image("mailto:a@shop.test"));
        let long = |n: usize| format!("https://x/{}", "a".repeat(n - 10));
        assert!(is_safe(&long(URL_LEN_MAX)) && !is_safe(&long(URL_LEN_MAX + 1)));
    }

    #[test]
    fn appends_parameters() {
        let utm = Utm { source: "relance".into(), medium: "email".into(), campaign: "été".into() };
        let campaign = Campaign::new(&utm);
        let query = "utm_source=relance&utm_medium=email&utm_campaign=%C3%A9t%C3%A9";
        for (url, out) in [
            ("https://x.test/a", format!("https://x.test/a?{query}&utm_content=A%20%26%20B")),
            ("https://x.test/a?b=1", format!("https://x.test/a?b=1&{query}&utm_content=A%20%26%20B")),
            ("https://x.test/a?b=1#c", format!("https://x.test/a?b=1&{query}&utm_content=A%20%26%20B#c")),
            ("https://x.test/?", format!("https://x.test/?{query}&utm_content=A%20%26%20B")),
            ("https://x.test/a#?b", format!("https://x.test/a?{query}&utm_content=A%20%26%20B#?b")),
            ("https://x.test/?utm_source=mine", "https://x.test/?utm_source=mine".into()),
            ("mailto:a@x.test", "mailto:a@x.test".into()),
            ("tel:+33123", "tel:+33123".into()),
        ] {
            assert_eq!(campaign.append(url, "A & B"), out, "{url}");
        }
        assert_eq!(campaign.append("https://x.test", ""), format!("https://x.test?{query}"));
        assert_eq!(Campaign::default().append("https://x.test", "A"), "https://x.test");
    }
}
