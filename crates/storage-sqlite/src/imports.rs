//! See `storage::imports`.

mod cart_changes;
mod contacts;
mod coupons;
mod currency;
mod identity;
mod live;
mod order_updates;
mod orders;
mod products;
mod refunds;
mod rest;

use std::collections::HashMap;

use model::{Contact, ContactId, Line, Problem, ProductId, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use storage::{
    Result, Urgency,
    imports::{
        Checkpoint, Code, ContactKey, ImportBatch, ImportLine, ImportOutcome, ImportStore, ItemKind, Refusal,
    },
    people::Edited,
};

use crate::{
    Sqlite,
    caches::Caches,
    catalogue::DayDeltas,
    live::{Kinds, Queue},
    pool::driver,
    rows::{from_json, to_json},
};

/// Longest id of the shop that is taken, in bytes.
const ID_LEN_MAX: usize = 255;

impl ImportStore for Sqlite {
    async fn import(&self, batch: ImportBatch) -> Result<ImportOutcome> {
        let caches = self.caches();
        let known: Vec<Option<ProductId>> =
            batch.codes().iter().map(|code| caches.products.get(code).map(ProductId)).collect();
        // What happens now goes before everything else; a file of the past after it.
        let urgency = if batch.live { Urgency::Urgent } else { Urgency::Bulk };
        let (outcome, named) =
            self.write(urgency, move |transaction| run(transaction, &caches, batch, known)).await?;
        self.caches().products.add(named);
        Ok(outcome)
    }

    async fn load_checkpoint(&self, key: String) -> Result<Option<Checkpoint>> {
        self.read(move |connection| {
            let json: Option<String> = connection
                .query_row("SELECT value FROM import_checkpoints WHERE key = ?1", [&key], |row| row.get(0))
                .optional()
                .map_err(driver)?;
            json.map(|json| from_json("import_checkpoints", &key, &json)).transpose()
        })
        .await
    }

    async fn drop_checkpoint(&self, key: String) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            transaction.execute("DELETE FROM import_checkpoints WHERE key = ?1", [&key]).map_err(driver)?;
            Ok(())
        })
        .await
    }
}

/// Takes a batch inside a transaction, for what belongs together with it.
pub(crate) fn run_all(connection: &Connection, batch: ImportBatch) -> Result<ImportOutcome> {
    let known = vec![None; batch.codes().len()];
    run(connection, &Caches::default(), batch, known).map(|(outcome, _)| outcome)
}

/// Products by name that are now certain to exist.
type Named = Vec<(String, u32)>;

fn run(
    connection: &Connection,
    caches: &Caches,
    mut batch: ImportBatch,
    known: Vec<Option<ProductId>>,
) -> Result<(ImportOutcome, Named)> {
    let (contacts, products) = (std::mem::take(&mut batch.contacts), std::mem::take(&mut batch.products));
    let (orders, refunds) = (std::mem::take(&mut batch.orders), std::mem::take(&mut batch.refunds));
    let order_updates = std::mem::take(&mut batch.order_updates);
    let cart_changes = std::mem::take(&mut batch.cart_changes);
    let (carts, events) = (std::mem::take(&mut batch.carts), std::mem::take(&mut batch.events));
    let mut work = Work::begin(connection, caches, &batch, known)?;
    work.take_contacts(contacts)?;
    work.take_products(products)?;
    work.take_orders(orders)?;
    work.take_order_updates(order_updates)?;
    work.take_refunds(refunds)?;
    work.take_carts(carts)?;
    work.take_cart_changes(cart_changes)?;
    work.take_events(events)?;
    if work.queue.is_none() {
        // No input tells the engine of it, so what it keeps of these histories is built again when it is needed.
        let of_orders = work.totals.contacts();
        crate::segments::forget_states(connection, work.contacts.values().copied().chain(of_orders))?;
    }
    work.totals.write(connection)?;
    work.tell_redeemed()?;
    work.days.write(connection)?;
    if let Some(queue) = work.queue.take() {
        queue.close(connection)?;
    }
    work.tell_merged()?;
    let (outcome, named) = (work.outcome, work.named);
    if let Some(checkpoint) = &batch.checkpoint {
        connection
            .prepare_cached(
                "INSERT INTO import_checkpoints (key, value) VALUES (?1, ?2)
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .map_err(driver)?
            .execute((&checkpoint.key, to_json(checkpoint)?))
            .map_err(driver)?;
    }
    storage::fault::point("import.before_commit");
    Ok((outcome, named))
}

/// A batch at work inside its transaction.
struct Work<'a> {
    connection: &'a Connection,
    caches: &'a Caches,
    now: Timestamp,
    codes: &'a [String],
    /// By code; none until it is asked for.
    products: Vec<Option<ProductId>>,
    /// Those that were asked for so far.
    contacts: HashMap<ContactKey, ContactId>,
    named: Named,
    /// Products that events named so far.
    visited: HashMap<String, ProductId>,
    days: DayDeltas,
    money: currency::Currencies,
    totals: orders::TotalsDeltas,
    redemptions: coupons::Redemptions,
    /// In order.
    merges: Vec<crate::people::Moved>,
    outcome: ImportOutcome,
    /// Numbers of kinds of events.
    kinds: Kinds,
    /// Where inputs are added; none when the batch is of the past.
    queue: Option<Queue<'a>>,
}

impl<'a> Work<'a> {
    fn begin(
        connection: &'a Connection,
        caches: &'a Caches,
        batch: &'a ImportBatch,
        products: Vec<Option<ProductId>>,
    ) -> Result<Self> {
        Ok(Self {
            connection,
            caches,
            now: batch.now,
            codes: batch.codes(),
            products,
            contacts: HashMap::new(),
            named: Named::new(),
            visited: HashMap::new(),
            days: DayDeltas::default(),
            money: currency::Currencies::load(connection)?,
            totals: orders::TotalsDeltas::default(),
            redemptions: coupons::Redemptions::default(),
            merges: Vec::new(),
            outcome: ImportOutcome::default(),
            kinds: Kinds::default(),
            queue: live::queue(connection, batch)?,
        })
    }
}

/// Writes a changed profile: see `storage::people`.
pub(crate) fn edit(
    connection: &Connection,
    before: &Contact,
    after: Contact,
    now: Timestamp,
) -> Result<Edited> {
    let mut batch = ImportBatch::new(now);
    batch.live = true;
    let caches = Caches::default();
    let mut work = Work::begin(connection, &caches, &batch, Vec::new())?;
    let edited = work.edit(before, after)?;
    if let Some(queue) = work.queue.take() {
        queue.close(connection)?;
    }
    Ok(edited)
}

impl Work<'_> {
    fn refuse(&mut self, kind: ItemKind, index: usize, problem: Problem) {
        let tally = match kind {
            ItemKind::Contact => &mut self.outcome.contacts,
            ItemKind::Product => &mut self.outcome.products,
            ItemKind::Order | ItemKind::OrderUpdate => &mut self.outcome.orders,
            ItemKind::Refund => &mut self.outcome.refunds,
            ItemKind::Cart | ItemKind::CartChange => &mut self.outcome.carts,
            ItemKind::Event => &mut self.outcome.events,
        };
        if problem.is_error() {
            tally.refused += 1;
        }
        self.outcome.refusals.push(Refusal { kind, index, problem });
    }

    /// The product of a code; made when it is not known yet.
    fn product(&mut self, code: Code) -> Result<ProductId> {
        if let Some(Some(id)) = self.products.get(code.index()) {
            return Ok(*id);
        }
        let name = &self.codes[code.index()];
        let id = self.product_named(name)?;
        self.products[code.index()] = Some(id);
        Ok(id)
    }

    fn lines(&mut self, given: &[ImportLine], lines: &mut Vec<Line>) -> Result<()> {
        lines.clear();
        for line in given {
            lines.push(Line {
                product: self.product(line.product)?,
                quantity: line.quantity,
                unit_price: self.money.convert(line.unit_price),
            });
        }
        Ok(())
    }
}

/// An id of the shop must be there, and short enough for a key.
fn check_id(field: &'static str, id: &str) -> std::result::Result<(), Problem> {
    if id.is_empty() {
        return Err(Problem::new("import.no_id", format!("{field} is empty"))
            .field(field)
            .cure("give each row its id"));
    }
    if id.len() > ID_LEN_MAX {
        return Err(Problem::new("import.long_id", format!("{field} is longer than {ID_LEN_MAX} bytes"))
            .field(field)
            .value(id)
            .cure("check the column: is this an id?"));
    }
    Ok(())
}

use identity::check_key;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_at_the_edge_and_one_past_it() {
        let code =
            |length| check_id("order_id", &"x".repeat(length)).err().map(|problem| problem.code.to_string());
        assert_eq!(code(ID_LEN_MAX), None);
        assert_eq!(code(ID_LEN_MAX + 1).as_deref(), Some("import.long_id"));
        assert_eq!(code(0).as_deref(), Some("import.no_id"));
    }
}
