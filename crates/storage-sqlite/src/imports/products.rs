//! Products of a batch.

use model::{Product, ProductId, Timestamp};
use rusqlite::OptionalExtension;
use storage::{
    Result,
    imports::{ItemKind, ProductPatch},
};

use super::{Work, check_id};
use crate::{
    pool::driver,
    rows::{from_json, take_numbers, to_json},
};

impl Work<'_> {
    pub(super) fn take_products(&mut self, patches: Vec<ProductPatch>) -> Result<()> {
        for (index, patch) in patches.into_iter().enumerate() {
            match check_id("external_id", &patch.external_id) {
                Ok(()) => self.take_product(patch)?,
                Err(problem) => self.refuse(ItemKind::Product, index, problem),
            }
        }
        Ok(())
    }

    fn take_product(&mut self, patch: ProductPatch) -> Result<()> {
        let stored: Option<(u32, i64, String)> = self
            .connection
            .prepare_cached("SELECT product_id, price_at, profile FROM products WHERE external_id = ?1")
            .map_err(driver)?
            .query_row([&patch.external_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()
            .map_err(driver)?;
        let Some((id, price_at, profile)) = stored else {
            let mut product = Product {
                external_id: patch.external_id.clone(),
                name: patch.external_id.clone(),
                ..Product::default()
            };
            let mut price_at = Timestamp::MIN;
            apply(&mut product, &mut price_at, patch);
            self.insert_product(product, price_at)?;
            return Ok(());
        };
        let before: Product = from_json("products", id, &profile)?;
        let mut product = before.clone();
        let mut new_price_at = Timestamp(price_at);
        apply(&mut product, &mut new_price_at, patch);
        if product == before && new_price_at.0 == price_at {
            self.outcome.products.known += 1;
            return Ok(());
        }
        self.connection
            .prepare_cached("UPDATE products SET price_at = ?2, profile = ?3 WHERE product_id = ?1")
            .map_err(driver)?
            .execute((id, new_price_at.0, to_json(&product)?))
            .map_err(driver)?;
        if product == before {
            self.outcome.products.known += 1;
        } else {
            self.outcome.products.changed += 1;
            self.product_changed(&before, &product)?;
        }
        Ok(())
    }

    fn insert_product(&mut self, mut product: Product, price_at: Timestamp) -> Result<ProductId> {
        let id = take_numbers(self.connection, "product", 1)? as u32;
        product.id = ProductId(id);
        self.connection
            .prepare_cached(
                "INSERT INTO products (product_id, external_id, price_at, profile) VALUES (?1, ?2, ?3, ?4)",
            )
            .map_err(driver)?
            .execute((id, &product.external_id, price_at.0, to_json(&product)?))
            .map_err(driver)?;
        self.outcome.products.new += 1;
        self.named.push((product.external_id, id));
        Ok(ProductId(id))
    }

    /// The product with this id of the shop; made, under that name, when it is not known yet.
    pub(super) fn product_named(&mut self, external_id: &str) -> Result<ProductId> {
        let known: Option<u32> = self
            .connection
            .prepare_cached("SELECT product_id FROM products WHERE external_id = ?1")
            .map_err(driver)?
            .query_row([external_id], |row| row.get(0))
            .optional()
            .map_err(driver)?;
        if let Some(id) = known {
            self.named.push((external_id.to_owned(), id));
            return Ok(ProductId(id));
        }
        let product = Product {
            external_id: external_id.to_owned(),
            name: external_id.to_owned(),
            ..Product::default()
        };
        self.insert_product(product, Timestamp::MIN)
    }

    /// [`Work::product_named`] for events, which name a product once each.
    pub(super) fn product_visited(&mut self, external_id: &str) -> Result<ProductId> {
        if let Some(id) = self.visited.get(external_id) {
            return Ok(*id);
        }
        let id = self.product_named(external_id)?;
        self.visited.insert(external_id.to_owned(), id);
        Ok(id)
    }
}

/// Takes out of a patch what the product has already, but for the price.
fn leave_known(product: &Product, patch: &mut ProductPatch) {
    patch.name.take_if(|_| product.name != product.external_id);
    patch.url.take_if(|_| product.url.is_some());
    patch.image_url.take_if(|_| product.image_url.is_some());
    patch.description.take_if(|_| product.description.is_some());
    patch.brand.take_if(|_| product.brand.is_some());
    patch.categories.take_if(|_| !product.categories.is_empty());
    patch.tags.take_if(|_| !product.tags.is_empty());
    patch.related.take_if(|_| !product.related.is_empty());
    patch.original_price.take_if(|_| product.original_price.is_some());
    patch.stock.take_if(|_| product.stock.is_some());
    patch.rating.take_if(|_| product.rating.is_some());
    patch.published_at.take_if(|_| product.published_at.is_some());
    (patch.out_of_stock, patch.blacklisted, patch.service, patch.priority) = (None, None, None, None);
}

/// What is given overwrites, what is absent stays; an older price does not replace a later one.
fn apply(product: &mut Product, price_at: &mut Timestamp, mut patch: ProductPatch) {
    if patch.only_missing {
        leave_known(product, &mut patch);
    }
    if let Some(price) = patch.unit_price
        && patch.price_at.is_none_or(|at| at >= *price_at)
    {
        product.unit_price = Some(price);
        *price_at = patch.price_at.unwrap_or(*price_at);
    }
    let texts = [
        (&mut product.url, patch.url),
        (&mut product.image_url, patch.image_url),
        (&mut product.description, patch.description),
        (&mut product.brand, patch.brand),
    ];
    for (field, given) in texts {
        if given.is_some() {
            *field = given;
        }
    }
    let lists = [
        (&mut product.categories, patch.categories),
        (&mut product.tags, patch.tags),
        (&mut product.related, patch.related),
    ];
    for (field, given) in lists {
        if let Some(given) = given {
            *field = given;
        }
    }
    if let Some(name) = patch.name {
        product.name = name;
    }
    product.original_price = patch.original_price.or(product.original_price);
    product.stock = patch.stock.or(product.stock);
    product.rating = patch.rating.or(product.rating);
    product.published_at = patch.published_at.or(product.published_at);
    product.out_of_stock = patch.out_of_stock.unwrap_or(product.out_of_stock);
    product.blacklisted = patch.blacklisted.unwrap_or(product.blacklisted);
    product.service = patch.service.unwrap_or(product.service);
    product.priority = patch.priority.unwrap_or(product.priority);
}
