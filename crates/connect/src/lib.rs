//! Where data comes from: files for now (CSV, JSON Lines, Parquet), read in batches, checked row by row, and handed to
//! the storage with a checkpoint. See [`run`] for the way through.

pub mod carts;
pub mod contacts;
pub mod csv;
pub mod events;
mod items;
pub mod jsonl;
pub mod mapping;
pub mod options;
pub mod orders;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod prepare;
pub mod products;
pub mod push;
pub mod rejects;
pub mod row;
pub mod rows;
pub mod run;
pub mod seen;
pub mod segment_http;
pub mod source;
pub mod survey;
pub mod values;

pub use mapping::{Kind, Mapping};
pub use options::Options;
pub use run::{Progress, Report, Sink, import};
