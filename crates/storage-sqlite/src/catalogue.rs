//! See `storage::catalogue`.

use std::collections::BTreeMap;

use model::{Product, ProductId};
use rusqlite::{Connection, Row};
use storage::{
    Result,
    catalogue::{CatalogueStore, ProductDay, ProductQuery},
    codec,
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{blob, from_json, inconsistent, text},
};

/// Parts of a day that are kept beside each other before they are folded into one: a few, so that orders that arrive in
/// the order of their days fold nearly never, and many of one day do not write its whole catalogue each time.
const PARTS_MAX: i64 = 24;

impl CatalogueStore for Sqlite {
    async fn browse_products(
        &self,
        query: ProductQuery,
        after: ProductId,
        limit: usize,
    ) -> Result<Vec<Product>> {
        let text = query.text.map(|text| model::text::folded(&text));
        let matches = move |product: &Product| {
            let named = text.as_ref().is_none_or(|text| {
                model::text::folded(&product.name).contains(text)
                    || model::text::folded(&product.external_id).contains(text)
            });
            let placed = query.category.as_ref().is_none_or(|wanted| {
                let below = |path: &String| {
                    path.strip_prefix(wanted.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                product.categories.iter().any(below)
            });
            named && placed
        };
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT product_id, profile FROM products WHERE product_id > ?1 ORDER BY product_id",
                )
                .map_err(driver)?;
            let mut rows = statement.query([after.0]).map_err(driver)?;
            let mut found = Vec::new();
            while found.len() < limit
                && let Some(row) = rows.next().map_err(driver)?
            {
                found.extend(Some(read_product(row)?).filter(&matches));
            }
            Ok(found)
        })
        .await
    }

    async fn find_products(&self, external_ids: Vec<String>) -> Result<Vec<Option<Product>>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT product_id, profile FROM products WHERE external_id = ?1")
                .map_err(driver)?;
            let mut found = Vec::with_capacity(external_ids.len());
            for external_id in external_ids {
                let mut rows = statement.query([external_id]).map_err(driver)?;
                found.push(rows.next().map_err(driver)?.map(read_product).transpose()?);
            }
            Ok(found)
        })
        .await
    }

    async fn load_these_products(&self, ids: Vec<ProductId>) -> Result<Vec<Product>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT product_id, profile FROM products WHERE product_id = ?1")
                .map_err(driver)?;
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                let mut rows = statement.query([id.0]).map_err(driver)?;
                found.extend(rows.next().map_err(driver)?.map(read_product).transpose()?);
            }
            Ok(found)
        })
        .await
    }

    async fn load_products(&self) -> Result<Vec<Product>> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT product_id, profile FROM products ORDER BY product_id")
                .map_err(driver)?;
            let mut rows = statement.query([]).map_err(driver)?;
            let mut products = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                products.push(read_product(row)?);
            }
            Ok(products)
        })
        .await
    }

    async fn load_product_days(&self, first_day: i32, end_day: i32) -> Result<Vec<ProductDay>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT day, figures FROM product_days WHERE day >= ?1 AND day < ?2 ORDER BY day",
                )
                .map_err(driver)?;
            let mut rows = statement.query((first_day, end_day)).map_err(driver)?;
            let (mut all, mut of_day, mut current) = (Vec::new(), Vec::new(), i32::MIN);
            while let Some(row) = rows.next().map_err(driver)? {
                let day: i32 = row.get(0).map_err(driver)?;
                if day != current {
                    all.append(&mut summed(&mut of_day));
                    current = day;
                }
                read_part(day, blob(row, 1).map_err(driver)?, &mut of_day)?;
            }
            all.append(&mut summed(&mut of_day));
            Ok(all)
        })
        .await
    }
}

fn read_product(row: &Row<'_>) -> Result<Product> {
    let id: u32 = row.get(0).map_err(driver)?;
    let mut product: Product = from_json("products", id, text(row, 1).map_err(driver)?)?;
    product.id = ProductId(id);
    Ok(product)
}

fn read_part(day: i32, bytes: &[u8], into: &mut Vec<ProductDay>) -> Result<()> {
    codec::product_days(day, bytes, |figure| into.push(figure))
        .map_err(|why| inconsistent("product_days", day, why))
}

/// One figure per product, by product; those that come to nothing are left out. Empties what it takes.
fn summed(figures: &mut Vec<ProductDay>) -> Vec<ProductDay> {
    figures.sort_unstable_by_key(|figure| figure.product);
    let mut sums: Vec<ProductDay> = Vec::with_capacity(figures.len());
    for figure in figures.drain(..) {
        match sums.last_mut().filter(|last| last.product == figure.product) {
            Some(last) => add(last, &figure),
            None => sums.push(figure),
        }
    }
    sums.retain(|sum| (sum.units, sum.orders, sum.revenue, sum.visits) != (0, 0, 0, 0));
    sums
}

fn add(sum: &mut ProductDay, figure: &ProductDay) {
    sum.units = sum.units.saturating_add(figure.units);
    sum.orders = sum.orders.saturating_add(figure.orders);
    sum.revenue = sum.revenue.saturating_add(figure.revenue);
    sum.visits = sum.visits.saturating_add(figure.visits);
}

/// What a change adds to the figures of days; written once, at its end.
#[derive(Default)]
pub(crate) struct DayDeltas(BTreeMap<i32, Vec<ProductDay>>);

impl DayDeltas {
    pub(crate) fn add(&mut self, figure: ProductDay) {
        self.0.entry(figure.day).or_default().push(figure);
    }

    /// Appends a part to each day, and folds days with many parts.
    pub(crate) fn write(&mut self, connection: &Connection) -> Result<()> {
        for (day, figures) in &mut self.0 {
            let sums = summed(figures);
            if sums.is_empty() {
                continue;
            }
            let part: i64 = connection
                .prepare_cached("SELECT coalesce(max(part), -1) + 1 FROM product_days WHERE day = ?1")
                .map_err(driver)?
                .query_row([day], |row| row.get(0))
                .map_err(driver)?;
            if part < PARTS_MAX {
                insert_part(connection, *day, part, &sums)?;
            } else {
                fold(connection, *day, sums)?;
            }
        }
        self.0.clear();
        Ok(())
    }
}

fn insert_part(connection: &Connection, day: i32, part: i64, figures: &[ProductDay]) -> Result<()> {
    connection
        .prepare_cached("INSERT INTO product_days (day, part, figures) VALUES (?1, ?2, ?3)")
        .map_err(driver)?
        .execute((day, part, codec::put_product_days(figures)))
        .map_err(driver)?;
    Ok(())
}

fn fold(connection: &Connection, day: i32, mut figures: Vec<ProductDay>) -> Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT figures FROM product_days WHERE day = ?1").map_err(driver)?;
    let mut rows = statement.query([day]).map_err(driver)?;
    while let Some(row) = rows.next().map_err(driver)? {
        read_part(day, blob(row, 0).map_err(driver)?, &mut figures)?;
    }
    drop(rows);
    connection
        .prepare_cached("DELETE FROM product_days WHERE day = ?1")
        .map_err(driver)?
        .execute([day])
        .map_err(driver)?;
    insert_part(connection, day, 0, &summed(&mut figures))
}
