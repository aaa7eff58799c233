//! What the lines of orders say about products: each code gets a small number, its commonest name, its latest price.

use std::collections::HashMap;

use model::{Amount, Timestamp};
use storage::imports::ProductPatch;

use crate::{
    options::Options,
    values::{Result, TEXT_LEN_MAX, check_text},
};

/// Names that are counted for one product; further ones are passed over.
pub const NAMES_MAX: usize = 50;

/// A product that lines named.
struct SeenProduct {
    code: String,
    service: bool,
    names: Vec<(Box<[u8]>, u32)>,
    last_name: usize,
    price: Option<(Timestamp, Amount)>,
}

/// All products that lines named, in the order in which they came.
#[derive(Default)]
pub struct Seen {
    places: HashMap<Box<[u8]>, u32>,
    products: Vec<SeenProduct>,
}

impl Seen {
    /// The number of a product by its code as the file writes it; `check` makes a text of a code that is new.
    ///
    /// # Errors
    /// What `check` says.
    pub fn number(
        &mut self,
        raw: &[u8],
        options: &Options,
        check: impl FnOnce() -> Result<String>,
    ) -> Result<u32> {
        if let Some(number) = self.places.get(raw) {
            return Ok(*number);
        }
        let code = check()?;
        let number = self.products.len() as u32;
        let service = options.service_codes.iter().any(|pattern| matches(pattern, &code));
        self.products.push(SeenProduct { code, service, names: Vec::new(), last_name: 0, price: None });
        self.places.insert(raw.into(), number);
        Ok(number)
    }

    /// The shop's own id of a product.
    #[must_use]
    pub fn code(&self, number: u32) -> &str {
        &self.products[number as usize].code
    }

    /// Whether it is no product but a service.
    #[must_use]
    pub fn is_service(&self, number: u32) -> bool {
        self.products[number as usize].service
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.products.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.products.is_empty()
    }

    /// Counts a name.
    ///
    /// # Errors
    /// `text.encoding`, `text.control`, `text.too_long`.
    pub fn name(&mut self, number: u32, raw: &[u8], options: &Options) -> Result<()> {
        let product = &mut self.products[number as usize];
        if let Some((name, count)) = product.names.get_mut(product.last_name)
            && **name == *raw
        {
            *count += 1;
            return Ok(());
        }
        if let Some(place) = product.names.iter().position(|(name, _)| **name == *raw) {
            product.names[place].1 += 1;
            product.last_name = place;
            return Ok(());
        }
        let text = options.encoding.decode(raw).map_err(|problem| problem.field("name"))?;
        check_text(&text, "name", TEXT_LEN_MAX)?;
        if product.names.len() < NAMES_MAX {
            product.last_name = product.names.len();
            product.names.push((raw.into(), 1));
        }
        Ok(())
    }

    /// Takes note of a price; of two at the same instant the later in the file counts.
    pub fn price(&mut self, number: u32, at: Timestamp, price: Amount) {
        let product = &mut self.products[number as usize];
        if price > Amount::ZERO && product.price.is_none_or(|(known, _)| at >= known) {
            product.price = Some((at, price));
        }
    }

    /// What is to be kept of a product: the name only where `named` (which products have one already) says no.
    #[must_use]
    pub fn patch(&self, number: u32, options: &Options, named: &impl Fn(&str) -> bool) -> ProductPatch {
        let product = &self.products[number as usize];
        // The first of the commonest: `max_by_key` would give the last.
        let commonest = product.names.iter().rev().max_by_key(|(_, count)| *count);
        let name = commonest
            .filter(|_| !named(&product.code))
            .and_then(|(raw, _)| options.encoding.decode(raw).ok().map(|text| text.into_owned()));
        ProductPatch {
            external_id: product.code.clone(),
            name,
            unit_price: product.price.map(|(_, price)| price),
            price_at: product.price.map(|(at, _)| at),
            service: product.service.then_some(true),
            ..ProductPatch::default()
        }
    }
}

/// `POST`, or `gift_*`, in either case.
fn matches(pattern: &str, code: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => code.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)),
        None => pattern.eq_ignore_ascii_case(code),
    }
}
