//! One workspace in one SQLite file: WAL, one writer thread with group commit, readers in parallel.

mod access;
mod audit;
mod browse;
mod bulk;
mod caches;
mod catalogue;
mod consents;
mod contacts;
mod coupons;
mod desk;
mod events;
mod hooks;
mod imports;
mod jobs;
mod journeys;
mod live;
mod lives;
mod migrations;
mod orders;
mod outbox;
mod people;
mod pool;
mod post;
mod refused;
mod relations;
mod rfm;
mod rows;
mod segment_scans;
mod segments;
mod sessions;
mod settings;
mod upkeep;
mod users;
mod writer;

pub use bulk::BulkChunk;
pub use pool::{Options, Sqlite};
