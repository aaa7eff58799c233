//! An import from file to base: survey, prepare on a thread of its own, write batch after batch.
//!
//! Each batch commits together with its checkpoint. The checkpoint says what stood before its batch; an import that goes
//! on sends that one batch again, which changes nothing that is known already.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use model::{Currency, FieldDef, Problem, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use storage::{
    StoreError,
    catalogue::CatalogueStore,
    imports::{Checkpoint, ImportOutcome, ImportStore, ItemKind, Tally},
    settings::{DefinitionKind, SettingsStore, key},
};
use tokio::sync::mpsc;

use crate::{
    contacts::ContactReader,
    mapping::{Kind, Mapping},
    options::Options,
    prepare::{Plan, Prepared, prepare},
    rejects::{Reject, Rejects},
    rows::Rows,
    source::{Count, Source, hex},
    survey::{Grouping, survey},
};

/// Batches that are prepared ahead of the one that is being written.
const AHEAD: usize = 4;

/// A database that imports can be written to.
pub trait Sink: ImportStore + SettingsStore + CatalogueStore + Send + Sync {}

impl<T: ImportStore + SettingsStore + CatalogueStore + Send + Sync> Sink for T {}

/// Told how far an import is. All of it may be ignored.
pub trait Progress: Send + Sync {
    /// The file is being looked through: bytes of it on disk that were read.
    fn surveying(&self, bytes: u64, size: u64) {
        let _ = (bytes, size);
    }
    /// The mapping was found: (field, column) pairs, and the columns that are not used.
    fn mapped(&self, mapping: &Mapping) {
        let _ = mapping;
    }
    /// It goes on after this many rows, or has been finished before.
    fn resumed(&self, rows: u64, finished: bool) {
        let _ = (rows, finished);
    }
    /// Rows that are committed, of how many; bytes on disk read for them.
    fn written(&self, rows: u64, of: u64, bytes: u64) {
        let _ = (rows, of, bytes);
    }
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {}

/// Why an import stopped. What was committed before stays, and the same command goes on there.
#[derive(Debug)]
pub enum ImportError {
    /// What the user can mend.
    Problems(Vec<Problem>),
    /// What the database says.
    Store(StoreError),
}

impl From<Problem> for ImportError {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![problem])
    }
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Problems(problems) => {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

/// Where rejected rows go.
#[derive(Clone, Debug)]
pub struct RejectsTo {
    /// The file.
    pub path: PathBuf,
    /// Another one where that cannot be written.
    pub fallback: Option<PathBuf>,
}

/// Counts of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Contacts, those that orders, carts and events made among them.
    pub contacts: Tally,
    /// Products, those that lines made among them.
    pub products: Tally,
    /// Orders.
    pub orders: Tally,
    /// Refunds and cancellations.
    pub refunds: Tally,
    /// Carts.
    #[serde(default)]
    pub carts: Tally,
    /// Events.
    pub events: Tally,
    /// Rows that were rejected.
    pub rejected: u64,
    /// Cancellations that match no earlier order, wholly or in part.
    pub unmatched: u64,
}

impl Counts {
    fn add(&mut self, outcome: &ImportOutcome) {
        self.contacts += outcome.contacts;
        self.products += outcome.products;
        self.orders += outcome.orders;
        self.refunds += outcome.refunds;
        self.carts += outcome.carts;
        self.events += outcome.events;
    }
}

/// What became of a file.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Rows in the file.
    pub rows: u64,
    /// Lines of orders that were taken.
    pub lines: u64,
    /// Lines without a price that were left out.
    pub free_lines: u64,
    /// Orders that were imported without a row that was rejected.
    pub incomplete_orders: u64,
    /// Everything that became of the items, over all runs of this import.
    pub counts: Counts,
    /// Rows that an earlier run of this import had done.
    pub resumed_rows: u64,
    /// Whether the file had been imported to its end before.
    pub repeated: bool,
    /// Where rejected rows were written, if there are any.
    pub rejects: Option<PathBuf>,
    /// Currency of amounts without one.
    pub currency: Option<Currency>,
}

/// What the checkpoint keeps beside the number of rows.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct State {
    /// The batch that the checkpoint was committed with: it is sent again.
    batch: u64,
    /// Rows that were done before that batch.
    rows_before: u64,
    /// The instant of the import's first run.
    started_at: Timestamp,
    /// Length of the file of rejected rows before that batch.
    rejects_bytes: u64,
    /// What became of the items before that batch.
    counts: Counts,
}

/// Imports a file. `now` is the import's instant, `latest` the latest instant that its rows may hold.
///
/// # Errors
/// What makes the file, the mapping or the database unusable; everything committed before stays.
pub async fn import<S: Sink>(
    store: &S,
    source: &Source,
    options: &Options,
    rejects_to: &RejectsTo,
    (now, latest): (Timestamp, Timestamp),
    progress: Arc<dyn Progress>,
) -> Result<Report, ImportError> {
    let custom = custom_fields(store).await?;
    let (mapping, currency) = (map(source, options, &custom)?, currency(store, options).await?);
    progress.mapped(&mapping);
    let look = look_through(source, options, &mapping, Arc::clone(&progress)).await?;
    let (hash, survey) = look;
    let key = checkpoint_key(&hash, options);
    let checkpoint = store.load_checkpoint(key.clone()).await?;
    let mut state = State { started_at: now, ..State::default() };
    let mut report = Report { rows: survey.rows, currency: Some(currency), ..Report::default() };
    if let Some(found) = &checkpoint
        && let Ok(known) = serde_json::from_value::<State>(found.state.clone())
    {
        report.repeated = found.finished;
        state.started_at = known.started_at;
        if !found.finished {
            state = known;
            report.resumed_rows = known.rows_before;
        }
        progress.resumed(known.rows_before, found.finished);
    }
    let named = if options.kind == Kind::Orders { named_products(store).await? } else { HashSet::new() };
    let rejects = Rejects::new(
        &rejects_to.path,
        rejects_to.fallback.as_deref(),
        mapping.used.clone(),
        state.rejects_bytes,
    )?;
    let plan = Plan {
        source: source.clone(),
        options: options.clone(),
        mapping,
        survey,
        hash,
        currency,
        custom,
        named,
        now: state.started_at,
        latest,
    };
    let writer = Writer { store, key, state, rejects, report, progress };
    writer.run(plan).await
}

async fn custom_fields<S: Sink>(store: &S) -> Result<Vec<FieldDef>, ImportError> {
    let definitions = store.load_definitions(DefinitionKind::Field).await?;
    Ok(definitions.into_iter().filter_map(|one| serde_json::from_value(one.content).ok()).collect())
}

fn map(source: &Source, options: &Options, custom: &[FieldDef]) -> Result<Mapping, ImportError> {
    let rows = Rows::open(source, options, &Count::default())?;
    let slugs: Vec<&str> = custom.iter().map(|field| field.slug.as_str()).collect();
    let mapping = Mapping::resolve(options, rows.columns(), &slugs).map_err(|problems| {
        ImportError::Problems(problems.into_iter().map(|one| one.in_file(&source.name)).collect())
    })?;
    if options.kind == Kind::Contacts {
        ContactReader::new(mapping.clone(), custom.to_vec(), "", Timestamp::MIN)
            .check()
            .map_err(ImportError::Problems)?;
    }
    Ok(mapping)
}

/// The currency of amounts without one: what is asked for, if the workspace takes it; else the workspace's; else euro.
async fn currency<S: Sink>(store: &S, options: &Options) -> Result<Currency, ImportError> {
    let setting = store.load_setting(key::CURRENCY.to_owned()).await?;
    let home = setting.as_ref().and_then(|code| code.as_str()).and_then(|code| Currency::parse(code).ok());
    let Some(asked) = options.currency else { return Ok(home.unwrap_or(Currency::EUR)) };
    if matches!(options.kind, Kind::Orders | Kind::Carts)
        && let Some(home) = home
        && home != asked
    {
        let allowed = store.load_setting(key::CURRENCIES_ALLOWED.to_owned()).await?;
        if allowed.as_ref().and_then(|rates| rates.get(asked.code())).is_none() {
            return Err(Problem::new(
                "currency.other",
                format!("the file's amounts are in {asked}, the workspace's currency is {home}"),
            )
            .field("--currency")
            .value(asked)
            .cure(format!(
                "import it into a database of its own, or say what one {asked} is worth in {home}: --rate {asked}=RATE"
            ))
            .into());
        }
    }
    Ok(asked)
}

async fn named_products<S: Sink>(store: &S) -> Result<HashSet<String>, ImportError> {
    let products = store.load_products().await?;
    let named = products.into_iter().filter(|one| !one.name.is_empty() && one.name != one.external_id);
    Ok(named.map(|one| one.external_id).collect())
}

/// The first pass, with the file's hash taken beside it.
async fn look_through(
    source: &Source,
    options: &Options,
    mapping: &Mapping,
    progress: Arc<dyn Progress>,
) -> Result<(String, crate::survey::Survey), ImportError> {
    let grouping = Grouping::of(options.kind, mapping);
    let (own, file) = (options.clone(), source.clone());
    let surveyed = tokio::task::spawn_blocking(move || {
        let count = Count::default();
        let tell = |_| progress.surveying(count.get(), file.size);
        survey(&file, &own, grouping, &count, tell)
    });
    let file = source.clone();
    let hashed = tokio::task::spawn_blocking(move || file.hash());
    let broken = |_| {
        // A decoder gave up by panicking: the file is at fault, whatever it says.
        Problem::new("file.damaged", "the file cannot be read").in_file(&source.name).cure("make it again")
    };
    let survey = surveyed.await.map_err(broken)??;
    let hash = hashed.await.map_err(broken)??;
    Ok((hash, survey))
}

fn checkpoint_key(hash: &str, options: &Options) -> String {
    let how = hex(&Sha256::digest(options.fingerprint().as_bytes())[..8]);
    format!("{}:{}:{how}", options.kind.word(), &hash[..32])
}

struct Writer<'a, S> {
    store: &'a S,
    key: String,
    state: State,
    rejects: Rejects,
    report: Report,
    progress: Arc<dyn Progress>,
}

impl<S: Sink> Writer<'_, S> {
    async fn run(mut self, plan: Plan) -> Result<Report, ImportError> {
        let (send, mut receive) = mpsc::channel::<Prepared>(AHEAD);
        let (skip, size) = (self.state.batch, plan.source.size);
        let preparing = tokio::task::spawn_blocking(move || {
            let count = Count::default();
            prepare(&plan, &count, |prepared| prepared.number < skip || send.blocking_send(prepared).is_ok())
        });
        while let Some(prepared) = receive.recv().await {
            self.write(prepared, size).await?;
        }
        preparing.await.map_err(|_| Problem::new("file.damaged", "the file cannot be read"))??;
        self.report.counts = self.state.counts;
        self.report.rejects = self.rejects.path().map(PathBuf::from);
        Ok(self.report)
    }

    async fn write(&mut self, mut prepared: Prepared, size: u64) -> Result<(), ImportError> {
        self.state.batch = prepared.number;
        // What stands in the checkpoint is what was before this batch; its own rejected rows come after.
        self.state.rejects_bytes = self.rejects.flush()?;
        prepared.batch.checkpoint = Some(Checkpoint {
            key: self.key.clone(),
            rows_done: prepared.rows,
            finished: prepared.last,
            state: serde_json::to_value(self.state).unwrap_or_default(),
        });
        for reject in &prepared.rejects {
            self.rejects.add(reject)?;
        }
        for reject in &prepared.unmatched {
            self.rejects.add(reject)?;
        }
        self.state.counts.rejected += prepared.rejects.len() as u64;
        self.state.counts.unmatched += prepared.unmatched.len() as u64;
        self.rejects.flush()?;
        let outcome = self.store.import(prepared.batch).await?;
        self.state.counts.add(&outcome);
        for refusal in outcome.refusals {
            let row = prepared
                .items
                .binary_search_by_key(&(refusal.kind, refusal.index), |(kind, index, _)| (*kind, *index))
                .map_or(0, |place| prepared.items[place].2);
            if refusal.kind == ItemKind::Refund {
                self.state.counts.unmatched += 1;
            } else {
                self.state.counts.rejected += 1;
            }
            self.rejects.add(&Reject { row, problem: refusal.problem })?;
        }
        if prepared.last {
            self.rejects.flush()?;
        }
        self.state.rows_before = prepared.rows;
        self.report.lines = prepared.lines;
        self.report.free_lines = prepared.free_lines;
        self.report.incomplete_orders = prepared.incomplete_orders;
        self.progress.written(
            prepared.rows,
            self.report.rows,
            if prepared.last { size } else { prepared.bytes },
        );
        Ok(())
    }
}
