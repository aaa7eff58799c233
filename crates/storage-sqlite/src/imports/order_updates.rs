//! Orders that replace what is stored.

use model::{ContactId, Line, OrderStatus, Timestamp};
use storage::{
    Result, codec,
    imports::{ImportOrder, ItemKind},
};

use super::{
    Work,
    orders::{Key, check},
};
use crate::{pool::driver, rows::take_numbers};

impl Work<'_> {
    pub(super) fn take_order_updates(&mut self, orders: Vec<ImportOrder>) -> Result<()> {
        for (index, order) in orders.into_iter().enumerate() {
            if let Err(problem) = check(&order) {
                self.refuse(ItemKind::OrderUpdate, index, problem);
                continue;
            }
            let currency = match self.money.enter(self.connection, order.currency)? {
                Ok(currency) => currency,
                Err(problem) => {
                    self.refuse(ItemKind::OrderUpdate, index, problem);
                    continue;
                }
            };
            let mut lines = Vec::new();
            self.lines(&order.lines, &mut lines)?;
            match self.find_order(&order.external_id)? {
                Some(key) => self.replace_order(key, &order, currency.code(), lines)?,
                None => {
                    let no = take_numbers(self.connection, "order", 1)?;
                    let mut packed = Vec::new();
                    codec::put_lines(&mut packed, &lines);
                    self.insert_order(no, order, currency.code(), &lines, &packed)?;
                }
            }
        }
        Ok(())
    }

    /// Whose it is and when it was stay; what came back stays taken off.
    fn replace_order(
        &mut self,
        key: Key,
        order: &ImportOrder,
        currency: &str,
        mut lines: Vec<Line>,
    ) -> Result<()> {
        let stored = self.load_order(key)?;
        if lines.is_empty() {
            lines = stored.lines.iter().copied().filter(|line| line.quantity > 0).collect();
        }
        lines.extend(stored.lines.iter().filter(|line| line.quantity < 0));
        // What was paid back cannot be more than what was paid.
        let total = self.money.convert(order.total).0.max(stored.refunded);
        let same = total == stored.total && lines == stored.lines;
        if stored.status == OrderStatus::Cancelled || same {
            self.outcome.orders.known += 1;
            return Ok(());
        }
        let mut packed = Vec::new();
        codec::put_lines(&mut packed, &lines);
        self.connection
            .prepare_cached(
                "UPDATE orders SET total = ?4, lines = ?5 WHERE contact_id = ?1 AND at = ?2 AND order_no = ?3",
            )
            .map_err(driver)?
            .execute((key.contact, key.at, key.no, total, packed))
            .map_err(driver)?;
        let day = Timestamp(key.at);
        self.count_lines(day, &codec::net_lines(stored.lines), -1);
        self.count_lines(day, &codec::net_lines(lines), 1);
        self.totals.spent(ContactId(key.contact), total - stored.total);
        self.outcome.orders.changed += 1;
        self.order_updated(ContactId(key.contact), order, currency)
    }
}
