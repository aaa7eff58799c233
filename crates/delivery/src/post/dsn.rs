//! Delivery status notifications (RFC 3464): the part `message/delivery-status`.

use storage::post::ReportKind;

use super::{Notice, blocks, field, one_line, status};

/// What a notification says of our mail; none when it leads to nothing: the mail is late, or was passed on.
///
/// The first block is about the mail, the others each about a recipient. We write to one recipient at a time, so several
/// come from where a list was expanded: the worst counts.
pub(super) fn read(text: &str) -> Option<Notice> {
    let of_recipients = blocks(text);
    of_recipients
        .iter()
        .filter(|block| !field(block, "action").is_empty())
        .filter_map(|block| {
            let diagnostic = field(block, "diagnostic-code");
            let code = field(block, "status");
            // Comments may stand behind the word.
            let action = field(block, "action").split([' ', '(', ';']).next().unwrap_or_default();
            let kind = match action.to_ascii_lowercase().as_str() {
                "failed" => status::kind(code, diagnostic),
                "delivered" => ReportKind::Delivered,
                _ => return None,
            };
            Some(Notice {
                kind,
                status: status::enhanced(code).or_else(|| status::enhanced(diagnostic)).unwrap_or_default(),
                detail: one_line(diagnostic),
            })
        })
        .max_by_key(|notice| notice.kind)
}
