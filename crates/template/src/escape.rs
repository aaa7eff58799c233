//! Escaping for HTML and for URLs.

use std::fmt;

/// Writes a text, escaped for HTML elements and quoted attributes.
pub(crate) fn write_html(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut from = 0;
    for (i, b) in text.bytes().enumerate() {
        let escaped = match b {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&#39;",
            _ => continue,
        };
        out.write_str(&text[from..i])?;
        out.write_str(escaped)?;
        from = i + 1;
    }
    out.write_str(&text[from..])
}

/// The same for a text in memory, which cannot fail.
pub(crate) fn html(out: &mut String, text: &str) {
    let _ = write_html(out, text);
}

/// The same as a new text.
pub(crate) fn html_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    html(&mut out, text);
    out
}

/// Adds a text, percent-encoded for a value of a query: letters, digits and `-._~` stay.
pub(crate) fn percent(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(b >> 4)]));
            out.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
}

/// One line for a header or a title: control characters become blanks, runs of blanks one, outer ones none.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = 0;
    for word in
        text.split(|c: char| (c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{202f}')) || is_control(c))
    {
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
            chars += 1;
        }
        for c in word.chars() {
            if chars == chars_max {
                out.pop();
                out.push('…');
                return out;
            }
            out.push(c);
            chars += 1;
        }
    }
    out
}

/// Control characters, and those that reorder or hide text.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(
            html_text("<a href=\"x\">'&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;"
        );
        let mut out = String::new();
        percent(&mut out, "é a&b=c/d~");
        assert_eq!(out, "%C3%A9%20a%26b%3Dc%2Fd~");
        assert_eq!(one_line(" Hi\r\nBcc: x\u{202e}y  z ", 250), "Hi Bcc: x y z");
        assert_eq!(one_line("abc", 3), "abc");
        assert_eq!(one_line("abcd", 3), "ab…");
    }
}
