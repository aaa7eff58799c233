//! Named points at which a test can break the process: `RELANCE_CRASH_AT=campaign.before_commit` or, to break at the
//! third passage, `campaign.before_commit:3`. The process is aborted there: no destructor runs, nothing is flushed.
//!
//! A simulation breaks within its process instead: a [`Hook`] of its thread is called at each point and may unwind from
//! there. In the middle of a change the caller of the database sees an error; anywhere else the simulation drops what it
//! has and opens it again. Threads that a base starts for itself take over the hook of the thread that opened it.

use std::{
    cell::RefCell,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

struct Plan {
    point: String,
    passages_left: AtomicU64,
}

static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

/// Called at each point with its name; may unwind (`std::panic::resume_unwind`, which tells nobody) to break there.
pub type Hook = Arc<dyn Fn(&'static str) + Send + Sync>;

/// Whether any thread has a hook.
static HOOKED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Gives this thread a hook, or takes it away.
pub fn hook(hook: Option<Hook>) {
    if hook.is_some() {
        HOOKED.store(true, Ordering::Relaxed);
    }
    HOOK.set(hook);
}

/// The hook of this thread: for a thread that it starts.
#[must_use]
pub fn hooked() -> Option<Hook> {
    if !HOOKED.load(Ordering::Relaxed) {
        return None;
    }
    HOOK.with_borrow(Clone::clone)
}

fn plan() -> Option<&'static Plan> {
    PLAN.get_or_init(|| {
        let text = std::env::var("RELANCE_CRASH_AT").ok()?;
        let (point, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Plan { point: point.to_owned(), passages_left: AtomicU64::new(count.parse().unwrap_or(1)) })
    })
    .as_ref()
}

/// A point at which a test may break the process. Costs two loads when no test does.
pub fn point(name: &'static str) {
    if let Some(hook) = hooked() {
        hook(name);
    }
    let Some(plan) = plan() else { return };
    if plan.point == name && plan.passages_left.fetch_sub(1, Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_of_its_thread_and_of_those_that_take_it_over() {
        let passed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&passed);
        hook(Some(Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        })));
        point("here");
        let theirs = hooked();
        std::thread::spawn(|| point("elsewhere")).join().unwrap();
        std::thread::spawn(move || {
            hook(theirs);
            point("taken over");
        })
        .join()
        .unwrap();
        hook(None);
        point("here");
        assert_eq!(passed.load(Ordering::SeqCst), 2);
    }
}
