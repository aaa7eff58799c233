//! The second pass: rows become batches, always the same ones in the same order for the same file and options, so that
//! an import that was killed goes on at the batch where it stood.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use model::{Amount, Currency, FieldDef, OrderStatus, Problem, Timestamp};
use storage::imports::{
    Code, ImportBatch, ImportCart, ImportLine, ImportOrder, ImportRefund, ItemKind, RefundOf,
};

use crate::{
    carts::{self, CartReader},
    contacts::ContactReader,
    events::EventReader,
    mapping::{Kind, Mapping},
    options::Options,
    orders::{Closed, Draft, DraftLine, OrderReader},
    products::ProductReader,
    push::PushReader,
    rejects::Reject,
    row::{Row, Step},
    rows::Rows,
    source::{Count, Source},
    survey::{Grouping, Survey},
    values::Values,
};

/// Lines of orders that fit well into one batch.
pub const LINES_GOOD: usize = 20_000;
/// Rejected rows after which a batch is handed over even though it holds little else.
const REJECTS_GOOD: usize = 10_000;

/// Everything that preparing needs to know.
pub struct Plan {
    /// The file.
    pub source: Source,
    /// How it is written.
    pub options: Options,
    /// Its columns.
    pub mapping: Mapping,
    /// The first pass.
    pub survey: Survey,
    /// SHA-256 of the file, as hexadecimal digits.
    pub hash: String,
    /// Currency of amounts in rows without one.
    pub currency: Currency,
    /// The workspace's custom fields.
    pub custom: Vec<FieldDef>,
    /// Products that have a name already.
    pub named: HashSet<String>,
    /// The import's instant.
    pub now: Timestamp,
    /// The latest instant that can be true.
    pub latest: Timestamp,
}

impl Plan {
    /// An empty batch.
    fn batch(&self) -> ImportBatch {
        let mut batch = ImportBatch::new(self.now);
        batch.live = self.options.live;
        batch
    }
}

/// A batch with what is to be told about it.
pub struct Prepared {
    /// Its place, from 0.
    pub number: u64,
    /// What is to be written.
    pub batch: ImportBatch,
    /// The row of each item of the batch, sorted by kind and place.
    pub items: Vec<(ItemKind, usize, u64)>,
    /// Rows that were rejected since the batch before.
    pub rejects: Vec<Reject>,
    /// Cancellations that nobody can match: without a contact.
    pub unmatched: Vec<Reject>,
    /// Rows read so far.
    pub rows: u64,
    /// Bytes on disk read so far.
    pub bytes: u64,
    /// Lines of orders taken so far.
    pub lines: u64,
    /// Lines without a price left out so far.
    pub free_lines: u64,
    /// Orders taken so far without a row that was rejected.
    pub incomplete_orders: u64,
    /// Whether it is the last.
    pub last: bool,
}

/// Reads the file and hands over batches until `emit` says false.
///
/// # Errors
/// What makes the file unreadable.
pub fn prepare(plan: &Plan, count: &Count, emit: impl FnMut(Prepared) -> bool) -> Result<(), Problem> {
    let mut rows = Rows::open(&plan.source, &plan.options, count)?;
    let mut preparer = Preparer::new(plan, count, emit);
    let mut row = Row::default();
    loop {
        match rows.next(&mut row)? {
            Step::End => break,
            Step::Bad(problem) => preparer.reject(row.number, problem),
            Step::Row => preparer.row(&row),
        }
        preparer.rows += 1;
        if !preparer.hand_over_if_full() {
            return Ok(());
        }
    }
    preparer.end();
    Ok(())
}

enum Reader {
    Contacts(ContactReader),
    Products(ProductReader),
    Orders(Box<OrderReader>, Option<Grouping>),
    Events(EventReader),
    Carts(CartReader, Option<Grouping>),
    Push(PushReader),
}

struct Preparer<'a, F> {
    plan: &'a Plan,
    count: &'a Count,
    emit: F,
    reader: Reader,
    batch: ImportBatch,
    items: Vec<(ItemKind, usize, u64)>,
    rejects: Vec<Reject>,
    unmatched: Vec<Reject>,
    /// The batch's code of each product that lines named, by its number.
    codes: Vec<Option<Code>>,
    /// Services that the base has been told about.
    services: HashSet<u32>,
    /// Contacts that the base has been told about.
    told: HashSet<u64>,
    /// Refunds wait until every order is in.
    refunds: Vec<(String, Option<Amount>, Draft)>,
    batch_lines: usize,
    number: u64,
    rows: u64,
    key: Vec<u8>,
    stopped: bool,
}

impl<'a, F: FnMut(Prepared) -> bool> Preparer<'a, F> {
    fn new(plan: &'a Plan, count: &'a Count, emit: F) -> Self {
        let mapping = plan.mapping.clone();
        let reader = match plan.options.kind {
            Kind::Contacts => {
                Reader::Contacts(ContactReader::new(mapping, plan.custom.clone(), &plan.hash, plan.now))
            }
            Kind::Products => Reader::Products(ProductReader::new(mapping)),
            Kind::Orders => {
                let grouping = Grouping::of(Kind::Orders, &mapping);
                Reader::Orders(Box::new(OrderReader::new(mapping)), grouping)
            }
            Kind::Events => Reader::Events(EventReader::new(mapping)),
            Kind::Carts => {
                let grouping = Grouping::of(Kind::Carts, &mapping);
                Reader::Carts(CartReader::new(mapping), grouping)
            }
            Kind::Push => Reader::Push(PushReader::new(mapping)),
        };
        Self {
            plan,
            count,
            emit,
            reader,
            batch: plan.batch(),
            items: Vec::new(),
            rejects: Vec::new(),
            unmatched: Vec::new(),
            codes: Vec::new(),
            services: HashSet::new(),
            told: HashSet::new(),
            refunds: Vec::new(),
            batch_lines: 0,
            number: 0,
            rows: 0,
            key: Vec::new(),
            stopped: false,
        }
    }

    fn reject(&mut self, row: u64, problem: Problem) {
        self.rejects.push(Reject { row, problem });
    }

    fn row(&mut self, row: &Row) {
        let values = Values { row, options: &self.plan.options, latest: self.plan.latest };
        let result = match &mut self.reader {
            Reader::Contacts(reader) => reader.read(values).map(|patch| {
                self.items.push((ItemKind::Contact, self.batch.contacts.len(), row.number));
                self.batch.contacts.push(patch);
            }),
            Reader::Products(reader) => reader.read(values).map(|patch| {
                self.items.push((ItemKind::Product, self.batch.products.len(), row.number));
                self.batch.products.push(patch);
            }),
            Reader::Events(reader) => reader.read(values).map(|event| {
                self.items.push((ItemKind::Event, self.batch.events.len(), row.number));
                self.batch.events.push(event);
            }),
            Reader::Push(reader) => reader.read(values).map(|patch| {
                self.items.push((ItemKind::Contact, self.batch.contacts.len(), row.number));
                self.batch.contacts.push(patch);
            }),
            Reader::Carts(reader, None) => reader.cart(values).map(|draft| self.cart(draft)),
            Reader::Carts(reader, Some(grouping)) => {
                let grouped = grouping.key(row, &mut self.key);
                let result = reader.line(values, &self.key);
                self.finish_if_last(grouped);
                result
            }
            Reader::Orders(reader, None) => {
                let closed = reader.order(values);
                closed.map(|closed| self.take(closed))
            }
            Reader::Orders(reader, Some(grouping)) => {
                let grouped = grouping.key(row, &mut self.key);
                let result = reader.line(values, &self.key);
                self.finish_if_last(grouped);
                result
            }
        };
        if let Err(problem) = result {
            self.reject(row.number, problem);
        }
    }

    /// Ends the order or cart of the row that was read when it was its last: one that says not whose line it is stands
    /// alone.
    fn finish_if_last(&mut self, grouped: bool) {
        if !grouped || self.plan.survey.is_last(self.rows) {
            let key = std::mem::take(&mut self.key);
            self.finish(&key);
            self.key = key;
        }
    }

    fn finish(&mut self, key: &[u8]) {
        match &mut self.reader {
            Reader::Orders(reader, _) => match reader.finish(key, &self.plan.options) {
                Ok(closed) => self.take(closed),
                Err(rejects) => self.rejects.extend(rejects),
            },
            Reader::Carts(reader, _) => match reader.finish(key, &self.plan.options) {
                Ok(draft) => draft.into_iter().for_each(|draft| self.cart(draft)),
                Err(rejects) => self.rejects.extend(rejects),
            },
            _ => {}
        }
    }

    fn cart(&mut self, draft: carts::Draft) {
        self.batch_lines += draft.lines.len();
        let lines = draft.lines.into_iter().map(|line| ImportLine {
            product: self.batch.code(&line.product),
            quantity: line.quantity,
            unit_price: line.unit_price,
        });
        let lines = lines.collect();
        self.items.push((ItemKind::Cart, self.batch.carts.len(), draft.row));
        self.batch.carts.push(ImportCart {
            external_id: draft.id,
            contact: draft.contact,
            updated_at: draft.updated_at,
            currency: draft.currency.unwrap_or(self.plan.currency),
            recovery_url: draft.recovery_url,
            lines,
        });
    }

    fn take(&mut self, closed: Vec<Closed>) {
        for one in closed {
            match one {
                Closed::Order(id, total, draft) => self.order(id, total, draft),
                Closed::Refund(id, amount, draft) => self.refunds.push((id, amount, draft)),
            }
        }
    }

    fn order(&mut self, id: String, total: Amount, draft: Draft) {
        if let (Some(key), Some(about)) = (&draft.contact, draft.about.clone()) {
            let mut hasher = DefaultHasher::new();
            key.hash(&mut hasher);
            if self.told.insert(hasher.finish()) {
                self.items.push((ItemKind::Contact, self.batch.contacts.len(), draft.row));
                self.batch.contacts.push(about);
            }
        }
        let lines = self.lines(&draft.lines);
        self.items.push((ItemKind::Order, self.batch.orders.len(), draft.row));
        self.batch.orders.push(ImportOrder {
            external_id: id,
            contact: draft.contact,
            at: draft.at,
            total,
            refunded: draft.refunded.unwrap_or(Amount::ZERO),
            currency: draft.currency.unwrap_or(self.plan.currency),
            status: draft.status.unwrap_or(OrderStatus::Completed),
            cart_id: draft.cart_id,
            coupons: draft.coupons,
            lines,
        });
    }

    fn lines(&mut self, lines: &[DraftLine]) -> Vec<ImportLine> {
        self.batch_lines += lines.len();
        lines
            .iter()
            .map(|line| ImportLine {
                product: self.code(line.product),
                quantity: line.quantity,
                unit_price: line.unit_price,
            })
            .collect()
    }

    fn code(&mut self, number: u32) -> Code {
        let Reader::Orders(reader, _) = &self.reader else { return self.batch.code("") };
        if self.codes.len() < reader.seen.len() {
            self.codes.resize(reader.seen.len(), None);
        }
        if let Some(code) = self.codes[number as usize] {
            return code;
        }
        // A service is known as such before the first order with it counts as a sale.
        if reader.seen.is_service(number) && self.services.insert(number) {
            self.batch.products.push(storage::imports::ProductPatch {
                external_id: reader.seen.code(number).to_owned(),
                service: Some(true),
                ..Default::default()
            });
        }
        let code = self.batch.code(reader.seen.code(number));
        self.codes[number as usize] = Some(code);
        code
    }

    fn hand_over_if_full(&mut self) -> bool {
        let full = self.batch.orders.len() >= ImportBatch::ORDERS_GOOD
            || self.batch_lines >= LINES_GOOD
            || self.batch.refunds.len() >= ImportBatch::ORDERS_GOOD
            || self.batch.carts.len() >= ImportBatch::ORDERS_GOOD
            || self.rejects.len() + self.unmatched.len() >= REJECTS_GOOD
            || self.batch.contacts.len() + self.batch.products.len() + self.batch.events.len()
                >= ImportBatch::ROWS_GOOD;
        if full {
            self.hand_over(false);
        }
        !self.stopped
    }

    fn hand_over(&mut self, last: bool) {
        let (lines, free_lines, incomplete_orders) = match &self.reader {
            Reader::Orders(reader, _) => (reader.lines, reader.free_lines, reader.incomplete),
            _ => (0, 0, 0),
        };
        let prepared = Prepared {
            number: self.number,
            batch: std::mem::replace(&mut self.batch, self.plan.batch()),
            items: {
                let mut items = std::mem::take(&mut self.items);
                items.sort_unstable();
                items
            },
            rejects: std::mem::take(&mut self.rejects),
            unmatched: std::mem::take(&mut self.unmatched),
            rows: self.rows,
            bytes: self.count.get(),
            lines,
            free_lines,
            incomplete_orders,
            last,
        };
        self.codes.clear();
        self.batch_lines = 0;
        self.number += 1;
        self.stopped |= !(self.emit)(prepared);
    }

    /// After the last row: refunds in the order of time, then what is known of products.
    fn end(&mut self) {
        let open = match &self.reader {
            Reader::Orders(reader, _) => reader.open_keys(),
            Reader::Carts(reader, _) => reader.open_keys(),
            _ => Vec::new(),
        };
        for key in open {
            self.finish(&key);
            if !self.hand_over_if_full() {
                return;
            }
        }
        let mut refunds = std::mem::take(&mut self.refunds);
        refunds.sort_by_key(|(_, _, draft)| (draft.at, draft.row));
        if !refunds.is_empty() && !self.batch.orders.is_empty() {
            self.hand_over(false);
        }
        for (id, amount, draft) in refunds {
            self.refund(id, amount, draft);
            if !self.hand_over_if_full() {
                return;
            }
        }
        self.products();
        if !self.stopped {
            self.hand_over(true);
        }
    }

    fn refund(&mut self, id: String, amount: Option<Amount>, draft: Draft) {
        let row = draft.row;
        let of = match (draft.refund_of, draft.contact) {
            (Some(order), _) => RefundOf::Order(order),
            (None, Some(contact)) => RefundOf::LatestOf(contact),
            (None, None) => {
                let problem = Problem::new(
                    "refund.no_contact",
                    "a cancellation without a contact and without the order that it takes back from",
                )
                .field("contact")
                .value(id)
                .cure("nothing is to be done if it corrects the stock; else fill in contact or refund_of");
                self.unmatched.push(Reject { row, problem });
                return;
            }
        };
        let lines = self.lines(&draft.lines);
        self.items.push((ItemKind::Refund, self.batch.refunds.len(), row));
        self.batch.refunds.push(ImportRefund { external_id: id, of, at: draft.at, amount, lines });
    }

    fn products(&mut self) {
        let count = match &self.reader {
            Reader::Orders(reader, _) => reader.seen.len() as u32,
            _ => 0,
        };
        for number in 0..count {
            let Reader::Orders(reader, _) = &self.reader else { return };
            let named = |code: &str| self.plan.named.contains(code);
            let patch = reader.seen.patch(number, &self.plan.options, &named);
            if patch.name.is_some() || patch.unit_price.is_some() {
                self.batch.products.push(patch);
            }
            if !self.hand_over_if_full() {
                return;
            }
        }
    }
}
