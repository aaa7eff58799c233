//! Made-up data with every edge, on which a template is tried when it is compiled, and with which pages show it.

use serde_json::{Map, Value as Json, json};

use crate::{Variable, VariableType};

/// How a sample is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// As one hopes.
    Usual,
    /// Nothing is there.
    Empty,
    /// One product without anything optional.
    Sparse,
    /// Long, and full of characters that mean something in HTML, headers and URLs.
    Hostile,
}

impl Edge {
    pub const ALL: [Self; 4] = [Self::Usual, Self::Empty, Self::Sparse, Self::Hostile];

    pub const fn what(self) -> &'static str {
        match self {
            Self::Usual => "usual data",
            Self::Empty => "no data",
            Self::Sparse => "one bare product",
            Self::Hostile => "long and odd texts",
        }
    }
}

const HOSTILE: &str = "\"><script>alert('x')</script>{{ 7 * 7 }}{% if %}\r\nBcc: a@b.test & \u{202e} ";

/// Frozen variables for an edge.
pub(crate) fn variables(declared: &[Variable], contact_fields: &[String], edge: Edge) -> Json {
    let mut map = Map::new();
    for variable in declared {
        let value = variable_of(variable.kind, edge);
        if !value.is_null() {
            map.insert(variable.name.clone(), value);
        }
    }
    if edge != Edge::Empty {
        let contact: Map<String, Json> =
            contact_fields.iter().map(|name| (name.clone(), field(name, edge))).collect();
        map.insert("contact".into(), Json::Object(contact));
    }
    Json::Object(map)
}

fn field(name: &str, edge: Edge) -> Json {
    if name.ends_with("_at") {
        return json!("2026-11-22T08:00:00Z");
    }
    match name {
        "birth_date" => json!("1990-02-28"),
        "order_count" => json!(3),
        "order_total" | "average_order" => json!(42.5),
        _ => text(edge),
    }
}

fn text(edge: Edge) -> Json {
    match edge {
        Edge::Hostile => json!(HOSTILE.repeat(12)),
        _ => json!("Alex"),
    }
}

fn variable_of(kind: VariableType, edge: Edge) -> Json {
    if edge == Edge::Empty {
        return match kind {
            VariableType::Products => json!([]),
            _ => Json::Null,
        };
    }
    let count = match edge {
        Edge::Usual => 6,
        Edge::Sparse => 1,
        _ => 40,
    };
    match kind {
        VariableType::Text => text(edge),
        VariableType::Number => json!(3),
        VariableType::Money => json!(24.9),
        VariableType::Date => json!("2026-11-22"),
        VariableType::Boolean => json!(edge == Edge::Usual),
        VariableType::Url => match edge {
            Edge::Hostile => json!("javascript:alert(1)"),
            _ => json!("https://shop.example.test/page?a=1"),
        },
        VariableType::Product => product(0, edge),
        VariableType::Products => (0..count).map(|i| product(i, edge)).collect(),
        VariableType::Cart => {
            let lines: Vec<Json> = (0..count).map(|i| line(i, edge)).collect();
            let url = "https://shop.example.test/cart/1";
            json!({"id": "C1", "total": 61.7, "currency": "GBP", "recovery_url": url, "lines": lines})
        }
    }
}

const NAMES: [&str; 6] = [
    "White hanging heart T-light holder",
    "Regency cakestand, three tiers",
    "Jumbo bag red retrospot",
    "Assorted colour bird ornament",
    "Set of three cake tins, pantry design",
    "Vintage Union Jack bunting",
];

fn product(i: usize, edge: Edge) -> Json {
    match edge {
        Edge::Sparse => json!({"external_id": "85123A", "name": NAMES[0]}),
        Edge::Hostile => json!({
            "external_id": "\"><b>", "name": HOSTILE.repeat(4), "url": "javascript:alert(1)",
            "image_url": "data:text/html,<script>", "unit_price": 1e9, "original_price": 2e9, "currency": "<b>",
            "brand": HOSTILE, "description": HOSTILE.repeat(10), "rating": 4.75,
        }),
        _ => {
            let mut json = json!({
                "external_id": format!("8512{i}A"), "name": NAMES[i % NAMES.len()],
                "url": format!("https://shop.example.test/p/8512{i}A"),
                "image_url": format!("https://shop.example.test/i/8512{i}A.png"),
                "unit_price": 2.95 + i as f64, "brand": "Lanternwick", "currency": "GBP",
                "description": "Made to last.", "rating": 4.5,
            });
            if i % 3 == 1 {
                json["original_price"] = json!(5.95 + i as f64);
            }
            json
        }
    }
}

fn line(i: usize, edge: Edge) -> Json {
    let mut line = product(i, edge);
    line["quantity"] = json!(i + 1);
    line["line_total"] = json!((i + 1) * 3);
    line
}
