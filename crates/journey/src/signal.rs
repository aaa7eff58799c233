//! What happens to a contact, as journeys see it: an event. Segment moves, changes of RFM group, abandoned carts and
//! interactions with messages are events too (`model::event::kind`), so that triggers, exits, goals and waits all ask the
//! same way.

use model::{Event, Timestamp, Value};
use recommend::Catalogue;

use crate::data::Datum;

/// What a reference into an event leads to: `trigger.total`, `trigger.cart.total` (nested properties),
/// `trigger.products.0.name` (products named by `product_id` in a list), `trigger.at`. None where there is nothing.
#[must_use]
pub fn datum(event: &Event, path: &[String], catalogue: &Catalogue) -> Option<Datum> {
    let (first, rest) = path.split_first()?;
    if first == "at" && rest.is_empty() && !event.properties.contains_key("at") {
        return Some(Datum::Value(Value::Instant(event.at)));
    }
    let mut at = event.properties.get(first)?;
    for part in rest {
        at = match at {
            serde_json::Value::Object(map) => map.get(part)?,
            serde_json::Value::Array(list) => list.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    let _ = catalogue;
    value(at).map(Datum::Value)
}

/// The property behind a path: nested ones by their names, entries of a list by number from 0. A property whose own
/// name has dots in it (`shop.city`) is found too. None where there is nothing.
#[must_use]
pub fn property<'e>(event: &'e Event, path: &[String]) -> Option<&'e serde_json::Value> {
    let (first, rest) = path.split_first()?;
    let nested = event.properties.get(first).and_then(|at| inside(at, rest));
    nested.or_else(|| event.properties.get(&path.join(".")))
}

fn inside<'e>(from: &'e serde_json::Value, path: &[String]) -> Option<&'e serde_json::Value> {
    path.iter().try_fold(from, |at, part| match at {
        serde_json::Value::Object(map) => map.get(part),
        serde_json::Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// A property as a value: numbers exactly, instants where the text is one.
#[must_use]
pub fn value(json: &serde_json::Value) -> Option<Value> {
    match json {
        serde_json::Value::Bool(truth) => Some(Value::Boolean(*truth)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(Value::Integer(whole)),
            None => model::Amount::parse(&number.to_string()).ok().map(Value::Decimal),
        },
        serde_json::Value::String(text) => Some(Value::Text(text.clone())),
        _ => None,
    }
}

/// How late an event may be at its arrival to start a journey unless its trigger says otherwise.
pub const LATE_DEFAULT: i64 = 6 * Timestamp::HOUR;
