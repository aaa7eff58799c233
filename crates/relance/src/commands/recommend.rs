//! `relance recommend`: learn relations, look at them, measure them.

mod evaluate;
mod relations;

use std::process::ExitCode;

use clap::Subcommand;
use model::Problem;
use recommend::relations::NEIGHBOURS_MAX;

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
    /// Learn relations between products from the orders in the database
    Train(relations::TrainArgs),
    /// List what a product is related to
    Related(relations::RelatedArgs),
    /// Learn from a file of orders, answer a file of carts with at most 6 products each, for measuring
    Evaluate(evaluate::Args),
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    match &args.what {
        What::Train(args) => relations::train(args, common).await,
        What::Related(args) => relations::related(args, common).await,
        What::Evaluate(args) => evaluate::run(args),
    }
}

fn check_neighbours(neighbours: usize) -> Result<(), Problem> {
    if (1..=NEIGHBOURS_MAX).contains(&neighbours) {
        return Ok(());
    }
    Err(Problem::new("neighbours.range", format!("{neighbours} is outside 1 to {NEIGHBOURS_MAX}"))
        .field("--neighbours")
        .value(neighbours)
        .cure(format!("use 1 to {NEIGHBOURS_MAX}")))
}
