//! Bounces that keep to no standard: a server's words in plain text.
//!
//! Only what a server itself sent is read so: from its own mailbox, or with the failed recipients in a header. An absence
//! note names no reply code and is left alone.

use mail_parser::Message;

use super::{Notice, one_line, status};

/// Names of mailboxes that servers write from, in lower case.
const SERVERS: [&str; 4] = ["mailer-daemon", "postmaster", "mail-daemon", "mailerdaemon"];
/// So much of the text is read, in bytes.
const TEXT_MAX: usize = 16 * 1024;

/// What it says; none when it is no bounce.
pub(super) fn read(mail: &Message<'_>) -> Option<Notice> {
    let failed = mail.header("X-Failed-Recipients").is_some();
    let from = mail.from().and_then(|from| from.first()).and_then(|from| from.address()).unwrap_or_default();
    let name = from.split('@').next().unwrap_or_default().to_ascii_lowercase();
    let absent = mail
        .header("Auto-Submitted")
        .and_then(|value| value.as_text())
        .is_some_and(|value| value.trim().to_ascii_lowercase().starts_with("auto-replied"));
    if !failed && (absent || !SERVERS.contains(&name.as_str())) {
        return None;
    }
    let text = mail.body_text(0)?;
    let end = (0..=TEXT_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end))?;
    // What is returned below may hold anything; the server's words come first.
    let own = &text[..end];
    let own = own.split("\nReceived:").next().unwrap_or(own);
    let line = own.lines().find(|line| {
        status::enhanced(line).is_some_and(|code| !code.starts_with('2')) || status::reply(line).is_some()
    });
    let said = line.map(one_line).unwrap_or_else(|| if failed { one_line(own) } else { String::new() });
    if said.is_empty() {
        return None;
    }
    let code = status::enhanced(&said).unwrap_or_default();
    // A warning that it is still tried.
    let late = own.to_ascii_lowercase();
    if late.contains("will be retried")
        || late.contains("still trying")
        || late.contains("warning message only")
    {
        return None;
    }
    Some(Notice { kind: status::kind(&code, &one_line(own)), status: code, detail: said })
}
