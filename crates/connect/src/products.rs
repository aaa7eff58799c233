//! Rows of products.

use model::{Amount, Problem};
use storage::imports::ProductPatch;

use crate::{
    mapping::{Kind, Mapping},
    values::{DESCRIPTION_LEN_MAX, Result, Values},
};

/// Reads products.
pub struct ProductReader {
    mapping: Mapping,
}

impl ProductReader {
    /// Reads with this mapping.
    #[must_use]
    pub fn new(mapping: Mapping) -> Self {
        Self { mapping }
    }

    /// One product.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn read(&self, values: Values<'_>) -> Result<ProductPatch> {
        let slot = |name: &str| self.mapping.slot(Kind::Products, name);
        let text = |name: &str| values.text(slot(name), name);
        let flag = |name: &str| values.boolean(slot(name), name);
        let price = |name: &str| -> Result<Option<Amount>> {
            match values.amount(slot(name), name)? {
                Some(price) if price < Amount::ZERO => {
                    Err(Problem::new("amount.negative", format!("the price {price} is negative"))
                        .field(name)
                        .value(price)
                        .cure("write it without a sign, or leave it empty"))
                }
                other => Ok(other),
            }
        };
        Ok(ProductPatch {
            external_id: values.required_id(slot("external_id"), "external_id")?.into_owned(),
            name: text("name")?,
            url: text("url")?,
            image_url: text("image_url")?,
            description: values.text_of(slot("description"), "description", DESCRIPTION_LEN_MAX)?,
            brand: text("brand")?,
            unit_price: price("unit_price")?,
            price_at: None,
            original_price: price("original_price")?,
            categories: values.list(slot("categories"), "categories")?,
            tags: values.list(slot("tags"), "tags")?,
            stock: values.integer(slot("stock"), "stock")?,
            out_of_stock: flag("out_of_stock")?,
            blacklisted: flag("blacklisted")?,
            service: flag("service")?,
            rating: values.amount(slot("rating"), "rating")?,
            priority: values.integer(slot("priority"), "priority")?,
            published_at: values.time(slot("published_at"), "published_at")?,
            related: values.list(slot("related"), "related")?,
            only_missing: false,
        })
    }
}
