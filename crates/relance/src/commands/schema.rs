//! `relance schema`: JSON Schemas of the files that people write, for editors, as docs/schemas keeps them.

use std::process::ExitCode;

use clap::ValueEnum;

use crate::context::Failure;

/// Options of `relance schema`.
#[derive(clap::Args)]
pub struct Args {
    /// Which kind of file
    #[arg(value_enum)]
    of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Of {
    /// A journey, with all kinds of nodes
    Journey,
    /// A segment
    Segment,
    /// A template, with all kinds of blocks
    Template,
    /// A coupon set
    Coupons,
}

/// Prints it.
///
/// # Errors
/// What stands in it cannot be written as JSON.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let schema = match args.of {
        Of::Journey => journey::schema::schema(),
        Of::Segment => segment::file::json_schema(),
        Of::Template => template::schema::schema(),
        Of::Coupons => model::coupon::json_schema(),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(|error| Failure::Other(error.to_string()))?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}
