//! `relance bench NAME`: one measurement, one JSON object on standard output.

use std::{path::PathBuf, process::ExitCode};

use clap::{Subcommand, ValueEnum};

use crate::context::{Common, Failure};

/// Options of `relance bench`.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure
    #[arg(value_enum)]
    name: Name,
    /// How much: contacts, mails, orders… (each measurement has its own default)
    #[arg(long)]
    size: Option<u64>,
    /// Seed of the synthetic base
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the synthetic base in this folder, and use it again
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Where the SMTP sink listens (smtp only)
    #[arg(long, value_name = "HOST:PORT")]
    smtp: Option<String>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Subcommand)]
pub enum Name {
    /// Order lines into a fresh base
    Import,
    /// Nightly rescoring after one more day of orders
    Rfm,
    /// A new segment with one activity condition
    Segment,
    /// Training relations, answering carts
    Recommend,
    /// Rendering and MIME-encoding a six-product mail
    Render,
    /// The campaign of examples/s0 to committed outbox rows
    Campaign,
    /// Events to their consequences: three segments, a waiting journey, bases of growing size
    Events,
    /// Messages of tracking through the server: batches, single requests, the time to a decision
    Ingest,
    /// Waits of a million contacts that end at the same instant; a restart meanwhile
    Steps,
    /// A draft played over thirty days of history
    Simulate,
    /// Handing mails over to an SMTP sink
    Smtp,
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, _: &Common) -> Result<ExitCode, Failure> {
    let plan =
        bench::Plan { size: args.size, seed: args.seed, keep: args.keep.clone(), smtp: args.smtp.clone() };
    let measured = match args.name {
        Name::Import => bench::import::run(&plan).await,
        Name::Rfm => bench::rfm::run(&plan).await,
        Name::Segment => bench::segment::run(&plan).await,
        Name::Recommend => bench::recommend::run(&plan).await,
        Name::Render => bench::render::run(&plan).await,
        Name::Campaign => bench::campaign::run(&plan).await,
        Name::Events => bench::events::run(&plan).await,
        Name::Ingest => bench::ingest::run(&plan).await,
        Name::Steps => bench::steps::run(&plan).await,
        Name::Simulate => bench::simulate::run(&plan).await,
        Name::Smtp => bench::smtp::run(&plan).await,
    };
    let report = measured.map_err(Failure::Other)?;
    println!("{}", serde_json::to_string(&report).unwrap_or_default());
    Ok(ExitCode::SUCCESS)
}
