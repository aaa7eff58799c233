//! `relance deliver`: hands over what waits in the outbox, until nothing is due.

mod key;
mod report;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::ValueEnum;
use delivery::{
    Capture, Channels, Delivery, Links, Mailbox, Progress, Sender, Smtp, SmtpConfig, Summary, Transport,
    Webhooks, pace::Retries,
};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Period, Problem, Timestamp, Zone};
use storage::{
    outbox::{MessageFilter, MessageState, OutboxStore},
    settings::SettingsStore,
};
use storage_sqlite::Sqlite;

use crate::context::{Common, Failure, SystemClock};

pub(super) use key::load_keys;

/// Where mails go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// To an SMTP server
    Smtp,
    /// Into a folder, for looking at
    Capture,
}

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
    /// Where mails go (default: what --smtp or --capture says)
    #[arg(long, value_enum)]
    transport: Option<Kind>,
    /// The SMTP server: smtp://USER:PASSWORD@HOST:PORT?tls=required (see docs/delivery.md)
    #[arg(long, env = "RELANCE_SMTP", hide_env_values = true, value_name = "URL")]
    smtp: Option<String>,
    /// The folder that messages are captured in; with --transport smtp text messages and push alone
    #[arg(long, value_name = "FOLDER")]
    capture: Option<PathBuf>,
    /// Show pictures of this address from a folder (as seen from the capture folder) in captured pages
    #[arg(long, value_name = "URL=FOLDER", requires = "capture")]
    capture_pictures: Option<String>,
    /// Who writes, as in "Shop <news@shop.example>"
    #[arg(long, env = "RELANCE_FROM", value_name = "MAILBOX")]
    from: Option<String>,
    /// Where answers go, if not to who writes
    #[arg(long, value_name = "MAILBOX")]
    reply_to: Option<String>,
    /// Where bounces go (default: the address of --from)
    #[arg(long, value_name = "ADDRESS")]
    return_path: Option<String>,
    /// The address under which contacts reach this server, for the links in mails
    #[arg(long, env = "RELANCE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// The file of the key that signs links; made when it is missing (default: beside the database)
    #[arg(long, env = "RELANCE_SIGNING_KEY_FILE", value_name = "FILE")]
    signing_key_file: Option<PathBuf>,
    /// A mailbox that takes unsubscribe requests too
    #[arg(long, value_name = "ADDRESS")]
    unsubscribe_mailto: Option<String>,
    /// The zone of contacts without one
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    timezone: String,
    /// Messages a second at most
    #[arg(long, value_name = "NUMBER")]
    rate: Option<f64>,
    /// Messages to one domain at the same time at most
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    per_domain: Option<u16>,
    /// How often a message is tried at most
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=50))]
    tries: u32,
    /// The wait after a first temporary failure; each further one is three times as long, up to 6 hours
    #[arg(long, default_value = "PT1M", value_name = "PERIOD")]
    first_wait: String,
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
    let kind = match (args.transport, &args.smtp, &args.capture) {
        (Some(kind), _, _) => kind,
        (None, _, Some(_)) => Kind::Capture,
        (None, Some(_), None) => Kind::Smtp,
        (None, None, None) => {
            return Err(missing(
                "--transport",
                "it is not said where mails go",
                "--smtp URL or --capture FOLDER",
            ));
        }
    };
    match kind {
        Kind::Smtp => {
            let Some(url) = &args.smtp else {
                return Err(missing("--smtp", "the SMTP server is not given", "--smtp URL or RELANCE_SMTP"));
            };
            let config = SmtpConfig::parse(url, |path| std::fs::read(path))?;
            let delivery = delivery(args, common, store.path(), kind)?;
            let return_path = match &args.return_path {
                Some(address) => {
                    model::field::parse_email(address).map_err(|problem| problem.field("--return-path"))?
                }
                None => delivery.sender.from.address.clone(),
            };
            let setting = store.load_setting(delivery::webhook::SETTING.to_owned()).await?;
            let transport = Arc::new(Channels {
                email: Arc::new(Smtp::new(config, return_path)?),
                mobile: args.capture.as_deref().map(captured).transpose()?.map(Arc::new),
                webhooks: Some(Webhooks::new(setting.as_ref(), Arc::new(SystemClock))?),
            });
            deliver(&store, &transport, &delivery, args, common).await
        }
        Kind::Capture => {
            let Some(folder) = &args.capture else {
                return Err(missing("--capture", "the folder for mails is not given", "--capture FOLDER"));
            };
            let delivery = delivery(args, common, store.path(), kind)?;
            let capture = captured(folder)?;
            let capture = match args.capture_pictures.as_deref().map(|text| text.split_once('=')) {
                None => capture,
                Some(Some((url, path))) if !url.is_empty() => capture.showing(url, path),
                Some(_) => {
                    return Err(Problem::new("capture.pictures", "an address and a folder are needed")
                        .field("--capture-pictures")
                        .cure("write it as in https://shop.example/pictures/=../pictures/")
                        .into());
                }
            };
            let transport = Arc::new(capture);
            let code = deliver(&store, &transport, &delivery, args, common).await?;
            eprintln!("open {}", transport.index().display());
            Ok(code)
        }
    }
}

/// The folder that messages are captured in.
fn captured(folder: &std::path::Path) -> Result<Capture, Failure> {
    Capture::new(folder)
        .map_err(|error| Failure::Other(format!("{} cannot be written: {error}", folder.display())))
}

fn missing(field: &str, message: &str, cure: &str) -> Failure {
    Problem::new("option.missing", message).field(field).cure(format!("give {cure}")).into()
}

/// What the options say about how to deliver.
fn delivery(
    args: &Args,
    common: &Common,
    database: &std::path::Path,
    kind: Kind,
) -> Result<Delivery, Failure> {
    let from = args.from.as_deref().or((kind == Kind::Capture).then_some("Relance <news@shop.example>"));
    let Some(from) = from else {
        return Err(missing(
            "--from",
            "it is not said who writes",
            "--from \"Shop <news@shop.example>\" or RELANCE_FROM",
        ));
    };
    let public = args.public_url.as_deref().or((kind == Kind::Capture).then_some("http://localhost:8080"));
    let Some(public) = public else {
        return Err(missing(
            "--public-url",
            "mails need a way out, and it is not said where unsubscribe links lead",
            "--public-url https://mail.shop.example or RELANCE_PUBLIC_URL",
        ));
    };
    if let Some(rate) = args.rate
        && !(rate.is_finite() && (0.001..=1e6).contains(&rate))
    {
        return Err(Problem::new("option.range", "the rate is not between 0.001 and 1000000 a second")
            .field("--rate")
            .value(rate)
            .into());
    }
    let mailbox = |text: &str, field: &str| Mailbox::parse(text).map_err(|problem| problem.field(field));
    let first_wait = Period::parse(&args.first_wait).map_err(|problem| problem.field("--first-wait"))?;
    let keys = load_keys(args.signing_key_file.as_deref(), database)?;
    let sender = Sender {
        from: mailbox(from, "--from")?,
        reply_to: args.reply_to.as_deref().map(|text| mailbox(text, "--reply-to")).transpose()?,
        links: Links::new(public, keys)?,
        unsubscribe_mailto: args
            .unsubscribe_mailto
            .as_deref()
            .map(|text| {
                model::field::parse_email(text).map_err(|problem| problem.field("--unsubscribe-mailto"))
            })
            .transpose()?,
        zone: Zone::parse(&args.timezone).map_err(|problem| problem.field("--timezone"))?,
    };
    Ok(Delivery {
        sender: Arc::new(sender),
        clock: Arc::from(common.clock()?),
        machine: Arc::new(SystemClock),
        rate: args.rate,
        per_domain: args.per_domain.map(usize::from),
        retries: Retries { tries: args.tries, first_wait: first_wait.micros, ..Retries::default() },
        stop: Arc::default(),
    })
}

/// Settles what a dead worker left, delivers, says what came of it.
async fn deliver<T: Transport>(
    store: &Sqlite,
    transport: &Arc<T>,
    delivery: &Delivery,
    args: &Args,
    common: &Common,
) -> Result<ExitCode, Failure> {
    let alone = key::lock(store.path())?;
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
