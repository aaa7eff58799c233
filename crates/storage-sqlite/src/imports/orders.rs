//! Orders of a batch, and what they add to their contacts' totals and their products' days.

use std::collections::{BTreeMap, BTreeSet};

use model::{Amount, CartNo, ContactId, Line, OrderStatus, Problem, ProductId, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use storage::{
    Result,
    catalogue::ProductDay,
    codec,
    coupons::Redemption,
    imports::{ImportLine, ImportOrder, ItemKind},
};

use super::{Work, check_id, check_key};
use crate::{
    orders::read_lines,
    pool::driver,
    rows::{blob, inconsistent, take_numbers},
};

/// The greatest total of an order and of a line: a milliard units. Sums of a million such orders still fit.
const TOTAL_MAX: Amount = Amount::units(1_000_000_000);
/// The greatest quantity of a line.
pub(super) const QUANTITY_MAX: i64 = 1_000_000_000;

/// Where an order is.
#[derive(Clone, Copy)]
pub(super) struct Key {
    pub(super) contact: i64,
    pub(super) at: i64,
    pub(super) no: i64,
}

/// What of an order can change.
pub(super) struct Stored {
    pub(super) key: Key,
    pub(super) status: OrderStatus,
    pub(super) total: i64,
    pub(super) refunded: i64,
    pub(super) currency: String,
    pub(super) external_id: String,
    pub(super) cart_id: Option<String>,
    pub(super) lines: Vec<Line>,
}

impl Work<'_> {
    pub(super) fn take_orders(&mut self, orders: Vec<ImportOrder>) -> Result<()> {
        if orders.is_empty() {
            return Ok(());
        }
        let mut no = take_numbers(self.connection, "order", orders.len() as i64)?;
        let (mut lines, mut packed) = (Vec::new(), Vec::new());
        for (index, order) in orders.into_iter().enumerate() {
            if let Err(problem) = check(&order) {
                self.refuse(ItemKind::Order, index, problem);
                continue;
            }
            if let Some(key) = self.find_order(&order.external_id)? {
                self.take_known_order(key, &order)?;
                continue;
            }
            let currency = match self.money.enter(self.connection, order.currency)? {
                Ok(currency) => currency,
                Err(problem) => {
                    self.refuse(ItemKind::Order, index, problem);
                    continue;
                }
            };
            self.lines(&order.lines, &mut lines)?;
            packed.clear();
            codec::put_lines(&mut packed, &lines);
            self.insert_order(no, order, currency.code(), &lines, &packed)?;
            no += 1;
        }
        Ok(())
    }

    pub(super) fn insert_order(
        &mut self,
        no: i64,
        mut order: ImportOrder,
        currency: &str,
        lines: &[Line],
        packed: &[u8],
    ) -> Result<()> {
        let contact = match order.contact.take() {
            Some(key) => self.contact_named(key, order.at)?,
            None => ContactId(0),
        };
        if order.cart_id.is_none() && self.queue.is_some() {
            order.cart_id = self.current_cart(contact, order.at)?;
        }
        let (total, refunded) = (self.money.convert(order.total).0, self.money.convert(order.refunded).0);
        let counts = order.status == OrderStatus::Completed && (refunded == 0 || refunded < total);
        let cart_id = order.cart_id.clone().filter(|cart| *cart != order.external_id);
        self.connection
            .prepare_cached(
                "INSERT INTO orders (contact_id, at, order_no, status, total, refunded, currency, external_id, cart_id, lines)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )
            .map_err(driver)?
            .execute((
                contact.0,
                order.at.0,
                no,
                i64::from(!counts),
                total,
                refunded,
                currency,
                &order.external_id,
                &cart_id,
                packed,
            ))
            .map_err(driver)?;
        self.connection
            .prepare_cached(
                "INSERT INTO order_ids (external_id, contact_id, at, order_no) VALUES (?1, ?2, ?3, ?4)",
            )
            .map_err(driver)?
            .execute((&order.external_id, contact.0, order.at.0, no))
            .map_err(driver)?;
        let cart_of =
            self.close_cart(cart_id.as_deref().unwrap_or(&order.external_id), cart_id.is_some(), contact)?;
        if counts {
            self.count_lines(order.at, lines, 1);
            self.totals.order(contact, order.at, total - refunded);
        }
        self.outcome.orders.new += 1;
        self.order_happened(contact, &order, currency, cart_of)?;
        if !counts {
            return Ok(());
        }
        self.redeem(&Redemption {
            codes: order.coupons,
            contact,
            order_id: order.external_id,
            net: Amount(total - refunded),
            at: order.at,
        })
    }

    /// The cart that was bought is no open cart any more; its id is kept so that a late update does not open it again.
    /// Answers with whose it was.
    fn close_cart(
        &mut self,
        cart_id: &str,
        has_own_id: bool,
        contact: ContactId,
    ) -> Result<Option<ContactId>> {
        let open = self.find_cart(cart_id)?;
        if let Some((owner, no)) = open.filter(|(_, no)| no.0 != 0) {
            self.connection
                .prepare_cached("DELETE FROM carts WHERE contact_id = ?1 AND cart_no = ?2")
                .map_err(driver)?
                .execute((owner.0, no.0))
                .map_err(driver)?;
        }
        if has_own_id || open.is_some() {
            self.connection
                .prepare_cached(
                    "INSERT INTO cart_ids (external_id, contact_id, cart_no) VALUES (?1, ?2, 0)
                     ON CONFLICT (external_id) DO UPDATE SET cart_no = 0",
                )
                .map_err(driver)?
                .execute((cart_id, contact.0))
                .map_err(driver)?;
        }
        Ok(open.filter(|(_, no)| no.0 != 0).map(|(owner, _)| owner))
    }

    /// Where a cart is; number 0 when it was bought.
    pub(super) fn find_cart(&self, external_id: &str) -> Result<Option<(ContactId, CartNo)>> {
        self.connection
            .prepare_cached("SELECT contact_id, cart_no FROM cart_ids WHERE external_id = ?1")
            .map_err(driver)?
            .query_row([external_id], |row| Ok((ContactId(row.get(0)?), CartNo(row.get(1)?))))
            .optional()
            .map_err(driver)
    }

    pub(super) fn find_order(&self, external_id: &str) -> Result<Option<Key>> {
        self.connection
            .prepare_cached("SELECT contact_id, at, order_no FROM order_ids WHERE external_id = ?1")
            .map_err(driver)?
            .query_row([external_id], |row| {
                Ok(Key { contact: row.get(0)?, at: row.get(1)?, no: row.get(2)? })
            })
            .optional()
            .map_err(driver)
    }

    pub(super) fn load_order(&self, key: Key) -> Result<Stored> {
        let mut statement = self
            .connection
            .prepare_cached(
                "SELECT status, total, refunded, lines, currency, external_id, cart_id FROM orders
                 WHERE contact_id = ?1 AND at = ?2 AND order_no = ?3",
            )
            .map_err(driver)?;
        let mut rows = statement.query((key.contact, key.at, key.no)).map_err(driver)?;
        let row = rows
            .next()
            .map_err(driver)?
            .ok_or_else(|| inconsistent("order_ids", key.no, "its order does not exist"))?;
        let status: i64 = row.get(0).map_err(driver)?;
        Ok(Stored {
            key,
            status: if status == 0 { OrderStatus::Completed } else { OrderStatus::Cancelled },
            total: row.get(1).map_err(driver)?,
            refunded: row.get(2).map_err(driver)?,
            lines: read_lines("orders", key.no, blob(row, 3).map_err(driver)?)?,
            currency: row.get(4).map_err(driver)?,
            external_id: row.get(5).map_err(driver)?,
            cart_id: row.get(6).map_err(driver)?,
        })
    }

    fn take_known_order(&mut self, key: Key, order: &ImportOrder) -> Result<()> {
        let may_change = order.status == OrderStatus::Cancelled || order.refunded > Amount::ZERO;
        if !may_change {
            self.outcome.orders.known += 1;
            return Ok(());
        }
        let stored = self.load_order(key)?;
        if stored.status == OrderStatus::Cancelled {
            self.outcome.orders.known += 1;
            return Ok(());
        }
        // The rate is that of now: good enough to see that more was paid back than we knew.
        if self.money.enter(self.connection, order.currency)?.is_err() {
            self.outcome.orders.known += 1;
            return Ok(());
        }
        let refunded = self.money.convert(order.refunded).0.min(stored.total);
        if order.status == OrderStatus::Cancelled {
            self.change_order(&stored, stored.refunded, &[], true)?;
            self.order_reduced(&stored, stored.refunded, &[], true, (self.now, None))?;
        } else if refunded > stored.refunded {
            self.change_order(&stored, refunded, &[], refunded >= stored.total)?;
            self.order_reduced(&stored, refunded, &[], false, (self.now, None))?;
        } else {
            self.outcome.orders.known += 1;
            return Ok(());
        }
        self.outcome.orders.changed += 1;
        Ok(())
    }

    /// Writes what came back of an order that counted: so much in all, these lines (negative quantities), and whether it
    /// is cancelled by that.
    pub(super) fn change_order(
        &mut self,
        stored: &Stored,
        refunded: i64,
        back: &[Line],
        cancel: bool,
    ) -> Result<()> {
        let Key { contact, at, no } = stored.key;
        let mut lines = stored.lines.clone();
        lines.extend_from_slice(back);
        let mut packed = Vec::new();
        codec::put_lines(&mut packed, &lines);
        self.connection
            .prepare_cached(
                "UPDATE orders SET status = ?4, refunded = ?5, lines = ?6
                 WHERE contact_id = ?1 AND at = ?2 AND order_no = ?3",
            )
            .map_err(driver)?
            .execute((contact, at, no, i64::from(cancel), refunded, packed))
            .map_err(driver)?;
        let before = codec::net_lines(stored.lines.clone());
        self.count_lines(Timestamp(at), &before, -1);
        if cancel {
            self.totals.recompute(ContactId(contact));
        } else {
            self.count_lines(Timestamp(at), &codec::net_lines(lines), 1);
            self.totals.spent(ContactId(contact), stored.refunded - refunded);
        }
        Ok(())
    }

    /// Adds an order's lines to the figures of its day, or takes them off.
    pub(super) fn count_lines(&mut self, at: Timestamp, lines: &[Line], sign: i64) {
        let day = at.day_utc();
        // Few lines: looking back is quicker than a set.
        let mut seen = BTreeSet::new();
        for (index, line) in lines.iter().enumerate() {
            let again = if index < 32 {
                lines[..index].iter().any(|earlier| earlier.product == line.product)
            } else {
                if index == 32 {
                    seen.extend(lines[..32].iter().map(|line| line.product));
                }
                !seen.insert(line.product)
            };
            self.days.add(ProductDay {
                product: line.product,
                day,
                units: sign * line.quantity,
                orders: if again { 0 } else { sign },
                revenue: sign * i64::try_from(line.unit_price.times(line.quantity)).unwrap_or(TOTAL_MAX.0),
                visits: 0,
            });
        }
    }

    /// Counts a visit of a product's page.
    pub(super) fn count_visit(&mut self, at: Timestamp, product: ProductId) {
        self.days.add(ProductDay { product, day: at.day_utc(), visits: 1, ..ProductDay::default() });
    }
}

pub(super) fn check(order: &ImportOrder) -> std::result::Result<(), Problem> {
    check_id("order_id", &order.external_id)?;
    if let Some(cart) = &order.cart_id {
        check_id("cart_id", cart)?;
    }
    if let Some(contact) = &order.contact {
        check_key(contact)?;
    }
    check_time("ordered_at", order.at)?;
    if order.total < Amount::ZERO || order.total > TOTAL_MAX {
        return Err(Problem::new(
            "order.total",
            format!("the total {} is not between 0 and {TOTAL_MAX}", order.total),
        )
        .field("total")
        .value(order.total)
        .cure("import what is paid back as a refund, and check the column's unit"));
    }
    if order.refunded < Amount::ZERO || order.refunded > order.total {
        return Err(Problem::new("order.refunded", "what was paid back is not between 0 and the total")
            .field("refunded")
            .value(order.refunded)
            .cure("give it as a positive amount, at most the total"));
    }
    check_lines(&order.lines)
}

pub(super) fn check_time(field: &'static str, at: Timestamp) -> std::result::Result<(), Problem> {
    if at < Timestamp::OUTSIDE_MIN || at >= Timestamp::OUTSIDE_MAX {
        return Err(Problem::new("time.out_of_range", format!("{at} is not between 1970 and 2199"))
            .field(field)
            .value(at)
            .cure("check the column and its format"));
    }
    Ok(())
}

pub(super) fn check_lines(lines: &[ImportLine]) -> std::result::Result<(), Problem> {
    for line in lines {
        if line.quantity < 1 || line.quantity > QUANTITY_MAX {
            return Err(Problem::new(
                "order.quantity",
                format!("a quantity is not between 1 and {QUANTITY_MAX}"),
            )
            .field("quantity")
            .value(line.quantity)
            .cure("import what comes back as a refund"));
        }
        if line.unit_price.times(line.quantity).unsigned_abs() > TOTAL_MAX.0.unsigned_abs().into() {
            return Err(Problem::new("order.line_total", format!("a line comes to more than {TOTAL_MAX}"))
                .field("unit_price")
                .value(line.unit_price)
                .cure("check the columns of price and quantity"));
        }
    }
    Ok(())
}

/// What a batch changes in contacts' totals; written once per contact, at its end.
#[derive(Default)]
pub(super) struct TotalsDeltas {
    /// First and last new order, how many, and what is added to what was spent.
    changes: BTreeMap<ContactId, (i64, i64, i64, i64)>,
    again: BTreeSet<ContactId>,
}

impl TotalsDeltas {
    fn order(&mut self, contact: ContactId, at: Timestamp, net: i64) {
        let change = self.changes.entry(contact).or_insert((i64::MAX, i64::MIN, 0, 0));
        *change = (change.0.min(at.0), change.1.max(at.0), change.2 + 1, change.3.saturating_add(net));
    }

    /// Whose orders changed.
    pub(super) fn contacts(&self) -> impl Iterator<Item = ContactId> + '_ {
        self.changes.keys().chain(&self.again).copied()
    }

    /// The loser's orders are the winner's: what its totals come to is summed anew.
    pub(super) fn merged(&mut self, winner: ContactId, loser: ContactId) {
        self.changes.remove(&loser);
        self.again.remove(&loser);
        self.again.insert(winner);
    }

    pub(super) fn spent(&mut self, contact: ContactId, change: i64) {
        let entry = self.changes.entry(contact).or_insert((i64::MAX, i64::MIN, 0, 0));
        entry.3 = entry.3.saturating_add(change);
    }

    fn recompute(&mut self, contact: ContactId) {
        self.again.insert(contact);
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<()> {
        let mut upsert = connection
            .prepare_cached(
                "INSERT INTO contact_totals (contact_id, first_order_at, last_order_at, orders, spent)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (contact_id) DO UPDATE SET
                   first_order_at = min(first_order_at, excluded.first_order_at),
                   last_order_at = max(last_order_at, excluded.last_order_at),
                   orders = orders + excluded.orders,
                   spent = spent + excluded.spent",
            )
            .map_err(driver)?;
        for (contact, (first, last, orders, spent)) in &self.changes {
            if contact.0 != 0 && !self.again.contains(contact) {
                upsert.execute((contact.0, first, last, orders, spent)).map_err(driver)?;
            }
        }
        let mut forget =
            connection.prepare_cached("DELETE FROM contact_totals WHERE contact_id = ?1").map_err(driver)?;
        let mut recompute = connection
            .prepare_cached(
                "INSERT INTO contact_totals (contact_id, first_order_at, last_order_at, orders, spent)
                 SELECT contact_id, min(at), max(at), count(*), sum(total - refunded) FROM orders
                 WHERE contact_id = ?1 AND status = 0 GROUP BY contact_id",
            )
            .map_err(driver)?;
        for contact in self.again.iter().filter(|contact| contact.0 != 0) {
            forget.execute([contact.0]).map_err(driver)?;
            recompute.execute([contact.0]).map_err(driver)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(total: Amount, quantity: i64) -> ImportOrder {
        let mut batch = storage::imports::ImportBatch::default();
        ImportOrder {
            external_id: "o".into(),
            contact: None,
            at: Timestamp(0),
            total,
            refunded: Amount::ZERO,
            currency: model::Currency::EUR,
            status: OrderStatus::Completed,
            cart_id: None,
            coupons: Vec::new(),
            lines: vec![ImportLine { product: batch.code("p"), quantity, unit_price: Amount(10_000) }],
        }
    }

    #[test]
    fn limits_at_the_edge_and_one_past_it() {
        let code = |order: ImportOrder| check(&order).err().map(|problem| problem.code.to_string());
        assert_eq!(code(order(TOTAL_MAX, QUANTITY_MAX)), None);
        assert_eq!(code(order(Amount(TOTAL_MAX.0 + 1), 1)).as_deref(), Some("order.total"));
        assert_eq!(code(order(Amount(-1), 1)).as_deref(), Some("order.total"));
        assert_eq!(code(order(Amount::ZERO, QUANTITY_MAX + 1)).as_deref(), Some("order.quantity"));
        assert_eq!(code(order(Amount::ZERO, 0)).as_deref(), Some("order.quantity"));
        let mut dear = order(Amount::ZERO, QUANTITY_MAX);
        dear.lines[0].unit_price = Amount(10_001);
        assert_eq!(code(dear).as_deref(), Some("order.line_total"));
        let mut late = order(Amount::ZERO, 1);
        late.at = Timestamp::OUTSIDE_MAX;
        assert_eq!(code(late).as_deref(), Some("time.out_of_range"));
        let mut back = order(Amount(5), 1);
        back.refunded = Amount(6);
        assert_eq!(code(back).as_deref(), Some("order.refunded"));
    }
}
