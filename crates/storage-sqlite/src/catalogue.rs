//! See `storage::catalogue`.

use std::collections::BTreeMap;

use model::{Product, ProductId};
use rusqlite::{Connection, Row};
use storage::{
    Result,
    catalogue::{CatalogueStore, PRODUCTS_LOOKED_AT, ProductDay, ProductPage, ProductQuery},
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
    ) -> Result<ProductPage> {
        self.read(move |connection| browse(connection, &query, after, limit, PRODUCTS_LOOKED_AT)).await
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

/// Looks at `span` products at most.
fn browse(
    connection: &Connection,
    query: &ProductQuery,
    after: ProductId,
    limit: usize,
    span: usize,
) -> Result<ProductPage> {
    let text = query.text.as_deref().map(model::text::folded);
    let matches = |product: &Product| {
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
    // One more than is looked at: it says whether there is more.
    let mut statement = connection
        .prepare_cached(
            "SELECT product_id, profile FROM products WHERE product_id > ?1 ORDER BY product_id LIMIT ?2",
        )
        .map_err(driver)?;
    let mut rows = statement.query((after.0, span as i64 + 1)).map_err(driver)?;
    let (mut page, mut last) = (ProductPage { products: Vec::new(), next: None }, after);
    let mut looked_at = 0;
    while let Some(row) = rows.next().map_err(driver)? {
        if page.products.len() == limit || looked_at == span {
            page.next = Some(last);
            break;
        }
        let product = read_product(row)?;
        (looked_at, last) = (looked_at + 1, product.id);
        page.products.extend(Some(product).filter(&matches));
    }
    Ok(page)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_looks_at_so_many_products_and_says_where_to_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let store = Sqlite::open(&path, crate::Options::default()).unwrap();
        let mut batch = storage::imports::ImportBatch::new(model::Timestamp(0));
        for name in ["mug", "cup", "pot", "tray", "red mug"] {
            batch.products.push(storage::imports::ProductPatch {
                external_id: name.replace(' ', "-"),
                name: Some(name.to_owned()),
                ..Default::default()
            });
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(storage::imports::ImportStore::import(&store, batch)).unwrap();
        let connection = Connection::open(&path).unwrap();
        let ask = |text: Option<&str>, after: u32, limit: usize, span: usize| {
            let query = ProductQuery { text: text.map(str::to_owned), category: None };
            let page = browse(&connection, &query, ProductId(after), limit, span).unwrap();
            let names: Vec<String> = page.products.into_iter().map(|product| product.name).collect();
            (names, page.next.map(|id| id.0))
        };
        // Found at its edge, broken off, gone on with, at its end.
        assert_eq!(ask(Some("MUG"), 0, 9, 4), (vec!["mug".to_owned()], Some(4)));
        assert_eq!(ask(Some("mug"), 4, 9, 4), (vec!["red mug".to_owned()], None));
        assert_eq!(ask(Some("mug"), 1, 9, 3), (vec![], Some(4)));
        assert_eq!(ask(Some("mug"), 0, 9, 5), (vec!["mug".to_owned(), "red mug".to_owned()], None));
        assert_eq!(ask(Some("mug"), 0, 1, 5), (vec!["mug".to_owned()], Some(1)));
        assert_eq!(ask(None, 2, 2, 5), (vec!["pot".to_owned(), "tray".to_owned()], Some(4)));
        assert_eq!(ask(None, 3, 2, 5), (vec!["tray".to_owned(), "red mug".to_owned()], None));
    }
}
