//! One file per command.

mod backup;
mod bench;
mod contact;
mod coupon;
mod deliver;
mod demo;
mod dkim;
mod doctor;
mod import;
mod journey;
mod key;
mod openapi;
mod recommend;
mod reference;
mod rfm;
mod schema;
mod segment;
pub(crate) mod serve;
mod setting;
mod user;
mod work;

use std::process::ExitCode;

use clap::Subcommand;

use crate::context::{Common, Failure};

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Everything at once, with a real data set and captured mails
    Demo(demo::Args),
    /// Bring contacts, products, orders, events, carts or push subscriptions from a file into the database
    Import(import::Args),
    /// Score all contacts now and list them
    Rfm(rfm::Args),
    /// Show, join, export and erase people
    Contact(contact::Args),
    /// Look at segments
    Segment(segment::Args),
    /// Measure recommendations
    Recommend(recommend::Args),
    /// Check and run journeys
    Journey(journey::Args),
    /// Look at coupon sets, add codes
    Coupon(coupon::Args),
    /// What holds for the workspace: zone, currency, sending rules, the hour of the night's work
    Setting(setting::Args),
    /// Let journeys live: work on what happens, as it happens
    Work(work::Args),
    /// Hand over messages that wait in the outbox
    Deliver(deliver::Args),
    /// The server: tracking, admin API, links; with the living engine and delivery
    Serve(Box<serve::Args>),
    /// Who may sign in: make, list and change users
    User(user::Args),
    /// Keys of programs: make, list, revoke
    Key(key::Args),
    /// Copy the base into a folder while it is in use
    Backup(backup::Backup),
    /// Bring a backup back
    Restore(backup::Restore),
    /// Keys that sign outgoing mail, with the records to publish
    Dkim(dkim::Args),
    /// Find common mistakes
    Doctor(doctor::Args),
    /// Print the OpenAPI document of the server, as docs/openapi.json keeps it
    Openapi,
    /// Print the JSON Schema of a kind of file, for editors, as docs/schemas keeps it
    Schema(schema::Args),
    /// Print docs/configuration.md: all options of the server
    #[command(hide = true)]
    Reference,
    /// Measure, and print one JSON object
    Bench(bench::Args),
}

/// Runs a command.
///
/// # Errors
/// What stopped it, for printing on standard error.
pub async fn run(command: Command, common: &Common) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(args) => demo::run(&args, common).await,
        Command::Import(args) => import::run(&args, common).await,
        Command::Rfm(args) => rfm::run(&args, common).await,
        Command::Contact(args) => contact::run(&args, common).await,
        Command::Segment(args) => segment::run(&args, common).await,
        Command::Recommend(args) => recommend::run(&args, common).await,
        Command::Journey(args) => journey::run(&args, common).await,
        Command::Coupon(args) => coupon::run(&args, common).await,
        Command::Setting(args) => setting::run(&args, common).await,
        Command::Work(args) => work::run(&args, common).await,
        Command::Deliver(args) => deliver::run(&args, common).await,
        Command::Serve(args) => serve::run(&args, common).await,
        Command::User(args) => user::run(&args, common).await,
        Command::Key(args) => key::run(&args, common).await,
        Command::Backup(args) => backup::backup(&args, common).await,
        Command::Restore(args) => backup::restore(&args, common),
        Command::Dkim(args) => dkim::run(&args, common),
        Command::Doctor(args) => doctor::run(&args, common).await,
        Command::Openapi => openapi::run(),
        Command::Schema(args) => schema::run(&args),
        Command::Reference => reference::run(),
        Command::Bench(args) => bench::run(&args, common).await,
    }
}
