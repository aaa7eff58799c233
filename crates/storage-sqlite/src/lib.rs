//! One workspace in one SQLite file: WAL, one writer thread with group commit, readers in parallel.

mod catalogue;
mod contacts;
mod events;
mod imports;
mod journeys;
mod migrations;
mod orders;
mod outbox;
mod pool;
mod rfm;
mod segments;
mod settings;

pub use pool::{Options, Sqlite};
