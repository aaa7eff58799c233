//! What breaks, and where: a hook for the named points of `storage::fault`.
//!
//! A *crash* ends the process: everything that lives is dropped and the file is opened again. An *error* is one change of
//! the base that is undone and whose caller is told so; the engine lives on with what it has in memory.

use std::{
    panic::resume_unwind,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use model::Dice;
use storage::fault::Hook;
use tokio::sync::Notify;

/// What unwinds from a point that breaks.
pub struct Broken;

/// Most failures between two steps of a story, so that it comes to its end.
const MOST: u32 = 3;

/// The failures of one story.
pub struct Faults {
    inner: Mutex<Inner>,
    crashed: AtomicBool,
    /// Told of a crash.
    pub told: Notify,
}

struct Inner {
    dice: Dice,
    /// One in so many points breaks; 0: none does.
    one_in: u64,
    left: u32,
    happened: Vec<String>,
    count: u64,
}

impl Faults {
    /// Failures that these dice choose; none until they are armed.
    #[must_use]
    pub fn new(dice: Dice) -> Arc<Self> {
        let inner = Inner { dice, one_in: 0, left: MOST, happened: Vec::new(), count: 0 };
        Arc::new(Self { inner: Mutex::new(inner), crashed: AtomicBool::new(false), told: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on one in so many points breaks, up to a few; 0: none does.
    pub fn arm(&self, one_in: u64) {
        let mut inner = self.lock();
        (inner.one_in, inner.left) = (one_in, MOST);
    }

    /// Whether the process is to be regarded as dead.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }

    /// The process begins anew.
    pub fn reborn(&self) {
        self.crashed.store(false, Ordering::SeqCst);
    }

    /// What broke since this was asked last.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().happened)
    }

    /// How many failures there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.lock().count
    }

    /// What is called at each point.
    #[must_use]
    pub fn hook(self: &Arc<Self>) -> Hook {
        let faults = Arc::clone(self);
        Arc::new(move |name| faults.pass(name))
    }

    fn pass(&self, name: &'static str) {
        let crash = {
            let mut inner = self.lock();
            if inner.one_in == 0 || inner.left == 0 || self.has_crashed() {
                return;
            }
            let one_in = inner.one_in;
            if inner.dice.below(one_in) != 0 {
                return;
            }
            inner.left -= 1;
            inner.count += 1;
            // Only in the middle of a change there is somebody who can be told of an error.
            let is_change =
                matches!(name, "sqlite.in_change" | "step.in_transaction" | "import.before_commit");
            let crash = !is_change || inner.dice.below(2) == 0;
            inner.happened.push(format!("{} at {name}", if crash { "crash" } else { "error" }));
            crash
        };
        if crash {
            self.crashed.store(true, Ordering::SeqCst);
            self.told.notify_waiters();
            self.told.notify_one();
        }
        // Unwinds without the words of a panic.
        resume_unwind(Box::new(Broken));
    }
}
