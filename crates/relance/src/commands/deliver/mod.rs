//! `relance deliver`: hands over what waits in the outbox, until nothing is due.

mod key;
mod options;
mod report;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::ValueEnum;
use delivery::{Delivery, Progress, Summary, Transport};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Period, Problem, Timestamp};
use storage::outbox::{MessageFilter, MessageState, OutboxStore};
use storage_sqlite::Sqlite;

use crate::context::{Common, Failure};

pub(super) use key::{load_keys, lock};
pub(super) use options::{Post, Ready, Way};

/// States of messages that can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Listed {
    All,
    Waiting,
    Claimed,
    HandingOver,
    Sent,
    Failed,
    Skipped,
    Uncertain,
}

/// Options of `relance deliver`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    post: Post,
    /// Go on as long as something becomes due within this time, as in PT1H
    #[arg(long, value_name = "PERIOD")]
    wait: Option<String>,
    /// First make all failed messages wait again
    #[arg(long)]
    retry_failed: bool,
    /// First make all uncertain messages wait again: some of them may arrive twice
    #[arg(long)]
    retry_uncertain: bool,
    /// Deliver nothing: list the messages of a state with the reason, oldest first
    #[arg(long, value_enum, value_name = "STATE")]
    list: Option<Listed>,
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let store = common.open()?;
    if let Some(state) = args.list {
        let state = MessageState::ALL
            .into_iter()
            .find(|known| state.to_possible_value().is_some_and(|value| value.get_name() == known.word()));
        report::list(&store, state, common.format).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(way) = args.post.way(&store, common).await? else {
        return Err(options::missing(
            "--transport",
            "it is not said where mails go",
            "--smtp URL or --capture FOLDER",
        ));
    };
    match way.transport {
        Way::Server(transport) => deliver(&store, &transport, &way.delivery, args, common).await,
        Way::Folder(transport) => {
            let code = deliver(&store, &transport, &way.delivery, args, common).await?;
            eprintln!("open {}", transport.index().display());
            Ok(code)
        }
    }
}

/// Settles what a dead worker left, delivers, says what came of it.
async fn deliver<T: Transport>(
    store: &Sqlite,
    transport: &Arc<T>,
    delivery: &Delivery,
    args: &Args,
    common: &Common,
) -> Result<ExitCode, Failure> {
    let alone = lock(store.path(), "deliver")?;
    let mut summary = Summary::default();
    let mut lost = 0;
    if alone.is_some() {
        // Nobody else delivers from this base: whoever holds claims is dead.
        let settled = store.settle_claims(Timestamp::MAX).await?;
        lost = settled.uncertain;
        if settled.waiting + settled.uncertain > 0 {
            eprintln!(
                "an earlier run broke off: {} messages wait again, {} are uncertain and not repeated",
                settled.waiting, settled.uncertain
            );
        }
    } else {
        eprintln!("another `relance deliver` works on this database; this one works beside it");
    }
    let now = delivery.clock.now();
    for (wanted, state) in
        [(args.retry_failed, MessageState::Failed), (args.retry_uncertain, MessageState::Uncertain)]
    {
        if wanted {
            let filter = MessageFilter { state: Some(state), ..MessageFilter::default() };
            let count = store.retry_messages(filter, now).await?;
            eprintln!("{count} {} messages wait again", state.word());
        }
    }
    stop_on_interrupt(&delivery.stop);
    let wait =
        args.wait.as_deref().map(Period::parse).transpose().map_err(|problem| problem.field("--wait"))?;
    loop {
        summary.add(with_progress(store, transport, delivery).await?);
        if summary.stopped.is_some() || delivery.stop.load(Ordering::Relaxed) {
            break;
        }
        // A clock that stands still brings no message nearer.
        let Some(wait) = wait.filter(|_| common.at.is_none()) else { break };
        let Some((due, _)) = store.next_due().await? else { break };
        let until = due.since(delivery.clock.now());
        if until > wait.micros {
            break;
        }
        pause(&delivery.stop, until).await;
    }
    report::summary(&summary, common.format)?;
    closing_words(store, delivery, &summary).await?;
    let interrupted = delivery.stop.load(Ordering::Relaxed);
    let bad = [MessageState::Failed, MessageState::Waiting, MessageState::Uncertain];
    let well = summary.stopped.is_none() && !interrupted && lost == 0;
    Ok(if well && bad.iter().all(|state| summary.count(*state) == 0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Sleeps so many microseconds, or until somebody wants it to stop.
async fn pause(stop: &AtomicBool, micros: i64) {
    let mut left = micros.max(0) as u64 + 1_000;
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let step = left.min(100_000);
        tokio::time::sleep(Duration::from_micros(step)).await;
        left -= step;
    }
}

/// Ctrl-C lets what is on its way finish and gives the rest back; a second one ends the program.
fn stop_on_interrupt(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("stopping: messages on their way are finished, the others stay in the outbox");
            stop.store(true, Ordering::Relaxed);
            if tokio::signal::ctrl_c().await.is_ok() {
                std::process::exit(130);
            }
        }
    });
}

/// Delivers once, with a bar on standard error.
pub(super) async fn with_progress<T: Transport>(
    store: &Sqlite,
    transport: &Arc<T>,
    delivery: &Delivery,
) -> Result<Summary, Failure> {
    let bar = ProgressBar::new(0);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} messages, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let progress = move |progress: Progress| {
        shown.set_length(progress.total.max(progress.done));
        shown.set_position(progress.done);
    };
    let summary = delivery::worker::run(store, transport, delivery, progress).await;
    bar.finish_and_clear();
    Ok(summary?)
}

/// What to do next.
async fn closing_words(store: &Sqlite, delivery: &Delivery, summary: &Summary) -> Result<(), Failure> {
    if let Some((reason, detail)) = &summary.stopped {
        let problem = Problem::new("delivery.stopped", format!("delivery stopped ({reason}): {detail}"))
            .cure("no message is lost: mend the cause and run the command again");
        eprintln!("{problem}");
    }
    if summary.count(MessageState::Failed) > 0 {
        eprintln!("see `relance deliver --list failed`; --retry-failed makes them wait again");
    }
    if summary.count(MessageState::Uncertain) > 0 {
        eprintln!(
            "uncertain: the server took the mail without saying so, or the program died meanwhile; such mails are not \
             repeated"
        );
    }
    if let Some((due, waiting)) = store.next_due().await? {
        let at = if due > delivery.clock.now() { format!(", the next from {due}") } else { String::new() };
        eprintln!("{waiting} messages wait in the outbox{at}; run the command again, or give --wait PERIOD");
    }
    Ok(())
}
