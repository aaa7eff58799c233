//! `/api/v1/products`: the catalogue.

mod get;
mod list;
mod patch;

use model::Product;
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use crate::{amount::Money, operations, said::At, section::Section};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("products"), S; list, get, patch)
}

/// A product.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProductBody {
    /// The shop's own id.
    pub product_id: String,
    /// Its name.
    pub name: String,
    /// Its page.
    pub url: Option<String>,
    /// Its picture.
    pub image_url: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Who makes it.
    pub brand: Option<String>,
    /// Price of one; none when it was never seen with one: such a product is never recommended.
    pub unit_price: Option<Money>,
    /// Price before a discount.
    pub original_price: Option<Money>,
    /// Category paths.
    pub categories: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// Units left; none when the shop does not count.
    pub stock: Option<i64>,
    /// Said to be out of stock.
    pub out_of_stock: bool,
    /// Never to be recommended.
    pub blacklisted: bool,
    /// No product but postage and the like.
    pub service: bool,
    /// Average rating.
    pub rating: Option<Money>,
    /// The shop's own weight for it.
    pub priority: i64,
    /// When it was put on sale.
    pub published_at: Option<At>,
    /// Explicitly related products, by the shop's own ids.
    pub related: Vec<String>,
    /// Whether it may be recommended at all: a product with a price, in stock, not blacklisted.
    pub recommendable: bool,
}

impl From<Product> for ProductBody {
    fn from(product: Product) -> Self {
        Self {
            recommendable: product.is_recommendable(),
            product_id: product.external_id,
            name: product.name,
            url: product.url,
            image_url: product.image_url,
            description: product.description,
            brand: product.brand,
            unit_price: product.unit_price.map(Money),
            original_price: product.original_price.map(Money),
            categories: product.categories,
            tags: product.tags,
            stock: product.stock,
            out_of_stock: product.out_of_stock,
            blacklisted: product.blacklisted,
            service: product.service,
            rating: product.rating.map(Money),
            priority: product.priority,
            published_at: product.published_at.map(At),
            related: product.related,
        }
    }
}
