//! Builders of what an import brings, with everything unimportant filled in.

use model::{Amount, Currency, OrderStatus, Timestamp, Zone};
use serde_json::{Map, Value};
use storage::imports::{
    ContactKey, ContactPatch, ImportBatch, ImportCart, ImportEvent, ImportLine, ImportOrder, ProductPatch,
};

/// An instant as people write it, in UTC.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text, &Zone::UTC).unwrap_or_else(|problem| panic!("{problem}"))
}

/// So many days after 2026-01-01, at noon.
#[must_use]
pub fn dated(day: i64) -> Timestamp {
    at("2026-01-01 12:00:00").plus_days(day)
}

/// A contact with an address at `example.test`.
#[must_use]
pub fn contact(external_id: &str) -> ContactPatch {
    ContactPatch {
        external_id: Some(external_id.to_owned()),
        email: Some(format!("{}@example.test", external_id.to_lowercase())),
        first_name: Some(format!("First {external_id}")),
        last_name: Some("Last".to_owned()),
        ..ContactPatch::default()
    }
}

/// A product at a price in whole units.
#[must_use]
pub fn product(external_id: &str, price: i64) -> ProductPatch {
    ProductPatch {
        external_id: external_id.to_owned(),
        name: Some(format!("Product {external_id}")),
        unit_price: Some(Amount::units(price)),
        categories: Some(vec!["/All".to_owned()]),
        ..ProductPatch::default()
    }
}

/// Lines from (product, quantity, price in whole units).
fn lines(batch: &mut ImportBatch, given: &[(&str, i64, i64)]) -> Vec<ImportLine> {
    given
        .iter()
        .map(|(product, quantity, price)| ImportLine {
            product: batch.code(product),
            quantity: *quantity,
            unit_price: Amount::units(*price),
        })
        .collect()
}

/// Adds an order of lines (product, quantity, price in whole units), in euros; its total is their sum.
pub fn order(
    batch: &mut ImportBatch,
    external_id: &str,
    contact: &str,
    at: Timestamp,
    given: &[(&str, i64, i64)],
) {
    let lines = lines(batch, given);
    batch.orders.push(ImportOrder {
        external_id: external_id.to_owned(),
        contact: (!contact.is_empty()).then(|| ContactKey::ExternalId(contact.to_owned())),
        at,
        total: Amount(lines.iter().map(|line| line.quantity * line.unit_price.0).sum()),
        refunded: Amount::ZERO,
        currency: Currency::EUR,
        status: OrderStatus::Completed,
        cart_id: None,
        coupons: Vec::new(),
        lines,
    });
}

/// Adds an open cart of lines (product, quantity, price in whole units), in euros.
pub fn cart(
    batch: &mut ImportBatch,
    external_id: &str,
    contact: &str,
    at: Timestamp,
    given: &[(&str, i64, i64)],
) {
    let lines = lines(batch, given);
    batch.carts.push(ImportCart {
        external_id: external_id.to_owned(),
        contact: ContactKey::ExternalId(contact.to_owned()),
        updated_at: at,
        currency: Currency::EUR,
        recovery_url: None,
        lines,
    });
}

/// An event with one property, or none when its name is empty.
#[must_use]
pub fn event(contact: &str, kind: &str, at: Timestamp, property: &str, value: &str) -> ImportEvent {
    let mut properties = Map::new();
    if !property.is_empty() {
        properties.insert(property.to_owned(), Value::from(value));
    }
    ImportEvent {
        contact: ContactKey::ExternalId(contact.to_owned()),
        at,
        kind: kind.to_owned(),
        message_id: None,
        properties,
    }
}
