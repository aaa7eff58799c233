//! What a message needs, frozen at the decision into one JSON object (shapes: `template::variables`).
//!
//! Products are written once per catalogue and copied from then on: a campaign shows the same few thousand products in
//! millions of messages.

use std::sync::OnceLock;

use model::{Currency, ProductId};
use recommend::Catalogue;

/// The JSON of each product of a catalogue, made when it is first asked for.
#[derive(Debug)]
pub struct FrozenProducts {
    currency: Currency,
    /// By product number.
    texts: Vec<OnceLock<Box<str>>>,
}

impl FrozenProducts {
    /// Of a catalogue whose prices are in `currency`.
    #[must_use]
    pub fn new(catalogue: &Catalogue, currency: Currency) -> Self {
        let len = catalogue.products().last().map_or(0, |product| product.id.0 as usize + 1);
        Self { currency, texts: std::iter::repeat_with(OnceLock::new).take(len).collect() }
    }

    /// Appends a product; nothing, and false, when the catalogue does not have it.
    pub(crate) fn write(&self, id: ProductId, catalogue: &Catalogue, out: &mut String) -> bool {
        let (Some(slot), Some(product)) = (self.texts.get(id.0 as usize), catalogue.product(id)) else {
            return false;
        };
        out.push_str(
            slot.get_or_init(|| template::variables::product(product, self.currency).to_string().into()),
        );
        true
    }

    /// Appends a list of products.
    pub(crate) fn write_list(&self, ids: &[ProductId], catalogue: &Catalogue, out: &mut String) {
        out.push('[');
        let mut first = true;
        for id in ids.iter().take(template::limits::PRODUCTS_MAX) {
            let before = out.len();
            if !first {
                out.push(',');
            }
            if self.write(*id, catalogue, out) {
                first = false;
            } else {
                out.truncate(before);
            }
        }
        out.push(']');
    }
}

/// Appends a text as JSON.
pub(crate) fn write_text(text: &str, out: &mut String) {
    let plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::String(text.to_owned()).to_string());
    }
}

#[cfg(test)]
mod tests {
    use model::{Amount, Product, Timestamp};

    use super::*;

    #[test]
    fn lists_are_json_whatever_is_missing() {
        let product = |id: u32, name: &str| Product {
            id: ProductId(id),
            external_id: format!("P{id}"),
            name: name.into(),
            unit_price: Some(Amount(29_500)),
            ..Product::default()
        };
        let catalogue =
            Catalogue::new(vec![product(2, "Mug \"big\""), product(4, "Tea")], Vec::new(), Timestamp(0));
        let frozen = FrozenProducts::new(&catalogue, Currency::GBP);
        for (ids, names) in [
            (vec![], vec![]),
            (vec![1, 2, 3, 4, 9], vec!["Mug \"big\"", "Tea"]),
            (vec![9, 4, 1], vec!["Tea"]),
        ] {
            let ids: Vec<ProductId> = ids.into_iter().map(ProductId).collect();
            let mut out = String::new();
            frozen.write_list(&ids, &catalogue, &mut out);
            let json: serde_json::Value = serde_json::from_str(&out).unwrap();
            let got: Vec<&str> =
                json.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
            assert_eq!(got, names);
        }
    }

    #[test]
    fn texts_are_escaped() {
        for text in ["", "plain é", "a\"b", "a\\b", "a\nb", "\u{1}"] {
            let mut out = String::new();
            write_text(text, &mut out);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
