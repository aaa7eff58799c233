//! The JSON Schema of a journey file, made from the same tables that read it: `docs/schemas/journey.json`, for editors. It
//! says what may stand where, node kind by node kind; what fits together only the checker knows.

mod nodes;

use serde_json::{Value as Json, json};

use crate::document::{FORMAT, LINKS_MAX, NODES_MAX, live, trigger};

/// The schema (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Json {
    let listener = |words: &[&str]| {
        json!({"anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "object", "allOf": [{"$ref": "#/$defs/listener"}],
             "properties": {"on": {"enum": words}}},
        ]})
    };
    let words = trigger::words();
    let own = ["event", "segment_entered", "segment_exited", "rfm_changed"];
    let many = |of: &str| {
        let one = json!({"$ref": format!("#/$defs/{of}")});
        json!({"anyOf": [one, {"type": "array", "items": one, "maxItems": live::LISTENERS_MAX}]})
    };
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Relance: a journey",
        "type": "object",
        "required": ["journey", "audience", "nodes", "links"],
        "additionalProperties": false,
        "properties": {
            "format": {"const": FORMAT},
            "journey": {"$ref": "#/$defs/slug"},
            "name": {"$ref": "#/$defs/localized"},
            "audience": {"$ref": "#/$defs/audience"},
            "triggers": many("trigger"),
            "trigger": many("trigger"),
            "exit": many("exit"),
            "exits": many("exit"),
            "goal": {"$ref": "#/$defs/goal"},
            "while": {"description": "A condition that must stay true, or {condition, otherwise: skip | leave}"},
            "reentry": {"anyOf": [
                {"enum": ["never", "after_exit", "per_key"]},
                {"type": "object", "required": ["after"], "additionalProperties": false,
                 "properties": {"after": {"$ref": "#/$defs/duration"}}},
            ]},
            "starts_at": {"type": "string"},
            "ends_at": {"type": "string"},
            "nodes": {"type": "object", "maxProperties": NODES_MAX, "additionalProperties": {"$ref": "#/$defs/node"}},
            "links": {"type": "array", "maxItems": LINKS_MAX, "items": {"$ref": "#/$defs/link"}},
            "editor": {},
            "notes": {},
        },
        "$defs": {
            "slug": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
            "duration": {"type": "string", "pattern": "^[Pp]"},
            "localized": {"anyOf": [
                {"type": "string"},
                {"type": "object", "additionalProperties": false,
                 "properties": {"en": {"type": "string"}, "fr": {"type": "string"}}},
            ]},
            "audience": {"type": "object", "additionalProperties": false, "properties": {
                "who": {"enum": ["all", "with_email", "without_email", "with_phone", "push_subscribers"]},
                "segment": {"$ref": "#/$defs/slug"},
                "source": {"enum": ["existing", "new", "existing_and_new"]},
                "exclude": {"anyOf": [
                    {"$ref": "#/$defs/slug"},
                    {"type": "object", "required": ["segment"], "properties": {"segment": {"$ref": "#/$defs/slug"}}},
                ]},
            }},
            "trigger": listener(&words),
            "exit": listener(&own),
            "goal": {"type": "object", "allOf": [{"$ref": "#/$defs/listener"}],
                "properties": {"on": {"enum": own}}},
            "listener": listener_properties(),
            "node": nodes::node(),
            "link": {"type": "object", "required": ["from", "to"], "additionalProperties": false, "properties": {
                "from": {"type": "string"},
                "to": {"type": "string"},
                "when": {"type": ["string", "boolean"], "description": "An outcome of the node, or always"},
            }},
        },
    });
    if let Some(defs) = schema["$defs"].as_object_mut() {
        defs.extend(nodes::defs());
    }
    schema
}

/// The settings of triggers, exits and the goal.
fn listener_properties() -> Json {
    let mut properties = serde_json::Map::new();
    // The short forms: the word in place of `on`.
    for word in trigger::words() {
        properties.insert(word.to_owned(), json!({"type": ["string", "integer"]}));
    }
    let days = trigger::WEEKDAYS.iter().map(|(day, _)| *day).collect::<Vec<_>>();
    let interests = trigger::INTERESTS.iter().map(|(word, _)| *word).collect::<Vec<_>>();
    let one_or_more = |of: Json| json!({"anyOf": [of, {"type": "array", "items": of}]});
    let own = json!({
        "on": {"type": "string"},
        "segment": {"$ref": "#/$defs/slug"},
        "model": {"type": "string"},
        "from": one_or_more(json!({"type": "string"})),
        "to": one_or_more(json!({"type": "string"})),
        "after": {"$ref": "#/$defs/duration"},
        "field": {"type": "string"},
        "every": {"enum": ["year", "once", "day", "week", "month"]},
        "interval": {"type": "integer", "minimum": 1, "maximum": trigger::INTERVAL_MAX},
        "days": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "array", "items": {"enum": days}}]},
        "day": {"type": "integer", "minimum": 1, "maximum": 31},
        "at": {"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}$"},
        "zone": {"type": "string"},
        "amount": {"type": ["number", "string"]},
        "percent": {"type": ["number", "string"]},
        "at_most": {"type": "integer", "minimum": 0},
        "interest": one_or_more(json!({"enum": interests})),
        "within": {"$ref": "#/$defs/duration"},
        "where": {"description": "A condition, docs/segments.md, with {ref: trigger.…}"},
        "key": {"type": ["string", "object"]},
        "late": {"$ref": "#/$defs/duration"},
        "machine": {"type": "boolean"},
        "properties": {"type": "object", "additionalProperties": {"enum": live::type_words()},
            "maxProperties": live::PROPERTIES_MAX},
        "share": {"type": ["number", "string"]},
        "count": {"type": "integer", "minimum": 1},
    });
    if let Json::Object(own) = own {
        properties.extend(own);
    }
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}
