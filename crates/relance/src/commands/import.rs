//! `relance import KIND FILE`: contacts, products, orders or events from a file into the database.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use connect::{
    Kind, Mapping, Options, Progress, Report,
    options::{Encoding, Incomplete, KeyKind, Negative},
    run::{ImportError, RejectsTo, import},
    source::Source,
};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Clock, Currency, Problem};
use storage::{
    imports::Tally,
    settings::{SettingsStore, key},
};

use crate::context::{Common, Failure, Format, SystemClock};

/// The exit status when rows were rejected and everything else went well.
const REJECTED: u8 = 2;

/// Options of `relance import`.
#[derive(clap::Args)]
#[command(
    after_help = "Exit status: 0 when every row was taken, 2 when rows were rejected (they are listed in FILE.rejected.csv), \
                  1 when the import stopped."
)]
pub struct Args {
    /// What the rows are
    #[arg(value_enum)]
    kind: KindArg,
    /// CSV, JSON Lines or Parquet; plain, gzip or zstd; `-` for standard input
    file: PathBuf,
    /// Which column is which field, as in order_id=InvoiceNo,contact=CustomerID
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    map: Vec<String>,
    /// The same and more from a file (YAML or JSON); see docs/import.md
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Currency of amounts in rows without one (default: the workspace's, else EUR)
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Take amounts in another currency, at what one unit is worth in the workspace's, as in USD=0.86
    #[arg(long, value_name = "CODE=RATE")]
    rate: Vec<String>,
    /// Zone of times without one (default: UTC)
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// How rows name contacts: external_id or email (default: external_id)
    #[arg(long, value_name = "KEY")]
    contact_key: Option<String>,
    /// How texts are written: utf-8, latin1 or windows-1252 (default: utf-8)
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// What separates cells (default: found in the header)
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// How dates are written, as in "%d/%m/%Y %H:%M" (default: ISO 8601)
    #[arg(long, value_name = "FORMAT")]
    date_format: Option<String>,
    /// Amounts have a decimal comma
    #[arg(long)]
    decimal_comma: bool,
    /// Orders whose id begins with this are cancellations
    #[arg(long, value_name = "TEXT")]
    cancellation_prefix: Option<String>,
    /// What negative quantities and totals are (default: refund)
    #[arg(long, value_enum)]
    negative: Option<NegativeArg>,
    /// What becomes of an order of which a row was rejected (default: import what is left of it)
    #[arg(long, value_enum)]
    incomplete_orders: Option<IncompleteArg>,
    /// It happens now: journeys and segments hear of everything new in the file (see relance work)
    #[arg(long)]
    live: bool,
    /// Where rejected rows go (default: FILE.rejected.csv)
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KindArg {
    /// People: external_id or email, names, fields.NAME, consent.PURPOSE
    Contacts,
    /// The catalogue: external_id, name, unit_price, categories, stock
    Products,
    /// Orders, one row per order or one row per line
    Orders,
    /// What happened: kind, at, contact, properties
    Events,
    /// Open carts as they stand: cart_id, contact, updated_at, items; or one row per line
    Carts,
    /// Browsers that take push messages: contact, endpoint, p256dh, auth
    Push,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NegativeArg {
    /// Something given back
    Refund,
    /// A mistake
    Reject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IncompleteArg {
    /// Without the rejected row
    Import,
    /// Not at all, until the file is mended
    Hold,
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let options = args.options()?;
    let spooled = if args.file.as_os_str() == "-" { Some(spool()?) } else { None };
    let (path, name) = match &spooled {
        Some(file) => (file.path().to_path_buf(), "standard input".to_owned()),
        None => (args.file.clone(), args.file.display().to_string()),
    };
    let source = Source::open(&path, &name)?;
    let store = common.open()?;
    args.save_rates(&store).await?;
    let now = common.clock()?.now();
    // A day of grace for clocks and zones that do not agree.
    let latest = now.max(SystemClock.now()).plus_days(1);
    let bar = Arc::new(Bar::new(&source));
    let progress: Arc<dyn Progress> = Arc::clone(&bar) as Arc<dyn Progress>;
    let result = import(&store, &source, &options, &args.rejects_to(), (now, latest), progress).await;
    bar.finish();
    match result {
        Ok(report) => {
            summary(&report, options.kind, &name, bar.elapsed(), common.format)?;
            Ok(if report.counts.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::from(REJECTED) })
        }
        Err(ImportError::Problems(problems)) => Err(problems.into()),
        Err(ImportError::Store(error)) => {
            eprintln!(
                "The import stopped; what was written before stays. Run the same command again to go on."
            );
            Err(error.into())
        }
    }
}

impl Args {
    fn options(&self) -> Result<Options, Failure> {
        let kind = match self.kind {
            KindArg::Contacts => Kind::Contacts,
            KindArg::Products => Kind::Products,
            KindArg::Orders => Kind::Orders,
            KindArg::Events => Kind::Events,
            KindArg::Carts => Kind::Carts,
            KindArg::Push => Kind::Push,
        };
        let mut options = Options::new(kind);
        if let Some(path) = &self.mapping {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|error| {
                Problem::new("mapping.unreadable", format!("the mapping cannot be read: {error}"))
                    .field("--mapping")
                    .in_file(&name)
            })?;
            options.read_mapping(&text).map_err(|problems| {
                Failure::Problems(problems.into_iter().map(|problem| problem.in_file(&name)).collect())
            })?;
        }
        for map in &self.map {
            options.add_map(map)?;
        }
        let at = |option: &'static str| move |problem: Problem| problem.field(option);
        if let Some(code) = &self.currency {
            options.currency = Some(Currency::parse(code).map_err(at("--currency"))?);
        }
        if let Some(name) = &self.timezone {
            options.set_zone(name).map_err(at("--timezone"))?;
        }
        if let Some(name) = &self.contact_key {
            options.contact_key = KeyKind::parse(name).map_err(at("--contact-key"))?;
        }
        if let Some(name) = &self.encoding {
            options.encoding = Encoding::parse(name).map_err(at("--encoding"))?;
        }
        if let Some(text) = &self.delimiter {
            options.set_delimiter(text).map_err(at("--delimiter"))?;
        }
        options.live = self.live;
        if let Some(format) = &self.date_format {
            options.date_format = Some(format.clone());
        }
        options.decimal_comma |= self.decimal_comma;
        if let Some(prefix) = &self.cancellation_prefix {
            options.cancellation_prefix = Some(prefix.clone()).filter(|prefix| !prefix.is_empty());
        }
        if let Some(negative) = self.negative {
            options.negative = match negative {
                NegativeArg::Refund => Negative::Refund,
                NegativeArg::Reject => Negative::Reject,
            };
        }
        if let Some(incomplete) = self.incomplete_orders {
            options.incomplete = match incomplete {
                IncompleteArg::Import => Incomplete::Import,
                IncompleteArg::Hold => Incomplete::Hold,
            };
        }
        Ok(options)
    }

    fn rejects_to(&self) -> RejectsTo {
        if let Some(path) = &self.rejects {
            return RejectsTo { path: path.clone(), fallback: None };
        }
        let name = if self.file.as_os_str() == "-" {
            "stdin".to_owned()
        } else {
            self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
        };
        let name = format!("{name}.rejected.csv");
        let beside = self.file.parent().map_or_else(|| PathBuf::from(&name), |folder| folder.join(&name));
        // The file may lie where nothing can be written: then beside the user.
        let fallback = Some(PathBuf::from(&name)).filter(|fallback| *fallback != beside);
        RejectsTo { path: beside, fallback }
    }

    /// Adds the rates of `--rate` to the setting that the storage converts by.
    async fn save_rates(&self, store: &impl SettingsStore) -> Result<(), Failure> {
        if self.rate.is_empty() {
            return Ok(());
        }
        let known = store.load_setting(key::CURRENCIES_ALLOWED.to_owned()).await?;
        let mut rates = known.and_then(|known| known.as_object().cloned()).unwrap_or_default();
        for text in &self.rate {
            let (code, rate) = text.split_once('=').unwrap_or((text, ""));
            let code = Currency::parse(code).map_err(|problem| problem.field("--rate"))?;
            let decimals = rate.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let positive = rate.parse::<f64>().is_ok_and(|rate| rate > 0.0 && rate < 1e6);
            if !positive || decimals > 9 || !rate.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                return Err(Problem::new("currency.rate", format!("`{text}` is not CODE=RATE"))
                    .field("--rate")
                    .value(text)
                    .cure("write what one unit is worth in the workspace's currency, as in USD=0.86")
                    .into());
            }
            rates.insert(code.code().to_owned(), rate.into());
        }
        store.save_setting(key::CURRENCIES_ALLOWED.to_owned(), rates.into()).await?;
        Ok(())
    }
}

/// Standard input cannot be read twice: it is kept in a file that goes when this goes.
fn spool() -> Result<tempfile::NamedTempFile, Failure> {
    let mut file = tempfile::NamedTempFile::new()?;
    io::copy(&mut io::stdin().lock(), &mut file)?;
    file.flush()?;
    Ok(file)
}

/// What is shown while it runs, on standard error: a bar on a terminal, else a line now and then.
struct Bar {
    bar: Option<ProgressBar>,
    started: Instant,
    /// When writing began, how many rows were done then, and when the last line was printed.
    writing: Mutex<Option<(Instant, u64, Instant)>>,
    resumed: Mutex<u64>,
}

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[expect(clippy::disallowed_methods, reason = "a progress bar measures")]
fn instant() -> Instant {
    Instant::now()
}

impl Bar {
    fn new(source: &Source) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(source.size);
            let style = ProgressStyle::with_template("{prefix:>10} [{bar:32}] {percent:>3} %  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar
        });
        Self { bar, started: instant(), writing: Mutex::new(None), resumed: Mutex::new(0) }
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}

impl Progress for Bar {
    fn surveying(&self, bytes: u64, _: u64) {
        if let Some(bar) = &self.bar {
            bar.set_prefix("reading");
            bar.set_position(bytes);
        }
    }

    fn mapped(&self, mapping: &Mapping) {
        let used: Vec<String> =
            mapping.used.iter().map(|(field, column)| format!("{field}={column}")).collect();
        self.say(&format!("Mapping: {}", used.join(",")));
        if !mapping.unused.is_empty() {
            self.say(&format!("Columns not used: {}", mapping.unused.join(", ")));
        }
    }

    fn resumed(&self, rows: u64, finished: bool) {
        if finished {
            self.say("This file was imported before: what is known already is left as it is.");
        } else {
            self.say(&format!(
                "An import of this file was interrupted: going on after row {}.",
                grouped(rows)
            ));
            *self.resumed.lock().unwrap_or_else(PoisonError::into_inner) = rows;
        }
    }

    fn written(&self, rows: u64, of: u64, bytes: u64) {
        let now = instant();
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let resumed = *self.resumed.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, before, printed) = writing.get_or_insert((self.started, resumed, self.started));
        let seconds = now.duration_since(*began).as_secs_f64().max(1e-3);
        let rate = rows.saturating_sub(*before) as f64 / seconds;
        let left = of.saturating_sub(rows) as f64 / rate.max(1e-3);
        let message = format!(
            "{} of {} rows, {} rows/s, {} left",
            grouped(rows),
            grouped(of),
            grouped(rate as u64),
            duration(left)
        );
        if let Some(bar) = &self.bar {
            bar.set_prefix("importing");
            bar.set_message(message);
            bar.set_position(bytes);
        } else if now.duration_since(*printed) >= LINE_EVERY {
            *printed = now;
            eprintln!("{message}");
        }
    }
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.min(359_999.0) as u64;
    if seconds < 60 { format!("{seconds} s") } else { format!("{}:{:02} min", seconds / 60, seconds % 60) }
}

/// Counts by kind; nothing of kinds that the import did not touch.
fn tallies(report: &Report) -> Vec<(&'static str, Tally)> {
    let counts = &report.counts;
    [
        ("contacts", counts.contacts),
        ("products", counts.products),
        ("orders", counts.orders),
        ("cancellations", counts.refunds),
        ("carts", counts.carts),
        ("events", counts.events),
    ]
    .into_iter()
    .filter(|(_, tally)| *tally != Tally::default())
    .collect()
}

fn summary(report: &Report, kind: Kind, file: &str, took: Duration, format: Format) -> Result<(), Failure> {
    let counts = &report.counts;
    let mut listing = crate::output::Listing::new(
        &["what", "new", "changed", "known", "refused"],
        &["new", "changed", "known", "refused"],
    );
    for (what, tally) in tallies(report) {
        listing.rows.push(vec![
            what.to_owned(),
            tally.new.to_string(),
            tally.changed.to_string(),
            tally.known.to_string(),
            tally.refused.to_string(),
        ]);
    }
    listing.print(format)?;
    let seconds = took.as_secs_f64().max(1e-3);
    let rows = report.rows.saturating_sub(report.resumed_rows);
    eprintln!(
        "{}: {} rows in {seconds:.1} s ({} rows/s)",
        file,
        grouped(rows),
        grouped((rows as f64 / seconds) as u64)
    );
    if report.free_lines > 0 {
        eprintln!("{} lines without a price were left out", grouped(report.free_lines));
    }
    let listed = report.rejects.as_deref().map_or(Path::new("").display(), Path::display);
    if counts.unmatched > 0 {
        eprintln!(
            "{} cancellations match no earlier order, wholly or in part; they are listed in {listed}",
            grouped(counts.unmatched)
        );
    }
    if counts.rejected > 0 {
        eprintln!(
            "{} rows were rejected; row, field, value and reason are listed in {listed}. Mend them and import the file again: what is known already stays as it is.",
            grouped(counts.rejected)
        );
    }
    if report.incomplete_orders > 0 {
        eprintln!(
            "{} orders were imported without a rejected row, and stay so: to have such orders held back until they are whole, use a fresh database and --incomplete-orders hold.",
            grouped(report.incomplete_orders)
        );
    }
    if report.rows == 0 {
        eprintln!("The file has a header and no rows.");
    }
    if counts.orders.new > 0 && kind == Kind::Orders {
        eprintln!("Next: `relance rfm` scores the contacts by these orders.");
    } else if counts.contacts.new > 0 && kind == Kind::Contacts {
        eprintln!("Next: import what they bought, with `relance import orders FILE`.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(duration(61.5), "1:01 min");
    }
}
