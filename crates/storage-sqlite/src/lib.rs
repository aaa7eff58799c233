//! One workspace in one SQLite file: WAL, one writer thread with group commit, readers in parallel.

mod bulk;
mod caches;
mod catalogue;
mod contacts;
mod coupons;
mod events;
mod imports;
mod journeys;
mod live;
mod lives;
mod migrations;
mod orders;
mod outbox;
mod pool;
mod relations;
mod rfm;
mod rows;
mod segment_scans;
mod segments;
mod settings;
mod writer;

pub use bulk::BulkChunk;
pub use pool::{Options, Sqlite};
