//! A segment's file: `format`, `segment` (its slug), `name`, `description`, `condition`. YAML or JSON.

use model::{
    Localized, Problem, Problems, Slug,
    doc::{self, Data, Node},
    event::kind,
};

use serde_json::json;

use crate::{Condition, Reads, Schema, parse_leaf::LEAF_KEYS};

/// The only format so far.
pub const FORMAT: i64 = 1;

/// A segment as its file says it.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentFile {
    /// What it is known by.
    pub slug: Slug,
    /// What people call it; empty when the file does not say.
    pub name: Localized,
    /// What it is for.
    pub description: Option<String>,
    /// Who is in it.
    pub condition: Condition,
    /// The file as JSON, for storing.
    pub source: serde_json::Value,
}

/// The version of the meaning of conditions that read this. Whoever changes what a condition of the same text answers
/// raises it for those that are concerned: their members are counted anew, and those of other conditions stay.
///
/// 1, for what machines do, too: what they did does not count unless it is asked for. 0: as from the beginning.
fn meaning(reads: &Reads) -> u32 {
    u32::from(kind::MACHINES_TOO.iter().any(|kind| reads.event_kinds.contains(*kind)))
}

impl SegmentFile {
    /// Reads a file's text; warnings stand beside what was read. `stem` is the file's name without its ending: the slug
    /// where the file names none.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(text: &str, stem: Option<&str>, schema: &Schema<'_>) -> Result<(Self, Problems), Problems> {
        let node = doc::parse(text).map_err(|problem| vec![problem])?;
        Self::from_node(&node, stem, schema)
    }

    /// Reads what [`SegmentFile::source`] holds.
    ///
    /// # Errors
    /// As [`SegmentFile::parse`].
    pub fn from_json(json: &serde_json::Value, schema: &Schema<'_>) -> Result<Self, Problems> {
        Self::parse(&json.to_string(), None, schema).map(|(file, _)| file)
    }

    fn from_node(node: &Node, stem: Option<&str>, schema: &Schema<'_>) -> Result<(Self, Problems), Problems> {
        let mut problems = Problems::new();
        let mut fields = node.fields("").map_err(|problem| {
            vec![problem.cure("a segment's file begins with format: 1, segment: its-name, condition: …")]
        })?;
        match fields.optional("format") {
            Some(format) if format.integer() == Some(FORMAT) => {}
            Some(format) => {
                let problem = format.problem("segment.format", "this format is not known").field("format");
                problems.push(problem.cure(format!("write format: {FORMAT}")));
            }
            None => {
                let problem =
                    Problem::new("doc.missing", "`format` is missing").field("format").at(fields.place);
                problems.push(problem.cure(format!("write format: {FORMAT}")));
            }
        }
        let slug = match fields.optional("segment") {
            Some(node) => node
                .text()
                .ok_or_else(|| node.problem("doc.type", format!("expected a text, found {}", node.kind())))
                .and_then(Slug::parse)
                .map_err(|problem| problem.at(node.place).field("segment")),
            None => stem.map_or_else(
                || Err(Problem::new("doc.missing", "`segment` is missing").field("segment").at(fields.place)),
                |stem| Slug::parse(stem).map_err(|problem| problem.field("segment").at(fields.place)),
            ),
        };
        let slug = slug.map_err(|problem| problems.push(problem)).ok();
        let name = fields.optional("name").map(|node| localized(node, &mut problems)).unwrap_or_default();
        let description = fields.text("description").map_err(|problem| problems.push(problem)).ok().flatten();
        let condition = match fields.required("condition") {
            Ok(node) => match Condition::parse_noting(node, schema, "condition") {
                Ok((condition, warnings)) => {
                    problems.extend(warnings);
                    Some(condition)
                }
                Err(found) => {
                    problems.extend(found);
                    None
                }
            },
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        problems.extend(fields.finish());
        match (slug, condition) {
            (Some(slug), Some(condition)) if !problems.iter().any(Problem::is_error) => {
                let description = description.map(str::to_owned);
                let mut source = node.to_json();
                if let serde_json::Value::Object(map) = &mut source {
                    // The file's name is forgotten, so what it said is written down.
                    map.insert("segment".to_owned(), slug.as_str().into());
                }
                Ok((Self { slug, name, description, condition, source }, problems))
            }
            _ => Err(problems),
        }
    }

    /// What changes when the condition does, or what it means.
    #[must_use]
    pub fn fingerprint_source(&self) -> String {
        let text = self.condition.to_json().to_string();
        match meaning(&self.condition.reads()) {
            0 => text,
            meaning => format!("{text} meaning {meaning}"),
        }
    }
}

/// The JSON Schema (2020-12) of a segment's file: `docs/schemas/segment.json`, for editors. It knows how conditions are
/// joined; what a single one may say (docs/segments.md) only the reader knows.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let condition = json!({"$ref": "#/$defs/condition"});
    let joined = |key: &str, of: serde_json::Value| json!({"type": "object", "required": [key], "maxProperties": 1, "properties": {key: of}});
    let several = json!({"type": "array", "items": condition, "minItems": 1});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Relance: a segment",
        "type": "object",
        "required": ["format", "condition"],
        "additionalProperties": false,
        "properties": {
            "format": {"const": FORMAT},
            "segment": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
            "name": Localized::json_schema(),
            "description": {"type": "string"},
            "condition": condition,
        },
        "$defs": {
            "condition": {"anyOf": [
                several,
                joined("all", several.clone()),
                joined("any", several),
                joined("not", condition),
                {"type": "object", "minProperties": 1, "anyOf": LEAF_KEYS
                    .iter()
                    .map(|key| json!({"required": [key]}))
                    .collect::<Vec<_>>()},
            ]},
        },
    })
}

/// A text, or one for each language.
fn localized(node: &Node, problems: &mut Problems) -> Localized {
    if let Data::Text(text) = &node.data {
        return Localized::same(text);
    }
    let mut name = Localized::default();
    match node.fields("name") {
        Ok(mut fields) => {
            for (key, place) in [("en", &mut name.en), ("fr", &mut name.fr)] {
                match fields.text(key) {
                    Ok(text) => *place = text.map(str::to_owned),
                    Err(problem) => problems.push(problem),
                }
            }
            problems.extend(fields.finish());
        }
        Err(problem) => problems.push(problem),
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(SegmentFile, Problems), Problems> {
        SegmentFile::parse(text, Some("from-file"), &Schema::with_fields([]))
    }

    #[test]
    fn reads_yaml_and_json_alike() {
        let yaml = "format: 1\nsegment: fr\nname: {en: France, fr: France}\ncondition: {field: country, is: France}\n";
        let (from_yaml, _) = parse(yaml).unwrap();
        let from_json = SegmentFile::from_json(&from_yaml.source, &Schema::with_fields([])).unwrap();
        assert_eq!(from_yaml, from_json);
        let (named_by_file, _) = parse("format: 1\ncondition: {field: country, is: France}").unwrap();
        assert_eq!(named_by_file.slug.as_str(), "from-file");
    }

    #[test]
    fn names_all_problems_at_once() {
        let problems =
            parse("format: 2\nsegment: A b\nnme: x\ncondition: {field: contry, is: x}").unwrap_err();
        let codes: Vec<&str> = problems.iter().map(|problem| problem.code.as_ref()).collect();
        assert_eq!(codes, ["segment.format", "slug.invalid", "field.unknown", "doc.unknown_key"]);
        assert!(problems.iter().all(|problem| problem.place.is_some()));
    }
}
