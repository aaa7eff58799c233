//! `relance segment`: looks at who is in a segment, builds it, lists what there is.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Instant,
};

use clap::Subcommand;
use engine::segments::{self, Preview, Progress, Workspace};
use model::{Contact, ContactId, Lang, Problem, Timestamp};
use segment::SegmentFile;
use serde_json::json;
use storage::{contacts::ContactStore, segments::SegmentStore};
use storage_sqlite::Sqlite;

use crate::{
    context::{Common, Failure, Format},
    output::Listing,
};

/// Contacts shown by a preview unless told otherwise.
const SAMPLE: usize = 10;
/// Endings of segments' files.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Options of `relance segment`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// What to do with segments.
#[derive(Subcommand)]
enum What {
    /// Count and show who would be in a segment, without saving anything
    Preview {
        /// The segment's file (YAML or JSON), or the slug of a saved segment
        #[arg(value_name = "FILE|SLUG")]
        file: PathBuf,
        /// How many of the members to show, spread evenly over them
        #[arg(long, default_value_t = SAMPLE, value_name = "N")]
        sample: usize,
    },
    /// Save a segment and its members
    Build {
        /// Segments' files (YAML or JSON), or slugs of saved segments; all saved ones when none is given
        #[arg(value_name = "FILE|SLUG")]
        files: Vec<PathBuf>,
    },
    /// List the saved segments with their members
    List,
}

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let now = common.clock()?.now();
    let store = common.open()?;
    match &args.what {
        What::Preview { file, sample } => preview(&store, file, *sample, now, common.format).await?,
        What::Build { files } => build(&store, files, now, common.format).await?,
        What::List => list(&store, common.format).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The workspace, with the lists that there are: a condition that names another is warned of.
async fn workspace(store: &Sqlite) -> Result<Workspace, Failure> {
    let mut workspace = Workspace::load(store).await?;
    workspace.schema.lists = engine::rules::known_lists(store).await?;
    Ok(workspace)
}

async fn preview(
    store: &Sqlite,
    file: &Path,
    sample: usize,
    now: Timestamp,
    format: Format,
) -> Result<(), Failure> {
    let stopwatch = start();
    let workspace = workspace(store).await?;
    let (workspace, slugs) = with_files(workspace, std::slice::from_ref(&file.to_path_buf()))?;
    let workspace = Arc::new(workspace);
    let chosen = Arc::clone(workspace.segment(&slugs[0])?);
    let bar = progress("looking");
    let found = segments::preview(store, &workspace, &chosen.condition, now, sample, bar).await?;
    let seconds = stopwatch.elapsed().as_secs_f64();
    match format {
        Format::Table => print_preview(&chosen, &found, seconds),
        Format::Csv => sample_listing(&found.sample).print(format)?,
        Format::Json => println!("{:#}", preview_json(&chosen, &found, now, seconds)),
    }
    Ok(())
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

fn print_preview(file: &SegmentFile, found: &Preview, seconds: f64) {
    let name = file.name.get(Lang::En);
    let title = if name.is_empty() { file.slug.to_string() } else { format!("{} ({name})", file.slug) };
    let members = found.members.len();
    println!("{title}: {members} of {} contacts, {:.1} %", found.base, share(members, found.base));
    for (field, count) in found.without_value.iter().filter(|(_, count)| **count > 0) {
        println!("{count} contacts have no value for {field} ({:.1} %)", share(*count, found.base));
    }
    if !found.sample.is_empty() {
        println!("\nSome of them:");
        // A broken pipe is the reader's wish.
        drop(sample_listing(&found.sample).print(Format::Table));
    }
    eprintln!("took {seconds:.2} s");
}

fn sample_listing(sample: &[Contact]) -> Listing {
    let mut listing = Listing::new(&["contact", "email", "first_name", "last_name", "country"], &[]);
    for contact in sample {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        listing.rows.push(vec![
            contact_name(contact),
            text(&contact.email),
            text(&contact.first_name),
            text(&contact.last_name),
            text(&contact.country),
        ]);
    }
    listing
}

/// The shop's own id, else the address, else our number.
fn contact_name(contact: &Contact) -> String {
    let ContactId(id) = contact.id;
    contact.external_id.clone().or_else(|| contact.email.clone()).unwrap_or_else(|| format!("#{id}"))
}

fn preview_json(file: &SegmentFile, found: &Preview, now: Timestamp, seconds: f64) -> serde_json::Value {
    let sample: Vec<_> = found
        .sample
        .iter()
        .map(|contact| {
            json!({
                "contact": contact_name(contact), "email": contact.email, "first_name": contact.first_name,
                "last_name": contact.last_name, "country": contact.country,
            })
        })
        .collect();
    json!({
        "segment": file.slug, "at": now, "contacts": found.base, "members": found.members.len(),
        "share_percent": (share(found.members.len(), found.base) * 100.0).round() / 100.0,
        "without_value": found.without_value, "seconds": seconds, "sample": sample,
    })
}

async fn build(store: &Sqlite, files: &[PathBuf], now: Timestamp, format: Format) -> Result<(), Failure> {
    let workspace = workspace(store).await?;
    let (workspace, slugs) = if files.is_empty() {
        let slugs = workspace.segments.keys().cloned().collect();
        (workspace, slugs)
    } else {
        with_files(workspace, files)?
    };
    if slugs.is_empty() {
        eprintln!("there is no segment yet: give a file, as in `relance segment build rfm-high.yaml`");
    }
    for (slug, problems) in &workspace.broken {
        eprintln!("warning: segment `{slug}` cannot be read any more and is left as it is:");
        problems.iter().for_each(|problem| eprintln!("  {problem}"));
    }
    let workspace = Arc::new(workspace);
    // Those that they refer to are saved with them: one without the other could not be read again.
    let saved: Vec<SegmentFile> = workspace.segments.values().map(|file| SegmentFile::clone(file)).collect();
    segments::save(store, &saved, now).await?;
    let mut listing = Listing::new(
        &["segment", "members", "entered", "left", "seconds"],
        &["members", "entered", "left", "seconds"],
    );
    for slug in slugs {
        let stopwatch = start();
        let moved = segments::build(store, &workspace, &slug, now, progress(&slug)).await?;
        listing.rows.push(vec![
            slug,
            moved.members.to_string(),
            moved.entered.len().to_string(),
            moved.left.len().to_string(),
            format!("{:.3}", stopwatch.elapsed().as_secs_f64()),
        ]);
    }
    // An engine that is at work keeps them true from now on.
    engine::live::book::touch_rules(store).await?;
    Ok(listing.print(format)?)
}

async fn list(store: &Sqlite, format: Format) -> Result<(), Failure> {
    let workspace = workspace(store).await?;
    let built = store.load_segments().await?;
    let (base, _) = store.count_contacts().await?;
    let mut listing = Listing::new(
        &["segment", "name", "members", "percent", "built_at", "state"],
        &["members", "percent"],
    );
    for (slug, file) in &workspace.segments {
        let record = built.iter().find(|record| record.slug.as_str() == slug);
        let state = match record {
            None => "not built yet",
            Some(record) if record.fingerprint == workspace.fingerprint(file) => "built",
            Some(_) => "changed since it was built",
        };
        listing.rows.push(vec![
            slug.clone(),
            file.name.get(Lang::En).to_owned(),
            record.map(|record| record.members.to_string()).unwrap_or_default(),
            record.map(|record| format!("{:.1}", share(record.members, base))).unwrap_or_default(),
            record.map(|record| record.built_at.to_string()).unwrap_or_default(),
            state.to_owned(),
        ]);
    }
    for slug in workspace.broken.keys() {
        let cells = [slug.as_str(), "", "", "", "", "cannot be read any more"];
        listing.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
    }
    if listing.rows.is_empty() && format == Format::Table {
        eprintln!("there is no segment yet: `relance segment build FILE` makes one");
        return Ok(());
    }
    Ok(listing.print(format)?)
}

/// The workspace with these files (and files beside them that they refer to) in it, and the slugs that were named.
fn with_files(mut workspace: Workspace, files: &[PathBuf]) -> Result<(Workspace, Vec<String>), Failure> {
    let mut slugs = Vec::new();
    let mut read = Vec::new();
    let mut open: Vec<PathBuf> = Vec::new();
    for file in files {
        let name = file.to_string_lossy().into_owned();
        if !file.exists() && workspace.segments.contains_key(&name) {
            slugs.push(name);
        } else {
            open.push(file.clone());
            slugs.push(String::new());
        }
    }
    open.reverse();
    let mut named = 0;
    while let Some(path) = open.pop() {
        let file = read_file(&mut workspace, &path)?;
        while slugs.get(named).is_some_and(|slug| !slug.is_empty()) {
            named += 1;
        }
        if let Some(slug) = slugs.get_mut(named) {
            *slug = file.slug.to_string();
        }
        for slug in file.condition.reads().segments {
            let known = read.iter().any(|file: &SegmentFile| file.slug.as_str() == slug)
                || slug == file.slug.as_str();
            if !known && !open.iter().any(|path| stem(path) == Some(&slug)) {
                // Those that nobody named come last, behind all that were.
                open.splice(0..0, beside(&path).into_iter().filter(|path| stem(path) == Some(&slug)));
            }
        }
        read.push(file);
    }
    Ok((workspace.with(read)?, slugs))
}

fn stem(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()
}

/// Segments' files in the same folder.
fn beside(path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .filter(|path| path.extension().and_then(|e| e.to_str()).is_some_and(|e| ENDINGS.contains(&e)))
        .collect()
}

fn read_file(workspace: &mut Workspace, path: &Path) -> Result<SegmentFile, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| {
        let problem =
            Problem::new("file.unreadable", format!("`{name}` cannot be read: {error}")).value(&name);
        problem.suggest(&name, workspace.segments.keys().map(String::as_str).collect::<Vec<_>>())
    })?;
    let text = String::from_utf8(text).map_err(|error| {
        let message = format!("it is not UTF-8 (byte {})", error.utf8_error().valid_up_to());
        Problem::new("file.encoding", message).in_file(&name).cure("save the file as UTF-8")
    })?;
    if let segment::Known::Only(names) = &mut workspace.schema.segments {
        names.extend(beside(path).iter().filter_map(|path| stem(path)).map(str::to_owned));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let in_file = |problems: Vec<Problem>| problems.into_iter().map(|problem| problem.in_file(&name));
    match SegmentFile::parse(text, stem(path), &workspace.schema) {
        Ok((file, warnings)) => {
            in_file(warnings).for_each(|warning| eprintln!("{warning}"));
            Ok(file)
        }
        Err(problems) => Err(Failure::Problems(in_file(problems).collect())),
    }
}

fn start() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the binary may measure")]
    Instant::now()
}

/// Shows how far a pass has come, where somebody looks.
fn progress(what: &str) -> Progress {
    if !std::io::stderr().is_terminal() {
        return segments::silent();
    }
    let what = what.to_owned();
    Arc::new(move |done, of| {
        let end = if done == of { "\r\u{1b}[K" } else { "" };
        eprint!("\r{what}: {} %{end}", done * 100 / of.max(1));
    })
}
