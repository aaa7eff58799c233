//! Rows of orders: one row per order, or one row per line of an order. Lines of one order are put together wherever
//! they stand in the file; what takes back becomes a refund.

use std::collections::{HashMap, HashSet};

use model::{Amount, Currency, OrderStatus, Problem, Sum, Timestamp};
use storage::imports::{ContactKey, ContactPatch};

use crate::{
    contacts::{contact_key, contact_of_order},
    events::Ordinals,
    items,
    mapping::{Kind, Mapping},
    options::{FreeLines, Incomplete, Negative, Options},
    rejects::Reject,
    seen::Seen,
    values::{DESCRIPTION_LEN_MAX, Result, Values, missing},
};

/// A line: which product (its number in [`Seen`]), how many (negative when taken back), price of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DraftLine {
    /// Which product.
    pub product: u32,
    /// How many.
    pub quantity: i64,
    /// Price of one.
    pub unit_price: Amount,
}

impl DraftLine {
    fn amount(&self) -> Sum {
        self.unit_price.times(self.quantity)
    }
}

/// An order while its rows come in.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The line of the file on which it begins.
    pub row: u64,
    /// Its other rows.
    pub more_rows: Vec<u64>,
    /// The shop's own id.
    pub id: Option<String>,
    /// Whose.
    pub contact: Option<ContactKey>,
    /// What the file says about that contact.
    pub about: Option<ContactPatch>,
    /// When: the last of its lines' times.
    pub at: Timestamp,
    /// What was paid, if the file says so.
    pub total: Option<Amount>,
    /// What was paid back.
    pub refunded: Option<Amount>,
    /// Whether it counts.
    pub status: Option<OrderStatus>,
    /// Its currency, if the file says so.
    pub currency: Option<Currency>,
    /// Where it comes from.
    pub cart_id: Option<String>,
    /// Codes of coupons that it used.
    pub coupons: Vec<String>,
    /// The order that it takes back from.
    pub refund_of: Option<String>,
    /// What was bought.
    pub lines: Vec<DraftLine>,
    /// Bytes of the contact's cell, so that the same need not be read again.
    contact_raw: Vec<u8>,
}

/// What an order's rows came to.
#[derive(Clone, Debug)]
pub enum Closed {
    /// An order, with its id.
    Order(String, Amount, Draft),
    /// Something given back, with its id and, where lines do not say it, its amount.
    Refund(String, Option<Amount>, Draft),
}

#[derive(Clone, Copy, Debug)]
struct Columns {
    order_id: Option<usize>,
    contact: Option<usize>,
    ordered_at: Option<usize>,
    total: Option<usize>,
    refunded: Option<usize>,
    status: Option<usize>,
    currency: Option<usize>,
    cart_id: Option<usize>,
    coupon: Option<usize>,
    refund_of: Option<usize>,
    items: Option<usize>,
    product: Option<usize>,
    name: Option<usize>,
    quantity: Option<usize>,
    unit_price: Option<usize>,
}

/// Reads orders.
pub struct OrderReader {
    mapping: Mapping,
    columns: Columns,
    /// The products that lines named.
    pub seen: Seen,
    open: HashMap<Box<[u8]>, Draft>,
    /// Keys of open orders of which a row was rejected.
    broken: HashSet<Box<[u8]>>,
    ids: Ordinals,
    last_time: (Vec<u8>, Timestamp),
    /// Lines that were read and taken.
    pub lines: u64,
    /// Lines without a price that were left out.
    pub free_lines: u64,
    /// Orders that were taken without a row that was rejected.
    pub incomplete: u64,
}

impl OrderReader {
    /// Reads with this mapping.
    #[must_use]
    pub fn new(mapping: Mapping) -> Self {
        let slot = |name| mapping.slot(Kind::Orders, name);
        let columns = Columns {
            order_id: slot("order_id"),
            contact: slot("contact"),
            ordered_at: slot("ordered_at"),
            total: slot("total"),
            refunded: slot("refunded"),
            status: slot("status"),
            currency: slot("currency"),
            cart_id: slot("cart_id"),
            coupon: slot("coupon"),
            refund_of: slot("refund_of"),
            items: slot("items"),
            product: slot("product"),
            name: slot("name"),
            quantity: slot("quantity"),
            unit_price: slot("unit_price"),
        };
        Self {
            mapping,
            columns,
            seen: Seen::default(),
            open: HashMap::new(),
            broken: HashSet::new(),
            ids: Ordinals::default(),
            last_time: (Vec::new(), Timestamp::MIN),
            lines: 0,
            free_lines: 0,
            incomplete: 0,
        }
    }

    /// Takes the row of a whole order.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn order(&mut self, values: Values<'_>) -> Result<Vec<Closed>> {
        let mut draft = self.draft(values)?;
        if let Some(text) = values.text_of(self.columns.items, "items", DESCRIPTION_LEN_MAX * 10)? {
            self.items(&text, &mut draft, values.options)?;
        }
        if draft.total.is_none() && draft.lines.is_empty() {
            return Err(missing(if self.columns.total.is_some() { "total" } else { "items" }));
        }
        self.close(draft, values.options)
    }

    /// Takes the row of one line; `key` says of which order ([`crate::survey::Grouping::key`]). An empty key: of an
    /// order of its own.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn line(&mut self, values: Values<'_>, key: &[u8]) -> Result<()> {
        let result = self.try_line(values, key);
        if result.is_err() {
            self.broken.insert(key.into());
        }
        result
    }

    fn try_line(&mut self, values: Values<'_>, key: &[u8]) -> Result<()> {
        let options = values.options;
        let quantity = values.quantity(self.columns.quantity)?;
        let price =
            values.amount(self.columns.unit_price, "unit_price")?.ok_or_else(|| missing("unit_price"))?;
        if quantity < 0 && options.negative == Negative::Reject && !self.is_cancellation(values) {
            return Err(Problem::new("quantity.negative", "the quantity is negative")
                .field("quantity")
                .value(quantity)
                .cure("say what negative quantities are: `negative: refund` in the mapping"));
        }
        let raw = values.raw(self.columns.product);
        let code = || values.required_id(self.columns.product, "product").map(Into::into);
        let product = self.seen.number(raw, options, code)?;
        let line = DraftLine { product, quantity, unit_price: price };
        in_range(line.amount(), "unit_price")?;
        let at = self.time(values)?;
        let name = values.raw(self.columns.name);
        let free = price == Amount::ZERO && options.free_lines == FreeLines::LeaveOut;
        if quantity > 0 && !free {
            if !name.is_empty() {
                self.seen.name(product, name, options)?;
            }
            self.seen.price(product, at, price);
        }
        if free {
            self.free_lines += 1;
            return Ok(());
        }
        self.put(values, key, at, line)?;
        self.lines += 1;
        Ok(())
    }

    fn put(&mut self, values: Values<'_>, key: &[u8], at: Timestamp, line: DraftLine) -> Result<()> {
        let contact = values.raw(self.columns.contact);
        if let Some(draft) = self.open.get_mut(key) {
            if draft.contact_raw != contact && !contact.is_empty() {
                let key = contact_key(values, self.columns.contact)?;
                if draft.contact.is_some() && draft.contact != key {
                    return Err(Problem::new("order.two_contacts", "the order has lines of another contact")
                        .field("contact")
                        .value(String::from_utf8_lossy(contact))
                        .cure("give each order its own id"));
                }
                draft.contact = key;
                draft.contact_raw = contact.to_vec();
            }
            if let Some(total) = values.amount(self.columns.total, "total")? {
                draft.total = Some(total);
            }
            draft.at = draft.at.max(at);
            draft.lines.push(line);
            draft.more_rows.push(values.row.number);
            return Ok(());
        }
        let mut draft = self.draft(values)?;
        draft.lines.push(line);
        self.open.insert(key.into(), draft);
        Ok(())
    }

    fn is_cancellation(&self, values: Values<'_>) -> bool {
        let id = values.raw(self.columns.order_id);
        values.options.cancellation_prefix.as_ref().is_some_and(|prefix| id.starts_with(prefix.as_bytes()))
    }

    fn time(&mut self, values: Values<'_>) -> Result<Timestamp> {
        let raw = values.raw(self.columns.ordered_at);
        if raw == self.last_time.0 && !raw.is_empty() {
            return Ok(self.last_time.1);
        }
        let at = values.time(self.columns.ordered_at, "ordered_at")?.ok_or_else(|| missing("ordered_at"))?;
        self.last_time = (raw.to_vec(), at);
        Ok(at)
    }

    /// What a row says about its order as a whole.
    fn draft(&mut self, values: Values<'_>) -> Result<Draft> {
        let columns = self.columns;
        let id = |slot, field| -> Result<Option<String>> { Ok(values.id(slot, field)?.map(Into::into)) };
        let contact = contact_key(values, columns.contact)?;
        let about = match &contact {
            Some(key) if !self.mapping.extra.is_empty() => contact_of_order(values, &self.mapping, key)?,
            _ => None,
        };
        Ok(Draft {
            row: values.row.number,
            more_rows: Vec::new(),
            id: id(columns.order_id, "order_id")?,
            contact,
            about,
            at: self.time(values)?,
            total: values.amount(columns.total, "total")?,
            refunded: values.amount(columns.refunded, "refunded")?,
            status: values.text(columns.status, "status")?.map(|text| status(&text)).transpose()?,
            currency: values
                .text(columns.currency, "currency")?
                .map(|text| Currency::parse(&text).map_err(|problem| problem.field("currency")))
                .transpose()?,
            cart_id: id(columns.cart_id, "cart_id")?,
            coupons: coupons(values.text(columns.coupon, "coupon")?.as_deref()),
            refund_of: id(columns.refund_of, "refund_of")?,
            lines: Vec::new(),
            contact_raw: values.raw(columns.contact).to_vec(),
        })
    }

    /// Ends the order with this key: its last line was read.
    ///
    /// # Errors
    /// What is wrong with it as a whole, for each of its rows.
    pub fn finish(&mut self, key: &[u8], options: &Options) -> std::result::Result<Vec<Closed>, Vec<Reject>> {
        let broken = self.broken.remove(key);
        let Some(draft) = self.open.remove(key) else { return Ok(Vec::new()) };
        let rows: Vec<u64> = std::iter::once(draft.row).chain(draft.more_rows.iter().copied()).collect();
        let closed = if broken && options.incomplete == Incomplete::Hold {
            self.lines -= draft.lines.len() as u64;
            Err(Problem::new("order.incomplete", "another row of this order was rejected")
                .field("order_id")
                .value(draft.id.unwrap_or_default())
                .cure("mend that row and import the file again"))
        } else {
            self.incomplete += u64::from(broken);
            self.close(draft, options)
        };
        closed.map_err(|problem| {
            rows.iter().map(|row| Reject { row: *row, problem: problem.clone() }).collect()
        })
    }

    /// The orders that are still open when the file ends: none, if the first pass saw the same file.
    pub fn open_keys(&self) -> Vec<Box<[u8]>> {
        let mut keys: Vec<(u64, &Box<[u8]>)> =
            self.open.iter().map(|(key, draft)| (draft.row, key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key.clone()).collect()
    }

    /// An order or a refund? What begins with the prefix, names the order that it takes back from, or holds nothing
    /// but negative amounts takes back. An order whose negative lines are worth more than the others is both.
    fn close(&mut self, mut draft: Draft, options: &Options) -> Result<Vec<Closed>> {
        let sum: Sum = draft.lines.iter().map(DraftLine::amount).sum();
        in_range(sum, "total")?;
        let total = draft.total.unwrap_or(Amount(sum as i64));
        let id = match &draft.id {
            Some(id) => id.clone(),
            None => self.made_id(&draft, total),
        };
        let prefixed =
            options.cancellation_prefix.as_ref().is_some_and(|prefix| id.starts_with(prefix.as_str()));
        let takes_back = |line: &DraftLine| line.quantity < 0 || line.unit_price < Amount::ZERO;
        let nothing_sold =
            if draft.lines.is_empty() { total < Amount::ZERO } else { draft.lines.iter().all(takes_back) };
        if prefixed || nothing_sold || draft.refund_of.is_some() {
            if !prefixed && draft.refund_of.is_none() && options.negative == Negative::Reject {
                return Err(Problem::new("total.negative", "the total is negative")
                    .field("total")
                    .value(total)
                    .cure("say what negative amounts are: `negative: refund` in the mapping"));
            }
            let amount = draft.total.map(|total| Amount(total.0.abs()));
            turn(&mut draft.lines);
            return Ok(vec![Closed::Refund(id, amount, draft)]);
        }
        if total < Amount::ZERO && !draft.lines.is_empty() {
            let mut back = draft.clone();
            back.lines.retain(takes_back);
            turn(&mut back.lines);
            draft.lines.retain(|line| !takes_back(line));
            let sold: Sum = draft.lines.iter().map(DraftLine::amount).sum();
            return Ok(vec![
                Closed::Order(id.clone(), Amount(sold as i64), draft),
                Closed::Refund(format!("{id}-refund"), None, back),
            ]);
        }
        // A discount as a negative line is in the total; it is no product that was bought.
        draft.lines.retain(|line| !takes_back(line));
        Ok(vec![Closed::Order(id, total, draft)])
    }

    fn made_id(&mut self, draft: &Draft, total: Amount) -> String {
        let contact = draft.contact.as_ref().map_or("", ContactKey::text);
        let mut lines = String::new();
        for line in &draft.lines {
            use std::fmt::Write;
            let code = self.seen.code(line.product);
            let _ = write!(lines, "{}:{code}*{}*{};", code.len(), line.quantity, line.unit_price.0);
        }
        self.ids.id(&[contact, &draft.at.0.to_string(), &total.0.to_string(), &lines])
    }

    /// Lines of an order as a JSON list of objects.
    fn items(&mut self, text: &str, draft: &mut Draft, options: &Options) -> Result<()> {
        for item in items::read(text)? {
            let product = self.seen.number(item.code.as_bytes(), options, || Ok(item.code.clone()))?;
            let line = DraftLine { product, quantity: item.quantity, unit_price: item.unit_price };
            in_range(line.amount(), "items")?;
            if line.unit_price == Amount::ZERO && options.free_lines == FreeLines::LeaveOut {
                self.free_lines += 1;
                continue;
            }
            if line.quantity > 0 {
                if let Some(name) = item.name {
                    // Items are JSON, whatever the file's encoding: the name is UTF-8 already.
                    let utf8 = Options::new(Kind::Orders);
                    self.seen.name(product, name.as_bytes(), &utf8)?;
                }
                self.seen.price(product, draft.at, line.unit_price);
            }
            draft.lines.push(line);
            self.lines += 1;
        }
        Ok(())
    }
}

/// What is taken back, as positive lines.
fn turn(lines: &mut [DraftLine]) {
    for line in lines {
        line.quantity = line.quantity.abs();
        line.unit_price = Amount(line.unit_price.0.abs());
    }
}

pub(crate) fn in_range(sum: Sum, field: &str) -> Result<()> {
    if sum.abs() <= Sum::from(Amount::UNITS_MAX) * Sum::from(Amount::SCALE) {
        return Ok(());
    }
    Err(Problem::new("amount.too_large", format!("the sum is beyond ±{}", Amount::UNITS_MAX))
        .field(field)
        .value(sum / Sum::from(Amount::SCALE))
        .cure("check quantity and price"))
}

fn status(text: &str) -> Result<OrderStatus> {
    match text.to_ascii_lowercase().as_str() {
        "completed" | "complete" | "paid" | "processing" | "shipped" | "fulfilled" | "delivered"
        | "closed" | "partially_refunded" => Ok(OrderStatus::Completed),
        "cancelled" | "canceled" | "refunded" | "voided" | "failed" | "returned" => {
            Ok(OrderStatus::Cancelled)
        }
        _ => Err(Problem::new("status.unknown", format!("`{text}` is no state of an order"))
            .field("status")
            .value(text)
            .suggest(text, ["completed", "paid", "shipped", "cancelled", "refunded"])),
    }
}
/// The codes of a cell: several stand apart by blanks or one of `, ; |`.
fn coupons(cell: Option<&str>) -> Vec<String> {
    let codes = cell.unwrap_or_default().split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '|'));
    codes.filter(|code| !code.is_empty()).map(str::to_owned).collect()
}
