//! Filling an empty database in one go, for synthetic bases: numbers are given by the caller, rows come in the order of
//! their keys, and what they would hit at random is made at the end. It is no import: nothing is checked, and
//! a load that was interrupted leaves a file to be thrown away.

use std::collections::HashMap;

use model::{Contact, ContactId, Event, Order, OrderStatus, Product, Timestamp};
use rusqlite::{Connection, Statement};
use storage::{Result, StoreError, Urgency, catalogue::ProductDay, codec, contacts::IdentifierKind};

use crate::{
    Sqlite,
    catalogue::DayDeltas,
    contacts::{claim, insert},
    events::{self, EventRow, kind_id},
    pool::driver,
    rows::{take_numbers, to_json},
};

/// Some thousands of contacts with all their orders and events, sorted by contact and time. Numbers ascend from chunk
/// to chunk.
#[derive(Clone, Debug, Default)]
pub struct BulkChunk {
    /// Products, in the first chunk.
    pub products: Vec<Product>,
    /// Contacts.
    pub contacts: Vec<Contact>,
    /// All orders of these contacts.
    pub orders: Vec<Order>,
    /// All events of these contacts.
    pub events: Vec<Event>,
}

/// The index that [`Sqlite::bulk_begin`] drops and [`Sqlite::bulk_end`] makes, with its definition kept meanwhile.
const DEFERRED: &str = "orders_by_time";

/// Events go straight into histories here, so who cares for which product is worked out from them at the end.
const INTERESTS: &str = "INSERT INTO interests (product, kind_id, at, contact_id, event_no)
  SELECT json_extract(properties, '$.product_id'), kind_id, at, contact_id, event_no FROM events
  WHERE instr(properties, '\"product_id\"') > 0 AND json_type(properties, '$.product_id') = 'text'
  ORDER BY 1, 2, 3, 4, 5;";

impl Sqlite {
    /// Gets an empty database ready.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when it holds contacts already, or what the driver says.
    pub async fn bulk_begin(&self) -> Result<()> {
        self.write(Urgency::Bulk, |transaction| {
            let last: Option<i64> = transaction
                .query_row("SELECT max(contact_id) FROM contacts", [], |row| row.get(0))
                .map_err(driver)?;
            if last.is_some() {
                return Err(StoreError::Unusable("only an empty database can be filled in one go".into()));
            }
            transaction
                .execute_batch(&format!(
                    "INSERT INTO settings (key, value)
                       SELECT 'bulk_index', json_quote(sql) FROM sqlite_schema WHERE name = '{DEFERRED}';
                     DROP INDEX {DEFERRED};"
                ))
                .map_err(driver)
        })
        .await
    }

    /// Adds a chunk.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn bulk_load(&self, chunk: BulkChunk) -> Result<()> {
        self.write(Urgency::Bulk, move |transaction| {
            for product in &chunk.products {
                write_product(transaction, product)?;
            }
            for contact in &chunk.contacts {
                insert(transaction, contact)?;
                let identifiers = [
                    (IdentifierKind::ExternalId, &contact.external_id),
                    (IdentifierKind::Email, &contact.email),
                    (IdentifierKind::Phone, &contact.phone),
                ];
                for (kind, value) in identifiers {
                    if let Some(value) = value {
                        claim(transaction, kind, value, contact.id)?;
                    }
                }
            }
            write_orders(transaction, &chunk.orders)?;
            write_events(transaction, &chunk.events)?;
            let order = chunk.orders.iter().map(|order| order.no.0).max();
            for (name, last) in [
                ("product", chunk.products.iter().map(|product| i64::from(product.id.0)).max()),
                ("contact", chunk.contacts.iter().map(|contact| contact.id.0).max()),
                ("order", order),
            ] {
                raise(transaction, name, last)?;
            }
            Ok(())
        })
        .await
    }

    /// Makes what was left for the end.
    ///
    /// # Errors
    /// What the driver says.
    pub async fn bulk_end(&self) -> Result<()> {
        self.write(Urgency::Bulk, |transaction| {
            let sql: String = transaction
                .query_row(
                    "SELECT json_extract(value, '$') FROM settings WHERE key = 'bulk_index'",
                    [],
                    |row| row.get(0),
                )
                .map_err(driver)?;
            transaction
                .execute_batch(&format!("{sql}; DELETE FROM settings WHERE key = 'bulk_index'; {INTERESTS}"))
                .map_err(driver)
        })
        .await
    }
}

/// The numbers up to `last` are given.
fn raise(connection: &Connection, name: &str, last: Option<i64>) -> Result<()> {
    let Some(last) = last else { return Ok(()) };
    connection
        .prepare_cached(
            "INSERT INTO counters (name, last) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET last = max(last, excluded.last)",
        )
        .map_err(driver)?
        .execute((name, last))
        .map_err(driver)?;
    Ok(())
}

fn write_product(connection: &Connection, product: &Product) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO products (product_id, external_id, price_at, profile) VALUES (?1, ?2, ?3, ?4)",
        )
        .map_err(driver)?
        .execute((product.id.0, &product.external_id, Timestamp::MIN.0, to_json(product)?))
        .map_err(driver)?;
    Ok(())
}

fn write_orders(connection: &Connection, orders: &[Order]) -> Result<()> {
    let prepare = |sql| connection.prepare_cached(sql).map_err(driver);
    let mut insert = prepare(
        "INSERT INTO orders (contact_id, at, order_no, status, total, refunded, currency, external_id, cart_id, lines)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL, ?9)",
    )?;
    let mut insert_id =
        prepare("INSERT INTO order_ids (external_id, contact_id, at, order_no) VALUES (?1, ?2, ?3, ?4)")?;
    let mut totals = prepare(
        "INSERT INTO contact_totals (contact_id, first_order_at, last_order_at, orders, spent)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let (mut days, mut packed) = (DayDeltas::default(), Vec::new());
    for of_contact in orders.chunk_by(|a, b| a.contact == b.contact) {
        for order in of_contact {
            packed.clear();
            codec::put_lines(&mut packed, &order.lines);
            let contact = order.contact.map_or(0, |contact| contact.0);
            insert
                .execute((
                    contact,
                    order.at.0,
                    order.no.0,
                    i64::from(!order.counts()),
                    order.total.0,
                    order.refunded.0,
                    order.currency.code(),
                    &order.external_id,
                    &packed,
                ))
                .map_err(driver)?;
            insert_id.execute((&order.external_id, contact, order.at.0, order.no.0)).map_err(driver)?;
            count_days(&mut days, order);
        }
        write_totals(&mut totals, of_contact)?;
    }
    days.write(connection)
}

fn count_days(days: &mut DayDeltas, order: &Order) {
    if order.status != OrderStatus::Completed {
        return;
    }
    for (index, line) in order.lines.iter().enumerate() {
        let again = order.lines[..index].iter().any(|earlier| earlier.product == line.product);
        days.add(ProductDay {
            product: line.product,
            day: order.at.day_utc(),
            units: line.quantity,
            orders: i64::from(!again),
            revenue: line.quantity * line.unit_price.0,
            visits: 0,
        });
    }
}

fn write_totals(statement: &mut Statement<'_>, orders: &[Order]) -> Result<()> {
    let counting = || orders.iter().filter(|order| order.counts());
    let (Some(first), Some(last)) = (counting().next(), counting().next_back()) else { return Ok(()) };
    let Some(ContactId(contact)) = first.contact else { return Ok(()) };
    let spent: i64 = counting().map(|order| order.net().0).sum();
    let orders = counting().count() as i64;
    statement.execute((contact, first.at.0, last.at.0, orders, spent)).map_err(driver)?;
    Ok(())
}

fn write_events(connection: &Connection, events: &[Event]) -> Result<()> {
    let first = take_numbers(connection, "event", events.len() as i64)?;
    let mut kinds: HashMap<&str, u32> = HashMap::new();
    for (no, event) in (first..).zip(events) {
        let kind = match kinds.get(event.kind.as_str()) {
            Some(kind) => *kind,
            None => {
                let kind = kind_id(connection, &event.kind)?;
                kinds.insert(&event.kind, kind);
                kind
            }
        };
        let properties =
            if event.properties.is_empty() { String::new() } else { to_json(&event.properties)? };
        events::insert(
            connection,
            &EventRow {
                contact: event.contact,
                at: event.at,
                no,
                kind,
                received_at: event.received_at,
                message_id: None,
                product: None,
                properties: &properties,
            },
        )?;
    }
    Ok(())
}
