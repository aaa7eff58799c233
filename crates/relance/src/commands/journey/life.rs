//! `relance journey publish | list | pause | resume | stop | enter | retry | outcomes`: the life of published journeys.

use std::{collections::HashMap, path::Path, process::ExitCode};

use engine::{
    live::{
        lives::{self, By, Changed, PublishOptions},
        outcomes::{self, Place, Recipient, Standing},
    },
    rules::{self, Workspace},
};
use model::{ContactId, Lang, Problem, Slug, Timestamp, Zone};
use storage::{
    contacts::{ContactStore, IdentifierKind},
    live::{Life, LiveStore},
    lives::{Held, PAUSED_QUEUE_MAX},
};
use storage_sqlite::Sqlite;

use super::{count, files, show};
use crate::{
    context::{Common, Failure, Format},
    output::Listing,
};

/// Versions that are over of which `status` shows the counts, when none is at work.
const OVER_SHOWN: usize = 1;
/// Recipients that are read at once.
const PAGE: usize = 1_000;

/// The database, which must exist: looking makes none.
pub(in crate::commands) fn existing(common: &Common) -> Result<Sqlite, Failure> {
    let path = common.database.strip_prefix("sqlite:").unwrap_or_default();
    if !path.is_empty() && !Path::new(path).exists() {
        return Err(Problem::new("database.missing", format!("there is no database at {path}"))
            .field("--database")
            .value(&common.database)
            .cure("name the one that you imported into, or import first: relance import contacts FILE")
            .into());
    }
    common.open()
}

fn by(common: &Common) -> Result<By, Failure> {
    Ok(By::new("command line", common.clock()?.now()))
}

/// Publishes a journey.
pub(super) async fn publish(
    file: &Path,
    starts: Option<&str>,
    moves: bool,
    seed: u64,
    common: &Common,
) -> Result<ExitCode, Failure> {
    let folder = files::read(file)?;
    let by = by(common)?;
    let starts_at = match starts {
        Some(text) => Some(Timestamp::parse(text, &Zone::UTC).map_err(|problem| problem.field("--starts"))?),
        None => None,
    };
    let store = common.open()?;
    let rules = rules::compile(&folder, &Workspace::load(&store).await?)?;
    let warnings = rules.warnings.len();
    if warnings > 0 {
        eprintln!("{}: see `relance journey check {}`", count(warnings, "warning"), file.display());
    }
    let bar = show::Bar::new();
    let options = PublishOptions { starts_at, moves, seed };
    let done = lives::publish(&store, &rules, &options, &by, &bar).await;
    bar.clear();
    let done = done?;
    let (record, slug) = (&done.record, &rules.journey.slug);
    let version = record.version;
    if done.unchanged {
        eprintln!("{slug}: version {version} is {} already: nothing was done", record.life.word());
        if record.life == Life::Paused {
            eprintln!("to let it go on: relance journey resume {slug}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    match record.starts_at.filter(|_| record.life == Life::Scheduled) {
        Some(at) => eprintln!("{slug}: version {version} is scheduled: it begins at {at}"),
        None => eprintln!("{slug}: version {version} is active"),
    }
    if done.audience > 0 {
        eprintln!("{} contacts of its audience enter", done.audience);
    }
    for earlier in &done.earlier {
        eprintln!("version {} is {} now", earlier.version, earlier.life.word());
    }
    if done.inside > 0 {
        let how = if moves {
            "go on in the new version where their node exists there"
        } else {
            "finish theirs (--move takes them along)"
        };
        eprintln!("{} contacts inside earlier versions {how}", done.inside);
    }
    eprintln!("see how it stands: relance journey status {slug}");
    Ok(ExitCode::SUCCESS)
}

/// Lists journeys that were published.
pub(super) async fn list(all: bool, common: &Common) -> Result<ExitCode, Failure> {
    let store = existing(common)?;
    let columns = ["journey", "version", "run", "life", "since", "starts_at", "entered", "inside", "goal"];
    let mut listing = Listing::new(&columns, &["version", "run", "entered", "inside", "goal"]);
    for record in store.load_lives(all).await? {
        let totals = storage::lives::LifeStore::run_totals(&store, record.run).await?;
        listing.rows.push(vec![
            record.journey.to_string(),
            record.version.to_string(),
            record.run.to_string(),
            record.life.word().to_owned(),
            record.since.to_string(),
            record.starts_at.map(|at| at.to_string()).unwrap_or_default(),
            totals.entered.to_string(),
            totals.inside.to_string(),
            totals.goals.to_string(),
        ]);
    }
    if listing.rows.is_empty() {
        let over = if all { "" } else { "; those that are over: --all" };
        eprintln!("no journey is at work: relance journey publish DIR{over}");
    }
    listing.print(common.format)?;
    Ok(ExitCode::SUCCESS)
}

/// What a journey is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Pause,
    Resume,
    Stop,
}

/// Pauses, resumes or stops a journey.
pub(super) async fn tell(journey: &str, told: Told, common: &Common) -> Result<ExitCode, Failure> {
    let slug = files::slug_of(journey)?;
    let store = existing(common)?;
    let by = by(common)?;
    let done = match told {
        Told::Pause => lives::pause(&store, &slug, &by).await?,
        Told::Resume => lives::resume(&store, &slug, &by).await?,
        Told::Stop => lives::stop(&store, &slug, &by).await?,
    };
    let Changed { lives, contacts, held, cancelled } = done;
    for life in &lives {
        eprintln!("{slug}: version {} is {}", life.version, life.life.word());
    }
    match told {
        Told::Pause => eprintln!(
            "nobody enters or is sent anything; waits keep counting; up to {PAUSED_QUEUE_MAX} triggers are held until: relance journey resume {slug}"
        ),
        Told::Resume => eprintln!("{contacts} contacts inside go on, {held} held triggers start it"),
        Told::Stop => eprintln!(
            "{contacts} contacts inside are taken out, {cancelled} waiting messages are not sent, {held} held triggers are dropped"
        ),
    }
    Ok(ExitCode::SUCCESS)
}

/// The number of a contact by its external id or address.
pub(super) async fn contact_of(store: &Sqlite, contact: &str) -> Result<ContactId, Failure> {
    let named = [IdentifierKind::ExternalId, IdentifierKind::Email].map(|kind| (kind, contact.to_owned()));
    let found: Vec<Option<ContactId>> = store.resolve(named.to_vec()).await?;
    found.into_iter().flatten().next().ok_or_else(|| {
        Problem::new("contact.unknown", format!("nobody is known as `{contact}`"))
            .value(contact)
            .cure("give an external id or an email address")
            .into()
    })
}

/// Has contacts enter.
pub(super) async fn enter(
    journey: &str,
    contacts: &[String],
    data: Option<&str>,
    common: &Common,
) -> Result<ExitCode, Failure> {
    let slug = files::slug_of(journey)?;
    let data = match data {
        None => serde_json::Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            Problem::new("event.data", format!("the data is no JSON object: {error}"))
                .field("--data")
                .value(text)
                .cure("write it as in '{\"order\": \"A-17\"}'")
        })?,
    };
    let store = existing(common)?;
    let mut ids = Vec::with_capacity(contacts.len());
    for contact in contacts {
        ids.push(contact_of(&store, contact).await?);
    }
    lives::enter(&store, &slug, &ids, data, None, &by(common)?).await?;
    eprintln!("{slug}: asked for {}; the engine lets in those who belong to it", count(ids.len(), "contact"));
    Ok(ExitCode::SUCCESS)
}

/// Tries failed messages again.
pub(super) async fn retry(journey: &str, uncertain: bool, common: &Common) -> Result<ExitCode, Failure> {
    let slug = files::slug_of(journey)?;
    let n = lives::retry(&existing(common)?, &slug, uncertain, &by(common)?).await?;
    eprintln!("{slug}: {} wait again", count(usize::try_from(n).unwrap_or(usize::MAX), "message"));
    if n > 0 {
        eprintln!("next: relance deliver");
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints how the versions of a journey stand; none when it was never published.
pub(super) async fn status(
    store: &Sqlite,
    slug: &Slug,
    lang: Lang,
    common: &Common,
) -> Result<Option<ExitCode>, Failure> {
    let (mut standings, held) = outcomes::standing(store, slug, OVER_SHOWN).await?;
    if standings.iter().any(|standing| !engine::live::book::is_over(standing.record.life)) {
        standings.retain(|standing| !engine::live::book::is_over(standing.record.life));
    }
    if standings.is_empty() {
        return Ok(None);
    }
    for standing in &standings {
        tell_standing(standing, &held);
        let counts = &standing.report.counts;
        show::counts(&standing.rules.journey, counts, &standing.waiting, lang, common.format)?;
    }
    Ok(Some(ExitCode::SUCCESS))
}

fn tell_standing(standing: &Standing, held: &Held) {
    let (record, totals) = (&standing.record, standing.totals);
    eprintln!(
        "{} version {} (run {}) is {} since {}: {} entered, {} inside",
        record.journey,
        record.version,
        record.run,
        record.life.word(),
        record.since,
        totals.entered,
        totals.inside
    );
    if let Some(share) = standing.goal_share() {
        let goal = standing.rules.journey.goal.as_ref();
        let target =
            goal.and_then(|goal| goal.share).map(|share| format!(" of {} % wanted", percent(share.into())));
        let wanted = goal.and_then(|goal| goal.count).map(|count| format!(" of {count} wanted"));
        let target = target.or(wanted).unwrap_or_default();
        eprintln!("goal: {} contacts reached it, {} %{target}", totals.goal_contacts, percent(share));
    }
    tell_tests(standing);
    if standing.report.dropped > 0 {
        eprintln!(
            "{} events that it raised were dropped: journeys start each other again and again",
            standing.report.dropped
        );
    }
    if record.life == Life::Paused && (held.held > 0 || held.dropped > 0) {
        eprintln!(
            "{} triggers are held (at most {PAUSED_QUEUE_MAX}), {} came above that and start nothing",
            held.held, held.dropped
        );
    }
    for problem in standing.broken.iter().flatten() {
        eprintln!("cannot be compiled any more; those inside wait: {problem}");
    }
}

/// What the variants of its A/B tests have come to, and which won.
fn tell_tests(standing: &Standing) {
    for tally in &standing.tallies {
        let share = (tally.converted * 10_000).checked_div(tally.entered).unwrap_or_default();
        eprintln!(
            "A/B test {}: {} took {}, {} of them did what is wanted, {} %",
            tally.node,
            tally.entered,
            tally.variant,
            tally.converted,
            percent(share)
        );
    }
    let memo = lives::Memo::of(&standing.record);
    for (node, branch) in &memo.winners {
        let why = match memo.decided.get(node) {
            Some(lives::Decided { p: Some(p), .. }) => format!(": better than chance (p = {p:.4})"),
            Some(decided) if decided.why == "tie" => ": nobody was in front when it ended".to_owned(),
            Some(_) => ": it was in front when it ended".to_owned(),
            None => String::new(),
        };
        eprintln!("A/B test {node}: decided for {branch}{why}");
    }
}

/// Ten-thousandths as per cent.
fn percent(share: u64) -> String {
    format!("{}.{:02}", share / 100, share % 100)
}

/// Lists what became of each recipient.
pub(super) async fn outcomes(
    journey: &str,
    run: Option<i64>,
    contact: Option<&str>,
    common: &Common,
) -> Result<ExitCode, Failure> {
    let slug = files::slug_of(journey)?;
    let store = existing(common)?;
    let lives = lives::of_journey(&store, &slug).await?;
    let chosen: Vec<_> = match run {
        Some(run) => lives.into_iter().filter(|record| record.run == run).collect(),
        None => lives,
    };
    if chosen.is_empty() {
        return Err(Problem::new("journey.not_published", format!("`{slug}` is not published here"))
            .value(&slug)
            .cure("see what is: relance journey list --all")
            .into());
    }
    let contact = match contact {
        Some(name) => Some(contact_of(&store, name).await?),
        None => None,
    };
    let columns = ["contact", "version", "run", "entered_at", "where", "why", "goal_at", "messages"];
    let mut listing = Listing::new(&columns, &["version", "run"]);
    for record in &chosen {
        let mut after = (ContactId(0), 0);
        loop {
            let page = outcomes::recipients(&store, record, contact, after, PAGE).await?;
            let ids = page.iter().map(|recipient| recipient.enrolment.contact).collect();
            let names = names(&store, ids).await?;
            let Some(last) = page.last() else { break };
            after = (last.enrolment.contact, last.enrolment.ordinal);
            let len = page.len();
            for (recipient, name) in page.into_iter().zip(names) {
                listing.rows.push(row(recipient, name, record.version, common.format));
            }
            if len < PAGE {
                break;
            }
        }
    }
    if listing.rows.is_empty() {
        eprintln!("nobody entered `{slug}` yet");
    }
    listing.print(common.format)?;
    Ok(ExitCode::SUCCESS)
}

/// What contacts are called: their external id, else their address, else their number.
async fn names(store: &Sqlite, ids: Vec<ContactId>) -> Result<Vec<String>, Failure> {
    let mut distinct = ids.clone();
    distinct.dedup();
    let contacts = store.load_contacts(distinct).await?;
    let known: HashMap<ContactId, &model::Contact> =
        contacts.iter().map(|contact| (contact.id, contact)).collect();
    let name = |id: &ContactId| {
        let contact = known.get(id);
        let own = contact.and_then(|contact| contact.external_id.clone().or_else(|| contact.email.clone()));
        own.unwrap_or_else(|| id.to_string())
    };
    Ok(ids.iter().map(name).collect())
}

fn row(recipient: Recipient, name: String, version: u32, format: Format) -> Vec<String> {
    let Recipient { enrolment, place, messages } = recipient;
    let (node, why) = match place {
        Place::Inside(nodes) => (nodes.join(" + "), "waiting".to_owned()),
        Place::Over { node, why } => (node, why),
    };
    let message = |row: &storage::outbox::MessageRow| {
        let reason = row.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{}: {}{reason}", row.message.send.node, row.state.word())
    };
    let messages: Vec<String> = messages.iter().map(message).collect();
    vec![
        name,
        version.to_string(),
        enrolment.run.to_string(),
        enrolment.entered_at.to_string(),
        node,
        why,
        enrolment.goal_at.map(|at| at.to_string()).unwrap_or_default(),
        messages.join(if format == Format::Table { ", " } else { "; " }),
    ]
}
