//! Refunds and cancellations of a batch: each reduces its order.

use model::{Amount, ContactId, Line, OrderStatus, Problem};
use rusqlite::OptionalExtension;
use storage::{
    Result, codec,
    imports::{ImportRefund, ItemKind, RefundOf},
};

use super::{
    Work, check_id, check_key,
    orders::{Key, Stored, check_lines, check_time},
};
use crate::pool::driver;

/// What became of a refund.
enum Applied {
    /// Wholly, or as far as the problem (a warning) says.
    Done(ContactId, Option<Problem>),
    Not(Problem),
}

impl Work<'_> {
    pub(super) fn take_refunds(&mut self, refunds: Vec<ImportRefund>) -> Result<()> {
        for (index, refund) in refunds.into_iter().enumerate() {
            if let Err(problem) = check(&refund) {
                self.refuse(ItemKind::Refund, index, problem);
                continue;
            }
            if self.is_known_refund(&refund.external_id)? {
                self.outcome.refunds.known += 1;
                continue;
            }
            let applied = match &refund.of {
                RefundOf::Order(order) => self.refund_order(order, &refund)?,
                RefundOf::LatestOf(contact) => {
                    let id = self.contact_named(contact.clone(), refund.at)?;
                    self.refund_latest(id, &refund)?
                }
            };
            match applied {
                Applied::Not(problem) => self.refuse(ItemKind::Refund, index, problem),
                Applied::Done(contact, problem) => {
                    self.connection
                        .prepare_cached(
                            "INSERT INTO refund_ids (external_id, contact_id, at) VALUES (?1, ?2, ?3)",
                        )
                        .map_err(driver)?
                        .execute((&refund.external_id, contact.0, refund.at.0))
                        .map_err(driver)?;
                    self.outcome.refunds.new += 1;
                    if let Some(problem) = problem {
                        self.refuse(ItemKind::Refund, index, problem);
                    }
                }
            }
        }
        Ok(())
    }

    fn is_known_refund(&self, external_id: &str) -> Result<bool> {
        let known: Option<i64> = self
            .connection
            .prepare_cached("SELECT at FROM refund_ids WHERE external_id = ?1")
            .map_err(driver)?
            .query_row([external_id], |row| row.get(0))
            .optional()
            .map_err(driver)?;
        Ok(known.is_some())
    }

    fn refund_order(&mut self, order: &str, refund: &ImportRefund) -> Result<Applied> {
        let Some(key) = self.find_order(order)? else {
            return Ok(Applied::Not(
                Problem::new("refund.order_unknown", format!("the order `{order}` is not known"))
                    .field("order_id")
                    .value(order)
                    .cure("import the orders first, then this file again"),
            ));
        };
        let stored = self.load_order(key)?;
        let contact = ContactId(key.contact);
        if stored.status == OrderStatus::Cancelled {
            return Ok(Applied::Done(contact, None));
        }
        if refund.lines.is_empty() && refund.amount.is_none() {
            self.change_order(&stored, stored.total, &[], true)?;
            self.order_reduced(&stored, stored.total, &[], true, (refund.at, Some(refund)))?;
            return Ok(Applied::Done(contact, None));
        }
        let mut lines = Vec::new();
        self.lines(&refund.lines, &mut lines)?;
        let mut back = Vec::new();
        for line in &mut lines {
            take_from(&stored, &mut back, line);
        }
        let amount = refund.amount.map_or_else(|| worth(&back), |amount| self.money.convert(amount).0);
        self.give_back(&stored, &back, amount, refund)?;
        Ok(Applied::Done(contact, left_over(&lines)))
    }

    /// Takes lines off the latest orders of a contact that still hold their products.
    fn refund_latest(&mut self, contact: ContactId, refund: &ImportRefund) -> Result<Applied> {
        let mut lines = Vec::new();
        self.lines(&refund.lines, &mut lines)?;
        let asked: i64 = lines.iter().map(|line| line.quantity).sum();
        let mut orders = self
            .connection
            .prepare_cached(
                "SELECT at, order_no FROM orders WHERE contact_id = ?1 AND at <= ?2 AND status = 0
                 ORDER BY at DESC, order_no DESC",
            )
            .map_err(driver)?;
        let mut rows = orders.query((contact.0, refund.at.0)).map_err(driver)?;
        while lines.iter().any(|line| line.quantity > 0)
            && let Some(row) = rows.next().map_err(driver)?
        {
            let key =
                Key { contact: contact.0, at: row.get(0).map_err(driver)?, no: row.get(1).map_err(driver)? };
            let stored = self.load_order(key)?;
            let mut back = Vec::new();
            for line in &mut lines {
                take_from(&stored, &mut back, line);
            }
            if !back.is_empty() {
                self.give_back(&stored, &back, worth(&back), refund)?;
            }
        }
        let left: i64 = lines.iter().map(|line| line.quantity).sum();
        Ok(match left_over(&lines) {
            Some(mut problem) if left == asked => {
                problem.severity = model::Severity::Error;
                Applied::Not(problem)
            }
            problem => Applied::Done(contact, problem),
        })
    }

    fn give_back(
        &mut self,
        stored: &Stored,
        back: &[Line],
        amount: i64,
        refund: &ImportRefund,
    ) -> Result<()> {
        let refunded = stored.refunded.saturating_add(amount).clamp(stored.refunded, stored.total);
        let mut lines = stored.lines.clone();
        lines.extend_from_slice(back);
        let nothing_left = !stored.lines.is_empty() && codec::net_lines(lines).is_empty();
        self.change_order(
            stored,
            refunded,
            back,
            nothing_left || (stored.total > 0 && refunded >= stored.total),
        )?;
        self.order_reduced(stored, refunded, back, false, (refund.at, Some(refund)))
    }
}

fn check(refund: &ImportRefund) -> std::result::Result<(), Problem> {
    check_id("refund_id", &refund.external_id)?;
    check_time("refunded_at", refund.at)?;
    check_lines(&refund.lines)?;
    if refund.amount.is_some_and(|amount| amount < Amount::ZERO) {
        return Err(Problem::new("refund.amount", "the amount paid back is negative")
            .field("amount")
            .cure("give it as a positive amount"));
    }
    match &refund.of {
        RefundOf::Order(order) => check_id("order_id", order),
        RefundOf::LatestOf(contact) => {
            check_key(contact)?;
            if refund.lines.is_empty() {
                return Err(Problem::new("refund.of_what", "the refund names neither an order nor products")
                    .field("order_id")
                    .cure("give the order's id or the lines that came back"));
            }
            Ok(())
        }
    }
}

/// Takes of a line what the order still holds of its product: adds it to `back` with a negative quantity, and leaves the
/// rest in the line.
fn take_from(stored: &Stored, back: &mut Vec<Line>, line: &mut Line) {
    let of_product = |lines: &[Line]| -> i64 {
        lines.iter().filter(|other| other.product == line.product).map(|other| other.quantity).sum()
    };
    let held = of_product(&stored.lines) + of_product(back);
    let taken = line.quantity.min(held).max(0);
    if taken > 0 {
        back.push(Line { quantity: -taken, ..*line });
        line.quantity -= taken;
    }
}

/// What lines with negative quantities come to, as a positive amount.
fn worth(back: &[Line]) -> i64 {
    let sum: i128 = back.iter().map(|line| -line.unit_price.times(line.quantity)).sum();
    i64::try_from(sum.max(0)).unwrap_or(i64::MAX)
}

fn left_over(lines: &[Line]) -> Option<Problem> {
    let left: i64 = lines.iter().map(|line| line.quantity).sum();
    (left > 0).then(|| {
        Problem::warning("refund.unmatched", format!("{left} units come back that no earlier order holds"))
            .field("quantity")
            .value(left)
            .cure("import earlier orders, if there are any")
    })
}
