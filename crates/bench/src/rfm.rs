//! `relance bench rfm`.

use crate::{Plan, Report};

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(_: &Plan) -> Result<Report, String> {
    Err("under construction".into())
}
