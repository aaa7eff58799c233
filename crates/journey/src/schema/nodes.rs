//! What may stand in a node, kind by kind. A kind without an entry here fails the test of this file.

use recommend::{Case, step::QUANTITY_MAX};
use segment::Operator;
use serde_json::{Map, Value as Json, json};

use crate::{
    ab,
    nodes::{
        KINDS, ab_test, alert, branch,
        question::ACTIVITY_KEYS,
        split,
        wait::WAIT_MAX_DAYS,
        wait_for::{ALTERNATIVES_MAX, LIMIT_MAX_DAYS},
    },
};

/// The keys of a kind, beside those that every node has, and which of them must be there.
struct Keys {
    required: &'static [&'static str],
    properties: Json,
    /// What else holds, as keywords of JSON Schema.
    also: Json,
}

impl Keys {
    fn new(required: &'static [&'static str], properties: Json) -> Self {
        Self { required, properties, also: json!({}) }
    }

    fn also(self, also: Json) -> Self {
        Self { also, ..self }
    }
}

/// `$defs/node`: every node has a kind, and the kind says what else may stand in it.
pub(super) fn node() -> Json {
    let by_kind: Vec<Json> = KINDS
        .iter()
        .map(|kind| {
            json!({
                "if": {"properties": {"kind": {"const": kind.word}}},
                "then": {"$ref": format!("#/$defs/node_{}", kind.word)},
            })
        })
        .collect();
    json!({
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": KINDS.iter().map(|kind| kind.word).collect::<Vec<_>>()}},
        "allOf": by_kind,
    })
}

/// `$defs` of all kinds, `node_<word>`, and of what their keys have in common.
pub(super) fn defs() -> Map<String, Json> {
    let mut defs = shared();
    for kind in KINDS {
        let Some(keys) = keys(kind.word) else { continue };
        let mut properties = json!({
            "kind": {"const": kind.word},
            "name": {"$ref": "#/$defs/localized"},
            "limits": {"$ref": "#/$defs/limits"},
        });
        merge(&mut properties, keys.properties);
        let required: Vec<&str> = ["kind"].into_iter().chain(keys.required.iter().copied()).collect();
        let mut def = json!({
            "title": kind.name_en,
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": false,
        });
        merge(&mut def, keys.also);
        defs.insert(format!("node_{}", kind.word), def);
    }
    defs
}

fn merge(into: &mut Json, from: Json) {
    if let (Json::Object(into), Json::Object(from)) = (into, from) {
        into.extend(from);
    }
}

fn of(def: &str) -> Json {
    json!({"$ref": format!("#/$defs/{def}")})
}

fn one_or_more(of: &Json) -> Json {
    json!({"anyOf": [of, {"type": "array", "items": of}]})
}

fn shared() -> Map<String, Json> {
    let defs = json!({
        "limits": {"type": "object", "additionalProperties": false, "properties": {
            "per_contact": {"type": "integer", "minimum": 1},
            "in_total": {"type": "integer", "minimum": 1},
        }},
        "scalar": {"type": ["string", "number", "integer", "boolean"]},
        "ref": {"type": "object", "required": ["ref"], "additionalProperties": false,
            "properties": {"ref": {"type": "string"}}},
        "scalar_or_ref": {"anyOf": [of("scalar"), of("ref")]},
        "condition": {"type": ["object", "array"], "description": "A condition: docs/segments.md"},
        "payload": {"type": "object",
            "description": "Values and references, {ref: …}, nested at will (8 levels)"},
        "variables": {"type": "object", "additionalProperties": of("scalar_or_ref")},
        "time_of_day": {"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{2}$"},
        "share": {"type": ["number", "integer", "string"], "description": "Per cent, as in 12.5"},
        "weekdays": one_or_more(&json!({"enum":
            ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]})),
        "what": {"type": "object", "additionalProperties": false, "properties": what()},
        "pick": pick(),
    });
    match defs {
        Json::Object(defs) => defs,
        _ => Map::new(),
    }
}

/// What a *wait for* waits for.
fn what() -> Json {
    json!({
        "event": {"type": "string"},
        "where": of("condition"),
        "key": {"type": ["boolean", "string"]},
        "message": {"type": "string", "description": "A node that sends"},
        "is": {"enum": ["sent", "opened", "clicked", "bounced", "unsubscribed"]},
        "link": {"type": "string"},
        "machine": {"type": "boolean"},
        "segment": {"type": "string"},
    })
}

/// A case of *Get products*.
fn pick() -> Json {
    let products = json!({"type": "object", "required": ["products"], "additionalProperties": false,
        "properties": {"products": {"type": "array", "items": of("scalar")}}});
    let ranked = json!({"type": "object", "maxProperties": 1, "additionalProperties": false,
        "properties": {"best_selling": {"type": "string"}, "most_visited": {"type": "string"}}});
    let orders: Vec<&str> = recommend::Order::WORDS.iter().map(|(word, _)| *word).collect();
    json!({
        "type": "object",
        "required": ["case"],
        "additionalProperties": false,
        "properties": {
            "case": {"enum": Case::WORDS.iter().map(|(_, word)| *word).collect::<Vec<_>>()},
            "quantity": {"type": "integer", "minimum": 1, "maximum": QUANTITY_MAX},
            "origin": {"anyOf": [{"const": "all"}, of("ref")]},
            "related_to": {"anyOf": [of("ref"), products]},
            "products": {"type": "array", "items": of("scalar"), "maxItems": QUANTITY_MAX},
            "period": {"type": "string"},
            "within": {"type": "string"},
            "order": {"anyOf": [{"enum": orders}, ranked]},
            "shuffle": {"type": "boolean"},
            "exclude_bought": {"type": "boolean"},
            "where": of("condition"),
        },
    })
}

/// Operators and what else a clause on activity takes, each anything: docs/segments.md says what.
fn activity() -> Json {
    let operators = Operator::ALL.iter().map(|(word, _)| *word);
    Json::Object(ACTIVITY_KEYS.into_iter().chain(operators).map(|key| (key.to_owned(), json!({}))).collect())
}

fn with(mut properties: Json, more: Json) -> Json {
    merge(&mut properties, more);
    properties
}

/// Keys of which any value is possible here.
fn anything(keys: &[&str]) -> Json {
    Json::Object(keys.iter().map(|key| ((*key).to_owned(), json!({}))).collect())
}

/// Exactly one of these keys.
fn one_of(keys: &[&str]) -> Json {
    json!({"oneOf": keys.iter().map(|key| json!({"required": [key]})).collect::<Vec<_>>()})
}

fn keys(kind: &str) -> Option<Keys> {
    condition(kind).or_else(|| action(kind)).or_else(|| flow(kind))
}

const WINDOW: [&str; 6] = ["within", "older_than", "between_ago", "calendar", "since", "until"];

fn condition(kind: &str) -> Option<Keys> {
    Some(match kind {
        "in_segment" => Keys::new(&["segment"], json!({"segment": of("slug")})),
        "check_value" => Keys::new(&["condition"], json!({"condition": of("condition")})),
        "has_field" => {
            let operators: Vec<&str> = Operator::ALL.iter().map(|(word, _)| *word).collect();
            let field = json!({"field": {"type": "string"}, "exactly": {}});
            Keys::new(&["field"], with(anything(&operators), field))
        }
        "in_list" => Keys::new(&["list"], json!({"list": of("slug")})),
        "has_consent" => Keys::new(
            &["purpose"],
            json!({"purpose": {"type": "string"}, "is": {"enum": ["subscribed", "not_subscribed", "unsubscribed"]}}),
        ),
        "has_purchased" => Keys::new(&[], activity()),
        "has_done" => Keys::new(&["did"], with(activity(), json!({"did": {"type": "string"}}))),
        "has_message" => {
            let own = json!({
                "was": {"enum": ["received", "opened", "clicked"]},
                "channel": {"enum": ["email", "sms", "push"]},
                "template": of("scalar_or_ref"),
                "purpose": of("scalar_or_ref"),
                "journey": of("scalar_or_ref"),
                "message_of": {"type": "string"},
                "link": of("scalar_or_ref"),
            });
            Keys::new(&["was"], with(activity(), own))
        }
        "cart_is" => {
            let own = ["abandoned_after", "id", "total", "quantity", "product", "count"];
            let state = one_or_more(&json!({"enum": ["active", "abandoned", "purchased"]}));
            Keys::new(&[], with(with(anything(&own), anything(&WINDOW)), json!({"state": state})))
        }
        _ => return None,
    })
}

fn action(kind: &str) -> Option<Keys> {
    Some(match kind {
        "get_last_cart" => {
            Keys::new(&[], json!({"state": {"enum": ["any", "active", "abandoned", "purchased"]}}))
        }
        "get_products" => Keys::new(
            &["main"],
            json!({
                "main": of("pick"),
                "additional": of("pick"),
                "total": {"type": "integer", "minimum": 1, "maximum": QUANTITY_MAX},
                "fill_up": {"type": "boolean"},
                "exclude_exported": {"type": "boolean"},
                "min_stock": {"type": "integer", "minimum": recommend::MIN_STOCK_DEFAULT,
                    "maximum": recommend::MIN_STOCK_MAX},
            }),
        ),
        "get_purchase_data" => {
            let own = json!({"of": {"enum": ["purchase", "view"]}, "order": {"type": "string"}, "id": {},
                "exclude_blacklisted": {"type": "boolean"}, "where": of("condition")});
            Keys::new(&[], with(anything(&WINDOW), own))
        }
        "set_field" => Keys::new(
            &["field"],
            json!({
                "field": {"type": "string"},
                "operator": {"enum": ["assign", "add", "subtract", "append", "remove", "clear"]},
                "value": {"anyOf": [of("scalar_or_ref"), {"type": "array", "items": of("scalar")}]},
            }),
        )
        .also(json!({"anyOf": [{"required": ["value"]},
            {"required": ["operator"], "properties": {"operator": {"const": "clear"}}}]})),
        "add_to_list" | "remove_from_list" => Keys::new(&["list"], json!({"list": of("slug")})),
        "assign_coupon" => Keys::new(
            &["set"],
            json!({"set": {"type": "string"}, "otherwise": {"type": "string"}, "reuse": {"type": "boolean"}}),
        ),
        "raise_event" => {
            Keys::new(&["event"], json!({"event": {"type": "string"}, "properties": of("payload")}))
        }
        "webhook" => Keys::new(
            &["url"],
            json!({"url": {"type": "string", "pattern": "^[hH][tT]"}, "body": of("payload"), "secret": of("slug")}),
        ),
        "alert" => {
            let to = json!({"anyOf": [{"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": alert::TO_MAX}]});
            let own = json!({"to": to, "template": {"type": "string"}, "variables": of("variables"),
                "url": {"type": "string"}, "body": of("payload"), "secret": of("slug")});
            Keys::new(&[], own).also(one_of(&["to", "url"]))
        }
        "send_email" => {
            Keys::new(&["template", "purpose"], with(sending(), json!({"to": {"type": "string"}})))
        }
        "send_sms" | "send_push" => Keys::new(&["template", "purpose"], sending()),
        _ => return None,
    })
}

fn sending() -> Json {
    json!({
        "template": {"type": "string"},
        "purpose": {"type": "string"},
        "variables": of("variables"),
        "ignore_caps": {"type": "boolean"},
        "skip_duplicates": {"type": "boolean"},
        "smart_sending": {"anyOf": [{"type": "boolean"}, of("duration")]},
        "expires_after": of("duration"),
    })
}

fn flow(kind: &str) -> Option<Keys> {
    Some(match kind {
        "start" | "end" | "goal" => Keys::new(&[], json!({})),
        "wait" => wait(),
        "wait_for" => {
            let any_of = json!({"type": "object", "minProperties": 1, "maxProperties": ALTERNATIVES_MAX,
                "additionalProperties": of("what")});
            let limit =
                json!({"$ref": "#/$defs/duration", "description": format!("At most P{LIMIT_MAX_DAYS}D")});
            Keys::new(&["limit"], with(what(), json!({"limit": limit, "any_of": any_of})))
                .also(one_of(&["event", "message", "segment", "any_of"]))
        }
        "branch" => {
            let branches =
                json!({"type": "object", "minProperties": 1, "maxProperties": branch::BRANCHES_MAX});
            Keys::new(&["branches"], json!({"branches": branches, "by": of("ref")}))
        }
        "split" => {
            Keys::new(&["branches"], json!({"branches": shares(split::BRANCHES_MIN, split::BRANCHES_MAX)}))
        }
        "ab_test" => ab_test_keys(),
        "holdout" => Keys::new(&["share"], json!({"share": of("share")})),
        "go_to" => Keys::new(&["journey"], json!({"journey": {"type": "string"}, "data": of("payload")})),
        "exit" => Keys::new(&[], json!({"reason": {"type": "string"}})),
        _ => return None,
    })
}

/// Branches with their shares, or a list of branches of one size.
fn shares(least: usize, most: usize) -> Json {
    json!({"anyOf": [
        {"type": "object", "minProperties": least, "maxProperties": most, "additionalProperties": of("share")},
        {"type": "array", "minItems": least, "maxItems": most, "items": {"type": "string"}},
    ]})
}

fn wait() -> Keys {
    let next = json!({"type": "object", "required": ["at"], "additionalProperties": false, "properties": {
        "at": of("time_of_day"), "zone": {"type": "string"}, "weekday": of("weekdays"),
        "day": {"type": "integer", "minimum": 1, "maximum": 31}}});
    let most = WAIT_MAX_DAYS;
    let date = json!({"type": "object", "required": ["ref"], "additionalProperties": false, "properties": {
        "ref": {"type": "string"}, "days": {"type": "integer", "minimum": -most, "maximum": most},
        "before": of("duration"), "after": of("duration"), "at": of("time_of_day"),
        "yearly": {"type": "boolean"}, "zone": {"type": "string"}}});
    let own = json!({
        "for": of("duration"),
        "at": of("time_of_day"),
        "only_on": of("weekdays"),
        "until": {"anyOf": [{"type": "string"}, next, date]},
        "zone": {"type": "string"},
    });
    Keys::new(&[], own).also(one_of(&["for", "until"]))
}

fn ab_test_keys() -> Keys {
    let event = json!({"type": "object", "required": ["event"], "additionalProperties": false,
        "properties": {"event": {"type": "string"}}});
    let end = json!({"type": "object", "additionalProperties": false, "properties": {
        "after": {"$ref": "#/$defs/duration", "description": format!("At most P{}D", ab::TEST_MAX_DAYS)},
        "on": {"type": "string"}, "zone": {"type": "string"}, "sample": {"type": "integer", "minimum": 1}}});
    let significance = json!({"anyOf": [{"const": "none"},
        {"type": ["number", "integer"], "minimum": 80, "exclusiveMaximum": 100}]});
    Keys::new(
        &["variants", "metric"],
        json!({
            "variants": shares(2, ab_test::VARIANTS_MAX),
            "metric": {"anyOf": [{"enum": ["opens", "clicks", "goal", "purchases"]}, event]},
            "within": of("duration"),
            "significance": significance,
            "end": end,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_what_may_stand_in_it() {
        for kind in KINDS {
            let keys = keys(kind.word).unwrap_or_else(|| panic!("{} has no schema", kind.word));
            for required in keys.required {
                assert!(keys.properties.get(required).is_some(), "{}: {required}", kind.word);
            }
        }
        assert!(keys("teleport").is_none());
    }
}
