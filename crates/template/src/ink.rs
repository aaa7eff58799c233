//! Stand-ins for what is known only when a message is made. While a page is put together (and goes through the MJML
//! renderer) an expression is a short token of private-use characters, so that nothing on the way has to understand it;
//! at the end each token becomes its minijinja source, and everything else becomes literal text.

use model::{Place, Problem};

use crate::limits::EXPRESSION_LEN_MAX;

const OPEN: char = '\u{e000}';
const CLOSE: char = '\u{e001}';

/// An expression of the marketer's, for checking.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    /// What stands between the braces.
    pub source: String,
    /// Where its text begins in the file.
    pub place: Place,
    /// The field that holds it, for messages.
    pub field: String,
    /// Whether it stands inside a product card.
    pub in_card: bool,
}

/// Collects the sources behind the tokens.
#[derive(Debug, Default)]
pub(crate) struct Ink {
    sources: Vec<String>,
    /// The marketer's expressions.
    pub expressions: Vec<Expression>,
}

/// Drops the characters that tokens are made of from a text of the file.
pub(crate) fn without_tokens(text: &str) -> String {
    text.chars().filter(|c| !matches!(*c, OPEN | CLOSE)).collect()
}

/// Drops tokens, and collapses what white space is left.
pub(crate) fn plain_words(text: &str) -> String {
    let mut inside = false;
    let kept: String = text
        .chars()
        .filter(|c| {
            match *c {
                OPEN => inside = true,
                CLOSE => {
                    inside = false;
                    return false;
                }
                _ => {}
            }
            !inside
        })
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text has a token.
pub(crate) fn has_token(text: &str) -> bool {
    text.contains(OPEN)
}

impl Ink {
    /// A token for a piece of minijinja source.
    pub fn token(&mut self, source: impl Into<String>) -> String {
        self.sources.push(source.into());
        format!("{OPEN}{}{CLOSE}", self.sources.len() - 1)
    }

    /// Puts tokens in place of the `{{ … }}` of a text.
    pub fn expressions(
        &mut self,
        text: &str,
        place: Place,
        field: &str,
        in_card: bool,
    ) -> Result<String, Problem> {
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text, place, field)? {
            match piece {
                Piece::Literal(literal) => out.push_str(literal),
                Piece::Expression(source) => out.push_str(&self.expression(source, place, field, in_card)?),
            }
        }
        Ok(out)
    }

    /// A token for a text that has tokens itself.
    pub fn wrap(&mut self, text: &str) -> String {
        let source = self.finish(text);
        self.token(source)
    }

    /// The text with its expressions written out again.
    pub fn restore(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once(OPEN) {
            out.push_str(before);
            let (number, after) = tail.split_once(CLOSE).unwrap_or((tail, ""));
            out.push_str(
                number.parse().ok().and_then(|i: usize| self.sources.get(i)).map_or("", String::as_str),
            );
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// Notes an expression for checking.
    pub fn note(&mut self, source: &str, place: Place, field: &str, in_card: bool) -> Result<(), Problem> {
        let wrong = |message: String| Problem::new("template.expression", message).field(field).at(place);
        if source.is_empty() {
            return Err(wrong("`{{ }}` is empty".into()).cure("name a variable, as in {{ name }}"));
        }
        if source.len() > EXPRESSION_LEN_MAX {
            return Err(
                wrong(format!("an expression is longer than {EXPRESSION_LEN_MAX} bytes")).value(source)
            );
        }
        self.expressions.push(Expression {
            source: source.to_owned(),
            place,
            field: field.to_owned(),
            in_card,
        });
        Ok(())
    }

    /// A token for one expression, which is noted for checking.
    pub fn expression(
        &mut self,
        source: &str,
        place: Place,
        field: &str,
        in_card: bool,
    ) -> Result<String, Problem> {
        self.note(source, place, field, in_card)?;
        Ok(self.token(format!("{{{{ {source} }}}}")))
    }

    /// The minijinja source of a text with tokens: literal parts are protected, tokens become their sources.
    pub fn finish(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() * 2);
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            literal(&mut out, &rest[..at]);
            let tail = &rest[at + OPEN.len_utf8()..];
            let Some(end) = tail.find(CLOSE) else { break };
            if let Some(source) = tail[..end].parse().ok().and_then(|i: usize| self.sources.get(i)) {
                out.push_str(source);
            }
            rest = &tail[end + CLOSE.len_utf8()..];
        }
        literal(&mut out, rest);
        out
    }
}

/// A part of a text.
pub(crate) enum Piece<'a> {
    /// As it is.
    Literal(&'a str),
    /// What stands between braces.
    Expression(&'a str),
}

/// Takes a text apart at its `{{ … }}`.
pub(crate) fn pieces<'a>(text: &'a str, place: Place, field: &str) -> Result<Vec<Piece<'a>>, Problem> {
    let wrong = |code: &'static str, message: String| Problem::new(code, message).field(field).at(place);
    let mut pieces = Vec::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = text[at..].find('{') {
        at += found;
        let tail = &text[at..];
        if tail.starts_with("{%") || tail.starts_with("{#") {
            return Err(wrong("template.tag", format!("`{}` cannot stand in a text", &tail[..2]))
                .cure("use the block's `show` for conditions, or a block of kind html"));
        }
        let Some(body) = tail.strip_prefix("{{") else {
            at += 1;
            continue;
        };
        let Some(end) = end_of(body, "}}") else {
            let shown: String = tail.chars().take(40).collect();
            return Err(wrong("template.expression", format!("`{shown}` has no closing braces"))
                .cure("close it with `}}`"));
        };
        if from < at {
            pieces.push(Piece::Literal(&text[from..at]));
        }
        pieces.push(Piece::Expression(body[..end].trim().trim_matches('-').trim()));
        at += end + 4;
        from = at;
    }
    if from < text.len() {
        pieces.push(Piece::Literal(&text[from..]));
    }
    Ok(pieces)
}

/// Adds text that minijinja must not read as its own. A brace before a token (`{` + `{{ x }}`) is split off too.
fn literal(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let tail = &rest[at + 1..];
        out.push_str(&rest[..at]);
        let risky = tail.is_empty() || tail.starts_with(['{', '%', '#']);
        out.push_str(if risky { "{{ '{' }}" } else { "{" });
        rest = tail;
    }
    out.push_str(rest);
}

/// Where a closing mark stands outside quotes.
pub(crate) fn end_of(text: &str, mark: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (i, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if text[i..].starts_with(mark) => return Some(i),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Place = Place { line: 1, column: 1 };

    #[test]
    fn expressions_become_tokens_and_come_back() {
        let mut ink = Ink::default();
        let text = ink.expressions("a {b} {{ name | default('}}') }} c{", AT, "subject", false).unwrap();
        assert!(has_token(&text) && !text.contains("name"));
        assert_eq!(plain_words(&text), "a {b} c{");
        assert_eq!(ink.finish(&text), "a {b} {{ name | default('}}') }} c{{ '{' }}");
        assert_eq!(ink.finish("a{{b"), "a{{ '{' }}{b");
        for (bad, code) in [
            ("{% if x %}", "template.tag"),
            ("{# x #}", "template.tag"),
            ("{{ x", "template.expression"),
            ("{{ }}", "template.expression"),
        ] {
            assert_eq!(ink.expressions(bad, AT, "subject", false).unwrap_err().code, code, "{bad}");
        }
        let edge = "x".repeat(EXPRESSION_LEN_MAX);
        assert!(ink.expressions(&format!("{{{{{edge}}}}}"), AT, "f", false).is_ok());
        assert!(ink.expressions(&format!("{{{{{edge}x}}}}"), AT, "f", false).is_err());
    }
}
