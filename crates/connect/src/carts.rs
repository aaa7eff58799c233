//! Open carts: a row for each, or a row for each of their lines. A file says how whole carts stand.

use std::collections::{HashMap, HashSet};

use model::{Amount, Currency, Problem, Timestamp};
use storage::imports::ContactKey;

use crate::{
    contacts::contact_key,
    items,
    mapping::{Kind, Mapping},
    options::{Incomplete, Options},
    orders::in_range,
    rejects::Reject,
    values::{DESCRIPTION_LEN_MAX, Result, Values, missing},
};

/// A line: the shop's own id of the product, how many, price of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartLine {
    /// Which product.
    pub product: String,
    /// How many, above 0.
    pub quantity: i64,
    /// Price of one, not negative.
    pub unit_price: Amount,
}

/// A cart while its rows come in.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The line of the file on which it begins.
    pub row: u64,
    /// Its other rows.
    more_rows: Vec<u64>,
    /// The shop's own id.
    pub id: String,
    /// Whose.
    pub contact: ContactKey,
    /// Its last change: the last of its rows' times.
    pub updated_at: Timestamp,
    /// Its currency, if the file says so.
    pub currency: Option<Currency>,
    /// Where to go on with it.
    pub recovery_url: Option<String>,
    /// What is in it.
    pub lines: Vec<CartLine>,
}

/// Reads carts.
pub struct CartReader {
    mapping: Mapping,
    open: HashMap<Box<[u8]>, Draft>,
    /// Keys of open carts of which a row was rejected.
    broken: HashSet<Box<[u8]>>,
}

impl CartReader {
    /// Reads with this mapping.
    #[must_use]
    pub fn new(mapping: Mapping) -> Self {
        Self { mapping, open: HashMap::new(), broken: HashSet::new() }
    }

    fn slot(&self, name: &str) -> Option<usize> {
        self.mapping.slot(Kind::Carts, name)
    }

    /// Takes the row of a whole cart. One without items is a cart that was emptied.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn cart(&self, values: Values<'_>) -> Result<Draft> {
        let mut draft = self.draft(values)?;
        let text = values.text_of(self.slot("items"), "items", DESCRIPTION_LEN_MAX * 10)?;
        for item in items::read(text.as_deref().unwrap_or("[]"))? {
            let line = CartLine { product: item.code, quantity: item.quantity, unit_price: item.unit_price };
            draft.lines.push(checked(line, "items")?);
        }
        whole(draft)
    }

    /// Takes the row of one line; `key` says of which cart ([`crate::survey::Grouping::key`]).
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
        let mut draft = self.draft(values)?;
        let line = CartLine {
            product: values.required_id(self.slot("product"), "product")?.into_owned(),
            quantity: values.quantity(self.slot("quantity"))?,
            unit_price: values
                .amount(self.slot("unit_price"), "unit_price")?
                .ok_or_else(|| missing("unit_price"))?,
        };
        draft.lines.push(checked(line, "quantity")?);
        let Some(known) = self.open.get_mut(key) else {
            self.open.insert(key.into(), draft);
            return Ok(());
        };
        if known.contact != draft.contact {
            return Err(Problem::new("cart.two_contacts", "the cart has lines of another contact")
                .field("contact")
                .value(draft.contact.text())
                .cure("give each cart its own id"));
        }
        known.updated_at = known.updated_at.max(draft.updated_at);
        known.currency = known.currency.or(draft.currency);
        known.recovery_url = known.recovery_url.take().or(draft.recovery_url);
        known.lines.append(&mut draft.lines);
        known.more_rows.push(draft.row);
        Ok(())
    }

    /// What a row says about its cart as a whole.
    fn draft(&self, values: Values<'_>) -> Result<Draft> {
        let currency = values.text(self.slot("currency"), "currency")?;
        Ok(Draft {
            row: values.row.number,
            more_rows: Vec::new(),
            id: values.required_id(self.slot("cart_id"), "cart_id")?.into_owned(),
            contact: contact_key(values, self.slot("contact"))?.ok_or_else(|| missing("contact"))?,
            updated_at: values
                .time(self.slot("updated_at"), "updated_at")?
                .ok_or_else(|| missing("updated_at"))?,
            currency: currency
                .map(|text| Currency::parse(&text).map_err(|problem| problem.field("currency")))
                .transpose()?,
            recovery_url: values.text(self.slot("recovery_url"), "recovery_url")?,
            lines: Vec::new(),
        })
    }

    /// Ends the cart with this key: its last line was read. None when all its rows were rejected.
    ///
    /// # Errors
    /// What is wrong with it as a whole, for each of its rows.
    pub fn finish(
        &mut self,
        key: &[u8],
        options: &Options,
    ) -> std::result::Result<Option<Draft>, Vec<Reject>> {
        let broken = self.broken.remove(key);
        let Some(draft) = self.open.remove(key) else { return Ok(None) };
        let rows: Vec<u64> = std::iter::once(draft.row).chain(draft.more_rows.iter().copied()).collect();
        let finished = if broken && options.incomplete == Incomplete::Hold {
            Err(Problem::new("cart.incomplete", "another row of this cart was rejected")
                .field("cart_id")
                .value(&draft.id)
                .cure("mend that row and import the file again"))
        } else {
            whole(draft)
        };
        finished.map(Some).map_err(|problem| {
            rows.iter().map(|row| Reject { row: *row, problem: problem.clone() }).collect()
        })
    }

    /// The carts that are still open when the file ends: none, if the first pass saw the same file.
    pub fn open_keys(&self) -> Vec<Box<[u8]>> {
        let mut keys: Vec<(u64, &Box<[u8]>)> =
            self.open.iter().map(|(key, draft)| (draft.row, key)).collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key.clone()).collect()
    }
}

/// Nothing comes back out of a cart: it is told as it stands.
fn checked(line: CartLine, field: &str) -> Result<CartLine> {
    if line.quantity < 0 {
        return Err(Problem::new("quantity.negative", "a cart holds at least one of each of its products")
            .field(field)
            .value(line.quantity)
            .cure("leave the line out when the product was taken out of the cart"));
    }
    if line.unit_price < Amount::ZERO {
        return Err(Problem::new("amount.negative", format!("the price {} is negative", line.unit_price))
            .field(if field == "items" { field } else { "unit_price" })
            .value(line.unit_price)
            .cure("leave discounts out: a cart's total is the sum of its lines"));
    }
    Ok(line)
}

fn whole(draft: Draft) -> Result<Draft> {
    in_range(draft.lines.iter().map(|line| line.unit_price.times(line.quantity)).sum(), "unit_price")?;
    Ok(draft)
}
