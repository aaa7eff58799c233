//! The `relance` program: command line, configuration, wiring. The only room that names a database backend.

mod commands;
mod config;
mod context;
mod demo;
mod output;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

/// Customer journeys for shops: import, score, choose products, write to people, and see what it earned.
#[derive(Parser)]
#[command(name = "relance", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: context::Common,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let arguments = match config::arguments(&Cli::command(), std::env::args_os().collect()) {
        Ok(arguments) => arguments,
        Err(failure) => {
            eprintln!("{failure}");
            return ExitCode::from(2);
        }
    };
    let cli = Cli::parse_from(arguments);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(cli.command, &cli.common)) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
