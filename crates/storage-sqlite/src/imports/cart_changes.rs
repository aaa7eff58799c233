//! Changes of carts: read, changed and written in one transaction, so that what several senders add is all there.

use std::collections::HashSet;

use model::{Amount, ContactId, Line, Problem, Product, ProductId, Timestamp, event::kind};
use rusqlite::OptionalExtension;
use serde_json::json;
use storage::{
    Result, codec,
    imports::{CartChange, CartStep, ItemKind},
};

use super::{
    Work, check_id, check_key,
    live::amount,
    orders::{QUANTITY_MAX, check_lines, check_time},
};
use crate::{
    orders::read_lines,
    pool::driver,
    rows::{blob, from_json, inconsistent, take_numbers},
};

/// Most lines of a cart.
const LINES_MAX: usize = 1_000;
/// What ids of carts begin with that the shop gave none.
const AUTO: &str = "auto-";

/// An open cart as it stands.
struct Open {
    external_id: String,
    /// Whose it is, unless it is new.
    owner: Option<ContactId>,
    no: i64,
    updated_at: Timestamp,
    recovery_url: Option<String>,
    lines: Vec<Line>,
}

impl Work<'_> {
    pub(super) fn take_cart_changes(&mut self, changes: Vec<CartChange>) -> Result<()> {
        let mut seen = HashSet::new();
        for (index, change) in changes.into_iter().enumerate() {
            if let Err(problem) = check(&change) {
                self.refuse(ItemKind::CartChange, index, problem);
                continue;
            }
            if let Some(id) = &change.message_id
                && (self.is_known_message(id)? || !seen.insert(id.clone()))
            {
                self.outcome.carts.known += 1;
                continue;
            }
            let taken = match self.money.enter(self.connection, change.currency)? {
                Ok(currency) => self.take_cart_change(&change, currency.code())?,
                Err(problem) => Err(problem),
            };
            if let Err(problem) = taken {
                self.refuse(ItemKind::CartChange, index, problem);
            }
        }
        Ok(())
    }

    fn take_cart_change(
        &mut self,
        change: &CartChange,
        currency: &str,
    ) -> Result<std::result::Result<(), Problem>> {
        let contact = self.contact_named(change.contact.clone(), change.at)?;
        let Some(mut cart) = self.open_cart(change, contact)? else {
            self.outcome.carts.known += 1;
            return Ok(Ok(()));
        };
        let mut given = Vec::new();
        self.lines(change.step.lines(), &mut given)?;
        let before = (cart.owner, cart.updated_at, cart.lines.clone());
        match &change.step {
            CartStep::Set(_) if change.at < cart.updated_at => {
                self.outcome.carts.known += 1;
                return Ok(Ok(()));
            }
            CartStep::Set(_) => {
                let known = std::mem::take(&mut cart.lines);
                for line in given {
                    let price =
                        known.iter().find(|old| old.product == line.product).map(|old| old.unit_price);
                    self.add_line(&mut cart.lines, line, price)?;
                }
            }
            CartStep::Add(_) => {
                for line in given {
                    self.add_line(&mut cart.lines, line, None)?;
                }
            }
            CartStep::Remove(_) => given.iter().for_each(|line| take_off(&mut cart.lines, *line)),
        }
        if cart.lines.len() > LINES_MAX {
            return Ok(Err(Problem::new("cart.too_many_lines", "the cart has too many lines")
                .field("products")
                .value(cart.lines.len())
                .cure(format!("a cart holds at most {LINES_MAX} products"))));
        }
        cart.updated_at = cart.updated_at.max(change.at);
        if change.recovery_url.is_some() {
            cart.recovery_url.clone_from(&change.recovery_url);
        }
        if before == (Some(contact), cart.updated_at, cart.lines.clone()) {
            self.outcome.carts.known += 1;
            return Ok(Ok(()));
        }
        self.put_cart(&cart, contact, currency)?;
        self.tell_cart(&cart, contact, currency)?;
        match cart.owner {
            Some(_) => self.outcome.carts.changed += 1,
            None => self.outcome.carts.new += 1,
        }
        Ok(Ok(()))
    }

    /// The cart that a change is about; none when it was bought since.
    fn open_cart(&self, change: &CartChange, contact: ContactId) -> Result<Option<Open>> {
        let id = match &change.cart_id {
            Some(id) => Some(id.clone()),
            None if self.ordered_since(contact, change.at)? => return Ok(None),
            None => self.current_cart(contact, Timestamp::MAX)?,
        };
        let stored = match &id {
            Some(id) => self.find_cart(id)?,
            None => None,
        };
        match (stored, id) {
            (Some((_, no)), _) if no.0 == 0 => Ok(None),
            (Some((owner, no)), Some(id)) => self.load_cart(id, owner, no.0).map(Some),
            // A cart without an id of its own is known by its order's.
            (None, Some(id)) if self.find_order(&id)?.is_some() => Ok(None),
            (_, id) => {
                let no = take_numbers(self.connection, "order", 1)?;
                let external_id = id.unwrap_or_else(|| format!("{AUTO}{no}"));
                let updated_at = Timestamp::MIN;
                Ok(Some(Open {
                    external_id,
                    owner: None,
                    no,
                    updated_at,
                    recovery_url: None,
                    lines: Vec::new(),
                }))
            }
        }
    }

    /// The contact's open cart without an id of the shop's that did not change after `until`.
    pub(super) fn current_cart(&self, contact: ContactId, until: Timestamp) -> Result<Option<String>> {
        if contact.0 == 0 {
            return Ok(None);
        }
        self.connection
            .prepare_cached(
                "SELECT external_id FROM carts
                 WHERE contact_id = ?1 AND updated_at <= ?2 AND substr(external_id, 1, ?3) = ?4
                 ORDER BY updated_at DESC LIMIT 1",
            )
            .map_err(driver)?
            .query_row((contact.0, until.0, AUTO.len() as i64, AUTO), |row| row.get(0))
            .optional()
            .map_err(driver)
    }

    fn ordered_since(&self, contact: ContactId, at: Timestamp) -> Result<bool> {
        self.connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM orders WHERE contact_id = ?1 AND at >= ?2)")
            .map_err(driver)?
            .query_row((contact.0, at.0), |row| row.get(0))
            .map_err(driver)
    }

    fn load_cart(&self, external_id: String, owner: ContactId, no: i64) -> Result<Open> {
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT updated_at, recovery_url, lines FROM carts WHERE contact_id = ?1 AND cart_no = ?2",
            )
            .map_err(driver)?;
        let mut rows = statement.query((owner.0, no)).map_err(driver)?;
        let row = rows
            .next()
            .map_err(driver)?
            .ok_or_else(|| inconsistent("cart_ids", no, "its cart does not exist"))?;
        Ok(Open {
            external_id,
            owner: Some(owner),
            no,
            updated_at: Timestamp(row.get(0).map_err(driver)?),
            recovery_url: row.get(1).map_err(driver)?,
            lines: read_lines("carts", no, blob(row, 2).map_err(driver)?)?,
        })
    }

    /// Adds to a line of the same product, or as a new one. Without a price it takes the one that was there, `known`, or
    /// the catalogue's.
    fn add_line(&self, lines: &mut Vec<Line>, line: Line, known: Option<Amount>) -> Result<()> {
        if let Some(there) = lines.iter_mut().find(|there| there.product == line.product) {
            there.quantity = (there.quantity + line.quantity).min(QUANTITY_MAX);
            if line.unit_price != Amount::ZERO {
                there.unit_price = line.unit_price;
            }
            return Ok(());
        }
        let unit_price = match (line.unit_price, known) {
            (Amount::ZERO, Some(known)) => known,
            (Amount::ZERO, None) => self.product_of(line.product)?.unit_price.unwrap_or_default(),
            (given, _) => given,
        };
        lines.push(Line { unit_price, ..line });
        Ok(())
    }

    fn product_of(&self, id: ProductId) -> Result<Product> {
        let profile: String = self
            .connection
            .prepare_cached("SELECT profile FROM products WHERE product_id = ?1")
            .map_err(driver)?
            .query_row([id.0], |row| row.get(0))
            .map_err(driver)?;
        from_json("products", id.0, &profile)
    }

    fn put_cart(&self, cart: &Open, contact: ContactId, currency: &str) -> Result<()> {
        if let Some(owner) = cart.owner {
            self.connection
                .prepare_cached("DELETE FROM carts WHERE contact_id = ?1 AND cart_no = ?2")
                .map_err(driver)?
                .execute((owner.0, cart.no))
                .map_err(driver)?;
        }
        let mut packed = Vec::new();
        codec::put_lines(&mut packed, &cart.lines);
        self.connection
            .prepare_cached(
                "INSERT INTO carts (contact_id, cart_no, external_id, updated_at, total, currency, recovery_url, lines)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )
            .map_err(driver)?
            .execute((
                contact.0,
                cart.no,
                &cart.external_id,
                cart.updated_at.0,
                total(&cart.lines).0,
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
            .execute((&cart.external_id, contact.0, cart.no))
            .map_err(driver)?;
        Ok(())
    }

    /// Tells the living engine, in the shape of [`Work::cart_happened`].
    fn tell_cart(&mut self, cart: &Open, contact: ContactId, currency: &str) -> Result<()> {
        if self.queue.is_none() {
            return Ok(());
        }
        let of = |lines: &[Line], products: serde_json::Value| {
            json!({
                "cart_id": cart.external_id,
                "total": amount(total(lines)),
                "currency": currency,
                "recovery_url": cart.recovery_url,
                "item_count": lines.iter().map(|line| line.quantity).sum::<i64>(),
                "products": products,
            })
        };
        let mut products = Vec::new();
        for line in &cart.lines {
            products.push(json!({
                "product_id": self.product_of(line.product)?.external_id,
                "quantity": line.quantity,
                "price": amount(line.unit_price),
            }));
        }
        let (full, empty) = (of(&cart.lines, products.into()), of(&[], json!([])));
        if let Some(owner) = cart.owner.filter(|owner| *owner != contact) {
            self.happened(owner, cart.updated_at, kind::CART_UPDATED, &empty)?;
        }
        self.happened(contact, cart.updated_at, kind::CART_UPDATED, &full)
    }
}

fn total(lines: &[Line]) -> Amount {
    let total: i128 = lines.iter().map(|line| line.unit_price.times(line.quantity)).sum();
    Amount(i64::try_from(total).unwrap_or(i64::MAX))
}

fn take_off(lines: &mut Vec<Line>, line: Line) {
    if let Some(there) = lines.iter_mut().find(|there| there.product == line.product) {
        there.quantity -= line.quantity;
    }
    lines.retain(|line| line.quantity > 0);
}

fn check(change: &CartChange) -> std::result::Result<(), Problem> {
    if let Some(id) = &change.cart_id {
        check_id("cart_id", id)?;
    }
    if let Some(id) = &change.message_id {
        check_id("message_id", id)?;
    }
    check_key(&change.contact)?;
    check_time("at", change.at)?;
    check_lines(change.step.lines())
}
