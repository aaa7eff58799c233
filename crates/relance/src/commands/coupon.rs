//! `relance coupon`: sets and their codes: what there is, what is left, import and generation.

use std::{collections::HashSet, fs, io::IsTerminal, path::Path, process::ExitCode};

use clap::Subcommand;
use engine::{live::coupons::load_terms, segments::Workspace};
use model::{CouponSet, Problem, Slug, Timestamp, coupon::Pattern};
use storage::{
    coupons::{AddedCodes, CouponCounts, CouponStore},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use storage_sqlite::Sqlite;

use crate::{
    context::{Common, Failure, Format},
    output::Listing,
};

/// Codes that are added in one transaction.
const BATCH: usize = 5_000;
/// Refused codes that are shown one by one.
const SHOWN: usize = 20;
/// Largest file of codes, in bytes: 500,000 codes of the greatest length and a byte between them fit twice.
const FILE_LEN_MAX: u64 = 256 * 1024 * 1024;
/// Headers of the column of codes, without regard to case.
const HEADERS: [&str; 4] = ["code", "coupon", "coupon code", "coupon_code"];

/// Options of `relance coupon`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What to do with coupon sets.
#[derive(Subcommand)]
enum What {
    /// List the coupon sets and how much of each is left
    List,
    /// Add codes from a file: a CSV with the header `code`, or one code per line
    Import {
        /// The set's slug, or its file (YAML or JSON), which is saved then
        #[arg(value_name = "SET|FILE")]
        set: String,
        /// The codes
        #[arg(value_name = "CODES")]
        file: std::path::PathBuf,
    },
    /// Make codes by the set's pattern, add them, and print them for the shop
    Generate {
        /// The set's slug, or its file (YAML or JSON), which is saved then
        #[arg(value_name = "SET|FILE")]
        set: String,
        /// How many
        #[arg(long, value_name = "N")]
        count: u64,
    },
    /// Show how many codes of a set are assigned, free, redeemed and expired
    Status {
        /// The set's slug, or its file (YAML or JSON), which is saved then
        #[arg(value_name = "SET|FILE")]
        set: String,
    },
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let now = common.clock()?.now();
    let store = common.open()?;
    match &args.what {
        What::List => list(&store, now, common.format).await,
        What::Import { set, file } => import(&store, set, file, now, common.format).await,
        What::Generate { set, count } => generate(&store, set, *count, now, common.format).await,
        What::Status { set } => status(&store, set, now, common.format).await,
    }
}

/// The terms of a set that is saved; a file is saved first.
async fn find(store: &Sqlite, set: &str, now: Timestamp) -> Result<CouponSet, Failure> {
    let path = Path::new(set);
    if path.is_file() {
        let named = |problem: Problem| problem.in_file(set.to_owned());
        let text = read(path)?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let zone = Workspace::load(store).await?.zone;
        let terms = CouponSet::parse(&text, stem.as_deref(), &zone)
            .map_err(|problems| problems.into_iter().map(named).collect::<Vec<_>>())?;
        let kind = DefinitionKind::CouponSet;
        let new = NewDefinition { kind, slug: terms.slug.clone(), content: terms.to_json() };
        store.save_definitions(vec![new], now).await?;
        return Ok(terms);
    }
    let mut known = load_terms(store).await?;
    if let Some(terms) = Slug::parse(set).ok().and_then(|slug| known.remove(&slug)) {
        return Ok(terms);
    }
    let names: Vec<&str> = known.keys().map(Slug::as_str).collect();
    let problem = Problem::new("coupon.unknown_set", format!("there is no coupon set `{set}`")).value(set);
    Err(if names.is_empty() {
        problem
            .cure("give the set's file, as in coupons/spring.yaml, or publish a journey that has it")
            .into()
    } else {
        problem.suggest(set, names).into()
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    let problem = |code, message: String| Problem::new(code, message).in_file(path.display().to_string());
    let unreadable = |error: std::io::Error| problem("file.unreadable", format!("cannot be read: {error}"));
    if fs::metadata(path).map_err(unreadable)?.len() > FILE_LEN_MAX {
        return Err(problem("file.too_large", format!("is larger than {FILE_LEN_MAX} bytes")).into());
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        problem("file.encoding", format!("is not UTF-8 (byte {at})")).cure("save it as UTF-8").into()
    })
}

fn needs_codes(terms: &CouponSet) -> Result<(), Failure> {
    match terms.shared_code() {
        None => Ok(()),
        Some(code) => Err(Problem::new(
            "coupon.shared_set",
            format!("`{}` has the one code {code} for everybody", terms.slug),
        )
        .cure("write kind: single_use in the set's file, or use another set")
        .into()),
    }
}

/// Where a code stands in its file (from 1), and the code.
type Line = (u64, String);

/// The codes of a file: of the column `code` where there is a header, else one for each line.
fn codes_of(text: &str, file: &Path) -> Result<Vec<Line>, Failure> {
    let text = text.trim_start_matches('\u{feff}');
    let header = text.lines().next().unwrap_or_default();
    let is_code = |cell: &str| HEADERS.contains(&cell.trim().trim_matches('"').to_ascii_lowercase().as_str());
    let delimiter = [',', ';', '\t'].into_iter().find(|c| header.contains(*c)).unwrap_or(',');
    let Some(column) = header.split(delimiter).position(is_code) else {
        if header.contains([',', ';', '\t']) {
            return Err(Problem::new(
                "coupon.no_code_column",
                "the file has several columns, none named `code`",
            )
            .in_file(file.display().to_string())
            .cure("name the column of the codes `code`")
            .into());
        }
        let lines = text.lines().zip(1..).map(|(line, number)| (number, line.trim().to_owned()));
        return Ok(lines.filter(|(_, code)| !code.is_empty()).collect());
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter as u8)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut codes = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            Problem::new("coupon.file", format!("is no CSV: {error}")).in_file(file.display().to_string())
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        codes.push((line, record.get(column).unwrap_or_default().to_owned()));
    }
    Ok(codes)
}

async fn import(
    store: &Sqlite,
    set: &str,
    file: &Path,
    now: Timestamp,
    format: Format,
) -> Result<ExitCode, Failure> {
    let codes = codes_of(&read(file)?, file)?;
    let terms = find(store, set, now).await?;
    needs_codes(&terms)?;
    if codes.is_empty() {
        let problem = Problem::new("coupon.no_codes", "the file holds no codes");
        let cure = "write one code per line, or a CSV with the header `code`";
        return Err(problem.in_file(file.display().to_string()).cure(cure).into());
    }
    let (mut added, mut known, mut refused) = (0, 0, 0);
    for (number, chunk) in codes.chunks(BATCH).enumerate() {
        progress("adding", number * BATCH, codes.len());
        let given = chunk.iter().map(|(_, code)| code.clone()).collect();
        let AddedCodes { added: new, refused: problems } =
            store.add_codes(terms.slug.clone(), given, now).await?;
        added += new;
        for (place, problem) in problems {
            if problem.code == "coupon.duplicate" {
                known += 1;
                continue;
            }
            refused += 1;
            if refused <= SHOWN as u64 {
                eprintln!("{}", problem.in_file(format!("{}, line {}", file.display(), chunk[place].0)));
            }
        }
    }
    progress("adding", codes.len(), codes.len());
    if refused > SHOWN as u64 {
        eprintln!("… and {} more that were refused", refused - SHOWN as u64);
    }
    let counts = store.count_codes(terms.slug.clone(), now).await?;
    let columns = ["set", "added", "known", "refused", "free"];
    let mut listing = Listing::new(&columns, &columns[1..]);
    let numbers = [added, known, refused, counts.free].map(|n| n.to_string());
    listing.rows.push([terms.slug.to_string()].into_iter().chain(numbers).collect());
    listing.print(format)?;
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn generate(
    store: &Sqlite,
    set: &str,
    count: u64,
    now: Timestamp,
    format: Format,
) -> Result<ExitCode, Failure> {
    let terms = find(store, set, now).await?;
    needs_codes(&terms)?;
    let Some(pattern) = &terms.pattern else {
        return Err(Problem::new("coupon.no_pattern", format!("`{}` has no pattern for codes", terms.slug))
            .cure("write it into the set's file, as in pattern: SPRING-{8}")
            .into());
    };
    if !(1..=CouponSet::CODES_MAX).contains(&count) {
        return Err(Problem::new("coupon.count", format!("{count} codes cannot be made"))
            .field("--count")
            .value(count)
            .cure(format!("ask for 1 to {}", CouponSet::CODES_MAX))
            .into());
    }
    let mut listing = Listing::new(&["code"], &[]);
    while (listing.rows.len() as u64) < count {
        let made = listing.rows.len();
        progress("making", made, count as usize);
        let missing = usize::try_from(count).unwrap_or(usize::MAX) - made;
        let codes = random_codes(pattern, missing.min(BATCH))?;
        let added = store.add_codes(terms.slug.clone(), codes.clone(), now).await?;
        let refused: HashSet<usize> = added.refused.iter().map(|(place, _)| *place).collect();
        if let Some((_, problem)) =
            added.refused.into_iter().find(|(_, problem)| problem.code == "coupon.set_full")
        {
            // What was made is there: the shop must know it.
            push_new(&mut listing, codes, &refused);
            listing.print(format)?;
            eprintln!("{} of {count} codes were made", listing.rows.len());
            return Err(problem.into());
        }
        push_new(&mut listing, codes, &refused);
    }
    progress("making", listing.rows.len(), listing.rows.len());
    listing.print(format)?;
    eprintln!("{count} codes were added to {}: create them in the shop, too", terms.slug);
    Ok(ExitCode::SUCCESS)
}

fn push_new(listing: &mut Listing, codes: Vec<String>, refused: &HashSet<usize>) {
    let new = codes.into_iter().enumerate().filter(|(place, _)| !refused.contains(place));
    listing.rows.extend(new.map(|(_, code)| vec![code]));
}

/// Codes that nobody can guess, each once.
fn random_codes(pattern: &Pattern, count: usize) -> Result<Vec<String>, Failure> {
    let mut random = vec![0; count * pattern.random_len()];
    getrandom::fill(&mut random).map_err(|error| Failure::Other(format!("no random numbers: {error}")))?;
    Ok(random.chunks(pattern.random_len()).map(|bytes| pattern.code(bytes)).collect())
}

fn progress(what: &str, done: usize, of: usize) {
    if std::io::stderr().is_terminal() {
        let end = if done >= of { "\r\u{1b}[K" } else { "" };
        eprint!("\r{what}: {} %{end}", done * 100 / of.max(1));
    }
}

const COLUMNS: [&str; 9] =
    ["set", "kind", "assigned", "free", "redeemed", "expired", "limit", "expires_at", "low_since"];

fn row(terms: &CouponSet, counts: CouponCounts) -> Vec<String> {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let shared = terms.shared_code().is_some();
    vec![
        terms.slug.to_string(),
        if shared { "shared" } else { "single_use" }.to_owned(),
        counts.assigned.to_string(),
        if shared { String::new() } else { counts.free.to_string() },
        counts.redeemed.to_string(),
        counts.expired.to_string(),
        terms.limit.map(|limit| limit.to_string()).unwrap_or_default(),
        at(terms.expires_at),
        at(counts.low_since),
    ]
}

async fn list(store: &Sqlite, now: Timestamp, format: Format) -> Result<ExitCode, Failure> {
    let mut all: Vec<CouponSet> = load_terms(store).await?.into_values().collect();
    all.sort_by(|a, b| a.slug.cmp(&b.slug));
    let mut listing = Listing::new(&COLUMNS, &COLUMNS[2..7]);
    for terms in &all {
        listing.rows.push(row(terms, store.count_codes(terms.slug.clone(), now).await?));
    }
    listing.print(format)?;
    if all.is_empty() {
        eprintln!(
            "no coupon sets yet: put one beside a journey, or give its file to `relance coupon import`"
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn status(store: &Sqlite, set: &str, now: Timestamp, format: Format) -> Result<ExitCode, Failure> {
    let terms = find(store, set, now).await?;
    let counts = store.count_codes(terms.slug.clone(), now).await?;
    let mut listing = Listing::new(&COLUMNS, &COLUMNS[2..7]);
    listing.rows.push(row(&terms, counts));
    listing.print(format)?;
    if let Some(since) = counts.low_since {
        eprintln!(
            "the set has run low since {since}: add codes with `relance coupon import {} FILE`",
            terms.slug
        );
    }
    if terms.is_over(now) {
        eprintln!("the set has ended: no code is assigned any more");
    }
    Ok(ExitCode::SUCCESS)
}
