//! The measurements of the README: each makes a synthetic base from a seed, measures one hot path, and reports one JSON
//! object. Yardsticks run beside it in the same run from `bench/compare/`.

pub mod campaign;
pub mod events;
pub mod import;
pub mod ingest;
mod living;
pub mod measure;
pub mod recommend;
pub mod render;
pub mod rfm;
pub mod segment;
pub mod simulate;
pub mod smtp;
pub mod steps;
pub mod synthetic;

use std::path::PathBuf;

pub use measure::{Report, Stopwatch};

/// What to measure.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// How much; each measurement has its own default.
    pub size: Option<u64>,
    /// Seed of the synthetic base.
    pub seed: u64,
    /// Folder in which a synthetic base is kept and found again.
    pub keep: Option<PathBuf>,
    /// `host:port` of the SMTP sink.
    pub smtp: Option<String>,
}
