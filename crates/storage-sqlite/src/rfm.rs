//! See `storage::rfm`.

use model::{ContactId, RfmPlacement, Slug, Timestamp};
use roaring::RoaringTreemap;
use storage::{
    Result, StoreError,
    rfm::{
        GroupMove, LiveScore, ModelRecord, NewRun, RfmStore, RunCommit, RunLoad, RunRecord, RunTicket,
        Window, WindowSums,
    },
};

use crate::Sqlite;

fn todo<T>() -> Result<T> {
    Err(StoreError::Driver("under construction".into()))
}

impl RfmStore for Sqlite {
    async fn load_placements(&self, _: Vec<ContactId>) -> Result<Vec<Vec<RfmPlacement>>> {
        todo()
    }
    async fn contacts_in_groups(&self, _: String, _: Vec<String>) -> Result<RoaringTreemap> {
        todo()
    }
    async fn load_rfm_models(&self) -> Result<Vec<ModelRecord>> {
        todo()
    }
    async fn begin_rfm_run(&self, _: NewRun) -> Result<RunTicket> {
        todo()
    }
    async fn load_rfm_run(&self, _: RunTicket) -> Result<RunLoad> {
        todo()
    }
    async fn commit_rfm_run(&self, _: RunCommit) -> Result<Vec<ContactId>> {
        todo()
    }
    async fn load_window_sums(&self, _: Vec<ContactId>, _: Window) -> Result<Vec<WindowSums>> {
        todo()
    }
    async fn save_live_scores(&self, _: Vec<LiveScore>, _: Timestamp) -> Result<Vec<GroupMove>> {
        todo()
    }
    async fn load_rfm_state(&self, _: Slug) -> Result<RunLoad> {
        todo()
    }
    async fn load_rfm_groups(&self, _: Slug) -> Result<Vec<String>> {
        todo()
    }
    async fn load_rfm_runs(&self, _: Slug, _: usize) -> Result<Vec<RunRecord>> {
        todo()
    }
    async fn load_moves(&self, _: ContactId) -> Result<Vec<GroupMove>> {
        todo()
    }
}
