//! Looking after a base: a copy while it is in use, and whether it is sound.

use std::{future::Future, path::PathBuf};

use crate::Result;

/// How a base is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Steps of the schema that it has.
    pub schema: u32,
    /// Bytes on the disk.
    pub bytes: u64,
    /// What is wrong with its structure, a sentence each; empty when it is sound.
    pub faults: Vec<String>,
}

/// Looking after a base.
pub trait UpkeepStore {
    /// Copies the base as it is at one moment into a new file, while others read and write. The copy is complete and on
    /// disk when this returns.
    fn copy_to(&self, file: PathBuf) -> impl Future<Output = Result<()>> + Send;
    /// Looks through the structure of the base; reads all of it.
    fn health(&self) -> impl Future<Output = Result<Health>> + Send;
}
