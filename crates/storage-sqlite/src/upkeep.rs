//! See `storage::upkeep`.

use std::{fs::File, path::PathBuf};

use storage::{
    Result, StoreError,
    upkeep::{Health, UpkeepStore},
};

use crate::{Sqlite, pool::driver};

/// Most faults that are told.
const FAULTS_MAX: usize = 20;

impl UpkeepStore for Sqlite {
    /// `VACUUM INTO`: one snapshot for the whole copy, writers go on, and free pages are left behind.
    async fn copy_to(&self, file: PathBuf) -> Result<()> {
        let source = self.path().to_path_buf();
        tokio::task::spawn_blocking(move || {
            let text = file.to_str().ok_or_else(|| {
                StoreError::Unusable(format!("the name of {} is not UTF-8", file.display()))
            })?;
            // A connection of its own: readers are `query_only`, and a copy may take minutes.
            let connection = rusqlite::Connection::open(&source).map_err(driver)?;
            connection.busy_timeout(std::time::Duration::from_secs(30)).map_err(driver)?;
            connection.execute("VACUUM INTO ?1", [text]).map_err(driver)?;
            let sync = File::open(&file).and_then(|copy| copy.sync_all());
            sync.map_err(|error| StoreError::Driver(error.to_string()))
        })
        .await
        .map_err(|error| StoreError::Driver(format!("the copy has failed: {error}")))?
    }

    async fn health(&self) -> Result<Health> {
        let path = self.path().to_path_buf();
        self.read(move |connection| {
            let schema: u32 =
                connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(driver)?;
            let mut check =
                connection.prepare(&format!("PRAGMA quick_check({FAULTS_MAX})")).map_err(driver)?;
            let lines = check.query_map([], |row| row.get::<_, String>(0)).map_err(driver)?;
            let mut faults = lines.collect::<rusqlite::Result<Vec<_>>>().map_err(driver)?;
            faults.retain(|line| line != "ok");
            let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
            Ok(Health { schema, bytes, faults })
        })
        .await
    }
}
