//! `relance recommend`: learn relations, look at them, measure them.

mod evaluate;

use std::process::ExitCode;

use clap::Subcommand;

use crate::context::{Common, Failure};

/// Options of `relance recommend`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What to do.
#[derive(Subcommand)]
enum What {
    /// Learn from a file of orders, answer a file of carts with at most 6 products each, for measuring
    Evaluate(evaluate::Args),
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, _: &Common) -> Result<ExitCode, Failure> {
    match &args.what {
        What::Evaluate(args) => evaluate::run(args),
    }
}
