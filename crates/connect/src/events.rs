//! Rows of events.

use std::collections::HashMap;

use model::{Event, Problem};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use storage::imports::ImportEvent;

use crate::{
    contacts::contact_key,
    mapping::{Extra, Kind, Mapping},
    source::hex,
    values::{DESCRIPTION_LEN_MAX, Result, Values, missing},
};

/// Reads events.
pub struct EventReader {
    mapping: Mapping,
    ids: Ordinals,
}

impl EventReader {
    /// Reads with this mapping.
    #[must_use]
    pub fn new(mapping: Mapping) -> Self {
        Self { mapping, ids: Ordinals::default() }
    }

    /// One event. Without a message id it gets one from its content.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn read(&mut self, values: Values<'_>) -> Result<ImportEvent> {
        let slot = |name: &str| self.mapping.slot(Kind::Events, name);
        let kind =
            values.text_of(slot("kind"), "kind", Event::KIND_LEN_MAX)?.ok_or_else(|| missing("kind"))?;
        let at = values.time(slot("at"), "at")?.ok_or_else(|| missing("at"))?;
        let contact = contact_key(values, slot("contact"))?.ok_or_else(|| missing("contact"))?;
        let properties = self.properties(values)?;
        let json = serde_json::to_string(&properties).unwrap_or_default();
        if json.len() > Event::SIZE_MAX {
            return Err(Problem::new(
                "event.too_large",
                format!("the properties have more than {} bytes", Event::SIZE_MAX),
            )
            .field("properties")
            .cure("leave out what no condition needs"));
        }
        if properties.values().any(|value| depth(value) >= Event::DEPTH_MAX) {
            return Err(Problem::new(
                "event.too_deep",
                format!("the properties are nested more than {} deep", Event::DEPTH_MAX),
            )
            .field("properties"));
        }
        let message_id = match values.id(slot("message_id"), "message_id")? {
            Some(id) => id.into_owned(),
            None => self.ids.id(&[contact.text(), &kind, &at.0.to_string(), &json]),
        };
        Ok(ImportEvent { contact, at, kind, message_id: Some(message_id), properties })
    }

    fn properties(&self, values: Values<'_>) -> Result<Map<String, Value>> {
        let mut properties = Map::new();
        let whole = self.mapping.slot(Kind::Events, "properties");
        if let Some(text) = values.text_of(whole, "properties", DESCRIPTION_LEN_MAX)? {
            properties = serde_json::from_str(&text).map_err(|error| {
                Problem::new("json.syntax", format!("properties are no JSON object: {error}"))
                    .field("properties")
                    .value(&text)
                    .cure("write them as in {\"product_id\": \"85123A\"}")
            })?;
        }
        for (extra, index) in &self.mapping.extra {
            if let Extra::Property(name) = extra
                && let Some(text) = values.text(Some(*index), &format!("properties.{name}"))?
            {
                properties.insert(name.clone(), typed(name, text));
            }
        }
        Ok(properties)
    }
}

/// A cell as a property: true and false, and numbers as JSON writes them, are such; but an id stays a text.
fn typed(name: &str, text: String) -> Value {
    let lower = name.to_ascii_lowercase();
    let is_id = ["id", "sku", "code", "zip", "phone"].iter().any(|end| lower.ends_with(end));
    match text.as_str() {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ if is_id => Value::String(text),
        _ => match text.parse::<serde_json::Number>() {
            Ok(number)
                if number.to_string() == text || number.as_f64().is_some_and(|_| text.contains('.')) =>
            {
                Value::Number(number)
            }
            _ => Value::String(text),
        },
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// Ids for things that come without one: from their content, and how many of the same content came before, so that
/// the same file gives the same ids and a repeat is recognised.
#[derive(Default)]
pub struct Ordinals(HashMap<[u8; 16], u32>);

impl Ordinals {
    /// The id of the next thing with this content.
    pub fn id(&mut self, content: &[&str]) -> String {
        let mut hash = Sha256::new();
        for part in content {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        let ordinal = self.0.entry(short).or_default();
        *ordinal += 1;
        format!("gen-{}-{ordinal}", hex(&short))
    }
}
