//! Products, and what was sold and visited of each per day.

use std::future::Future;

use model::{Product, ProductId};

use crate::Result;

/// One product's figures of one UTC day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProductDay {
    /// Which product.
    pub product: ProductId,
    /// Days since 1970-01-01.
    pub day: i32,
    /// Units sold.
    pub units: i64,
    /// Orders that hold it.
    pub orders: i64,
    /// What they brought, in ten-thousandths.
    pub revenue: i64,
    /// Visits of its page.
    pub visits: i64,
}

/// Which products of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductQuery {
    /// Whose name or id holds this text, in whatever case.
    pub text: Option<String>,
    /// In this category or one below it.
    pub category: Option<String>,
}

/// Products that one question looks through at most: what is rare in a large catalogue is found in several questions.
pub const PRODUCTS_LOOKED_AT: usize = 20_000;

/// A page of products.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductPage {
    /// What was found.
    pub products: Vec<Product>,
    /// Behind which one to go on; none at the end. There may be one though nothing was found: [`PRODUCTS_LOOKED_AT`].
    pub next: Option<ProductId>,
}

/// The catalogue.
pub trait CatalogueStore {
    /// Products behind one in order of their numbers, at most `limit`.
    fn browse_products(
        &self,
        query: ProductQuery,
        after: ProductId,
        limit: usize,
    ) -> impl Future<Output = Result<ProductPage>> + Send;
    /// The products with these ids of the shop's, in that order.
    fn find_products(
        &self,
        external_ids: Vec<String>,
    ) -> impl Future<Output = Result<Vec<Option<Product>>>> + Send;
    /// The products with these numbers; unknown ones are left out.
    fn load_these_products(&self, ids: Vec<ProductId>) -> impl Future<Output = Result<Vec<Product>>> + Send;
    /// All products, by id.
    fn load_products(&self) -> impl Future<Output = Result<Vec<Product>>> + Send;
    /// Figures of all products for `first_day <= day < end_day`.
    fn load_product_days(
        &self,
        first_day: i32,
        end_day: i32,
    ) -> impl Future<Output = Result<Vec<ProductDay>>> + Send;
}
