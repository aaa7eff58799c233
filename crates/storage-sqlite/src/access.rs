//! See `storage::access`.

use model::Timestamp;
use rusqlite::{OptionalExtension, Row};
use storage::{
    Result, Urgency,
    access::{AccessStore, ApiKey, KeyScope},
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{blob, inconsistent},
};

impl AccessStore for Sqlite {
    async fn save_key(&self, key: ApiKey) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO api_keys (key_id, hash, scope, name, created_at, created_by, revoked_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (key_id) DO NOTHING",
                )
                .and_then(|mut insert| {
                    insert.execute((
                        &key.id,
                        &key.hash[..],
                        key.scope as u8,
                        &key.name,
                        key.created_at.0,
                        &key.created_by,
                        key.revoked_at.map(|at| at.0),
                    ))
                })
                .map_err(driver)?;
            Ok(())
        })
        .await
    }

    async fn load_key(&self, id: String) -> Result<Option<ApiKey>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT key_id, hash, scope, name, created_at, created_by, revoked_at FROM api_keys
                     WHERE key_id = ?1",
                )
                .map_err(driver)?;
            query.query_row([&id], |row| Ok(read_key(row))).optional().map_err(driver)?.transpose()
        })
        .await
    }

    async fn list_keys(&self) -> Result<Vec<ApiKey>> {
        self.read(|connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT key_id, hash, scope, name, created_at, created_by, revoked_at FROM api_keys
                     ORDER BY created_at, key_id",
                )
                .map_err(driver)?;
            let mut rows = query.query([]).map_err(driver)?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                keys.push(read_key(row)?);
            }
            Ok(keys)
        })
        .await
    }

    async fn revoke_key(&self, id: String, at: Timestamp) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| {
            let changed = transaction
                .prepare_cached(
                    "UPDATE api_keys SET revoked_at = ?2 WHERE key_id = ?1 AND revoked_at IS NULL",
                )
                .and_then(|mut update| update.execute((&id, at.0)))
                .map_err(driver)?;
            Ok(changed > 0)
        })
        .await
    }
}

fn read_key(row: &Row<'_>) -> Result<ApiKey> {
    let id: String = row.get(0).map_err(driver)?;
    let hash: [u8; 32] = blob(row, 1)
        .map_err(driver)?
        .try_into()
        .map_err(|_| inconsistent("api_keys", &id, "the hash is not 32 bytes long"))?;
    let scope: u8 = row.get(2).map_err(driver)?;
    let scope = KeyScope::from_number(scope)
        .ok_or_else(|| inconsistent("api_keys", &id, format!("no scope has the number {scope}")))?;
    Ok(ApiKey {
        id,
        hash,
        scope,
        name: row.get(3).map_err(driver)?,
        created_at: Timestamp(row.get(4).map_err(driver)?),
        created_by: row.get(5).map_err(driver)?,
        revoked_at: row.get::<_, Option<i64>>(6).map_err(driver)?.map(Timestamp),
    })
}
