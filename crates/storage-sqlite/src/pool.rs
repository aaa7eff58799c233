//! Connections: one writer thread that joins waiting writes into one transaction, and a few readers.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, config::DbConfig};
use storage::{Result, StoreError, Urgency};
use tokio::sync::{Semaphore, oneshot};

use crate::{
    caches::Caches,
    log::{self, Log},
    recent::Mover,
    writer::{Queue, Task},
};

/// How to open a database.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Readers that may run at the same time.
    pub readers: usize,
    /// How long to wait for a lock that another process holds.
    pub busy_timeout: Duration,
    /// Page cache per connection, in KiB.
    pub cache_kib: u32,
    /// Whether changes and queries run on threads of their own. Off: on the thread that asks, each before the next, so that
    /// the same calls in the same order are the same story, and nobody waits for a thread to wake. For simulations.
    pub threads: bool,
    /// Events that are kept in the order of their arrival before they are moved into their contacts' histories together.
    /// More spare work in a large base, and cost memory: some 60 bytes each.
    pub recent_events: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 4,
            busy_timeout: Duration::from_secs(5),
            cache_kib: 64 * 1024,
            threads: true,
            recent_events: 131_072,
        }
    }
}

/// Prepared statements kept per connection.
const STATEMENTS: usize = 256;

/// A workspace in a SQLite file. Clones share the file; when the last one goes, waiting writes are done, the
/// write-ahead log is moved into the file, and the file is closed.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    path: PathBuf,
    options: Options,
    queue: Arc<Queue>,
    writer: Option<thread::JoinHandle<()>>,
    /// The writer's connection where it has no thread.
    here: Option<Mutex<(Connection, Mover)>>,
    idle_readers: Mutex<Vec<Connection>>,
    reader_permits: Arc<Semaphore>,
    caches: Arc<Caches>,
}

impl Sqlite {
    /// Opens the file, makes it when it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when it is no Relance database or comes from a newer version, [`StoreError::Locked`],
    /// [`StoreError::DiskFull`], or what the driver says.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let mut writer = connect_writer(&path, &options)?;
        crate::migrations::run(&mut writer)?;
        let queue = Arc::new(Queue::default());
        let caches = Arc::new(Caches::default());
        let mover = Mover::new(&writer, Arc::clone(&caches), options.recent_events)?;
        let (writer, here) = match options.threads {
            true => {
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let mover_of_log = connect(&path, &options, flags)?;
                let log = Log::keep(&mut writer, mover_of_log, log::PAGES)?;
                (Some(start(Arc::clone(&queue), writer, mover, log)?), None)
            }
            false => (None, Some(Mutex::new((writer, mover)))),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                options,
                queue,
                writer,
                here,
                idle_readers: Mutex::new(Vec::new()),
                reader_permits: Arc::new(Semaphore::new(options.readers.max(1))),
                caches,
            }),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    pub(crate) fn caches(&self) -> Arc<Caches> {
        Arc::clone(&self.inner.caches)
    }

    /// Runs a query on a reader, off the async threads. All that it reads is as of one moment.
    ///
    /// # Errors
    /// What the query says.
    pub async fn read<T, F>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        if self.inner.here.is_some() {
            return self.inner.with_reader(query);
        }
        let inner = Arc::clone(&self.inner);
        let permit = Arc::clone(&inner.reader_permits)
            .acquire_owned()
            .await
            .map_err(|error| StoreError::Driver(error.to_string()))?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            inner.with_reader(query)
        })
        .await
        .map_err(|error| StoreError::Driver(format!("a query has failed: {error}")))?
    }

    /// Runs a query on a reader, on this thread, beside the number of readers that [`Sqlite::read`] keeps to: for the
    /// helper threads of one query.
    pub(crate) fn read_here<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.inner.with_reader(query)
    }

    /// Rewrites the file without what was deleted, on a connection of its own: what waits on the writer waits.
    pub(crate) fn rewrite(&self) -> Result<()> {
        let connection = connect(&self.inner.path, &self.inner.options, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);").map_err(driver)
    }

    /// Runs a change on the writer. It is committed, and on disk, when this returns; on an error nothing of it remains.
    /// A change once handed over is done, even when its caller stops waiting.
    ///
    /// # Errors
    /// What the change says, or why the commit failed.
    pub async fn write<T, F>(&self, urgency: Urgency, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let task = Task::waiting(change, tell);
        match &self.inner.here {
            None => self.inner.queue.push(urgency, task),
            Some(writer) => {
                let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let (connection, mover) = &mut *writer;
                self.inner.queue.run_group(connection, mover, urgency, task);
            }
        }
        told.await.map_err(|_| StoreError::Driver("the writer thread has stopped".into()))?
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_reader<T>(&self, query: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect_reader(&self.path, &self.options)?,
        };
        // One read transaction: one snapshot for all queries in it, and no lock to take for each of them.
        let transaction =
            Transaction::new_unchecked(&connection, TransactionBehavior::Deferred).map_err(driver)?;
        let answer = query(&transaction);
        drop(transaction);
        let mut idle = self.idle();
        if idle.len() < self.options.readers {
            idle.push(connection);
        }
        answer
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.idle().clear();
        self.queue.close();
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != thread::current().id()
        {
            drop(writer.join());
        }
    }
}

/// Starts the writer's thread. It breaks where the thread that opens the base would.
fn start(queue: Arc<Queue>, writer: Connection, mover: Mover, log: Log) -> Result<thread::JoinHandle<()>> {
    let hook = storage::fault::hooked();
    let serve = move || {
        storage::fault::hook(hook);
        queue.serve(writer, mover, Some(log));
    };
    let thread = thread::Builder::new().name("sqlite-writer".into()).spawn(serve);
    thread.map_err(|error| StoreError::Driver(error.to_string()))
}

fn connect(path: &Path, options: &Options, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags).map_err(driver)?;
    connection.busy_timeout(options.busy_timeout).map_err(driver)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else a statement is planned anew whenever other values are put into it. There are no statistics to plan by.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(driver)?;
    connection
        .execute_batch(&format!(
            "PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{};",
            options.cache_kib
        ))
        .map_err(driver)?;
    Ok(connection)
}

fn connect_writer(path: &Path, options: &Options) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, options, flags)?;
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA secure_delete = FAST;
             PRAGMA wal_autocheckpoint = {};
             PRAGMA journal_size_limit = 268435456;",
            log::PAGES
        ))
        .map_err(driver)?;
    Ok(connection)
}

fn connect_reader(path: &Path, options: &Options) -> Result<Connection> {
    // Not opened read-only: the first reader of a log left by a crash must be able to recover it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, options, flags)?;
    connection.execute_batch("PRAGMA query_only = ON;").map_err(driver)?;
    Ok(connection)
}

/// The driver's error in our terms.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(crate) fn driver(error: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Unusable(format!("the file is not a usable database: {error}"))
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::Unusable(format!(
                "the database file cannot be opened for writing: {error} — check that its folder exists and that you may write there"
            ))
        }
        _ => StoreError::Driver(error.to_string()),
    }
}
