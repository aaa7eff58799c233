//! `relance import`.

use std::process::ExitCode;

use crate::context::{Common, Failure};

/// Options of `relance import`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(_: &Args, _: &Common) -> Result<ExitCode, Failure> {
    Err(Failure::Other("under construction".into()))
}
