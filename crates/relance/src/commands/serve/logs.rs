//! Log lines, on standard error.

use model::Problem;
use tracing_subscriber::{EnvFilter, fmt};

use super::LogFormat;
use crate::context::Failure;

/// Starts logging.
///
/// # Errors
/// `log.filter`.
pub fn start(filter: &str, format: LogFormat) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Problem::new("log.filter", error.to_string())
            .field("--log")
            .value(filter)
            .cure("give error, warn, info, debug, or a filter as in info,api=debug")
    })?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
