//! Whether what a server says means that there is no such mailbox, or that it was not this time.
//!
//! Enhanced status codes are those of RFC 3463 and its registry. Servers that give none, or one that says nothing, are
//! read by their words.

use storage::post::ReportKind;

/// Codes that can mean nothing else than that nobody reads this address: no such user or domain, moved away, mailbox
/// closed, no route to the domain.
const NOBODY: [&str; 7] = ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.4"];
/// Codes that say nothing of themselves: the words beside them count.
const VAGUE: [&str; 6] = ["5.0.0", "5.1.0", "5.2.0", "5.3.0", "5.4.0", "5.5.0"];
/// What servers write where nobody reads an address, in lower case.
const WORDS: [&str; 22] = [
    "user unknown",
    "unknown user",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no such address",
    "no such person",
    "unknown recipient",
    "recipient unknown",
    "recipient not found",
    "user not found",
    "does not exist",
    "doesn't exist",
    "doesn't have a",
    "invalid recipient",
    "invalid mailbox",
    "mailbox not found",
    "address unknown",
    "account has been disabled",
    "account is disabled",
    "no mailbox here by that name",
    "domain not found",
];

/// Whether a refusal for good is one of the address.
#[must_use]
pub fn kind(status: &str, words: &str) -> ReportKind {
    let status = status.trim();
    let told = enhanced(status).or_else(|| enhanced(words)).unwrap_or_default();
    // "Failed", with a code of class 4: it was tried for days.
    if told.starts_with("4.") {
        return ReportKind::Soft;
    }
    let within = enhanced(words).unwrap_or_default();
    if NOBODY.contains(&told.as_str())
        || (VAGUE.contains(&told.as_str()) && NOBODY.contains(&within.as_str()))
    {
        return ReportKind::Hard;
    }
    let vague = told.is_empty() || VAGUE.contains(&told.as_str());
    let words = words.to_ascii_lowercase();
    if vague && refused_for_good(&words) && WORDS.iter().any(|known| words.contains(known)) {
        return ReportKind::Hard;
    }
    ReportKind::Soft
}

/// Whether the words hold no reply code of class 4.
fn refused_for_good(words: &str) -> bool {
    !words.split(|c: char| !c.is_ascii_digit()).any(|number| matches!(number, "421" | "450" | "451" | "452"))
}

/// The first enhanced status code in a text: `5.1.1`.
#[must_use]
pub fn enhanced(text: &str) -> Option<String> {
    let is_code = |word: &str| {
        let parts: Vec<&str> = word.split('.').collect();
        let digits = |part: &&str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        matches!(parts.as_slice(), [class, subject, detail]
            if matches!(*class, "2" | "4" | "5") && digits(subject, 3) && digits(detail, 3))
    };
    text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .map(|word| word.trim_matches('.'))
        .find(|word| is_code(word))
        .map(str::to_owned)
}

/// The first reply code of class 4 or 5 that stands as a word of its own: `550`.
#[must_use]
pub fn reply(text: &str) -> Option<u16> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .filter(|word| word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|word| word.parse().ok())
        .find(|code| (400..=599).contains(code) && (code % 100) < 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_say() {
        use ReportKind::{Hard, Soft};
        for (status, words, expected) in [
            ("5.1.1", "smtp; 550 5.1.1 <a@b.example>: Recipient address rejected", Hard),
            ("5.1.10", "", Hard),
            ("5.4.4", "Host or domain name not found", Hard),
            ("5.0.0", "smtp; 550 No such user here", Hard),
            ("5.0.0", "smtp; 550 5.1.1 unknown", Hard),
            ("5.0.0", "smtp; 550 we do not like you", Soft),
            ("", "550 user unknown", Hard),
            ("", "450 user unknown, try again", Soft),
            ("", "", Soft),
            ("5.2.2", "smtp; 552 5.2.2 mailbox full", Soft),
            ("5.7.1", "smtp; 550 5.7.1 user unknown to our policy", Soft),
            ("5.7.26", "unauthenticated mail", Soft),
            ("4.4.1", "connection timed out", Soft),
            ("4.1.1", "user unknown", Soft),
            ("5.1.1 (bad destination mailbox address)", "", Hard),
        ] {
            assert_eq!(kind(status, words), expected, "{status} {words}");
        }
    }

    #[test]
    fn codes_are_found_in_sentences() {
        for (text, code) in [
            ("550 5.1.1 unknown", Some("5.1.1")),
            ("host 192.0.2.1 said: 550-5.7.26 no", Some("5.7.26")),
            ("version 3.1.2", None),
            ("192.0.2.10", None),
            ("(#5.1.1)", Some("5.1.1")),
            ("5.1", None),
            ("5.1.1.1", None),
        ] {
            assert_eq!(enhanced(text).as_deref(), code, "{text}");
        }
        assert_eq!(reply("said: 550-5.1.1 no"), Some(550));
        assert_eq!(reply("error 5501, 599, 250"), None);
    }
}
