//! The writer thread. It takes waiting changes, the most urgent first, and commits several of them at once: one wait for
//! the disk serves them all. One that fails is undone alone. A caller hears of success only after the commit.

use std::{
    any::Any,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use storage::{Result, StoreError, Urgency};
use tokio::sync::oneshot;

use crate::{log::Log, pool::driver, recent::Mover};

/// Most changes that are joined into one transaction.
const GROUP_MAX: usize = 64;

/// How many groups of changes may go before a lesser one that waits: then it is its turn, so that a shop that is never
/// quiet still gets its segments built and its files read.
const PATIENCE: u32 = 64;

/// A change that waits, with its caller. It is run once, and its caller is told once.
pub(crate) trait Waiting: Send {
    /// Does the change; whether it went well is kept for the caller.
    fn run(&mut self, transaction: &Transaction<'_>) -> Result<()>;
    /// Tells the caller, after the commit or when there will be none.
    fn tell(self: Box<Self>, committed: Result<()>);
}

/// A change of one type.
pub(crate) struct Task<T, F> {
    change: Option<F>,
    answer: Option<Result<T>>,
    caller: oneshot::Sender<Result<T>>,
}

impl<T, F> Task<T, F>
where
    T: Send + 'static,
    F: FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
{
    pub(crate) fn waiting(change: F, caller: oneshot::Sender<Result<T>>) -> Box<dyn Waiting> {
        Box::new(Self { change: Some(change), answer: None, caller })
    }
}

impl<T: Send, F> Waiting for Task<T, F>
where
    F: FnOnce(&Transaction<'_>) -> Result<T> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> Result<()> {
        let Some(change) = self.change.take() else { return Ok(()) };
        // A change that panics is undone like one that fails; the thread must live on for the others.
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let answer = change(transaction);
            storage::fault::point("sqlite.in_change");
            answer
        }))
        .unwrap_or_else(|panic| Err(StoreError::Driver(format!("a change has failed: {}", reason(&*panic)))));
        let outcome = answer.as_ref().map(|_| ()).map_err(Clone::clone);
        self.answer = Some(answer);
        outcome
    }

    fn tell(self: Box<Self>, committed: Result<()>) {
        let answer = match (committed, self.answer) {
            // Its own error says more than that of the commit.
            (_, Some(Err(error))) | (Err(error), _) => Err(error),
            (Ok(()), Some(Ok(answer))) => Ok(answer),
            (Ok(()), None) => Err(StoreError::Driver("the change was not run".into())),
        };
        // The caller may have gone; what was committed stays committed.
        drop(self.caller.send(answer));
    }
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic")
}

#[derive(Default)]
struct Lanes {
    waiting: [VecDeque<Box<dyn Waiting>>; Urgency::ALL.len()],
    closed: bool,
    /// Set when the thread is gone: nobody would ever do a change that is handed over.
    stopped: bool,
    /// Groups that went before lesser changes since the last of these went.
    passed_over: u32,
}

impl Lanes {
    fn take(&mut self, urgency: Urgency) -> Option<Box<dyn Waiting>> {
        self.waiting[urgency as usize].pop_front()
    }

    /// The most urgent change; the least urgent one when it was passed over too often.
    fn first(&mut self) -> Option<(Urgency, Box<dyn Waiting>)> {
        let mut waiting =
            Urgency::ALL.into_iter().filter(|urgency| !self.waiting[*urgency as usize].is_empty());
        let most = waiting.next()?;
        let least = waiting.next_back();
        let urgency = match least {
            Some(least) if self.passed_over >= PATIENCE => {
                self.passed_over = 0;
                least
            }
            Some(_) => {
                self.passed_over += 1;
                most
            }
            None => {
                self.passed_over = 0;
                most
            }
        };
        self.take(urgency).map(|task| (urgency, task))
    }
}

/// Changes that wait.
#[derive(Default)]
pub(crate) struct Queue {
    lanes: Mutex<Lanes>,
    wake: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a change over. Where the thread is gone it is dropped, which tells its caller.
    pub(crate) fn push(&self, urgency: Urgency, task: Box<dyn Waiting>) {
        let mut lanes = self.lock();
        if !lanes.stopped {
            lanes.waiting[urgency as usize].push_back(task);
            self.wake.notify_one();
        }
    }

    /// No more will come: the thread does what waits, and ends.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// The change to begin a group with, waiting for one; none when the queue is closed and empty.
    fn first(&self) -> Option<(Urgency, Box<dyn Waiting>)> {
        let mut lanes = self.lock();
        loop {
            if let Some(first) = lanes.first() {
                return Some(first);
            }
            if lanes.closed {
                return None;
            }
            lanes = self.wake.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What else goes into the transaction after a change of this urgency: only what is at least as urgent, so that a
    /// change never waits for a lesser one. Long ones go alone.
    fn next(&self, after: Urgency) -> Option<(Urgency, Box<dyn Waiting>)> {
        if goes_alone(after) {
            return None;
        }
        let mut lanes = self.lock();
        Urgency::ALL
            .into_iter()
            .take_while(|urgency| *urgency <= after)
            .find_map(|urgency| lanes.take(urgency).map(|task| (urgency, task)))
    }

    /// The thread: until the queue is closed and empty. When it ends in a panic, which no change can cause, everybody who
    /// waits is told, and everybody who comes later: a store that answers with errors is seen, one that is silent is not.
    pub(crate) fn serve(&self, mut connection: Connection, mut mover: Mover, log: Option<Log>) {
        let _stop = Stop(self);
        while let Some((urgency, first)) = self.first() {
            self.run_group(&mut connection, &mut mover, urgency, first);
            if let Some(log) = &log {
                log.after_commit(&connection);
            }
        }
        drop(log);
        // A failure here costs nothing: the log is read at the next opening.
        drop(connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);"));
    }

    /// Does a change, and with it what else may go into its transaction.
    pub(crate) fn run_group(
        &self,
        connection: &mut Connection,
        mover: &mut Mover,
        urgency: Urgency,
        first: Box<dyn Waiting>,
    ) {
        let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
            Ok(transaction) => transaction,
            Err(error) => return first.tell(Err(driver(error))),
        };
        let mut done: Vec<Box<dyn Waiting>> = Vec::new();
        let mut next = Some((urgency, first));
        while let Some((urgency, mut task)) = next.take() {
            let outcome = if done.is_empty() {
                run_first(&transaction, &mut *task)
            } else {
                run_in_savepoint(&transaction, &mut *task)
            };
            done.push(task);
            if let Err(error) = outcome {
                // A full or failing disk makes SQLite undo the whole transaction, and with it the others' work.
                drop(transaction);
                return tell(done, &Err(error));
            }
            if done.len() < GROUP_MAX {
                next = self.next(urgency);
            }
        }
        let moved = match mover.before_commit(&transaction) {
            Ok(moved) => moved,
            Err(error) => {
                drop(transaction);
                return tell(done, &Err(error));
            }
        };
        storage::fault::point("sqlite.before_commit");
        let committed = transaction.commit().map_err(driver);
        storage::fault::point("sqlite.after_commit");
        tell(done, &committed);
        if moved {
            // When it fails, a reader does it.
            drop(mover.after_commit(connection));
        }
    }
}

/// Tells who waits, when the thread ends.
struct Stop<'q>(&'q Queue);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        let waiting = {
            let mut lanes = self.0.lock();
            lanes.stopped = true;
            std::mem::take(&mut lanes.waiting)
        };
        // A caller whose change is dropped is told that the thread has stopped.
        drop(waiting);
    }
}

/// Whether a change of this urgency is long, and has a transaction to itself.
const fn goes_alone(urgency: Urgency) -> bool {
    matches!(urgency, Urgency::Rebuild | Urgency::Bulk)
}

fn tell(done: Vec<Box<dyn Waiting>>, committed: &Result<()>) {
    for task in done {
        task.tell(committed.clone());
    }
}

/// The first change of a transaction needs no savepoint: when it fails, the transaction is undone and nobody else loses
/// anything. A savepoint would be dear: SQLite keeps each page that it may have to bring back in a list, and walks that
/// list at the end of every statement, which costs half of a large change's time.
fn run_first(transaction: &Transaction<'_>, task: &mut dyn Waiting) -> Result<()> {
    let outcome = task.run(transaction);
    if transaction.is_autocommit() {
        return outcome.and(Err(StoreError::Driver("a change has ended the transaction".into())));
    }
    outcome
}

/// Fails when the transaction cannot go on; a change that fails by itself is undone, and its caller told later.
fn run_in_savepoint(transaction: &Transaction<'_>, task: &mut dyn Waiting) -> Result<()> {
    transaction.execute_batch("SAVEPOINT job").map_err(driver)?;
    let outcome = task.run(transaction);
    if transaction.is_autocommit() {
        return outcome.and(Err(StoreError::Driver("a change has ended the transaction".into())));
    }
    let end = if outcome.is_ok() { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    transaction.execute_batch(end).map_err(driver)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Waiting for Nothing {
        fn run(&mut self, _: &Transaction<'_>) -> Result<()> {
            Ok(())
        }

        fn tell(self: Box<Self>, _: Result<()>) {}
    }

    #[test]
    fn a_panic_outside_of_a_change_leaves_nobody_waiting() {
        let queue = Queue::default();
        let waiting = |urgency| {
            let (tell, told) = oneshot::channel::<Result<()>>();
            queue.push(urgency, Task::waiting(|_: &Transaction<'_>| Ok(()), tell));
            told
        };
        // A rebuild goes alone, so that the last two are not in the group that breaks.
        let before = [Urgency::Normal, Urgency::Rebuild, Urgency::Bulk].map(&waiting);
        let broken = catch_unwind(AssertUnwindSafe(|| {
            storage::fault::hook(Some(std::sync::Arc::new(|name| {
                if name == "sqlite.before_commit" {
                    std::panic::resume_unwind(Box::new("broken"));
                }
            })));
            let mut connection = Connection::open_in_memory().unwrap();
            crate::migrations::run(&mut connection).unwrap();
            let mover = Mover::new(&connection, std::sync::Arc::default(), 1).unwrap();
            queue.serve(connection, mover, None);
        }));
        storage::fault::hook(None);
        assert!(broken.is_err(), "the thread ends");
        for told in before.into_iter().chain([waiting(Urgency::Urgent)]) {
            assert!(told.blocking_recv().is_err(), "told that nothing will come");
        }
    }

    #[test]
    fn the_least_urgent_has_its_turn_in_a_shop_that_is_never_quiet() {
        let mut lanes = Lanes::default();
        let mut push = |urgency: Urgency| lanes.waiting[urgency as usize].push_back(Box::new(Nothing));
        for _ in 0..3 * PATIENCE {
            push(Urgency::Urgent);
        }
        push(Urgency::Bulk);
        push(Urgency::Rebuild);
        let order: Vec<Urgency> = std::iter::from_fn(|| lanes.first().map(|(urgency, _)| urgency)).collect();
        let places = |wanted| {
            order.iter().enumerate().filter(move |(_, urgency)| **urgency == wanted).map(|(place, _)| place)
        };
        let patience = PATIENCE as usize;
        assert_eq!(places(Urgency::Bulk).collect::<Vec<_>>(), [patience]);
        assert_eq!(places(Urgency::Rebuild).collect::<Vec<_>>(), [2 * patience + 1]);
        assert_eq!(order.len(), 3 * patience + 2);
    }
}
