//! Tracking: Segment's HTTP protocol.

use std::{marker::PhantomData, sync::Arc};

use model::Clock;
use storage::Storage;
use tokio::sync::Notify;

use crate::section::Section;

/// What tracking is told at the start.
#[derive(Clone, Debug, Default)]
pub struct Config {}

/// What tracking keeps in memory.
pub struct State<S> {
    _store: PhantomData<S>,
}

impl<S: Storage> State<S> {
    /// At the start.
    #[must_use]
    pub fn new(_store: &S, _clock: &Arc<dyn Clock>, _engine_bell: &Arc<Notify>, _config: &Config) -> Self {
        Self { _store: PhantomData }
    }
}

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    Section::new("tracking")
}
