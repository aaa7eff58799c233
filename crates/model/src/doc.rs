//! YAML 1.2 and JSON files as one tree that knows where everything stands, so that a message can name line and column.
//! JSON is read by the YAML parser, of which it is a subset.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::Number;

use crate::{Place, Problem, Problems};

/// A value with its place in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub data: Data,
    /// Where it begins.
    pub place: Place,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Nothing.
    Null,
    /// True or false (YAML 1.2: `yes` and `no` are texts).
    Bool(bool),
    /// A number, exactly as written.
    Number(String),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping in the file's order.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub place: Place,
    /// The value.
    pub value: Node,
}

/// Deepest nesting of a file.
pub const DEPTH_MAX: usize = 64;
/// Most nodes in a file.
pub const NODES_MAX: usize = 200_000;

/// Reads one YAML or JSON document.
///
/// # Errors
/// `doc.syntax`, `doc.duplicate_key`, `doc.alias` (anchors are not followed: they make small files huge),
/// `doc.too_deep`, `doc.too_large`, `doc.several` (more than one document), each with its place.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let mut reader = Reader { parser: Parser::new_from_str(text), nodes: 0 };
    let mut root = None;
    loop {
        let (event, place) = reader.next()?;
        match event {
            Event::StreamEnd => break,
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            other if root.is_none() => root = Some(reader.node(other, place, 0)?),
            _ => return Err(Problem::new("doc.several", "the file holds more than one document").at(place)),
        }
    }
    Ok(root.unwrap_or(Node { data: Data::Null, place: Place { line: 1, column: 1 } }))
}

struct Reader<'input> {
    parser: Parser<'input, saphyr_parser::StrInput<'input>>,
    nodes: usize,
}

impl<'input> Reader<'input> {
    fn next(&mut self) -> Result<(Event<'input>, Place), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, place(span.start))),
            Some(Err(error)) => {
                Err(Problem::new("doc.syntax", error.info().to_owned()).at(place(*error.marker())))
            }
            None => Ok((Event::StreamEnd, Place { line: 1, column: 1 })),
        }
    }

    fn node(&mut self, event: Event<'input>, at: Place, depth: usize) -> Result<Node, Problem> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(
                Problem::new("doc.too_large", format!("more than {NODES_MAX} values in one file")).at(at)
            );
        }
        if depth > DEPTH_MAX {
            return Err(Problem::new("doc.too_deep", format!("nested more than {DEPTH_MAX} deep")).at(at));
        }
        let data = match event {
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceStart(..) => {
                let mut list = Vec::new();
                loop {
                    let (event, at) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break Data::List(list);
                    }
                    list.push(self.node(event, at, depth + 1)?);
                }
            }
            Event::MappingStart(..) => self.map(depth)?,
            Event::Alias(_) => {
                return Err(Problem::new("doc.alias", "anchors and aliases are not supported")
                    .at(at)
                    .cure("write the value out"));
            }
            _ => return Err(Problem::new("doc.syntax", "the file ends too early").at(at)),
        };
        Ok(Node { data, place: at })
    }

    fn map(&mut self, depth: usize) -> Result<Data, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Data::Map(entries)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(Problem::new("doc.syntax", "a key must be a plain text").at(at)),
            };
            if entries.iter().any(|entry| entry.key == key) {
                return Err(Problem::new("doc.duplicate_key", format!("`{key}` stands twice"))
                    .field(key)
                    .at(at));
            }
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at, depth + 1)?;
            entries.push(Entry { key, place: at, value });
        }
    }
}

fn place(marker: saphyr_parser::Marker) -> Place {
    Place { line: marker.line() as u32, column: marker.col() as u32 + 1 }
}

fn scalar(text: &str, style: ScalarStyle) -> Data {
    if style != ScalarStyle::Plain {
        return Data::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ if is_number(text) => Data::Number(text.to_owned()),
        _ => Data::Text(text.to_owned()),
    }
}

/// JSON's grammar of numbers, with an optional leading `+`.
fn is_number(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = body.split_once(['e', 'E']).map_or((body, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

impl Node {
    /// The word for its kind, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Number(_) => "a number",
            Data::Text(_) => "a text",
            Data::List(_) => "a list",
            Data::Map(_) => "a mapping",
        }
    }

    /// The text of a text node.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Data::Text(text) = &self.data { Some(text) } else { None }
    }

    /// Text, number or truth value as written.
    #[must_use]
    pub fn scalar(&self) -> Option<String> {
        match &self.data {
            Data::Text(text) | Data::Number(text) => Some(text.clone()),
            Data::Bool(b) => Some(b.to_string()),
            _ => None,
        }
    }

    /// The whole number of a number node.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        if let Data::Number(text) = &self.data { text.parse().ok() } else { None }
    }

    /// The entries of a mapping.
    #[must_use]
    pub fn entries(&self) -> Option<&[Entry]> {
        if let Data::Map(entries) = &self.data { Some(entries) } else { None }
    }

    /// The items of a list.
    #[must_use]
    pub fn items(&self) -> Option<&[Self]> {
        if let Data::List(items) = &self.data { Some(items) } else { None }
    }

    /// The value of a key of a mapping.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// As plain JSON, without places.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.data {
            Data::Null => Json::Null,
            Data::Bool(b) => Json::Bool(*b),
            Data::Number(text) => text
                .trim_start_matches('+')
                .parse::<Number>()
                .map_or_else(|_| Json::String(text.clone()), Json::Number),
            Data::Text(text) => Json::String(text.clone()),
            Data::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Data::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect())
            }
        }
    }

    /// A problem at this node.
    #[must_use]
    pub fn problem(&self, code: &'static str, message: impl Into<String>) -> Problem {
        let problem = Problem::new(code, message).at(self.place);
        match self.scalar() {
            Some(value) => problem.value(value),
            None => problem,
        }
    }

    /// Opens a mapping for reading key by key; anything else is `doc.type`. See [`Fields`].
    ///
    /// # Errors
    /// `doc.type` when it is no mapping.
    pub fn fields(&self, path: &str) -> Result<Fields<'_>, Problem> {
        match &self.data {
            Data::Map(entries) => {
                Ok(Fields { entries, place: self.place, path: path.to_owned(), asked: Vec::new() })
            }
            _ => Err(self
                .problem("doc.type", format!("expected a mapping, found {}", self.kind()))
                .field(path)),
        }
    }
}

/// A mapping being read: remembers which keys were asked for, so that [`Fields::finish`] can name the unknown ones with
/// a suggestion.
pub struct Fields<'a> {
    entries: &'a [Entry],
    /// Where the mapping begins.
    pub place: Place,
    /// Its path, for messages.
    pub path: String,
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The path of a key, for messages.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The node of a key, if the file has it and it is not null.
    pub fn optional(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let node = &self.entries.iter().find(|entry| entry.key == key)?.value;
        (node.data != Data::Null).then_some(node)
    }

    /// The node of a key that must be there.
    ///
    /// # Errors
    /// `doc.missing`.
    pub fn required(&mut self, key: &'static str) -> Result<&'a Node, Problem> {
        let place = self.place;
        let path = self.path_of(key);
        self.optional(key)
            .ok_or_else(|| Problem::new("doc.missing", format!("`{key}` is missing")).field(path).at(place))
    }

    /// An optional text.
    ///
    /// # Errors
    /// `doc.type`.
    pub fn text(&mut self, key: &'static str) -> Result<Option<&'a str>, Problem> {
        let path = self.path_of(key);
        self.optional(key)
            .map(|node| {
                node.text().ok_or_else(|| {
                    node.problem("doc.type", format!("expected a text, found {}", node.kind())).field(path)
                })
            })
            .transpose()
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// `doc.missing`, `doc.type`.
    pub fn required_text(&mut self, key: &'static str) -> Result<&'a str, Problem> {
        self.required(key)?;
        Ok(self.text(key)?.unwrap_or_default())
    }

    /// An optional whole number.
    ///
    /// # Errors
    /// `doc.type`.
    pub fn integer(&mut self, key: &'static str) -> Result<Option<i64>, Problem> {
        let path = self.path_of(key);
        self.optional(key)
            .map(|node| {
                node.integer().ok_or_else(|| {
                    node.problem("doc.type", format!("expected a whole number, found {}", node.kind()))
                        .field(path)
                })
            })
            .transpose()
    }

    /// An optional truth value.
    ///
    /// # Errors
    /// `doc.type`.
    pub fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, Problem> {
        let path = self.path_of(key);
        self.optional(key)
            .map(|node| match node.data {
                Data::Bool(b) => Ok(b),
                _ => Err(node
                    .problem("doc.type", format!("expected true or false, found {}", node.kind()))
                    .field(path)),
            })
            .transpose()
    }

    /// Names every key that nobody asked for.
    #[must_use]
    pub fn finish(self) -> Problems {
        self.entries
            .iter()
            .filter(|entry| !self.asked.contains(&entry.key.as_str()))
            .map(|entry| {
                Problem::new("doc.unknown_key", format!("`{}` is not known here", entry.key))
                    .field(self.path_of(&entry.key))
                    .at(entry.place)
                    .suggest(&entry.key, self.asked.iter().copied())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_things_stand() {
        let doc = parse("a: 1\nb:\n  - x\n  - {c: \"1\", when: yes}\n").unwrap();
        let inner = &doc.get("b").unwrap().items().unwrap()[1];
        assert_eq!(inner.get("c").unwrap().text(), Some("1"));
        assert_eq!(inner.get("when").unwrap().text(), Some("yes"));
        assert_eq!(inner.place, Place { line: 4, column: 5 });
        assert_eq!(doc.to_json().to_string(), r#"{"a":1,"b":["x",{"c":"1","when":"yes"}]}"#);
        assert_eq!(
            parse("{\"a\": [1, null, true]}").unwrap().to_json().to_string(),
            r#"{"a":[1,null,true]}"#
        );
    }

    #[test]
    fn names_what_is_wrong() {
        for (text, code, line) in [
            ("a: 1\na: 2", "doc.duplicate_key", 2),
            ("a: [1", "doc.syntax", 1),
            ("a: &x 1\nb: *x", "doc.alias", 2),
            ("a: 1\n---\nb: 1", "doc.several", 3),
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.code, code, "{text}: {problem}");
            assert!(problem.place.is_some_and(|p| p.line >= line), "{problem}");
        }
        let doc = parse("segmnt: x\n").unwrap();
        let mut fields = doc.fields("nodes.high").unwrap();
        assert_eq!(fields.required("segment").unwrap_err().code, "doc.missing");
        let unknown = fields.finish();
        assert_eq!(unknown[0].cure.as_deref(), Some("did you mean `segment`?"));
        assert_eq!(unknown[0].field.as_deref(), Some("nodes.high.segmnt"));
    }

    #[test]
    fn depth_is_limited_at_the_edge() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(parse(&nested(DEPTH_MAX + 1)).unwrap_err().code, "doc.too_deep");
    }
}
