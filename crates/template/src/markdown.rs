//! The mark-up of text blocks, a small subset of Markdown: paragraphs, `#` to `###` headings, lists, `**bold**`,
//! `*italic*`, `[text](link "title")`, a backslash at the end of a line for a break. Everything else is text, HTML too.

use crate::{build::Build, document::Text, escape};

/// The same content for both parts of a message; tokens stand for expressions and links.
#[derive(Debug, Default)]
pub(crate) struct Both {
    pub html: String,
    pub text: String,
}

impl Both {
    fn text(&mut self, text: &str) {
        escape::html(&mut self.html, text);
        self.text.push_str(text);
    }
}

/// Sizes of letters of the three headings, in pixels.
const HEADINGS: [u32; 3] = [28, 22, 18];
/// Deepest nesting of marks inside each other.
const DEPTH_MAX: usize = 8;

enum Kind {
    Heading(usize),
    Item { ordered: bool },
    Paragraph,
}

/// Renders a text with marks.
pub(crate) fn render(build: &mut Build<'_>, text: &Text, source: &str) -> Both {
    let mut out = Both::default();
    let groups = groups(source);
    let count = groups.len();
    let mut open_list = None;
    let mut number = 0;
    for (i, (kind, content)) in groups.iter().enumerate() {
        let gap = if i + 1 == count { 0 } else { 14 };
        let list = if let Kind::Item { ordered } = kind { Some(*ordered) } else { None };
        if open_list != list {
            close(&mut out, open_list);
            if let Some(ordered) = list {
                let tag = if ordered { "ol" } else { "ul" };
                out.html.push_str(&format!("<{tag} style=\"margin:0 0 14px;padding-left:22px\">"));
                number = 0;
            }
            open_list = list;
        }
        match kind {
            Kind::Heading(level) => {
                let size = HEADINGS[level - 1];
                let gap = if gap == 0 { 0 } else { size / 2 };
                out.html.push_str(&format!(
                    "<h{level} style=\"margin:0 0 {gap}px;font-size:{size}px;line-height:1.25;font-weight:700\">"
                ));
                inline(build, text, content, &mut out, 0);
                out.html.push_str(&format!("</h{level}>"));
                out.text.push_str("\n\n");
            }
            Kind::Item { ordered } => {
                number += 1;
                out.html.push_str("<li style=\"margin:0 0 4px\">");
                out.text.push_str(&if *ordered { format!("{number}. ") } else { "- ".into() });
                inline(build, text, content, &mut out, 0);
                out.html.push_str("</li>");
                out.text.push('\n');
            }
            Kind::Paragraph => {
                out.html.push_str(&format!("<p style=\"margin:0 0 {gap}px\">"));
                inline(build, text, content, &mut out, 0);
                out.html.push_str("</p>");
                out.text.push_str("\n\n");
            }
        }
    }
    close(&mut out, open_list);
    out.text.truncate(out.text.trim_end().len());
    out
}

fn close(out: &mut Both, list: Option<bool>) {
    if let Some(ordered) = list {
        out.html.push_str(if ordered { "</ol>" } else { "</ul>" });
        out.text.push('\n');
    }
}

/// Lines put together to headings, list items and paragraphs.
fn groups(source: &str) -> Vec<(Kind, String)> {
    let mut groups: Vec<(Kind, String)> = Vec::new();
    let mut fresh = true;
    for line in source.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() {
            fresh = true;
            continue;
        }
        let level = trimmed.bytes().take_while(|b| *b == b'#').count();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (kind, content) = if (1..=3).contains(&level) && trimmed[level..].starts_with(' ') {
            (Some(Kind::Heading(level)), trimmed[level..].trim())
        } else if let Some(item) = trimmed.strip_prefix("- ").or_else(|| trimmed.strip_prefix("* ")) {
            (Some(Kind::Item { ordered: false }), item)
        } else if (1..=3).contains(&digits) && trimmed[digits..].starts_with(". ") {
            (Some(Kind::Item { ordered: true }), trimmed[digits + 2..].trim())
        } else {
            (None, trimmed)
        };
        match (kind, groups.last_mut()) {
            (None, Some((last, text))) if !fresh && !matches!(last, Kind::Heading(_)) => {
                text.push('\n');
                text.push_str(content);
            }
            (kind, _) => groups.push((kind.unwrap_or(Kind::Paragraph), content.to_owned())),
        }
        fresh = false;
    }
    groups
}

/// Marks inside a line of text.
pub(crate) fn inline(build: &mut Build<'_>, text: &Text, source: &str, out: &mut Both, depth: usize) {
    let mut rest = source;
    while let Some(at) = rest.find(['*', '[', '\\', '\n']) {
        out.text(&rest[..at]);
        let tail = &rest[at..];
        rest = match marked(tail, depth) {
            Mark::Break(used) => {
                out.html.push_str("<br>");
                out.text.push('\n');
                &tail[used..]
            }
            Mark::Literal(literal, used) => {
                out.text(literal);
                &tail[used..]
            }
            Mark::Tag(tag, inner, used) => {
                out.html.push_str(&format!("<{tag}>"));
                inline(build, text, inner, out, depth + 1);
                out.html.push_str(&format!("</{tag}>"));
                &tail[used..]
            }
            Mark::Link { inner, url, title, used } => {
                link(build, text, (inner, url, title), out, depth);
                &tail[used..]
            }
        };
    }
    out.text(rest);
}

enum Mark<'a> {
    Break(usize),
    Literal(&'a str, usize),
    Tag(&'static str, &'a str, usize),
    Link { inner: &'a str, url: &'a str, title: &'a str, used: usize },
}

fn marked(tail: &str, depth: usize) -> Mark<'_> {
    if let Some(after) = tail.strip_prefix('\\') {
        return match after.chars().next() {
            Some('\n') => Mark::Break(2),
            Some(c) if c.is_ascii_punctuation() => Mark::Literal(&after[..1], 2),
            _ => Mark::Literal("\\", 1),
        };
    }
    if tail.starts_with('\n') {
        return Mark::Literal(" ", 1);
    }
    for (mark, tag) in [("**", "strong"), ("*", "em")] {
        let Some(after) = tail.strip_prefix(mark).filter(|_| depth < DEPTH_MAX) else { continue };
        let Some(end) = after.find(mark).filter(|end| *end > 0 && !after.starts_with(' ')) else { continue };
        return Mark::Tag(tag, &after[..end], end + 2 * mark.len());
    }
    if let Some(link) = as_link(tail).filter(|_| depth < DEPTH_MAX) {
        return link;
    }
    Mark::Literal(&tail[..1], 1)
}

fn as_link(tail: &str) -> Option<Mark<'_>> {
    let close = tail.strip_prefix('[')?.find("](")? + 1;
    let target = &tail[close + 2..];
    let end = crate::ink::end_of(target, ")")?;
    let inside = target[..end].trim();
    let (url, title) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
    let title = title.trim();
    let title = title.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(title);
    Some(Mark::Link { inner: &tail[1..close], url, title, used: close + 2 + end + 1 })
}

fn link(
    build: &mut Build<'_>,
    text: &Text,
    (inner, url, title): (&str, &str, &str),
    out: &mut Both,
    depth: usize,
) {
    let mut label = Both::default();
    inline(build, text, inner, &mut label, depth + 1);
    let content = if title.is_empty() { &label.text } else { title };
    let href = build.link_of_token_text(url, text, content);
    let accent = build.theme().accent.clone();
    out.html.push_str(&format!("<a href=\"{href}\" style=\"color:{accent}\""));
    if !title.is_empty() {
        out.html.push_str(&format!(" title=\"{}\"", escape::html_text(title)));
    }
    out.html.push('>');
    out.html.push_str(&label.html);
    out.html.push_str("</a>");
    out.text.push_str(&label.text);
    out.text.push_str(" (");
    out.text.push_str(&href);
    out.text.push(')');
}
