//! The JSON that a sending step freezes into the outbox and a template reads. All amounts and decimal numbers are in
//! major units (`2.95`, a number or a text); dates are `2026-11-22`, instants RFC 3339; what is missing or null is empty.
//!
//! The frozen variables are one object: each declared variable under its name and, where [`segment::Reads`] asks for them,
//! `contact`. See [`product`], [`cart`], [`contact`], [`value`].

use model::{Amount, Cart, ConsentState, Currency, Product, ProductId, RfmPlacement, Value};
use serde_json::{Map, Value as Json, json};

/// An amount as a JSON number in major units.
#[must_use]
pub fn amount(amount: Amount) -> Json {
    if amount.0 % Amount::SCALE == 0 { json!(amount.0 / Amount::SCALE) } else { json!(amount.to_f64()) }
}

/// A field's value.
#[must_use]
pub fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(n) => json!(n),
        Value::Decimal(n) => amount(*n),
        Value::Date(_) | Value::Instant(_) => json!(value.to_string()),
        Value::Options(options) => json!(options),
        Value::Boolean(b) => json!(b),
    }
}

/// `{external_id, name, url?, image_url?, unit_price?, original_price?, currency, brand?, description?, rating?}`; the
/// original price only where it is above the price.
#[must_use]
pub fn product(product: &Product, currency: Currency) -> Json {
    let mut map = Map::new();
    map.insert("external_id".into(), json!(product.external_id));
    map.insert("name".into(), json!(product.name));
    let texts = [
        ("url", &product.url),
        ("image_url", &product.image_url),
        ("brand", &product.brand),
        ("description", &product.description),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            map.insert(key.into(), json!(text));
        }
    }
    if let Some(price) = product.unit_price {
        map.insert("unit_price".into(), amount(price));
    }
    if let Some(original) =
        product.original_price.filter(|original| product.unit_price.is_none_or(|p| *original > p))
    {
        map.insert("original_price".into(), amount(original));
    }
    if let Some(rating) = product.rating {
        map.insert("rating".into(), amount(rating));
    }
    map.insert("currency".into(), json!(currency.code()));
    Json::Object(map)
}

/// `{id, total, currency, recovery_url?, lines: [product + {quantity, unit_price, line_total}]}`; the price is that of
/// the line. Lines whose product is not known are left out.
#[must_use]
pub fn cart<'a>(cart: &Cart, find: impl Fn(ProductId) -> Option<&'a Product>) -> Json {
    let mut lines = Vec::with_capacity(cart.lines.len());
    for line in &cart.lines {
        let Some(found) = find(line.product) else { continue };
        let mut json = product(found, cart.currency);
        if let Json::Object(map) = &mut json {
            map.insert("quantity".into(), json!(line.quantity));
            map.insert("unit_price".into(), amount(line.unit_price));
            let total = line.unit_price.times(line.quantity);
            map.insert("line_total".into(), amount(Amount(i64::try_from(total).unwrap_or(i64::MAX))));
        }
        lines.push(json);
    }
    let mut map = Map::new();
    map.insert("id".into(), json!(cart.external_id));
    map.insert("total".into(), amount(cart.total));
    map.insert("currency".into(), json!(cart.currency.code()));
    if let Some(url) = &cart.recovery_url {
        map.insert("recovery_url".into(), json!(url));
    }
    map.insert("lines".into(), Json::Array(lines));
    Json::Object(map)
}

/// The `contact` object, as [`crate::Template::reads`] asks for it: fields by name, slugs of the segments and lists
/// (of those asked for) that the contact is in, answers by purpose, and placements by RFM model.
#[must_use]
pub fn contact<'a>(
    fields: impl IntoIterator<Item = (&'a str, Value)>,
    segments: &[String],
    lists: &[String],
    consents: impl IntoIterator<Item = (&'a str, ConsentState)>,
    placements: &[RfmPlacement],
) -> Json {
    let mut map: Map<String, Json> =
        fields.into_iter().map(|(name, field)| (name.to_owned(), value(&field))).collect();
    for (key, slugs) in [("segments", segments), ("lists", lists)] {
        if !slugs.is_empty() {
            map.insert(key.into(), json!(slugs));
        }
    }
    let consents: Map<String, Json> =
        consents.into_iter().map(|(purpose, state)| (purpose.to_owned(), json!(state))).collect();
    if !consents.is_empty() {
        map.insert("consents".into(), Json::Object(consents));
    }
    if !placements.is_empty() {
        let by_model: Map<String, Json> =
            placements.iter().map(|placement| (placement.model.clone(), json!(placement))).collect();
        map.insert("rfm".into(), Json::Object(by_model));
    }
    Json::Object(map)
}
