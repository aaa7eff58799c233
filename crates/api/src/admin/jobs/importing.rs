//! The work of an import.

use std::sync::Arc;

use connect::{
    Kind, Options, Progress,
    run::{ImportError, RejectsTo, Report, import},
    source::Source,
};
use model::{Problem, Problems};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use storage::{Storage, imports::Tally};
use utoipa::ToSchema;

use super::worker::{Failed, Teller};
use crate::App;

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KindWord {
    /// People.
    Contacts,
    /// The catalogue.
    Products,
    /// Orders, one row per order or one row per line.
    Orders,
    /// What happened.
    Events,
    /// Open carts as they stand, one row per cart or one row per line.
    Carts,
    /// Browsers that take push messages.
    Push,
}

impl From<KindWord> for Kind {
    fn from(word: KindWord) -> Self {
        match word {
            KindWord::Contacts => Self::Contacts,
            KindWord::Products => Self::Products,
            KindWord::Orders => Self::Orders,
            KindWord::Events => Self::Events,
            KindWord::Carts => Self::Carts,
            KindWord::Push => Self::Push,
        }
    }
}

/// What is to be imported, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Importing {
    pub kind: KindWord,
    pub name: String,
    /// The file's name in the folder of files.
    pub file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_format: Option<String>,
    #[serde(default)]
    pub decimal_comma: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation_prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete_orders: Option<String>,
    #[serde(default)]
    pub live: bool,
}

impl Importing {
    /// The options: a mapping file first, then what was said beside it, read by the same rules.
    pub fn options(&self) -> Result<Options, Problems> {
        let mut options = Options::new(self.kind.into());
        if let Some(text) = &self.mapping {
            options.read_mapping(text).map_err(|problems| {
                problems.into_iter().map(|problem| problem.in_file("mapping")).collect::<Problems>()
            })?;
        }
        let mut said = Map::new();
        let texts = [
            ("currency", &self.currency),
            ("timezone", &self.timezone),
            ("contact_key", &self.contact_key),
            ("encoding", &self.encoding),
            ("delimiter", &self.delimiter),
            ("date_format", &self.date_format),
            ("cancellation_prefix", &self.cancellation_prefix),
            ("negative", &self.negative),
            ("incomplete_orders", &self.incomplete_orders),
        ];
        for (name, value) in texts {
            said.extend(value.as_ref().map(|value| (name.to_owned(), Value::String(value.clone()))));
        }
        if self.decimal_comma {
            said.insert("decimal".to_owned(), ",".into());
        }
        if !said.is_empty() {
            options.read_mapping(&Value::Object(said).to_string()).map_err(|problems| {
                let placeless = |problem: Problem| Problem { place: None, ..problem };
                problems.into_iter().map(placeless).collect::<Problems>()
            })?;
        }
        if let Some(map) = &self.map {
            options.add_map(map).map_err(|problem| vec![problem.field("map")])?;
        }
        options.live = self.live;
        Ok(options)
    }
}

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Progress for Teller {
    fn surveying(&self, bytes: u64, size: u64) {
        self.say("reading", bytes, size);
    }

    fn resumed(&self, rows: u64, _: bool) {
        self.say("importing", rows, 0);
    }

    fn written(&self, rows: u64, of: u64, _: u64) {
        self.say("importing", rows, of);
    }
}

/// Imports a file. A job that is taken up again goes on behind the last batch that was committed.
pub(super) async fn run<S: Storage>(
    app: &App<S>,
    no: i64,
    request: &Importing,
    teller: Arc<Teller>,
) -> Result<Value, Failed> {
    let options = request.options()?;
    let folder = &app.config.desk.folder;
    let path = folder.join(&request.file);
    let name = request.name.clone();
    let source = tokio::task::spawn_blocking(move || Source::open(&path, &name))
        .await
        .map_err(|error| Failed::panicked(&error))??;
    let rejects = format!("job-{no}.rejected.csv");
    let to = RejectsTo { path: folder.join(&rejects), fallback: None };
    let now = app.now();
    // A day of grace for clocks and zones that do not agree.
    let latest = now.plus_days(1);
    let progress: Arc<dyn Progress> = teller;
    let report = import(&app.store, &source, &options, &to, (now, latest), progress).await;
    let report = report.map_err(|error| match error {
        ImportError::Problems(problems) => Failed::Problems(problems),
        ImportError::Store(error) => Failed::Store(error),
    })?;
    if options.live {
        app.engine_bell.notify_one();
    }
    Ok(told(&report, &rejects))
}

fn told(report: &Report, rejects: &str) -> Value {
    let counts = &report.counts;
    let tally = |tally: Tally| json!({"new": tally.new, "changed": tally.changed, "known": tally.known, "refused": tally.refused});
    let mut told = json!({
        "rows": report.rows,
        "repeated": report.repeated,
        "contacts": tally(counts.contacts),
        "products": tally(counts.products),
        "orders": tally(counts.orders),
        "refunds": tally(counts.refunds),
        "carts": tally(counts.carts),
        "events": tally(counts.events),
        "rejected": counts.rejected,
        "unmatched": counts.unmatched,
        "incomplete_orders": report.incomplete_orders,
        "free_lines": report.free_lines,
    });
    if report.rejects.is_some() {
        told["files"] = json!({"rejects": rejects});
    }
    told
}
