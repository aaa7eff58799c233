//! What a server's reply means.

use std::error::Error as _;

use lettre::transport::smtp::Error;

/// At which step of a mail a reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Mail,
    Rcpt,
    Data,
    Body,
}

/// A negative reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The code, as in 550.
    pub code: u16,
    /// Code and words, on one line, shortened.
    pub detail: String,
}

/// The longest text of a server that is kept, in characters.
const DETAIL_LEN_MAX: usize = 300;

impl Refusal {
    /// Of lettre's error; none when the connection broke or the server spoke no SMTP.
    pub fn of(error: &Error) -> Option<Self> {
        let code = u16::from(error.status()?);
        let words = error.source().map(ToString::to_string).unwrap_or_default();
        Some(Self { code, detail: shortened(&format!("{code} {words}")) })
    }

    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Whether the server says that there is no such mailbox, by an enhanced status code (RFC 3463) that can mean
    /// nothing else. Codes without one are not trusted: many servers say 550 to what they merely dislike.
    pub fn says_no_mailbox(&self) -> bool {
        let enhanced = self.detail.split([' ', '-', '\n']).nth(1).unwrap_or_default();
        self.is_permanent() && matches!(enhanced, "5.1.1" | "5.1.2" | "5.1.3" | "5.1.6" | "5.1.10" | "5.2.1")
    }
}

/// On one line, without control characters, not too long.
pub(super) fn shortened(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    words.join(" ").chars().take(DETAIL_LEN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_can_mean_nothing_else_say_that_there_is_no_mailbox() {
        for (detail, code, expected) in [
            ("550 5.1.1 <x@y>: user unknown", 550, true),
            ("550 5.1.10 recipient not found", 550, true),
            ("550 5.7.1 relaying denied", 550, false),
            ("550 user unknown", 550, false),
            ("554 5.7.26 unauthenticated", 554, false),
            ("450 4.1.1 try later", 450, false),
        ] {
            assert_eq!(Refusal { code, detail: detail.into() }.says_no_mailbox(), expected, "{detail}");
        }
    }

    #[test]
    fn a_long_reply_is_kept_on_one_line_and_short() {
        let text = shortened(&format!("550 a\r\n\tb\x1b {}", "é".repeat(2 * DETAIL_LEN_MAX)));
        assert!(text.starts_with("550 a b é"));
        assert_eq!(text.chars().count(), DETAIL_LEN_MAX);
    }
}
