//! `relance openapi`: the OpenAPI document of the server, as docs/openapi.json keeps it.

use std::process::ExitCode;

use storage_sqlite::Sqlite;

use crate::context::Failure;

/// Prints it.
///
/// # Errors
/// What stands in it cannot be written as JSON.
pub fn run() -> Result<ExitCode, Failure> {
    let document = api::openapi::<Sqlite>();
    let text = serde_json::to_string_pretty(&document).map_err(|error| Failure::Other(error.to_string()))?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}
