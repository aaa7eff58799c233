//! What tests share: databases that vanish, builders of small things, and the conformance tests that every backend
//! must pass.

pub mod conformance;
mod fixture;

pub use storage_sqlite::Sqlite;

pub use fixture::{at, cart, contact, dated, event, order, product};

use std::path::{Path, PathBuf};

use storage_sqlite::Options;
use tempfile::TempDir;

/// An empty database in a folder of its own, which goes when this goes.
pub struct Store {
    /// The database. Clone it freely; the folder must outlive the clones.
    pub db: Sqlite,
    folder: TempDir,
}

impl std::ops::Deref for Store {
    type Target = Sqlite;
    fn deref(&self) -> &Sqlite {
        &self.db
    }
}

impl Store {
    /// The folder, for other files of the test.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file, for a second opening or a command line (`sqlite:PATH`).
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.db.path().to_path_buf()
    }
}

/// An empty database.
///
/// # Panics
/// When the machine has no room for temporary files: a test can do nothing then.
#[must_use]
pub fn store() -> Store {
    store_with(Options::default())
}

/// An empty database without threads of its own: for tests in which time is paused, and goes on where nothing else does.
///
/// # Panics
/// As [`store`].
#[must_use]
pub fn store_without_threads() -> Store {
    store_with(Options { threads: false, ..Options::default() })
}

fn store_with(options: Options) -> Store {
    let folder = TempDir::new().expect("a temporary folder");
    let db = Sqlite::open(folder.path().join("relance.db"), options).expect("a new database");
    Store { db, folder }
}

/// Opens a database that another process may have left behind.
///
/// # Panics
/// When it cannot be opened.
#[must_use]
pub fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, Options::default()).expect("a database")
}

/// Runs a test's async part.
///
/// # Panics
/// When no runtime can be made: a test can do nothing then.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}
