//! Raw HTML of a block: what may not stand in a message is found when the template is checked, and links are taken out
//! so that they get campaign parameters and can be counted like all others.

use model::{Place, Problem};

use crate::ink::end_of;

/// Elements that no mail client runs, or that would change the message around the block.
const FORBIDDEN: [&str; 17] = [
    "script", "iframe", "object", "embed", "form", "input", "textarea", "select", "base", "meta", "link",
    "html", "head", "body", "svg", "math", "frame",
];

/// Control tags that a raw block may have.
const TAGS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];

/// A piece of a raw block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// As it is.
    Html(&'a str),
    /// The value of an `href`.
    Href(&'a str),
    /// The value of a `src`.
    Src(&'a str),
    /// `{{ … }}`, without the braces.
    Expression(&'a str),
    /// `{% … %}`, without the braces.
    Tag(&'a str),
}

/// Takes a raw block apart.
///
/// # Errors
/// `template.html` for what may not stand in a message, `template.tag` for an unknown control tag.
pub(crate) fn parts<'a>(source: &'a str, place: Place, field: &str) -> Result<Vec<Part<'a>>, Problem> {
    let wrong = |code: &'static str, message: String| Problem::new(code, message).field(field).at(place);
    let mut parts = Vec::new();
    let (mut from, mut at) = (0, 0);
    let bytes = source.as_bytes();
    while at < bytes.len() {
        let tail = &source[at..];
        if tail.starts_with("{{") || tail.starts_with("{%") {
            let close = if tail.starts_with("{{") { "}}" } else { "%}" };
            let end = end_of(&tail[2..], close).ok_or_else(|| {
                wrong("template.expression", format!("`{}` is not closed with `{close}`", &tail[..2]))
            })?;
            parts.push(Part::Html(&source[from..at]));
            let inner = tail[2..2 + end].trim().trim_matches('-').trim();
            parts.push(if close == "}}" {
                Part::Expression(inner)
            } else {
                tag(inner).map_err(|m| wrong("template.tag", m))?
            });
            at += end + 4;
            from = at;
        } else if tail.starts_with("{#") {
            return Err(
                wrong("template.tag", "`{#` cannot stand in a template".into()).cure("use an HTML comment")
            );
        } else if let Some(comment) = tail.strip_prefix("<!--") {
            let end = comment
                .find("-->")
                .ok_or_else(|| wrong("template.html", "a comment is not closed".into()))?;
            at += end + 7;
        } else if bytes[at] == b'<' && tail[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') {
            at = element(source, (&mut from, at), &mut parts)
                .map_err(|message| wrong("template.html", message))?;
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    parts.push(Part::Html(&source[from..]));
    parts.retain(|part| *part != Part::Html(""));
    Ok(parts)
}

fn tag(inner: &str) -> Result<Part<'_>, String> {
    let word = inner.split_whitespace().next().unwrap_or_default();
    if TAGS.contains(&word) {
        return Ok(Part::Tag(inner));
    }
    Err(format!("`{{% {word} %}}` is not known: use one of {}", TAGS.join(", ")))
}

/// Reads a tag that begins at `at`; gives where it ends.
fn element<'a>(
    source: &'a str,
    (from, start): (&mut usize, usize),
    parts: &mut Vec<Part<'a>>,
) -> Result<usize, String> {
    let bytes = source.as_bytes();
    let mut at = start + 1;
    let name_from = at;
    while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'/' | b'-' | b':')) {
        at += 1;
    }
    let name = source[name_from..at].trim_matches('/').to_ascii_lowercase();
    if FORBIDDEN.contains(&name.as_str()) {
        return Err(format!("`<{name}>` cannot stand in a message"));
    }
    loop {
        while at < bytes.len() && (bytes[at].is_ascii_whitespace() || bytes[at] == b'/') {
            at += 1;
        }
        if at >= bytes.len() {
            return Err(format!("`<{name}` is not closed"));
        }
        if bytes[at] == b'>' {
            return Ok(at + 1);
        }
        let attribute_from = at;
        while at < bytes.len() && !bytes[at].is_ascii_whitespace() && !matches!(bytes[at], b'=' | b'>' | b'/')
        {
            at += 1;
        }
        let attribute = source[attribute_from..at].to_ascii_lowercase();
        if attribute.is_empty()
            || attribute.starts_with("on")
            || matches!(attribute.as_str(), "srcdoc" | "formaction")
        {
            return Err(format!("the attribute `{attribute}` of `<{name}>` cannot stand in a message"));
        }
        if attribute.contains('{') {
            return Err(format!("`<{name}>`: put expressions into the values of attributes"));
        }
        while at < bytes.len() && bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        if bytes.get(at) != Some(&b'=') {
            continue;
        }
        at += 1;
        while at < bytes.len() && bytes[at].is_ascii_whitespace() {
            at += 1;
        }
        let Some(quote @ (b'"' | b'\'')) = bytes.get(at).copied() else {
            return Err(format!("the value of `{attribute}` of `<{name}>` needs quotes"));
        };
        let (value_from, quote) = (at + 1, char::from(quote));
        let value = value(&source[value_from..], quote)
            .ok_or_else(|| format!("the value of `{attribute}` of `<{name}>` is not closed"))?;
        at = value_from + value.len() + 1;
        match attribute.as_str() {
            "href" | "src" | "background" => {
                parts.push(Part::Html(&source[*from..value_from]));
                parts.push(if attribute == "href" { Part::Href(value) } else { Part::Src(value) });
                *from = at - 1;
            }
            _ if value.contains("{{") => {
                parts.push(Part::Html(&source[*from..value_from]));
                expressions(value, parts)?;
                *from = at - 1;
            }
            _ if value.to_ascii_lowercase().replace(char::is_whitespace, "").contains("javascript:") => {
                return Err(format!("the value of `{attribute}` of `<{name}>` cannot stand in a message"));
            }
            _ => {}
        }
    }
}

/// The value up to its quote; quotes inside `{{ }}` do not end it.
fn value(source: &str, quote: char) -> Option<&str> {
    let mut at = 0;
    loop {
        let tail = source.get(at..)?;
        if let Some(body) = tail.strip_prefix("{{") {
            at += end_of(body, "}}")? + 4;
            continue;
        }
        let c = tail.chars().next()?;
        if c == quote {
            return Some(&source[..at]);
        }
        at += c.len_utf8();
    }
}

fn expressions<'a>(value: &'a str, parts: &mut Vec<Part<'a>>) -> Result<(), String> {
    let mut rest = value;
    while let Some(at) = rest.find("{{") {
        parts.push(Part::Html(&rest[..at]));
        let body = &rest[at + 2..];
        let end = end_of(body, "}}").ok_or("an expression is not closed")?;
        parts.push(Part::Expression(body[..end].trim()));
        rest = &body[end + 2..];
    }
    parts.push(Part::Html(rest));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Place = Place { line: 1, column: 1 };

    #[test]
    fn takes_apart() {
        let source = r#"<p class='a'>{{ name }} <a href="https://x.test/?a={{ "b" }}">x</a>{% if name %}<img src='https://x.test/i.png'>{% endif %}</p>"#;
        assert_eq!(
            parts(source, AT, "html").unwrap(),
            [
                Part::Html("<p class='a'>"),
                Part::Expression("name"),
                Part::Html(" <a href=\""),
                Part::Href(r#"https://x.test/?a={{ "b" }}"#),
                Part::Html("\">x</a>"),
                Part::Tag("if name"),
                Part::Html("<img src='"),
                Part::Src("https://x.test/i.png"),
                Part::Html("'>"),
                Part::Tag("endif"),
                Part::Html("</p>"),
            ]
        );
    }

    #[test]
    fn refuses_what_no_message_may_have() {
        for (bad, code) in [
            ("<script>x</script>", "template.html"),
            ("<SCRIPT>x", "template.html"),
            ("<img src=x>", "template.html"),
            ("<p onclick=\"x\">", "template.html"),
            ("<p style=\"background:url(JavaScript:x)\">", "template.html"),
            ("<iframe src=\"https://x.test\"></iframe>", "template.html"),
            ("<p {{ x }}>", "template.html"),
            ("<!-- x", "template.html"),
            ("{% set x = 1 %}", "template.tag"),
            ("{% macro m() %}", "template.tag"),
            ("{# x #}", "template.tag"),
            ("{{ x", "template.expression"),
        ] {
            assert_eq!(parts(bad, AT, "html").unwrap_err().code, code, "{bad}");
        }
        assert!(parts("a < b <3 é", AT, "html").is_ok());
    }
}
