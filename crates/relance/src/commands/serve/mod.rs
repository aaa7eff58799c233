//! `relance serve`: the doors, the living engine and delivery in one process, until it is told to stop.

mod access;
mod engine;
mod inbound;
mod jobs;
mod logs;
mod post;
mod stop;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use api::{App, Chance, ops::listen, track::config};
use clap::ValueEnum;
use delivery::{Links, Mailbox};
use model::{Period, Problem};
use tokio::{net::TcpListener, sync::Notify};

use super::deliver::{Post, Way, load_keys, lock};
use crate::context::{Common, Failure};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For reading.
    Text,
    /// One JSON object a line.
    Json,
}

/// Options of `relance serve`. Each can stand in the file of `--config` too, under its long name.
#[derive(clap::Args)]
#[command(args_override_self = true)]
pub struct Args {
    /// The address to listen on
    #[arg(long, env = "RELANCE_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A second address, for operators only: /healthz, /readyz and /metrics without a key
    #[arg(long, env = "RELANCE_OPS_LISTEN", value_name = "ADDRESS")]
    ops_listen: Option<SocketAddr>,
    /// What to log: error, warn, info, debug, or a filter as in info,api=debug
    #[arg(long, env = "RELANCE_LOG", default_value = "info", value_name = "FILTER")]
    log: String,
    /// How to log
    #[arg(long, env = "RELANCE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Connections that are open at the same time at most
    #[arg(long, default_value_t = 4_096, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Largest body of a request, in bytes, where an operation does not say otherwise
    #[arg(long, default_value_t = 2 * 1024 * 1024, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1_024..=1_073_741_824))]
    body_max: u32,
    /// A request is answered within this time, or given up
    #[arg(long, default_value = "PT30S", value_name = "PERIOD")]
    request_timeout: String,
    /// When told to stop, requests and messages under way are finished within this time, or cut off
    #[arg(long, default_value = "PT20S", value_name = "PERIOD")]
    stop_within: String,
    /// An origin whose pages may send events, as in `https://shop.example`; any may when none is given
    #[arg(long, env = "RELANCE_TRACK_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    track_origin: Vec<String>,
    /// Messages that one key may send in a second; as many as it likes when it is not given
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    track_rate: Option<u32>,
    /// Largest message of tracking, in bytes: 32 KB at most
    #[arg(long, default_value_t = config::EVENT_MAX as u32, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1_024..=config::EVENT_MAX as i64))]
    track_event_max: u32,
    /// Largest request of tracking, in bytes, as it comes and unpacked
    #[arg(long, default_value_t = config::BATCH_MAX as u32, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1_024..=67_108_864))]
    track_batch_max: u32,
    /// Bytes of tracking's requests that may wait for the disk; beyond them they are told to come again
    #[arg(long, default_value_t = config::QUEUE_MAX as u32, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1_048_576..=1_073_741_824))]
    track_queue_max: u32,
    /// Where files lie that are imported or were exported; beside the database without it
    #[arg(long, env = "RELANCE_FILES", value_name = "FOLDER")]
    files: Option<PathBuf>,
    /// Serve only: neither the living engine, delivery nor jobs run here
    #[arg(long)]
    no_work: bool,
    #[command(flatten)]
    access: access::Access,
    #[command(flatten)]
    inbound: inbound::Inbound,
    #[command(flatten)]
    post: Post,
}

/// Secrets of the machine's generator.
pub(crate) struct SystemChance;

impl Chance for SystemChance {
    fn fill(&self, bytes: &mut [u8]) {
        // Without a generator no secret can be made, and a guessable one would be worse than an end.
        #[expect(clippy::expect_used, reason = "see above")]
        getrandom::fill(bytes).expect("the machine's random generator");
    }
}

fn period(text: &str, option: &str) -> Result<Duration, Failure> {
    let period = Period::parse(text).map_err(|problem| problem.field(option))?;
    Ok(Duration::from_micros(period.micros.unsigned_abs()))
}

impl Args {
    fn config(
        &self,
        public_url: String,
        sender: Option<Mailbox>,
        database: &std::path::Path,
    ) -> Result<api::Config, Failure> {
        let beside = |ending: &str| {
            let mut name = database.file_name().unwrap_or_default().to_owned();
            name.push(ending);
            database.with_file_name(name)
        };
        let ops = api::ops::Config {
            body_max: self.body_max as usize,
            request_timeout: period(&self.request_timeout, "--request-timeout")?,
            database_log: Some(beside("-wal")),
        };
        let access = self.access.config(sender)?;
        let inbound = self.inbound.config()?;
        let track = self.track();
        let folder = self.files.clone().unwrap_or_else(|| beside(".files"));
        let desk = api::admin::Config { folder, ..api::admin::Config::default() };
        Ok(api::Config { public_url, ops, track, access, inbound, desk, ..api::Config::default() })
    }

    fn track(&self) -> api::track::Config {
        api::track::Config {
            event_max: self.track_event_max as usize,
            batch_max: self.track_batch_max as usize,
            queue_max: self.track_queue_max as usize,
            events_per_second: self.track_rate,
            origins: Some(self.track_origin.clone()).filter(|origins| !origins.is_empty()),
            ..api::track::Config::default()
        }
    }

    /// The address under which people reach the server: as given, or the one that it listens on.
    fn public_url(&self, listen: SocketAddr) -> String {
        self.post.public_url().map_or_else(|| format!("http://{listen}"), str::to_owned)
    }
}

async fn bind(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let problem = Problem::new("listen.failed", format!("nothing can listen on {address}: {error}"));
        problem.field(option).cure("stop what listens there, or give another address").into()
    })
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    logs::start(&args.log, args.log_format)?;
    let store = common.open()?;
    let engine_lock = if args.no_work { None } else { Some(engine_lock(store.path())?) };
    let listener = bind(args.listen, "--listen").await?;
    let public_url = args.public_url(listener.local_addr()?);
    let keys = load_keys(args.post.signing_key_file(), store.path())?;
    let (engine_bell, delivery_bell) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let limits = listen::Limits {
        connections: args.connections as usize,
        stop_within: period(&args.stop_within, "--stop-within")?,
        ..listen::Limits::default()
    };
    let way = if args.no_work { None } else { args.post.way(&store, common).await? };
    let sender = way.as_ref().map(|way| way.delivery.sender.from.clone());
    let app = App::new(api::Parts {
        store: store.clone(),
        clock: Arc::from(common.clock()?),
        chance: Arc::new(SystemChance),
        links: Links::new(&public_url, keys)?,
        engine_bell: Arc::clone(&engine_bell),
        delivery_bell: Arc::clone(&delivery_bell),
        config: args.config(public_url.clone(), sender, store.path())?,
    });
    let door = args.inbound.door().await?;
    let mailbox = args.inbound.mailbox()?;
    let ops = match args.ops_listen {
        Some(address) => Some(bind(address, "--ops-listen").await?),
        None => None,
    };

    let stop = stop::Stop::on_signals();
    let mut work = Vec::new();
    if let Some(listener) = door {
        tracing::info!(bounce_listen = %listener.local_addr()?, "bounces are taken");
        let return_path = args.post.return_path();
        work.push(tokio::spawn(args.inbound.take(listener, &app, &store, return_path, &stop)));
    }
    if let Some(mailbox) = mailbox.filter(|_| !args.no_work) {
        work.push(tokio::spawn(inbound::poll(app.clone(), store.clone(), mailbox, stop.clone())));
    }
    if engine_lock.is_some() {
        work.push(tokio::spawn(inbound::tell(app.clone(), store.clone(), stop.clone())));
        work.push(tokio::spawn(engine::run(
            app.clone(),
            store.clone(),
            engine_bell,
            delivery_bell.clone(),
            stop.clone(),
        )));
    }
    if engine_lock.is_some() {
        work.push(tokio::spawn(jobs::run(app.clone(), stop.clone())));
        let (app, stop) = (app.clone(), stop.clone());
        work.push(tokio::spawn(async move { api::admin::tell_counts(app, stop.told()).await }));
    }
    match way {
        Some(way) => {
            let users = (app.clone(), stop.clone());
            work.push(match &way.transport {
                Way::Server(transport) => tokio::spawn(access::post(users.0, Arc::clone(transport), users.1)),
                Way::Folder(transport) => tokio::spawn(access::post(users.0, Arc::clone(transport), users.1)),
            });
            work.push(tokio::spawn(post::run(app.clone(), store.clone(), way, delivery_bell, stop.clone())))
        }
        None if !args.no_work => {
            tracing::warn!(
                "it is not said where mails go: messages wait in the outbox (--smtp or --capture)"
            );
        }
        None => {}
    }
    if let Some(listener) = ops {
        tracing::info!(ops_listen = %listener.local_addr()?, "figures without a key");
        let router = api::ops::router(app.clone());
        work.push(tokio::spawn(listen_on(listener, router, limits, stop.clone())));
    }
    if !args.no_work {
        // Clicks of before the server ended wait in the base to be judged.
        api::links::settle_clicks(&app).await?;
    }
    access::welcome(&app).await?;
    tracing::info!(listen = %listener.local_addr()?, public_url, version = env!("CARGO_PKG_VERSION"), "serving");
    let router = api::router(app);
    let in_time = listen::serve(listener, router, limits, stop.told()).await?;
    // Whatever ended the listener ends the rest.
    stop.tell();
    let ended = tokio::time::timeout(limits.stop_within, join(work)).await.is_ok();
    drop(engine_lock);
    if !in_time || !ended {
        tracing::warn!("not everything was finished in time; nothing that was acknowledged is lost");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The lock of the living engine: two of them on one base would do each other's work in vain.
fn engine_lock(database: &std::path::Path) -> Result<std::fs::File, Failure> {
    lock(database, "engine")?.ok_or_else(|| {
        Problem::new("engine.running", "another process works on this database")
            .cure("stop it, or serve beside it with --no-work")
            .into()
    })
}

async fn listen_on(listener: TcpListener, router: axum::Router, limits: listen::Limits, stop: stop::Stop) {
    if let Err(error) = listen::serve(listener, router, limits, stop.told()).await {
        tracing::error!(%error, "the operators' address is not served");
    }
}

async fn join(work: Vec<tokio::task::JoinHandle<()>>) {
    for task in work {
        if let Err(error) = task.await {
            tracing::error!(%error, "a task has failed");
        }
    }
}
