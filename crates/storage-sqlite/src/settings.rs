//! See `storage::settings`.

use model::{Slug, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};
use storage::{
    Result, Urgency,
    audit::Deed,
    settings::{Definition, DefinitionKind, NewDefinition, SettingsStore},
};

use crate::{
    Sqlite, audit,
    pool::driver,
    rows::{from_json, inconsistent, text, to_json},
};

impl SettingsStore for Sqlite {
    async fn load_setting(&self, key: String) -> Result<Option<serde_json::Value>> {
        self.read(move |connection| load_setting(connection, &key)).await
    }

    async fn save_setting(&self, key: String, value: serde_json::Value) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| save_setting(transaction, &key, &value)).await
    }

    async fn replace_setting(
        &self,
        key: String,
        known: Option<serde_json::Value>,
        value: serde_json::Value,
        deed: Deed,
    ) -> Result<bool> {
        self.write(Urgency::Urgent, move |transaction| {
            if load_setting(transaction, &key)? != known {
                return Ok(false);
            }
            save_setting(transaction, &key, &value)?;
            audit::append(transaction, &deed)?;
            Ok(true)
        })
        .await
    }

    async fn load_definitions(&self, kind: DefinitionKind) -> Result<Vec<Definition>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT slug, version, created_at, hash, content FROM definitions AS d WHERE kind = ?1
                     AND version = (SELECT max(version) FROM definitions WHERE kind = d.kind AND slug = d.slug)
                     AND content <> 'null' ORDER BY slug",
                )
                .map_err(driver)?;
            let mut rows = statement.query([kind as u8]).map_err(driver)?;
            let mut definitions = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                definitions.push(read_definition(kind, row)?);
            }
            Ok(definitions)
        })
        .await
    }

    async fn load_retired(&self, kind: DefinitionKind) -> Result<Vec<(Slug, u32)>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT slug, version FROM definitions AS d WHERE kind = ?1 AND content = 'null'
                     AND version = (SELECT max(version) FROM definitions WHERE kind = d.kind AND slug = d.slug)
                     ORDER BY slug",
                )
                .map_err(driver)?;
            let mut rows = statement.query([kind as u8]).map_err(driver)?;
            let mut retired = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                let slug = text(row, 0).map_err(driver)?;
                let read = Slug::parse(slug);
                let slug = read.map_err(|problem| inconsistent("definitions", slug, problem.message))?;
                retired.push((slug, row.get(1).map_err(driver)?));
            }
            Ok(retired)
        })
        .await
    }

    async fn load_definition(
        &self,
        kind: DefinitionKind,
        slug: Slug,
        version: u32,
    ) -> Result<Option<Definition>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT slug, version, created_at, hash, content FROM definitions
                     WHERE kind = ?1 AND slug = ?2 AND version = ?3",
                )
                .map_err(driver)?;
            let mut rows = statement.query((kind as u8, slug.as_str(), version)).map_err(driver)?;
            rows.next().map_err(driver)?.map(|row| read_definition(kind, row)).transpose()
        })
        .await
    }

    async fn save_definitions(&self, definitions: Vec<NewDefinition>, now: Timestamp) -> Result<Vec<u32>> {
        self.write(Urgency::Urgent, move |transaction| save_definitions(transaction, &definitions, now)).await
    }
}

fn read_definition(kind: DefinitionKind, row: &Row<'_>) -> Result<Definition> {
    let slug = text(row, 0).map_err(driver)?;
    Ok(Definition {
        kind,
        slug: Slug::parse(slug).map_err(|problem| inconsistent("definitions", slug, problem.message))?,
        version: row.get(1).map_err(driver)?,
        created_at: Timestamp(row.get(2).map_err(driver)?),
        hash: row.get(3).map_err(driver)?,
        content: from_json("definitions", slug, text(row, 4).map_err(driver)?)?,
    })
}

/// A setting, as this connection sees it.
pub(crate) fn load_setting(connection: &Connection, key: &str) -> Result<Option<serde_json::Value>> {
    let mut statement =
        connection.prepare_cached("SELECT value FROM settings WHERE key = ?1").map_err(driver)?;
    let value: Option<String> = statement.query_row([key], |row| row.get(0)).optional().map_err(driver)?;
    value.map(|json| from_json("settings", key, &json)).transpose()
}

/// Sets a setting inside a transaction.
pub(crate) fn save_setting(connection: &Connection, key: &str, value: &serde_json::Value) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .map_err(driver)?
        .execute((key, to_json(value)?))
        .map_err(driver)?;
    Ok(())
}

/// The last version of a definition, and whether it says that the definition was taken back.
pub(crate) fn last_version(
    connection: &Connection,
    kind: DefinitionKind,
    slug: &Slug,
) -> Result<Option<(u32, bool)>> {
    connection
        .prepare_cached(
            "SELECT version, content = 'null' FROM definitions WHERE kind = ?1 AND slug = ?2
             ORDER BY version DESC LIMIT 1",
        )
        .and_then(|mut last| {
            last.query_row((kind as u8, slug.as_str()), |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(driver)
}

/// Whether a definition was taken back, and not saved again since.
pub(crate) fn is_retired(connection: &Connection, kind: DefinitionKind, slug: &Slug) -> Result<bool> {
    Ok(last_version(connection, kind, slug)?.is_some_and(|(_, gone)| gone))
}

/// The version that saving a definition would give it now.
pub(crate) fn next_version(connection: &Connection, new: &NewDefinition) -> Result<u32> {
    let content = to_json(&new.content)?;
    let hash: String = Sha256::digest(content.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let known: Option<(u32, String)> = connection
        .prepare_cached(
            "SELECT version, hash FROM definitions WHERE kind = ?1 AND slug = ?2 ORDER BY version DESC LIMIT 1",
        )
        .and_then(|mut last| {
            last.query_row((new.kind as u8, new.slug.as_str()), |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(driver)?;
    Ok(match known {
        Some((version, known)) if known == hash => version,
        known => known.map_or(0, |(version, _)| version) + 1,
    })
}

/// Saves definitions inside a transaction, for what belongs together with them. See
/// [`SettingsStore::save_definitions`].
pub(crate) fn save_definitions(
    connection: &Connection,
    definitions: &[NewDefinition],
    now: Timestamp,
) -> Result<Vec<u32>> {
    let mut last = connection
        .prepare_cached(
            "SELECT version, hash FROM definitions WHERE kind = ?1 AND slug = ?2 ORDER BY version DESC LIMIT 1",
        )
        .map_err(driver)?;
    let mut insert = connection
        .prepare_cached(
            "INSERT INTO definitions (kind, slug, version, created_at, hash, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .map_err(driver)?;
    let mut versions = Vec::with_capacity(definitions.len());
    for new in definitions {
        let content = to_json(&new.content)?;
        let hash: String =
            Sha256::digest(content.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let known: Option<(u32, String)> = last
            .query_row((new.kind as u8, new.slug.as_str()), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(driver)?;
        let version = match known {
            Some((version, known_hash)) if known_hash == hash => version,
            known => {
                let version = known.map_or(0, |(version, _)| version) + 1;
                insert
                    .execute((new.kind as u8, new.slug.as_str(), version, now.0, &hash, &content))
                    .map_err(driver)?;
                version
            }
        };
        versions.push(version);
    }
    Ok(versions)
}
