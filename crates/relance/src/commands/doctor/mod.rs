//! `relance doctor`: looks for common mistakes, and says for each what to do. It changes nothing.

mod base;
mod checks;
mod dns;

use std::process::ExitCode;

use crate::{
    context::{Common, Failure},
    output::Listing,
};

use super::deliver::Post;

/// Options of `relance doctor`: those of the server, so that it looks at what the server would do.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    post: Post,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Well,
    /// Works, but is probably not meant.
    Look,
    /// Does not work.
    Bad,
}

/// What a check found.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub verdict: Verdict,
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// What to do; empty when all is well.
    pub cure: String,
}

impl Finding {
    pub(super) fn well(what: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Well, what, found: found.into(), cure: String::new() }
    }

    pub(super) fn look(what: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Look, what, found: found.into(), cure: cure.into() }
    }

    pub(super) fn bad(what: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { verdict: Verdict::Bad, what, found: found.into(), cure: cure.into() }
    }
}

/// Runs it. Fails when something does not work.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let mut findings = Vec::new();
    let store = match common.open() {
        Ok(store) => Some(store),
        Err(failure) => {
            findings.push(Finding::bad("database", failure.to_string(), "see --database"));
            None
        }
    };
    if let Some(store) = &store {
        findings.extend(base::look(store, common.clock()?.now()).await?);
        findings.extend(checks::post(&args.post, store, common).await);
    }
    findings.push(checks::public_url(args.post.public_url()));
    let mut list = Listing::new(&["verdict", "what", "found", "cure"], &[]);
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    for Finding { verdict, what, found, cure } in findings {
        let verdict = match verdict {
            Verdict::Well => "well",
            Verdict::Look => "look",
            Verdict::Bad => "BAD",
        };
        list.rows.push(vec![verdict.to_owned(), what.to_owned(), found, cure]);
    }
    list.print(common.format)?;
    Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
