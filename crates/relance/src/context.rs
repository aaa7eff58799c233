//! What all commands share: the database, the clock, the output format, and how they fail.

use std::{fmt, path::PathBuf};

use clap::{Args, ValueEnum};
use model::{Clock, Problem, Timestamp, Zone, time::FixedClock};
use storage_sqlite::{Options, Sqlite};

/// Options that every command takes.
#[derive(Args)]
pub struct Common {
    /// Where the data is: sqlite:PATH
    #[arg(
        long,
        global = true,
        env = "RELANCE_DATABASE",
        default_value = "sqlite:relance.db",
        value_name = "URL"
    )]
    pub database: String,
    /// A file of options, as in relance.example.toml; the environment and what stands on the command line go before it
    #[arg(long, global = true, env = "RELANCE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The instant to take for now, as in 2026-11-22T08:00:00Z (naive times are in UTC)
    #[arg(long, global = true, value_name = "INSTANT")]
    pub at: Option<String>,
    /// How to print what is listed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// How to print what is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for reading.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

/// Why a command stops: problems for the user to mend, or an error of the machine. Printed on standard error.
#[derive(Debug)]
pub enum Failure {
    /// What the user can mend.
    Problems(Vec<Problem>),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Problems(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Other(text) => write!(f, "error: {text}"),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Problems(problems)
    }
}

impl From<storage::StoreError> for Failure {
    fn from(error: storage::StoreError) -> Self {
        match error {
            storage::StoreError::Refused(problem) => problem.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

/// The machine's clock: the one place that reads it.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is handed")]
        let now = jiff::Timestamp::now();
        Timestamp::from_jiff(now)
    }
}

impl Common {
    /// Opens the database, making it when it is missing.
    ///
    /// # Errors
    /// `database.url` when the address is none that we know; what the backend says.
    pub fn open(&self) -> Result<Sqlite, Failure> {
        Ok(Sqlite::open(self.path()?, Options::default())?)
    }

    /// The database's file.
    ///
    /// # Errors
    /// `database.url` when the address is none that we know.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        let Some(path) = self.database.strip_prefix("sqlite:") else {
            return Err(Problem::new(
                "database.url",
                format!("`{}` is not a database address", self.database),
            )
            .field("--database")
            .value(&self.database)
            .cure("use sqlite:PATH, as in sqlite:relance.db")
            .into());
        };
        Ok(PathBuf::from(path))
    }

    /// The clock: the machine's, or one that stands at `--at`.
    ///
    /// # Errors
    /// `time.invalid`.
    pub fn clock(&self) -> Result<Box<dyn Clock>, Failure> {
        match &self.at {
            None => Ok(Box::new(SystemClock)),
            Some(text) => {
                let at = Timestamp::parse(text, &Zone::UTC).map_err(|problem| problem.field("--at"))?;
                Ok(Box::new(FixedClock(at)))
            }
        }
    }
}
