//! Named points at which a test can break the process: `RELANCE_CRASH_AT=campaign.before_commit` or, to break at the
//! third passage, `campaign.before_commit:3`. The process is aborted there: no destructor runs, nothing is flushed.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

struct Plan {
    point: String,
    passages_left: AtomicU64,
}

static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

fn plan() -> Option<&'static Plan> {
    PLAN.get_or_init(|| {
        let text = std::env::var("RELANCE_CRASH_AT").ok()?;
        let (point, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Plan { point: point.to_owned(), passages_left: AtomicU64::new(count.parse().unwrap_or(1)) })
    })
    .as_ref()
}

/// A point at which a test may break the process. Costs one load when no test does.
pub fn point(name: &str) {
    let Some(plan) = plan() else { return };
    if plan.point == name && plan.passages_left.fetch_sub(1, Ordering::SeqCst) == 1 {
        std::process::abort();
    }
}
