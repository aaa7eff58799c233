//! Connections: one writer thread that joins waiting writes into one transaction, and a few readers.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Transaction};
use storage::{Result, StoreError, Urgency};
use tokio::sync::{Semaphore, oneshot};

/// How to open a database.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Readers that may run at the same time.
    pub readers: usize,
    /// How long to wait for a lock that another process holds.
    pub busy_timeout: Duration,
    /// Page cache per connection, in KiB.
    pub cache_kib: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 4, busy_timeout: Duration::from_secs(5), cache_kib: 64 * 1024 }
    }
}

/// Most writes that are joined into one physical transaction.
const GROUP_MAX: usize = 64;

type Job = Box<dyn FnOnce(&Transaction<'_>) -> Done + Send>;
/// Tells the caller after the commit, with the commit's own error if it failed.
type Done = Box<dyn FnOnce(std::result::Result<(), StoreError>) + Send>;

/// A workspace in a SQLite file. Clones share the file.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    options: Options,
    writers: [mpsc::Sender<Job>; 3],
    wake: mpsc::Sender<()>,
    idle_readers: Mutex<Vec<Connection>>,
    reader_permits: Arc<Semaphore>,
}

impl Sqlite {
    /// Opens the file, makes it when it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when it is no Relance database or comes from a newer version, [`StoreError::Locked`],
    /// [`StoreError::DiskFull`], or what the driver says.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let mut writer = connect(&path, &options)?;
        crate::migrations::run(&mut writer)?;
        let (urgent, urgent_jobs) = mpsc::channel();
        let (normal, normal_jobs) = mpsc::channel();
        let (bulk, bulk_jobs) = mpsc::channel();
        let (wake, woken) = mpsc::channel();
        let queues = [urgent_jobs, normal_jobs, bulk_jobs];
        thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || write_loop(writer, &queues, &woken))
            .map_err(|error| StoreError::Driver(error.to_string()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                path,
                options,
                writers: [urgent, normal, bulk],
                wake,
                idle_readers: Mutex::new(Vec::new()),
                reader_permits: Arc::new(Semaphore::new(options.readers)),
            }),
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs a query on a reader, off the async threads.
    ///
    /// # Errors
    /// What the query says.
    pub async fn read<T, F>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let permit = Arc::clone(&inner.reader_permits)
            .acquire_owned()
            .await
            .map_err(|error| StoreError::Driver(error.to_string()))?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = inner.idle_readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => connect(&inner.path, &inner.options)?,
            };
            let answer = query(&connection);
            inner.idle_readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(connection);
            answer
        })
        .await
        .map_err(|error| StoreError::Driver(error.to_string()))?
    }

    /// Runs a change on the writer. It is committed, and on disk, when this returns; on an error nothing of it remains.
    ///
    /// # Errors
    /// What the change says, or why the commit failed.
    pub async fn write<T, F>(&self, urgency: Urgency, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let answer = in_savepoint(transaction, change);
            Box::new(move |committed| {
                // The caller may have gone; what was committed stays committed.
                drop(tell.send(committed.and(answer)));
            })
        });
        let gone = || StoreError::Driver("the writer thread has stopped".into());
        self.inner.writers[urgency as usize].send(job).map_err(|_| gone())?;
        self.inner.wake.send(()).map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }
}

fn in_savepoint<T>(
    transaction: &Transaction<'_>,
    change: impl FnOnce(&Transaction<'_>) -> Result<T>,
) -> Result<T> {
    transaction.execute_batch("SAVEPOINT job").map_err(driver)?;
    let answer = change(transaction);
    let end = if answer.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    transaction.execute_batch(end).map_err(driver)?;
    answer
}

fn write_loop(mut connection: Connection, queues: &[mpsc::Receiver<Job>; 3], woken: &mpsc::Receiver<()>) {
    while woken.recv().is_ok() {
        let mut group: Vec<Job> = Vec::new();
        // One wake-up was sent per job: the first is taken, the others are drained with their jobs.
        for queue in queues {
            while group.len() < GROUP_MAX
                && let Ok(job) = queue.try_recv()
            {
                group.push(job);
            }
            // A bulk job is long: it goes alone, so that an urgent one waits for one of them at most.
            if !group.is_empty() {
                break;
            }
        }
        for _ in 1..group.len() {
            let _ = woken.try_recv();
        }
        if !group.is_empty() {
            run_group(&mut connection, group);
        }
    }
}

fn run_group(connection: &mut Connection, group: Vec<Job>) {
    let transaction = match connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => {
            drop(group); // each caller learns that its answer never came
            tracing_line(&error);
            return;
        }
    };
    let done: Vec<Done> = group.into_iter().map(|job| job(&transaction)).collect();
    storage::fault::point("sqlite.before_commit");
    let committed = transaction.commit();
    storage::fault::point("sqlite.after_commit");
    for tell in done {
        tell(committed.as_ref().map(|_| ()).map_err(map));
    }
}

fn tracing_line(error: &rusqlite::Error) {
    eprintln!("database: {error}");
}

fn connect(path: &Path, options: &Options) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags).map_err(driver)?;
    connection.busy_timeout(options.busy_timeout).map_err(driver)?;
    connection.set_prepared_statement_cache_capacity(256);
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = OFF;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -{};
             PRAGMA mmap_size = 8589934592;
             PRAGMA journal_size_limit = 67108864;",
            options.cache_kib
        ))
        .map_err(driver)?;
    Ok(connection)
}

/// The driver's error in our terms.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub(crate) fn driver(error: rusqlite::Error) -> StoreError {
    map(&error)
}

fn map(error: &rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::DiskFull,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Unusable(format!("the file is not a usable database: {error}"))
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::Unusable(format!("the database file cannot be opened for writing: {error}"))
        }
        _ => StoreError::Driver(error.to_string()),
    }
}
