//! Open carts and events of a batch.

use model::{ContactId, Event, Problem, event::kind};
use rusqlite::OptionalExtension;
use storage::{
    Result, codec,
    imports::{ImportCart, ImportEvent, ItemKind},
};

use super::{
    Work, check_id, check_key,
    orders::{check_lines, check_time},
};
use crate::{
    events::{EventRow, product_of},
    pool::driver,
    recent,
    rows::{take_numbers, to_json},
};

impl Work<'_> {
    pub(super) fn take_carts(&mut self, carts: Vec<ImportCart>) -> Result<()> {
        for (index, cart) in carts.into_iter().enumerate() {
            let checked = check_id("cart_id", &cart.external_id)
                .and_then(|()| check_key(&cart.contact))
                .and_then(|()| check_time("updated_at", cart.updated_at))
                .and_then(|()| check_lines(&cart.lines));
            if let Err(problem) = checked {
                self.refuse(ItemKind::Cart, index, problem);
                continue;
            }
            match self.money.enter(self.connection, cart.currency)? {
                Ok(currency) => self.take_cart(&cart, currency.code())?,
                Err(problem) => self.refuse(ItemKind::Cart, index, problem),
            }
        }
        Ok(())
    }

    fn take_cart(&mut self, cart: &ImportCart, currency: &str) -> Result<()> {
        let stored = self.find_cart(&cart.external_id)?;
        // A cart without an id of its own is known by its order's.
        let bought = match &stored {
            Some((_, no)) => no.0 == 0,
            None => self.find_order(&cart.external_id)?.is_some(),
        };
        if bought {
            self.outcome.carts.known += 1;
            return Ok(());
        }
        let contact = self.contact_named(cart.contact.clone(), cart.updated_at)?;
        // Naming somebody may have merged the cart's owner.
        let stored = stored.and(self.find_cart(&cart.external_id)?);
        let no = match stored {
            None => take_numbers(self.connection, "order", 1)?,
            Some((owner, no)) => {
                let since: Option<i64> = self
                    .connection
                    .prepare_cached("SELECT updated_at FROM carts WHERE contact_id = ?1 AND cart_no = ?2")
                    .map_err(driver)?
                    .query_row((owner.0, no.0), |row| row.get(0))
                    .optional()
                    .map_err(driver)?;
                if since.is_some_and(|since| since >= cart.updated_at.0) {
                    self.outcome.carts.known += 1;
                    return Ok(());
                }
                self.connection
                    .prepare_cached("DELETE FROM carts WHERE contact_id = ?1 AND cart_no = ?2")
                    .map_err(driver)?
                    .execute((owner.0, no.0))
                    .map_err(driver)?;
                no.0
            }
        };
        self.write_cart(cart, contact, no, currency)?;
        self.cart_happened(contact, cart, currency, stored.map(|(owner, _)| owner))?;
        if stored.is_some() {
            self.outcome.carts.changed += 1;
        } else {
            self.outcome.carts.new += 1;
        }
        Ok(())
    }

    fn write_cart(&mut self, cart: &ImportCart, contact: ContactId, no: i64, currency: &str) -> Result<()> {
        let (mut lines, mut packed) = (Vec::new(), Vec::new());
        self.lines(&cart.lines, &mut lines)?;
        codec::put_lines(&mut packed, &lines);
        let total: i128 = lines.iter().map(|line| line.unit_price.times(line.quantity)).sum();
        self.connection
            .prepare_cached(
                "INSERT INTO carts (contact_id, cart_no, external_id, updated_at, total, currency, recovery_url, lines)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )
            .map_err(driver)?
            .execute((
                contact.0,
                no,
                &cart.external_id,
                cart.updated_at.0,
                i64::try_from(total).unwrap_or(i64::MAX),
                currency,
                &cart.recovery_url,
                packed,
            ))
            .map_err(driver)?;
        self.connection
            .prepare_cached(
                "INSERT INTO cart_ids (external_id, contact_id, cart_no) VALUES (?1, ?2, ?3)
                 ON CONFLICT (external_id) DO UPDATE SET contact_id = excluded.contact_id",
            )
            .map_err(driver)?
            .execute((&cart.external_id, contact.0, no))
            .map_err(driver)?;
        Ok(())
    }

    pub(super) fn take_events(&mut self, events: Vec<ImportEvent>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut no = take_numbers(self.connection, "event", events.len() as i64)?;
        for (index, event) in events.into_iter().enumerate() {
            let properties =
                if event.properties.is_empty() { String::new() } else { to_json(&event.properties)? };
            if let Err(problem) = check(&event, &properties) {
                self.refuse(ItemKind::Event, index, problem);
                continue;
            }
            if let Some(message_id) = &event.message_id
                && self.is_known_message(message_id)?
            {
                self.outcome.events.known += 1;
                continue;
            }
            let kind = self.kinds.id(self.connection, &event.kind)?;
            self.take_event(&event, no, kind, &properties)?;
            no += 1;
        }
        Ok(())
    }

    pub(super) fn is_known_message(&self, message_id: &str) -> Result<bool> {
        let known: Option<i64> = self
            .connection
            .prepare_cached("SELECT event_no FROM message_ids WHERE message_id = ?1")
            .map_err(driver)?
            .query_row([message_id], |row| row.get(0))
            .optional()
            .map_err(driver)?;
        Ok(known.is_some())
    }

    fn take_event(&mut self, event: &ImportEvent, no: i64, kind: u32, properties: &str) -> Result<()> {
        let contact = self.contact_named(event.contact.clone(), event.at)?;
        self.redeem_of_event(event, contact)?;
        if let Some(message_id) = &event.message_id {
            self.connection
                .prepare_cached(
                    "INSERT INTO message_ids (message_id, contact_id, at, event_no) VALUES (?1, ?2, ?3, ?4)",
                )
                .map_err(driver)?
                .execute((message_id, contact.0, event.at.0, no))
                .map_err(driver)?;
        }
        recent::add(
            self.connection,
            &EventRow {
                contact,
                at: event.at,
                no,
                kind,
                received_at: self.now,
                message_id: event.message_id.as_deref(),
                product: product_of(&event.properties),
                properties,
            },
        )?;
        if event.kind == kind::PRODUCT_VIEWED
            && let Some(product) = product_of(&event.properties)
            && check_id("product_id", product).is_ok()
        {
            let product = self.product_visited(product)?;
            self.count_visit(event.at, product);
        }
        self.outcome.events.new += 1;
        self.put(contact, event.at, kind, event.message_id.as_deref(), properties)
    }
}

fn check(event: &ImportEvent, properties: &str) -> std::result::Result<(), Problem> {
    check_key(&event.contact)?;
    check_time("at", event.at)?;
    if let Some(message_id) = &event.message_id {
        check_id("message_id", message_id)?;
    }
    let length = event.kind.chars().count();
    if length == 0 || length > Event::KIND_LEN_MAX {
        return Err(Problem::new("event.kind", format!("the kind has {length} characters"))
            .field("kind")
            .value(&event.kind)
            .cure(format!("name it in 1 to {} characters, as in Product Viewed", Event::KIND_LEN_MAX)));
    }
    if properties.len() > Event::SIZE_MAX {
        return Err(Problem::new(
            "event.too_large",
            format!("the properties take {} bytes", properties.len()),
        )
        .field("properties")
        .cure(format!("send at most {} bytes", Event::SIZE_MAX)));
    }
    if event.properties.values().any(|value| is_deeper(value, Event::DEPTH_MAX - 1)) {
        return Err(Problem::new("event.too_deep", "the properties are nested too deep")
            .field("properties")
            .cure(format!("nest at most {} levels", Event::DEPTH_MAX)));
    }
    Ok(())
}

/// Whether there are more than so many levels of arrays and objects.
fn is_deeper(value: &serde_json::Value, levels: usize) -> bool {
    let mut children: Box<dyn Iterator<Item = &serde_json::Value>> = match value {
        serde_json::Value::Array(items) => Box::new(items.iter()),
        serde_json::Value::Object(entries) => Box::new(entries.values()),
        _ => return false,
    };
    levels == 0 || children.any(|child| is_deeper(child, levels - 1))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};
    use storage::imports::ContactKey;

    use super::*;

    fn event(kind: String, properties: Map<String, Value>) -> ImportEvent {
        ImportEvent {
            contact: ContactKey::ExternalId("c".into()),
            at: model::Timestamp(0),
            kind,
            message_id: None,
            properties,
        }
    }

    #[test]
    fn limits_at_the_edge_and_one_past_it() {
        let code = |kind: String, value: Value, size: usize| {
            let event = event(kind, Map::from_iter([("a".to_owned(), value)]));
            check(&event, &"x".repeat(size)).err().map(|problem| problem.code.to_string())
        };
        let nested = |levels: usize| (1..levels).fold(json!(1), |inner, _| json!([inner]));
        let name = |length| "é".repeat(length);
        assert_eq!(code(name(Event::KIND_LEN_MAX), nested(Event::DEPTH_MAX), Event::SIZE_MAX), None);
        assert_eq!(code(name(Event::KIND_LEN_MAX + 1), json!(1), 0).as_deref(), Some("event.kind"));
        assert_eq!(code(name(1), json!(1), Event::SIZE_MAX + 1).as_deref(), Some("event.too_large"));
        assert_eq!(code(name(1), nested(Event::DEPTH_MAX + 1), 0).as_deref(), Some("event.too_deep"));
    }
}
