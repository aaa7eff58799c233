//! Headers that a mail service gives back in what it tells of a message, so that its calls name ours: see docs/bounces.md.
//! Services take most of them out again before a mail goes on. They stand before the mail and outside its signature.

use crate::post::token;

/// A service that relays our mails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon SES.
    Ses,
    /// SendGrid.
    SendGrid,
    /// Mailgun.
    Mailgun,
    /// Postmark.
    Postmark,
    /// Brevo.
    Brevo,
}

impl Provider {
    /// All of them with their words.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("ses", Self::Ses),
        ("sendgrid", Self::SendGrid),
        ("mailgun", Self::Mailgun),
        ("postmark", Self::Postmark),
        ("brevo", Self::Brevo),
    ];

    /// The service whose relay this is, by the names that they give to theirs; `user` is what it is signed in with.
    #[must_use]
    pub fn of(host: &str, user: Option<&str>) -> Option<Self> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let within = |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        if host.starts_with("email-smtp.") && (within("amazonaws.com") || within("amazonaws.com.cn")) {
            return Some(Self::Ses);
        }
        let known = [
            ("sendgrid.net", Self::SendGrid),
            ("mailgun.org", Self::Mailgun),
            ("postmarkapp.com", Self::Postmark),
            ("brevo.com", Self::Brevo),
            ("sendinblue.com", Self::Brevo),
        ];
        let by_host = known.into_iter().find(|(domain, _)| within(domain)).map(|(_, provider)| provider);
        // Who signs in to SendGrid with a key is called so, whatever name of one's own leads there.
        by_host.or((user == Some("apikey")).then_some(Self::SendGrid))
    }

    /// The headers that name a message, each with its line's end; `token` is that of [`token::HEADER`].
    #[must_use]
    pub fn headers(self, token: &str) -> String {
        match self {
            Self::Ses => format!("X-SES-MESSAGE-TAGS: relance_message={token}\r\n"),
            Self::SendGrid => {
                format!("X-SMTPAPI: {{\"unique_args\": {{\"relance_message\":\r\n \"{token}\"}}}}\r\n")
            }
            Self::Mailgun => format!("X-Mailgun-Variables: {{\"relance_message\":\r\n \"{token}\"}}\r\n"),
            Self::Postmark => format!("X-PM-Metadata-relance_message: {token}\r\n"),
            Self::Brevo => format!("X-Mailin-custom: {token}\r\n"),
        }
    }

    /// The headers for a mail whose bytes hold a token; empty for one without.
    pub(super) fn headers_of(self, mail: &[u8]) -> String {
        token_in(mail).map_or_else(String::new, |token| self.headers(token))
    }
}

/// The token in the headers of a mail that we made.
fn token_in(mail: &[u8]) -> Option<&str> {
    let headers = mail.split(|byte| *byte == b'\n').take_while(|line| !matches!(line, [] | [b'\r']));
    let mut lines = headers.filter_map(|line| std::str::from_utf8(line).ok());
    let value = lines.find_map(|line| line.strip_prefix(token::HEADER)?.strip_prefix(':'))?.trim();
    // Nothing but a token goes into a header of another kind.
    (value.len() == token::LEN && value.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_known_by_the_names_of_their_relays() {
        for (host, user, provider) in [
            ("email-smtp.eu-west-1.amazonaws.com", None, Some(Provider::Ses)),
            ("smtp.SendGrid.net.", Some("x"), Some(Provider::SendGrid)),
            ("relay.shop.example", Some("apikey"), Some(Provider::SendGrid)),
            ("smtp.eu.mailgun.org", None, Some(Provider::Mailgun)),
            ("smtp-broadcasts.postmarkapp.com", None, Some(Provider::Postmark)),
            ("smtp-relay.brevo.com", None, Some(Provider::Brevo)),
            ("smtp-relay.sendinblue.com", None, Some(Provider::Brevo)),
            ("smtp.notmailgun.org", None, None),
            ("mailgun.org", None, None),
            ("ec2-1.amazonaws.com", None, None),
            ("127.0.0.1", Some("shop"), None),
        ] {
            assert_eq!(Provider::of(host, user), provider, "{host}");
        }
    }

    #[test]
    fn only_a_token_in_the_headers_is_taken() {
        let token = "0a".repeat(token::LEN / 2);
        let mail =
            |header: &str, body: &str| format!("Subject: x\r\n{header}\r\n\r\n{body}\r\n").into_bytes();
        let header = format!("{}: {token}", token::HEADER);
        assert_eq!(token_in(&mail(&header, "")), Some(token.as_str()));
        assert_eq!(token_in(&mail("To: a@example.test", &header)), None, "what a page says is no header");
        for wrong in
            [format!("{header}0"), header[..header.len() - 1].to_owned(), header.replace("0a0a", "0a,a")]
        {
            assert_eq!(token_in(&mail(&wrong, "")), None, "{wrong}");
            assert_eq!(Provider::Postmark.headers_of(&mail(&wrong, "")), "");
        }
        for (word, provider) in Provider::WORDS {
            let headers = provider.headers_of(&mail(&header, ""));
            assert!(headers.contains(&token) && headers.ends_with("\r\n"), "{word}");
            assert!(headers.lines().all(|line| line.len() <= 100), "{headers}");
        }
    }
}
