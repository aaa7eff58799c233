//! JSON Lines: one object per line. Its columns are the keys of the first objects (a nested object's keys as
//! `parent.child`, too) and whatever the mapping asks for.

use model::Problem;
use serde_json::{Map, Value};

use crate::{
    csv::{Ahead, COLUMNS_MAX, ROW_LEN_MAX},
    options::Encoding,
    row::{Row, Step},
    source::{Bytes, Source},
};

/// Objects that are looked at for the names of the columns.
pub const LOOK_AT: usize = 1_000;

/// Rows of a file with one JSON object per line.
pub struct JsonRows {
    ahead: Ahead,
    line: u64,
    encoding: Encoding,
    columns: Vec<String>,
}

impl JsonRows {
    /// Opens the file twice: once for the names of the columns, then for its rows.
    ///
    /// # Errors
    /// As [`Ahead::more`].
    pub fn open(
        source: &Source,
        read: impl Fn() -> Result<Bytes, Problem>,
        encoding: Encoding,
        wanted: &[String],
    ) -> Result<Self, Problem> {
        let mut rows =
            Self { ahead: Ahead::new(read()?, source.clone()), line: 1, encoding, columns: Vec::new() };
        let mut columns: Vec<String> = Vec::new();
        let mut add = |name: String| {
            if columns.len() < COLUMNS_MAX && !columns.contains(&name) {
                columns.push(name);
            }
        };
        let mut row = Row::default();
        for _ in 0..LOOK_AT {
            match rows.object(&mut row)? {
                Found::Object(object) => {
                    for (key, value) in object {
                        if let Value::Object(inner) = &value {
                            inner.keys().for_each(|child| add(format!("{key}.{child}")));
                        }
                        add(key);
                    }
                }
                Found::Bad(_) => {}
                Found::End => break,
            }
        }
        // A path may lead deeper than was looked; a plain name must be there, so that a typo is found.
        wanted.iter().filter(|name| name.contains('.')).cloned().for_each(add);
        Ok(Self { ahead: Ahead::new(read()?, source.clone()), line: 1, encoding, columns })
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next row.
    ///
    /// # Errors
    /// As [`Ahead::more`]: what makes the whole file unreadable.
    pub fn next(&mut self, row: &mut Row) -> Result<Step, Problem> {
        let object = match self.object(row)? {
            Found::Object(object) => object,
            Found::Bad(problem) => return Ok(Step::Bad(problem)),
            Found::End => return Ok(Step::End),
        };
        for column in &self.columns {
            if let Some(value) = look_up(&object, column) {
                push(row, value);
            }
            row.end_cell();
        }
        Ok(Step::Row)
    }

    fn object(&mut self, row: &mut Row) -> Result<Found, Problem> {
        loop {
            row.begin(self.line);
            if self.ahead.rest().is_empty() && !self.ahead.more()? {
                return Ok(Found::End);
            }
            self.line += 1;
            let Some(length) = self.ahead.line()? else {
                self.ahead.skip_line()?;
                return Ok(Found::Bad(
                    Problem::new("row.too_long", format!("the line is longer than {ROW_LEN_MAX} bytes"))
                        .cure("write one object per line"),
                ));
            };
            let line = self.ahead.rest()[..length].trim_ascii();
            let found = if line.is_empty() { None } else { Some(parse(line, self.encoding)) };
            self.ahead.take((length + 1).min(self.ahead.rest().len()));
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }
}

enum Found {
    Object(Map<String, Value>),
    Bad(Problem),
    End,
}

fn parse(line: &[u8], encoding: Encoding) -> Found {
    let text = match encoding.decode(line) {
        Ok(text) => text,
        Err(problem) => return Found::Bad(problem),
    };
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(object)) => Found::Object(object),
        Ok(_) => Found::Bad(
            Problem::new("json.no_object", "the line holds no JSON object").cure("write one object per line"),
        ),
        Err(error) => Found::Bad(
            Problem::new("json.syntax", format!("the line is no JSON object: {error}"))
                .value(&text)
                .cure("write one complete object per line"),
        ),
    }
}

/// A key that is named as the whole column, else a path of keys with dots between.
fn look_up<'a>(object: &'a Map<String, Value>, column: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(column) {
        return Some(value);
    }
    let (parent, rest) = column.split_once('.')?;
    look_up(object.get(parent)?.as_object()?, rest)
}

fn push(row: &mut Row, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(text) => row.push(text.as_bytes()),
        other => row.push(other.to_string().as_bytes()),
    }
}
