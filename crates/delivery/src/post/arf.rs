//! Complaints in the Abuse Reporting Format (RFC 5965): the part `message/feedback-report`.

use storage::post::ReportKind;

use super::{Notice, blocks, field, one_line};

/// What a report says of our mail; none when it leads to nothing: "this is no spam", or a failed check of a signature
/// (RFC 6591).
pub(super) fn read(text: &str) -> Option<Notice> {
    let fields: Vec<(String, String)> = blocks(text).into_iter().flatten().collect();
    let word = field(&fields, "feedback-type").split([' ', ';', '(']).next().unwrap_or_default();
    let word = word.to_ascii_lowercase();
    let kind = match word.as_str() {
        "not-spam" | "auth-failure" | "dmarc" | "" => return None,
        "opt-out" | "opt-out-list" => ReportKind::Unsubscribed,
        // Abuse, fraud, virus, other, and what may be registered later.
        _ => ReportKind::Complaint,
    };
    let status: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let detail = one_line(field(&fields, "user-agent"));
    Some(Notice { kind, status, detail })
}
