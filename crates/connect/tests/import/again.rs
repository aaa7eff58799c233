//! Failures at any batch, second runs, and rows in any order come to the same base.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use connect::{Kind, Options, options::FreeLines, run::ImportError};
use model::{Product, ProductId, Timestamp};
use proptest::prelude::*;
use storage::{
    StoreError,
    catalogue::{CatalogueStore, ProductDay, ProductPage, ProductQuery},
    imports::{Checkpoint, ImportBatch, ImportOutcome, ImportStore},
    settings::{Definition, DefinitionKind, NewDefinition, SettingsStore},
};
use testkit::{Store, store};

use super::{LINES, content, file, lines, rejected, run};

/// A base that fails at the n-th batch, before or after it was written.
pub(super) struct Fragile<'a> {
    pub(super) store: &'a Store,
    pub(super) left: AtomicU64,
    pub(super) after: bool,
}

impl ImportStore for Fragile<'_> {
    async fn import(&self, batch: ImportBatch) -> storage::Result<ImportOutcome> {
        let last = self.left.fetch_sub(1, Ordering::SeqCst) == 0;
        if last && !self.after {
            return Err(StoreError::DiskFull);
        }
        let outcome = self.store.import(batch).await?;
        if last { Err(StoreError::DiskFull) } else { Ok(outcome) }
    }
    async fn load_checkpoint(&self, key: String) -> storage::Result<Option<Checkpoint>> {
        self.store.load_checkpoint(key).await
    }
    async fn drop_checkpoint(&self, key: String) -> storage::Result<()> {
        self.store.drop_checkpoint(key).await
    }
}

impl SettingsStore for Fragile<'_> {
    async fn load_setting(&self, key: String) -> storage::Result<Option<serde_json::Value>> {
        self.store.load_setting(key).await
    }
    async fn save_setting(&self, key: String, value: serde_json::Value) -> storage::Result<()> {
        self.store.save_setting(key, value).await
    }
    async fn replace_setting(
        &self,
        key: String,
        known: Option<serde_json::Value>,
        value: serde_json::Value,
        deed: storage::audit::Deed,
    ) -> storage::Result<bool> {
        self.store.replace_setting(key, known, value, deed).await
    }
    async fn load_definitions(&self, kind: DefinitionKind) -> storage::Result<Vec<Definition>> {
        self.store.load_definitions(kind).await
    }
    async fn load_retired(&self, kind: DefinitionKind) -> storage::Result<Vec<(model::Slug, u32)>> {
        self.store.load_retired(kind).await
    }
    async fn load_definition(
        &self,
        kind: DefinitionKind,
        slug: model::Slug,
        version: u32,
    ) -> storage::Result<Option<Definition>> {
        self.store.load_definition(kind, slug, version).await
    }
    async fn save_definitions(
        &self,
        definitions: Vec<NewDefinition>,
        now: Timestamp,
    ) -> storage::Result<Vec<u32>> {
        self.store.save_definitions(definitions, now).await
    }
}

impl CatalogueStore for Fragile<'_> {
    async fn browse_products(
        &self,
        query: ProductQuery,
        after: ProductId,
        limit: usize,
    ) -> storage::Result<ProductPage> {
        self.store.browse_products(query, after, limit).await
    }
    async fn find_products(&self, external_ids: Vec<String>) -> storage::Result<Vec<Option<Product>>> {
        self.store.find_products(external_ids).await
    }
    async fn load_these_products(&self, ids: Vec<ProductId>) -> storage::Result<Vec<Product>> {
        self.store.load_these_products(ids).await
    }
    async fn load_products(&self) -> storage::Result<Vec<Product>> {
        self.store.load_products().await
    }
    async fn load_product_days(&self, first_day: i32, end_day: i32) -> storage::Result<Vec<ProductDay>> {
        self.store.load_product_days(first_day, end_day).await
    }
}

#[test]
fn a_failure_at_any_batch_and_a_second_run_come_to_the_same_base() {
    let mut rows = String::new();
    for order in 0..2_500 {
        let contact = order % 37;
        let day = 1 + order % 28;
        rows += &format!("{order},{contact},2024-01-{day:02},P{},Pot,2,1.25\n", order % 11);
        if order % 5 == 0 {
            rows += &format!("C{order},{contact},2024-02-{day:02},P{},Pot,-1,1.25\n", order % 13);
        }
        if order % 50 == 0 {
            rows += &format!("bad{order},{contact},2024-02-{day:02},P,Pot,none,1.25\n");
        }
    }
    let mut options = Options::new(Kind::Orders);
    options.cancellation_prefix = Some("C".into());
    let whole = store();
    let path = lines(&whole, "file.csv", &rows);
    let report = run(&*whole, &path, &options).unwrap();
    let (wanted, listed) = (content(&whole), rejected(&path));
    assert_eq!(report.counts.rejected, 50);
    for (batch, after) in [(0, false), (0, true), (1, false), (1, true), (2, true), (3, false), (3, true)] {
        let store = store();
        let path = lines(&store, "file.csv", &rows);
        let fragile = Fragile { store: &store, left: AtomicU64::new(batch), after };
        let stopped = run(&fragile, &path, &options);
        assert!(
            matches!(stopped, Err(ImportError::Store(StoreError::DiskFull))),
            "{batch} {after}: {stopped:?}"
        );
        let second = run(&*store, &path, &options).unwrap();
        assert!(content(&store) == wanted, "{batch} {after}");
        assert_eq!(rejected(&path), listed, "{batch} {after}");
        assert_eq!(second.counts.rejected, 50);
        let first_row_again = batch == 0 || (batch == 1 && !after);
        assert_eq!(second.resumed_rows > 0 || second.repeated, !first_row_again, "{batch} {after}");
    }
}

/// What a file of lines should come to, worked out the slow way, for orders without cancellations.
fn slowly(rows: &[(u8, u8, u8, i64, i64)]) -> Vec<String> {
    let mut orders: BTreeMap<u8, (u8, i64, Vec<String>, i64)> = BTreeMap::new();
    for (order, minute, product, quantity, price) in rows {
        let entry = orders.entry(*order).or_insert((0, 0, Vec::new(), 0));
        entry.0 = entry.0.max(*minute);
        entry.1 += quantity * price;
        entry.2.push(format!("P{product}x{quantity}@{price}"));
    }
    let mut content: Vec<String> = orders
        .into_iter()
        .map(|(order, (minute, total, mut lines, _))| {
            lines.sort();
            format!(
                "order {order} Some(\"c{}\") 2024-01-01T10:{minute:02}:00Z {total} 0 true {lines:?}",
                order % 3
            )
        })
        .collect();
    content.sort();
    content
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The order of rows, and how they are dealt out over files and packings, does not change what orders come to.
    #[test]
    fn orders_are_what_their_lines_come_to(
        rows in prop::collection::vec((0_u8..12, 0_u8..60, 0_u8..6, 1_i64..5, 1_i64..50), 1..80),
        packed in any::<bool>(),
    ) {
        let store = store();
        let mut text = LINES.to_owned();
        for (order, minute, product, quantity, price) in &rows {
            text += &format!("{order},c{},2024-01-01 10:{minute:02}:00,P{product},,{quantity},{price}\n", order % 3);
        }
        let bytes = if packed { zstd::encode_all(text.as_bytes(), 1).unwrap() } else { text.into_bytes() };
        let path = file(&store, "file", &bytes);
        run(&*store, &path, &Options { free_lines: FreeLines::LeaveOut, ..Options::new(Kind::Orders) }).unwrap();
        let orders: Vec<String> = content(&store).into_iter().filter(|line| line.starts_with("order")).collect();
        prop_assert_eq!(orders, slowly(&rows));
    }
}
