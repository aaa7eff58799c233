//! `relance journey`: checks a journey with what lies beside it, runs it, and shows how it stands.

mod files;
pub(super) mod life;
mod show;
mod simulate;
mod trace;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Subcommand, ValueEnum};
use engine::{
    campaign::{self, Options, State, launch},
    rules::{self, Rules, Workspace},
};
use model::{Lang, Problem};
use storage_sqlite::Sqlite;

use crate::context::{Common, Failure};

/// Options of `relance journey`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Check a journey and the files beside it: fields.yaml, segments/, templates/
    Check {
        /// The journey's file, or its folder
        file: PathBuf,
    },
    /// Run a journey over its audience, or go on with a run that was interrupted
    Run {
        /// The journey's file, or its folder
        file: PathBuf,
        /// Begin another run even though this journey was run to its end before
        #[arg(long)]
        new_run: bool,
        /// Seed of a new run's dice
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Contacts that are committed at once
        #[arg(long, default_value_t = campaign::BATCH as u32, value_name = "CONTACTS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        batch: u32,
        /// Language of the names
        #[arg(long, value_enum, default_value_t = Language::En)]
        lang: Language,
    },
    /// Publish a journey: those whom it concerns enter from now on, or from when it starts. An earlier version takes
    /// nobody any more; those inside finish theirs
    Publish {
        /// The journey's file, or its folder
        file: PathBuf,
        /// When it begins, as in 2026-12-01T08:00:00Z; at once without it (or at the journey's own `starts_at`)
        #[arg(long, value_name = "INSTANT")]
        starts: Option<String>,
        /// Move those inside earlier versions to this one, where their node still exists
        #[arg(long = "move")]
        moves: bool,
        /// Seed of its dice
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// List the journeys at work
    List {
        /// Those that are over, too
        #[arg(long)]
        all: bool,
    },
    /// Pause a journey: nobody enters or is sent anything; waits keep counting
    Pause {
        /// The journey's slug, file or folder
        journey: String,
    },
    /// Let a paused journey go on
    Resume {
        /// The journey's slug, file or folder
        journey: String,
    },
    /// Stop a journey for good: those inside are taken out, messages that wait are not sent
    Stop {
        /// The journey's slug, file or folder
        journey: String,
    },
    /// Have contacts enter a journey that has the trigger `api`
    Enter {
        /// The journey's slug, file or folder
        journey: String,
        /// The contact's external id or email address; may be given several times
        #[arg(long, required = true)]
        contact: Vec<String>,
        /// A JSON object that the journey reads as `trigger.…`
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
    },
    /// List what became of each recipient: where it is or why it left, and its messages
    Outcomes {
        /// The journey's slug, file or folder
        journey: String,
        /// Only this run (see `journey list`)
        #[arg(long)]
        run: Option<i64>,
        /// Only this contact, by external id or email address
        #[arg(long)]
        contact: Option<String>,
    },
    /// Try the failed messages of a journey again
    Retry {
        /// The journey's slug, file or folder
        journey: String,
        /// Those of which nobody knows whether they arrived, too
        #[arg(long)]
        uncertain: bool,
    },
    /// Show how a journey stands: its versions at work, or its last run
    Status {
        /// The journey's file, its folder, or its slug
        journey: String,
        /// Language of the names
        #[arg(long, value_enum, default_value_t = Language::En)]
        lang: Language,
    },
    /// Play a draft over the stored history: who would have entered, which way they would have gone, what they would have
    /// been sent, what they bought afterwards. Nothing is written, nothing is sent
    Simulate(simulate::Args),
    /// Show which way a contact went through journeys, and why; or why it did not enter
    Trace {
        /// The contact's external id or email address; with --contact: the journey's slug, file or folder
        #[arg(value_name = "CONTACT|JOURNEY")]
        what: String,
        /// The contact, where the journey is given first
        #[arg(long)]
        contact: Option<String>,
        /// Say why the contact did not enter the journey
        #[arg(long)]
        why_not: bool,
        /// Language of the names
        #[arg(long, value_enum, default_value_t = Language::En)]
        lang: Language,
    },
}

/// A language of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// English
    En,
    /// French
    Fr,
}

impl From<Language> for Lang {
    fn from(language: Language) -> Self {
        match language {
            Language::En => Self::En,
            Language::Fr => Self::Fr,
        }
    }
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    match &args.what {
        What::Check { file } => check(file, common).await,
        What::Run { file, new_run, seed, batch, lang } => {
            let options = Options { seed: *seed, new_run: *new_run, batch: *batch as usize };
            start(file, &options, (*lang).into(), common).await
        }
        What::Status { journey, lang } => status(journey, (*lang).into(), common).await,
        What::Publish { file, starts, moves, seed } => {
            life::publish(file, starts.as_deref(), *moves, *seed, common).await
        }
        What::List { all } => life::list(*all, common).await,
        What::Pause { journey } => life::tell(journey, life::Told::Pause, common).await,
        What::Resume { journey } => life::tell(journey, life::Told::Resume, common).await,
        What::Stop { journey } => life::tell(journey, life::Told::Stop, common).await,
        What::Enter { journey, contact, data } => {
            life::enter(journey, contact, data.as_deref(), common).await
        }
        What::Outcomes { journey, run, contact } => {
            life::outcomes(journey, *run, contact.as_deref(), common).await
        }
        What::Retry { journey, uncertain } => life::retry(journey, *uncertain, common).await,
        What::Simulate(args) => simulate::run(args, common).await,
        What::Trace { what, contact, why_not, lang } => {
            trace::run(what, contact.as_deref(), *why_not, (*lang).into(), common).await
        }
    }
}

/// What the workspace has: nothing when there is no database yet. A check makes none.
async fn workspace(common: &Common) -> Result<Workspace, Failure> {
    let path = common.database.strip_prefix("sqlite:").unwrap_or_default();
    if !path.is_empty() && !std::path::Path::new(path).exists() {
        return Ok(Workspace::default());
    }
    Ok(Workspace::load(&common.open()?).await?)
}

async fn check(file: &std::path::Path, common: &Common) -> Result<ExitCode, Failure> {
    let folder = files::read(file)?;
    let (rules, problems) = match rules::compile(&folder, &workspace(common).await?) {
        Ok(mut rules) => {
            let warnings = std::mem::take(&mut rules.warnings);
            (Some(rules), warnings)
        }
        Err(problems) => (None, problems),
    };
    show::problems(&problems, common.format)?;
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    match rules {
        Some(rules) => {
            let journey = &rules.journey;
            eprintln!(
                "{}: no errors, {}; {} nodes, {} segments, {} templates",
                journey.slug,
                count(warnings, "warning"),
                journey.nodes.len(),
                journey.segments.len(),
                journey.templates.len(),
            );
            Ok(ExitCode::SUCCESS)
        }
        None => {
            eprintln!("{}, {}", count(errors, "error"), count(warnings, "warning"));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

async fn start(
    file: &std::path::Path,
    options: &Options,
    lang: Lang,
    common: &Common,
) -> Result<ExitCode, Failure> {
    let folder = files::read(file)?;
    let now = common.clock()?.now();
    let store = common.open()?;
    let rules = Arc::new(rules::compile(&folder, &Workspace::load(&store).await?)?);
    let warnings = rules.warnings.len();
    if warnings > 0 {
        eprintln!("{}: see `relance journey check {}`", count(warnings, "warning"), file.display());
    }
    let bar = show::Bar::new();
    let report = launch::run(&store, &rules, now, options, &bar).await;
    bar.clear();
    let report = report?;
    tell(&rules, &report, common);
    show::report(&rules.journey, &report, lang, common.format)?;
    let wrong = report.counts.mismatches(&rules.journey, report.enrolled());
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let nodes: Vec<&str> = wrong.iter().map(|(node, ..)| rules.journey.node(*node).id.as_str()).collect();
    Err(Failure::Other(format!("the counts do not add up at {}: please report this", nodes.join(", "))))
}

/// What happened, and what to do next, on standard error.
fn tell(rules: &Rules, report: &campaign::Report, common: &Common) {
    let (run, journey) = (&report.run, &rules.journey);
    let sent = report.sent(journey);
    let how = match report.state {
        State::New => "completed",
        State::Resumed => "resumed and completed",
        State::Completed => "was completed before: nothing was done",
    };
    eprintln!(
        "{}: run {} of version {} {how}; {} contacts entered, {sent} messages decided, {} refused",
        journey.slug,
        run.id,
        run.version,
        report.enrolled(),
        report.refused(journey),
    );
    if report.stay_out > 0 {
        eprintln!(
            "{} contacts went through this journey before and did not enter again (`reentry: never`; `after_exit` lets them)",
            report.stay_out
        );
    }
    if report.gone > 0 {
        eprintln!("{} contacts of the audience are not in the base any more", report.gone);
    }
    if run.audience == 0 {
        eprintln!("nobody is in the audience: import contacts first (`relance import contacts FILE`)");
    }
    let database = if common.database == "sqlite:relance.db" {
        String::new()
    } else {
        format!(" --database {}", common.database)
    };
    match report.state {
        State::Completed => eprintln!("another run: relance journey run … --new-run{database}"),
        _ if sent > 0 => {
            eprintln!("next: relance deliver{database} --capture mails (into a folder), or --smtp URL")
        }
        _ => {}
    }
}

async fn status(journey: &str, lang: Lang, common: &Common) -> Result<ExitCode, Failure> {
    let slug = files::slug_of(journey)?;
    let store = life::existing(common)?;
    if let Some(code) = life::status(&store, &slug, lang, common).await? {
        return Ok(code);
    }
    let runs = storage::journeys::JourneyStore::load_journey_runs(&store, slug.clone()).await?;
    let Some(run) = runs.last() else {
        return Err(Problem::new("journey.never_run", format!("the journey `{slug}` was never run here"))
            .value(&slug)
            .cure("run it: relance journey run FILE")
            .into());
    };
    let compiled = stored(&store, run).await?;
    let report = campaign::status(&store, &compiled, run).await?;
    let ahead = report.ahead();
    if ahead > 0 {
        eprintln!(
            "run {} stands at {} of {} contacts: run it again to go on",
            run.id,
            run.audience - ahead,
            run.audience
        );
    } else {
        eprintln!("run {} of version {}, begun {}, completed", run.id, run.version, run.started_at);
    }
    show::report(&compiled, &report, lang, common.format)?;
    Ok(ExitCode::SUCCESS)
}

/// The journey as it was when a run began.
async fn stored(store: &Sqlite, run: &storage::journeys::JourneyRun) -> Result<journey::Journey, Failure> {
    rules::stored_journey(store, run.journey.clone(), run.version).await.map_err(Failure::from)
}
