//! The admin API, `/api/v1/…`: a folder per aggregate, a file per operation.

pub mod carts;
pub mod coupons;
pub mod orders;
pub mod products;
pub mod recommendations;
pub mod rfm;
pub mod segments;
pub mod templates;
pub mod webhooks;

use storage::Storage;

use crate::section::Section;

/// All operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    Section::new("admin")
        .with(segments::section())
        .with(products::section())
        .with(carts::section())
        .with(orders::section())
        .with(rfm::section())
        .with(coupons::section())
        .with(recommendations::section())
        .with(templates::section())
        .with(webhooks::section())
}
