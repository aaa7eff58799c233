//! The write-ahead log is moved into the file beside the work: by a thread of its own while changes go on, so that nobody
//! waits for the writing of a large log. What was appended meanwhile, which is little, the writer then moves itself between
//! two changes: only a log that was moved whole begins again at its start, and one that never did would grow without end.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use rusqlite::Connection;
use storage::{Result, StoreError};

use crate::pool::driver;

/// Size of the log, in pages of 4 KiB, at which it is moved into the file: a greater log spares writing the same page again
/// and again while much is written, and costs disk space and a longer opening after a crash.
pub(crate) const PAGES: u32 = 65_536;
/// So many times that size the writer moves it itself, whatever the thread is doing: a disk that is slower than its shop.
const TIMES_MAX: u32 = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The log is small enough.
    #[default]
    Waits,
    /// The thread moves it.
    Moves,
    /// The thread has moved what was there when it began.
    Moved,
    /// The thread is to end.
    Ends,
}

#[derive(Default)]
struct Shared {
    phase: Mutex<Phase>,
    wake: Condvar,
    /// Pages in the log after the last commit.
    pages: AtomicU32,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: moves the log whenever it is told to.
    fn serve(&self, connection: &Connection) {
        loop {
            let mut phase = self.lock();
            while matches!(*phase, Phase::Waits | Phase::Moved) {
                phase = self.wake.wait(phase).unwrap_or_else(PoisonError::into_inner);
            }
            if *phase == Phase::Ends {
                return;
            }
            drop(phase);
            // Where it fails (a full disk), the writer tries the same, and tells.
            drop(move_log(connection));
            let mut phase = self.lock();
            if *phase == Phase::Moves {
                *phase = Phase::Moved;
            }
        }
    }
}

fn move_log(connection: &Connection) -> Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(driver)
}

/// The log of one open file, as its writer sees it.
pub(crate) struct Log {
    most: u32,
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Log {
    /// Takes over from SQLite's own moving, which makes the writer wait. `connection` is the thread's; nothing else may
    /// use it. `most` is the size at which the log is moved, in pages.
    pub(crate) fn keep(writer: &mut Connection, connection: Connection, most: u32) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        writer
            .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
                told.pages.store(pages.unsigned_abs(), Ordering::Relaxed);
                Ok(())
            }))
            .map_err(driver)?;
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("sqlite-log".into())
            .spawn(move || own.serve(&connection))
            .map_err(|error| StoreError::Driver(error.to_string()))?;
        Ok(Self { most, shared, thread: Some(thread) })
    }

    /// After a commit of the writer, outside of any transaction.
    pub(crate) fn after_commit(&self, writer: &Connection) {
        let pages = self.shared.pages.load(Ordering::Relaxed);
        if pages < self.most {
            return;
        }
        let mut phase = self.shared.lock();
        match *phase {
            Phase::Waits => {
                *phase = Phase::Moves;
                self.shared.wake.notify_one();
            }
            Phase::Moves if pages < TIMES_MAX * self.most => {}
            Phase::Moves | Phase::Moved => {
                if *phase == Phase::Moved {
                    *phase = Phase::Waits;
                }
                drop(phase);
                // Where it fails, the next commit says why: nothing of what is in the log is lost.
                drop(move_log(writer));
            }
            Phase::Ends => {}
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        *self.shared.lock() = Phase::Ends;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 50;

    /// Commits pages, and answers how large the log became.
    fn work(writer: &Connection, log: &Log, commits: u32) -> u32 {
        let mut largest = 0;
        for _ in 0..commits {
            writer.execute("INSERT INTO t VALUES (randomblob(3000))", []).unwrap();
            largest = largest.max(log.shared.pages.load(Ordering::Relaxed));
            log.after_commit(writer);
        }
        largest
    }

    #[test]
    fn a_log_stays_small_while_work_goes_on_and_after_a_long_look() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("base.db")).unwrap();
        let mut writer = open();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (b BLOB)").unwrap();
        let log = Log::keep(&mut writer, open(), MOST).unwrap();
        // A commit brings some pages of its own.
        let bound = TIMES_MAX * MOST + 20;
        assert!(work(&writer, &log, 2_000) < bound);
        // Who looks at an earlier moment keeps the log from beginning again, and nothing more.
        let reader = open();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        assert!(work(&writer, &log, 500) > 500);
        let before: i64 = reader.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        reader.execute_batch("COMMIT").unwrap();
        work(&writer, &log, TIMES_MAX * MOST);
        assert!(work(&writer, &log, 2_000) < bound);
        drop(log);
        let all: i64 = reader.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!((before, all), (2_000, 4_500 + i64::from(TIMES_MAX * MOST)));
    }
}
