//! `relance work`: the living engine over the database, until it is told to stop or nothing is due.

use std::{process::ExitCode, sync::Arc, time::Duration};

use engine::live::work::{Engine, Worked};
use model::Timestamp;
use tokio::sync::Notify;

use crate::context::{Common, Failure};

/// How often the database is looked at for what other commands have put there, in milliseconds.
const LOOK: u64 = 1_000;

/// Options of `relance work`.
#[derive(clap::Args)]
pub struct Args {
    /// Stop when nothing is due (with --at: at that instant)
    #[arg(long)]
    until_idle: bool,
    /// With --at: go on under a virtual clock until this instant, each thing at its time, as in 2026-12-31T00:00:00Z
    #[arg(long, value_name = "INSTANT", requires = "until_idle")]
    until: Option<String>,
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let store = common.open()?;
    let clock = common.clock()?;
    let now = clock.now();
    let mut engine = Engine::open(store, now).await?;
    let book = &engine.ground().book;
    eprintln!("{} versions of journeys are at work", book.journeys.len());
    for broken in &book.broken {
        let why: Vec<String> = broken.problems.iter().map(ToString::to_string).collect();
        eprintln!("journey {}: its contacts wait, because {}", broken.record.journey, why.join("; "));
    }
    if !args.until_idle {
        let stop = Arc::new(Notify::new());
        let (stopped, knock) = (Arc::clone(&stop), engine.knocker());
        let listening = tokio::spawn(async move {
            // An error means that there is no such signal here: then the process is killed, which loses nothing.
            drop(tokio::signal::ctrl_c().await);
            stopped.notify_one();
        });
        // Other commands write into the same file: they cannot knock.
        let looking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(LOOK)).await;
                knock.notify_one();
            }
        });
        eprintln!("working; Ctrl-C stops");
        let result = engine.run(&*clock, &stop, &|worked| tell(worked)).await;
        listening.abort();
        looking.abort();
        result?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut all = engine.settle(now).await?;
    if let Some(until) = &args.until {
        let until = Timestamp::parse(until, &model::Zone::UTC).map_err(|problem| problem.field("--until"))?;
        let mut at = now;
        while let Some(due) = engine.next_due(at).await?.filter(|due| *due <= until) {
            at = at.max(due);
            all += engine.settle(at).await?;
        }
        all += engine.settle(until).await?;
    }
    tell(all);
    for warning in engine.take_low_stock() {
        eprintln!(
            "coupons of `{}` run low: {} left; add codes with relance coupon",
            warning.set, warning.left
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(worked: Worked) {
    let parts = [
        (worked.inputs, "inputs"),
        (worked.flips, "memberships changed by time"),
        (worked.alarms, "alarms"),
        (worked.waves, "contacts of waves"),
        (worked.jobs, "jobs"),
        (worked.steps, "steps"),
        (worked.messages, "messages decided"),
        (worked.dropped, "inputs dropped: too many caused each other"),
    ];
    let told: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    println!("{}", if told.is_empty() { "nothing was due".to_owned() } else { told.join(", ") });
}
