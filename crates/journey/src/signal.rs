//! What happens to a contact, as journeys see it: an event. Segment moves, changes of RFM group, abandoned carts and
//! interactions with messages are events too (`model::event::kind`), so that triggers, exits, goals and waits all ask the
//! same way.
//!
//! A reference into an event (`trigger.…`) leads to its properties as they came, and to what they mean: `trigger.product`
//! is the product of the catalogue that `product_id` names, `trigger.products` those of the list, `trigger.cart` the
//! whole as a cart. Types are those of [`known`], or the ones that the file declares.

pub mod known;

use std::sync::Arc;

use model::{Amount, Cart, CartNo, Currency, Event, Line, ProductId, Timestamp, Value, Zone};
use recommend::Catalogue;
use serde_json::{Map, Value as Json};

use crate::data::{DataType, Datum};
use known::Found;

/// How late an event may be at its arrival to start a journey unless its trigger says otherwise.
pub const LATE_DEFAULT: i64 = 6 * Timestamp::HOUR;

/// The keys under which an event names a product, the surest first.
const PRODUCT_KEYS: [&str; 4] = ["product_id", "external_id", "sku", "id"];

/// What a reference into an event leads to: `trigger.total`, `trigger.cart.total` (nested properties),
/// `trigger.products.0.name` (products named by `product_id` in a list), `trigger.at`. None where there is nothing.
#[must_use]
pub fn datum(event: &Event, path: &[String], catalogue: &Catalogue) -> Option<Datum> {
    declared(event, path, catalogue, &[])
}

/// As [`datum`], with the types of properties that the file declares.
#[must_use]
pub fn declared(
    event: &Event,
    path: &[String],
    catalogue: &Catalogue,
    types: &[(String, DataType)],
) -> Option<Datum> {
    let kind = match known::find(&event.kind, types, path) {
        Found::Known(kind, _) => Some(kind),
        _ => None,
    };
    match property(event, path) {
        // A plain value, of the type that is known of it.
        Some(json) if !json.is_object() && !json.is_array() && kind.is_none_or(DataType::is_value) => {
            return typed(json, kind).map(Datum::Value);
        }
        Some(Json::Array(list)) if kind.is_none_or(DataType::is_value) => {
            // A list of products needs no declaration.
            let plain = texts(list).map(|texts| Datum::Value(Value::Options(texts)));
            return plain.or_else(|| Some(listed(list, catalogue)));
        }
        _ => {}
    }
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "at" if rest.is_empty() => Some(Datum::Value(Value::Instant(event.at))),
        "cart" => {
            let map = event.properties.get("cart").and_then(Json::as_object).unwrap_or(&event.properties);
            let whole = cart(event, map, catalogue)?.at(rest, catalogue);
            // What a line says of itself, where the event is the cart.
            let line =
                || typed(property(event, rest).filter(|json| !json.is_array())?, kind).map(Datum::Value);
            whole.or_else(line)
        }
        "product" if !event.properties.contains_key("product") => {
            let id =
                PRODUCT_KEYS.iter().find_map(|key| product_of(event.properties.get(*key)?, catalogue))?;
            Datum::Product(id).at(rest, catalogue)
        }
        _ => {
            let own = types.iter().filter(|(_, kind)| *kind == DataType::Cart);
            let carts = own.map(|(name, _)| name.split('.').map(str::to_owned).collect::<Vec<_>>());
            match carts.into_iter().find(|name| path.starts_with(name)) {
                Some(name) => {
                    let map = property(event, &name)?.as_object()?;
                    cart(event, map, catalogue)?.at(&path[name.len()..], catalogue)
                }
                None => products(event, path, catalogue),
            }
        }
    }
}

/// Products behind a path: one, a list, or what the catalogue knows of one of them.
fn products(event: &Event, path: &[String], catalogue: &Catalogue) -> Option<Datum> {
    // The longest beginning of the path that is a property says which.
    let (end, json) = (1..=path.len()).rev().find_map(|end| Some((end, property(event, &path[..end])?)))?;
    let found = match json {
        Json::Array(list) => listed(list, catalogue),
        json => Datum::Product(product_of(json, catalogue)?),
    };
    found.at(&path[end..], catalogue)
}

/// The property behind a path: nested ones by their names, entries of a list by number from 0. A property whose own
/// name has dots in it (`shop.city`) is found too. None where there is nothing.
#[must_use]
pub fn property<'e>(event: &'e Event, path: &[String]) -> Option<&'e Json> {
    let (first, rest) = path.split_first()?;
    let nested = event.properties.get(first).and_then(|at| inside(at, rest));
    nested.or_else(|| event.properties.get(&path.join(".")))
}

fn inside<'e>(from: &'e Json, path: &[String]) -> Option<&'e Json> {
    path.iter().try_fold(from, |at, part| match at {
        Json::Object(map) => map.get(part),
        Json::Array(list) => list.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The texts (and numbers) of a list that holds nothing else; none for an empty one.
fn texts(list: &[Json]) -> Option<Vec<String>> {
    let text = |json: &Json| match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    };
    (!list.is_empty()).then(|| list.iter().map(text).collect()).flatten()
}

fn product_of(json: &Json, catalogue: &Catalogue) -> Option<ProductId> {
    let by_id = |json: &Json| match json {
        Json::String(text) => catalogue.by_external_id(text),
        Json::Number(number) => catalogue.by_external_id(&number.to_string()),
        _ => None,
    };
    let product = match json {
        Json::Object(map) => PRODUCT_KEYS.iter().find_map(|key| by_id(map.get(*key)?)),
        other => by_id(other),
    };
    product.map(|product| product.id)
}

/// The products of a list that the catalogue has, each once.
fn listed(list: &[Json], catalogue: &Catalogue) -> Datum {
    let mut ids: Vec<ProductId> = Vec::with_capacity(list.len());
    for id in list.iter().filter_map(|json| product_of(json, catalogue)) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Datum::Products(ids.into())
}

/// The cart that an event, or a property of it, describes.
fn cart(event: &Event, map: &Map<String, Json>, catalogue: &Catalogue) -> Option<Datum> {
    let text = |key: &str| typed(map.get(key)?, Some(DataType::Text)).map(|value| value.to_string());
    let amount = |json: Option<&Json>| match typed(json?, Some(DataType::Decimal)) {
        Some(Value::Decimal(amount)) => Some(amount),
        _ => None,
    };
    let id = text("cart_id").or_else(|| text("id").filter(|_| map.contains_key("products")));
    let list = map.get("products").or_else(|| map.get("lines")).and_then(Json::as_array);
    if id.is_none() && list.is_none() {
        return None;
    }
    let line = |json: &Json| {
        let product = product_of(json, catalogue)?;
        let number = |key: &str| json.get(key).and_then(|json| typed(json, Some(DataType::Integer)));
        let quantity = match number("quantity") {
            Some(Value::Integer(quantity)) => quantity,
            _ => 1,
        };
        let price = amount(json.get("price").or_else(|| json.get("unit_price")));
        let own = || catalogue.product(product).and_then(|product| product.unit_price);
        Some(Line { product, quantity, unit_price: price.or_else(own).unwrap_or(Amount::ZERO) })
    };
    let lines: Vec<Line> = list.into_iter().flatten().filter_map(line).collect();
    let sum = || {
        let sum: i128 =
            lines.iter().map(|line| i128::from(line.unit_price.0) * i128::from(line.quantity)).sum();
        Amount(i64::try_from(sum).unwrap_or(i64::MAX))
    };
    let total = amount(map.get("total").or_else(|| map.get("value"))).unwrap_or_else(sum);
    let currency = text("currency").and_then(|code| Currency::parse(&code).ok()).unwrap_or(Currency::EUR);
    Some(Datum::Cart(Arc::new(Cart {
        no: CartNo(0),
        external_id: id.unwrap_or_default(),
        contact: event.contact,
        updated_at: event.at,
        total,
        currency,
        purchased: event.kind == model::event::kind::ORDER_COMPLETED,
        recovery_url: text("recovery_url"),
        lines,
    })))
}

/// A property as a value: numbers exactly, instants where the text is one.
#[must_use]
pub fn value(json: &Json) -> Option<Value> {
    match json {
        Json::Bool(truth) => Some(Value::Boolean(*truth)),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Some(Value::Integer(whole)),
            None => Amount::parse(&number.to_string())
                .ok()
                .or_else(|| Amount::from_f64(number.as_f64()?).ok())
                .map(Value::Decimal),
        },
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Array(list) => texts(list).map(Value::Options),
        _ => None,
    }
}

/// A property as a value of a type: a number that came as a text is a number where one is wanted, and the other way
/// round (an id). What cannot be read as the type is no value: a run must not find what the checker ruled out.
fn typed(json: &Json, kind: Option<DataType>) -> Option<Value> {
    let value = value(json)?;
    let text = |value: &Value| value.to_string().trim().to_owned();
    match (kind, value) {
        (None | Some(DataType::Any), value) => Some(value),
        (Some(DataType::Text), value @ Value::Text(_)) => Some(value),
        (Some(DataType::Text), value) => Some(Value::Text(value.to_string())),
        (Some(DataType::Integer), value @ Value::Integer(_)) => Some(value),
        (Some(DataType::Integer), value) => {
            let amount = Amount::parse(&text(&value)).ok()?;
            (amount.0 % Amount::SCALE == 0).then_some(Value::Integer(amount.0 / Amount::SCALE))
        }
        (Some(DataType::Decimal), value @ Value::Decimal(_)) => Some(value),
        (Some(DataType::Decimal), value) => Amount::parse(&text(&value)).ok().map(Value::Decimal),
        (Some(DataType::Date), value) => model::field::parse_date(&text(&value)).map(Value::Date),
        (Some(DataType::Instant), Value::Text(text)) => {
            Timestamp::parse(&text, &Zone::UTC).ok().map(Value::Instant)
        }
        (Some(DataType::Boolean), value @ Value::Boolean(_)) => Some(value),
        (Some(DataType::Boolean), Value::Text(text)) => match text.as_str() {
            "true" => Some(Value::Boolean(true)),
            "false" => Some(Value::Boolean(false)),
            _ => None,
        },
        (Some(DataType::Options), value @ Value::Options(_)) => Some(value),
        (Some(DataType::Options), value) => Some(Value::Options(vec![value.to_string()])),
        _ => None,
    }
}
