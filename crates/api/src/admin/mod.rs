//! The admin API, `/api/v1/…`: a folder per aggregate, a file per operation.

pub mod carts;
pub mod contacts;
pub mod coupons;
mod definitions;
pub mod fields;
pub mod jobs;
pub mod journeys;
pub mod lists;
mod live;
pub mod messages;
pub mod orders;
pub mod products;
pub mod recommendations;
pub mod rfm;
pub mod segments;
pub mod settings;
pub mod suppressions;
pub mod templates;
pub mod webhooks;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use storage::{Storage, jobs::JobProgress};
use tokio::sync::{Notify, Semaphore};

pub use live::tell_counts;

use crate::{operations, section::Section};

/// What the admin API is told at the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where files of jobs lie: what was sent to be imported, what was exported. Made when it is needed.
    pub folder: PathBuf,
    /// Largest file that is taken for an import, in bytes.
    pub upload_max: u64,
    /// A file arrives within so long, or is given up.
    pub upload_timeout: Duration,
    /// Jobs that are worked on at the same time.
    pub jobs_at_once: usize,
    /// Most listeners of `/api/v1/live` at the same time.
    pub listeners_max: usize,
    /// A listener hears a sign of life at least so often.
    pub heartbeat: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("relance-files"),
            upload_max: 1024 * 1024 * 1024,
            upload_timeout: Duration::from_secs(3_600),
            jobs_at_once: 1,
            listeners_max: 100,
            heartbeat: Duration::from_secs(15),
        }
    }
}

/// What the admin API keeps in memory.
#[derive(Debug)]
pub struct State {
    /// Wakes the workers of jobs.
    pub(crate) jobs_bell: Notify,
    /// How far running jobs are: fresher than what the base says.
    pub(crate) progress: Mutex<HashMap<i64, JobProgress>>,
    /// Rings for a job whose end was asked for.
    pub(crate) cancels: Mutex<HashMap<i64, Arc<Notify>>>,
    /// Places of listeners.
    pub(crate) listeners: Arc<Semaphore>,
    /// Makes pages of messages.
    pub(crate) pages: delivery::view::Viewer,
}

impl State {
    /// At the start.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            jobs_bell: Notify::new(),
            progress: Mutex::default(),
            cancels: Mutex::default(),
            listeners: Arc::new(Semaphore::new(config.listeners_max)),
            pages: delivery::view::Viewer::default(),
        }
    }
}

/// All operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("live"), S; live)
        .with(contacts::section())
        .with(fields::section())
        .with(lists::section())
        .with(segments::section())
        .with(products::section())
        .with(carts::section())
        .with(orders::section())
        .with(rfm::section())
        .with(coupons::section())
        .with(recommendations::section())
        .with(templates::section())
        .with(journeys::section())
        .with(messages::section())
        .with(suppressions::section())
        .with(jobs::section())
        .with(settings::section())
        .with(webhooks::section())
}
