//! See `storage::relations`.

use model::Timestamp;
use rusqlite::OptionalExtension;
use storage::{
    Result, Urgency,
    relations::{RelationSet, RelationStore},
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{from_json, to_json},
};

/// Versions that are kept.
const KEPT: i64 = 2;

impl RelationStore for Sqlite {
    async fn load_relations(&self) -> Result<Option<RelationSet>> {
        self.read(|connection| {
            let row = connection
                .prepare_cached(
                    "SELECT version, trained_at, orders, last_order_at, settings, learned, together
                     FROM relations ORDER BY version DESC LIMIT 1",
                )
                .map_err(driver)?
                .query_row([], |row| {
                    let settings: String = row.get(4)?;
                    let set = RelationSet {
                        version: row.get::<_, i64>(0)?.cast_unsigned(),
                        trained_at: Timestamp(row.get(1)?),
                        orders: row.get::<_, i64>(2)?.cast_unsigned(),
                        last_order_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
                        settings: serde_json::Value::Null,
                        learned: row.get(5)?,
                        together: row.get(6)?,
                    };
                    Ok((set, settings))
                })
                .optional()
                .map_err(driver)?;
            row.map(|(set, settings)| {
                let settings = from_json("relations", set.version, &settings)?;
                Ok(RelationSet { settings, ..set })
            })
            .transpose()
        })
        .await
    }

    async fn relations_version(&self) -> Result<u64> {
        self.read(|connection| {
            let version: i64 = connection
                .prepare_cached("SELECT coalesce(max(version), 0) FROM relations")
                .map_err(driver)?
                .query_row([], |row| row.get(0))
                .map_err(driver)?;
            Ok(version.cast_unsigned())
        })
        .await
    }

    async fn save_relations(&self, set: RelationSet) -> Result<u64> {
        self.write(Urgency::Normal, move |transaction| {
            let version: i64 = transaction
                .query_row("SELECT coalesce(max(version), 0) + 1 FROM relations", [], |row| row.get(0))
                .map_err(driver)?;
            transaction
                .execute(
                    "INSERT INTO relations (version, trained_at, orders, last_order_at, settings, learned, together)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    (
                        version,
                        set.trained_at.0,
                        set.orders.cast_signed(),
                        set.last_order_at.map(|at| at.0),
                        to_json(&set.settings)?,
                        &set.learned,
                        &set.together,
                    ),
                )
                .map_err(driver)?;
            transaction.execute("DELETE FROM relations WHERE version <= ?1", [version - KEPT]).map_err(driver)?;
            Ok(version.cast_unsigned())
        })
        .await
    }
}
