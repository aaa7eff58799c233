//! See `storage::imports`.

use storage::{
    Result, StoreError,
    imports::{Checkpoint, ImportBatch, ImportOutcome, ImportStore},
};

use crate::Sqlite;

impl ImportStore for Sqlite {
    async fn import(&self, _: ImportBatch) -> Result<ImportOutcome> {
        Err(StoreError::Driver("under construction".into()))
    }

    async fn load_checkpoint(&self, _: String) -> Result<Option<Checkpoint>> {
        Err(StoreError::Driver("under construction".into()))
    }

    async fn drop_checkpoint(&self, _: String) -> Result<()> {
        Err(StoreError::Driver("under construction".into()))
    }
}
