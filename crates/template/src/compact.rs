//! Makes a page short once, when it is compiled: every message carries it.

/// Drops comments but Outlook's conditional ones, and white space that nobody sees.
pub(crate) fn compact(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find("<!--") {
        spaces(&mut out, &rest[..at]);
        let tail = &rest[at..];
        let kept = tail.starts_with("<!--[if") || tail.starts_with("<!--<![");
        let end = tail.find("-->").map_or(tail.len(), |end| end + 3);
        if kept {
            spaces(&mut out, &tail[..end]);
        }
        rest = &tail[end..];
    }
    spaces(&mut out, rest);
    let out = single_backgrounds(&out);
    // What Outlook gets in two neighbouring comments of the same kind it gets in one.
    out.replace("<![endif]--><!--[if mso | IE]>", "").replace(" style=\"\"", "").replace(" class=\"\"", "")
}

/// `background:#fff;background-color:#fff` says the same twice.
fn single_backgrounds(html: &str) -> String {
    const FIRST: &str = "background:#";
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(FIRST) {
        let color = &rest[at + FIRST.len() - 1..];
        let len = color.find(';').unwrap_or(color.len());
        let (color, after) = color.split_at(len);
        out.push_str(&rest[..at + FIRST.len() - 1]);
        out.push_str(color);
        rest = after
            .strip_prefix(";background-color:")
            .and_then(|tail| tail.strip_prefix(color))
            .unwrap_or(after);
    }
    out + rest
}

/// Collapses runs of white space to one blank, to none where a tag or a rule ends or begins.
fn spaces(out: &mut String, text: &str) {
    let mut pending = false;
    for c in text.chars() {
        if matches!(c, ' ' | '\n' | '\r' | '\t') {
            pending = true;
            continue;
        }
        if pending {
            let last = out.chars().next_back();
            let needless = matches!(last, None | Some('>' | '{' | '}' | ';'))
                && matches!(c, '<' | '}' | '{' | '.' | '#' | '@')
                || last == Some('>') && c == '<';
            if !needless {
                out.push(' ');
            }
            pending = false;
        }
        out.push(c);
    }
    if pending && !out.ends_with(['>', ' ']) {
        out.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_counts() {
        for (html, short) in [
            ("<p>\n  a  b\n</p>  <p>", "<p> a b </p><p>"),
            ("a<!-- x -->b", "ab"),
            ("<!--[if mso]>\n <td>\n<![endif]-->", "<!--[if mso]><td><![endif]-->"),
            ("<!--[if !mso]><!-->  a <!--<![endif]-->", "<!--[if !mso]><!--> a <!--<![endif]-->"),
            ("<style>\n.a { b: c; }\n.d { e: f; }</style>", "<style>.a { b: c;}.d { e: f;}</style>"),
            (
                "<!--[if mso | IE]><i><![endif]-->\n<!--[if mso | IE]><b><![endif]-->",
                "<!--[if mso | IE]><i><b><![endif]-->",
            ),
            ("a{background:#fff;background-color:#fff;b:c}", "a{background:#fff;b:c}"),
            ("a{background:#fff;background-color:#eee}", "a{background:#fff;background-color:#eee}"),
            ("<p style=\"\" class=\"x\">", "<p class=\"x\">"),
        ] {
            assert_eq!(compact(html), short, "{html}");
        }
    }
}
