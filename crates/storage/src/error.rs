//! What can go wrong with a database, by who must act.

use model::Problem;

/// Why a verb failed. Nothing that was acknowledged before is lost by any of these.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full: make room, run again.
    #[error("the disk is full: make room and run the command again; what was acknowledged is kept")]
    DiskFull,
    /// Another process holds the database.
    #[error("the database is locked by another process: wait for it or stop it")]
    Locked,
    /// The file is no Relance database, or is damaged, or comes from a newer version.
    #[error("{0}")]
    Unusable(String),
    /// A row that we wrote does not read back: table, key and why.
    #[error("stored data is inconsistent in {table}, row {row}: {why}")]
    Inconsistent {
        /// Which table.
        table: &'static str,
        /// Which row.
        row: String,
        /// Why.
        why: String,
    },
    /// What was asked is refused, with what to do.
    #[error("{0}")]
    Refused(#[from] Problem),
    /// Anything else that the driver said.
    #[error("database: {0}")]
    Driver(String),
}

/// Of a verb.
pub type Result<T> = std::result::Result<T, StoreError>;
