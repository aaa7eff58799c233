//! The JSON Schema of a template's file: `docs/schemas/template.json`, for editors. It says what may stand where, channel by
//! channel and block by block; what texts may hold, and conditions of `show`, only the reader knows.

use model::Localized;
use serde_json::{Map, Value as Json, json};

use crate::{
    document::{Element, Kind, VariableType},
    limits::{
        BLOCKS_MAX, COLUMNS_MAX, GRID_COLUMNS_MAX, GRID_ROWS_MAX, LANGUAGES_MAX, PRODUCTS_MAX, VARIABLES_MAX,
    },
    read::FORMAT,
    read_blocks::NETWORKS,
};

/// Kinds of blocks that stand in no column.
const OUTER: [&str; 3] = ["columns", "header", "footer"];

/// The schema (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Json {
    let whole = |channels: &[&str], required: &[&str], own: Json| {
        let mut all = json!({
            "format": {"const": FORMAT},
            "template": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
            "name": Localized::json_schema(),
            "channel": {"enum": channels},
            "languages": {"anyOf": [
                {"$ref": "#/$defs/language"},
                {"type": "array", "minItems": 1, "maxItems": LANGUAGES_MAX, "items": {"$ref": "#/$defs/language"}},
            ]},
            "variables": {"type": "object", "maxProperties": VARIABLES_MAX,
                          "additionalProperties": {"$ref": "#/$defs/variable"}},
        });
        merge(&mut all, own);
        json!({"type": "object", "required": required, "additionalProperties": false, "properties": all})
    };
    let of_channel = |word: &str, required: &[&str]| {
        json!({
            "if": {"required": required, "properties": {"channel": {"const": word}}},
            "then": {"$ref": format!("#/$defs/{word}")},
        })
    };
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Relance: a template",
        "type": "object",
        "required": ["format", "template"],
        "properties": {"channel": {"enum": ["email", "sms", "push"]}},
        // Without a channel it is a mail.
        "allOf": [of_channel("email", &[]), of_channel("sms", &["channel"]), of_channel("push", &["channel"])],
        "$defs": {
            "email": whole(&["email"], &["subject", "blocks"], json!({
                "subject": text(), "preheader": text(),
                "theme": {"$ref": "#/$defs/theme"},
                "blocks": blocks("block"),
            })),
            "sms": whole(&["sms"], &["text"], json!({"text": text()})),
            "push": whole(&["push"], &["title", "body"], json!({
                "title": text(), "body": text(), "url": text(), "icon": text(),
                "expires_after": {"type": "string", "pattern": "^[Pp]"},
            })),
            "text": {"anyOf": [scalar(), {"type": "object", "additionalProperties": scalar()}]},
            "language": {"type": "string", "pattern": "^[a-z]{2,3}$"},
            "color": {"type": "string", "pattern": "^#([0-9a-fA-F]{3}){1,2}$"},
            "variable": {"anyOf": [
                {"enum": VariableType::ALL.map(VariableType::word)},
                {"type": "object", "required": ["type"], "additionalProperties": false, "properties": {
                    "type": {"enum": VariableType::ALL.map(VariableType::word)},
                    "default": text(),
                    "optional": {"type": "boolean"},
                }},
            ]},
            "theme": {"type": "object", "additionalProperties": false, "properties": {
                "background": color(), "surface": color(), "text": color(), "muted": color(), "accent": color(),
                "on_accent": color(), "line": color(), "width": number(320, 900), "radius": number(0, 40),
                "font": {"type": "string"},
            }},
            "shape": {"type": "object", "additionalProperties": false, "properties": {
                "rows": number(1, GRID_ROWS_MAX as i64), "columns": number(1, GRID_COLUMNS_MAX as i64),
            }},
            "block": {
                "type": "object",
                "required": ["kind"],
                "properties": {"kind": {"enum": Kind::WORDS}},
                "allOf": Kind::WORDS.map(|word| json!({
                    "if": {"required": ["kind"], "properties": {"kind": {"const": word}}},
                    "then": {"$ref": format!("#/$defs/block_{word}")},
                })),
            },
            "inner_block": {
                "allOf": [{"$ref": "#/$defs/block"}],
                "properties": {"kind": {"enum": Kind::WORDS.iter().filter(|word| !OUTER.contains(word)).collect::<Vec<_>>()}},
            },
        },
    });
    for word in Kind::WORDS {
        schema["$defs"][format!("block_{word}")] = block(word);
    }
    schema
}

/// A block of a kind.
fn block(word: &str) -> Json {
    let flag = || json!({"type": "boolean"});
    let (required, own): (&[&str], Json) = match word {
        "header" => (
            &[],
            json!({"text": text(), "image": text(), "alt": text(), "width": number(1, 900), "link": text(),
                   "title": text(), "view_in_browser": flag(), "color": color()}),
        ),
        "text" => (&["text"], json!({"text": text(), "color": color(), "size": number(10, 48)})),
        "image" => (
            &["src", "alt"],
            json!({"src": text(), "alt": text(), "width": number(1, 900), "link": text(), "title": text()}),
        ),
        "button" => (
            &["text", "link"],
            json!({"text": text(), "link": text(), "title": text(), "full_width": flag()}),
        ),
        "columns" => (
            &["columns"],
            json!({"stack": flag(), "columns": {"type": "array", "minItems": 2, "maxItems": COLUMNS_MAX, "items": {
                "type": "object", "required": ["blocks"], "additionalProperties": false,
                "properties": {"width": number(5, 95), "blocks": blocks("inner_block")},
            }}}),
        ),
        "divider" => (&[], json!({"color": color(), "thickness": number(1, 20)})),
        "spacer" => (&[], json!({"height": number(1, 200)})),
        "social" => {
            let networks: Map<String, Json> =
                NETWORKS.iter().map(|(word, _)| ((*word).to_owned(), text())).collect();
            let links = json!({"type": "object", "additionalProperties": false, "properties": networks});
            (&["links"], json!({"links": links}))
        }
        "html" => (&["html"], json!({"html": text(), "text": text()})),
        "products" => (
            &["products"],
            json!({"products": {"type": "string"}, "desktop": {"$ref": "#/$defs/shape"},
                   "mobile": {"$ref": "#/$defs/shape"}, "card": elements(&Element::WORDS), "button": text(),
                   "layout": {"enum": ["vertical", "image_left", "image_right"]}, "incomplete_rows": flag(),
                   "whole_card": flag(), "title": text()}),
        ),
        "cart" => (
            &["cart"],
            json!({"cart": {"type": "string"}, "products": number(1, PRODUCTS_MAX as i64),
                   "line": elements(&Element::CART_WORDS), "total": flag(), "button": text(), "title": text()}),
        ),
        "coupon" => (
            &["code"],
            json!({"code": text(), "text": text(), "link": text(), "title": text(), "button": text()}),
        ),
        _ => (
            &["address"],
            json!({"address": text(), "text": text(), "unsubscribe": flag(), "preferences": flag()}),
        ),
    };
    let pixels = || number(0, 200);
    let mut all = json!({
        "kind": {"const": word},
        "show": {"description": "A condition on the contact and on variables"},
        "background": color(),
        "padding": {"anyOf": [pixels(), {"type": "array", "minItems": 2, "maxItems": 2, "items": pixels()}]},
        "align": {"enum": ["left", "center", "right"]},
    });
    merge(&mut all, own);
    json!({"type": "object", "required": required, "additionalProperties": false, "properties": all})
}

fn merge(all: &mut Json, own: Json) {
    if let (Json::Object(all), Json::Object(own)) = (all, own) {
        all.extend(own);
    }
}

/// A text, or one for each language.
fn text() -> Json {
    json!({"$ref": "#/$defs/text"})
}

fn scalar() -> Json {
    json!({"type": ["string", "number", "boolean"]})
}

fn color() -> Json {
    json!({"$ref": "#/$defs/color"})
}

fn number(low: i64, high: i64) -> Json {
    json!({"type": "integer", "minimum": low, "maximum": high})
}

fn blocks(of: &str) -> Json {
    json!({"type": "array", "maxItems": BLOCKS_MAX, "items": {"$ref": format!("#/$defs/{of}")}})
}

/// What a product of a grid or a line of a cart shows.
fn elements(words: &[&str]) -> Json {
    json!({"type": "array", "items": {"anyOf": [
        {"enum": words},
        {"type": "object", "required": ["text"], "additionalProperties": false, "properties": {"text": text()}},
    ]}})
}
