//! `relance journey trace`: which way a contact went, and why; and why it did not enter.

use std::process::ExitCode;

use engine::{
    live::lives::{self, Memo},
    rules::{self, Rules, Versions, Workspace},
    simulate::{self, Options},
};
use journey::trace;
use model::{ContactId, Lang, Problem, Slug};
use storage::{
    contacts::ContactStore,
    journeys::JourneyStore,
    live::{Life, LifeRecord},
};
use storage_sqlite::Sqlite;

use super::{files, life, show, simulate::why_not};
use crate::{
    context::{Common, Failure, Format},
    output::Listing,
};

/// Prints the ways of a contact, through all journeys or one; or why it did not enter.
pub(super) async fn run(
    named: &str,
    contact: Option<&str>,
    why_not: bool,
    lang: Lang,
    common: &Common,
) -> Result<ExitCode, Failure> {
    let store = life::existing(common)?;
    let Some(contact) = contact else {
        if why_not {
            return Err(Problem::new("trace.contact", "`--why-not` asks about one contact and one journey")
                .field("--contact")
                .cure(format!("relance journey trace {named} --contact ID --why-not"))
                .into());
        }
        let id = life::contact_of(&store, named).await?;
        return ways(&store, named, id, None, lang, common.format).await;
    };
    let id = life::contact_of(&store, contact).await?;
    if why_not {
        return explain(&store, named, contact, id, common).await;
    }
    ways(&store, contact, id, Some(files::slug_of(named)?), lang, common.format).await
}

async fn ways(
    store: &Sqlite,
    contact: &str,
    id: ContactId,
    journey: Option<Slug>,
    lang: Lang,
    format: Format,
) -> Result<ExitCode, Failure> {
    let columns = ["run", "journey", "version", "at", "node", "name", "outcome", "why"];
    let mut listing = Listing::new(&columns, &["run", "version"]);
    for enrolment in store.load_enrolments(id).await? {
        if journey.as_ref().is_some_and(|slug| *slug != enrolment.journey) {
            continue;
        }
        let version = rules::stored_journey(store, enrolment.journey.clone(), enrolment.version).await?;
        let head = [enrolment.run.to_string(), enrolment.journey.to_string(), enrolment.version.to_string()];
        for record in trace::decode(&enrolment.trace).unwrap_or_default() {
            for step in &record.steps {
                let told = show::told(&version, step, lang);
                let own = head.iter().cloned().chain([record.at.to_string()]);
                listing.rows.push(own.chain(told).collect());
            }
        }
    }
    if listing.rows.is_empty() {
        match &journey {
            Some(slug) => eprintln!(
                "{contact} did not go through {slug}: relance journey trace {slug} --contact {contact} --why-not says why"
            ),
            None => eprintln!("{contact} went through no journey yet"),
        }
    }
    listing.print(format)?;
    Ok(ExitCode::SUCCESS)
}

/// Says why a contact did not enter: its stored history is played against the journey, since it began.
async fn explain(
    store: &Sqlite,
    named: &str,
    contact: &str,
    id: ContactId,
    common: &Common,
) -> Result<ExitCode, Failure> {
    let now = common.clock()?.now();
    let slug = files::slug_of(named)?;
    let lives = lives::of_journey(store, &slug).await?;
    let (rules, from) = match lives.last() {
        Some(record) => {
            let from = Memo::of(record).began_at.unwrap_or(record.since);
            tell_life(record);
            (published(store, record).await?, from)
        }
        None if std::path::Path::new(named).exists() => {
            eprintln!("{slug} is not published: its draft is played over the last {} days", simulate::DAYS);
            let folder = files::read(std::path::Path::new(named))?;
            (rules::compile(&folder, &Workspace::load(store).await?)?, now.plus_days(-simulate::DAYS))
        }
        None => {
            return Err(Problem::new("journey.not_published", format!("`{slug}` is not published here"))
                .value(&slug)
                .cure("see what is: relance journey list --all; or name the draft's folder")
                .into());
        }
    };
    let found = store.load_contacts(vec![id]).await?;
    if let Some(known) = found.first().filter(|known| known.created_at > from) {
        eprintln!("{contact} is known since {}, the journey began at {from}", known.created_at);
    }
    let inside = store.load_enrolments(id).await?.iter().filter(|one| one.journey == slug).count();
    if inside > 0 {
        eprintln!("{contact} did enter, {inside} times: relance journey trace {slug} --contact {contact}");
    }
    let to = now.max(from.plus(1));
    let options = Options { from, to, contact: Some(id), keep: true, explain: true, ..Options::before(now) };
    let played = simulate::run(store, rules, options, &engine::campaign::launch::Silent).await?;
    let none = simulate::Part::default();
    let part = played.parts.first().unwrap_or(&none);
    let listing = why_not(played.journey(), part);
    if listing.rows.is_empty() {
        if part.enrolments.is_empty() {
            eprintln!("nothing that a trigger of {slug} listens for happened to {contact} since {from}");
        } else {
            eprintln!("what is stored would have let {contact} in on {}", part.enrolments[0].entered_at);
        }
    }
    for (code, note) in &played.notes {
        if *code == "trigger" || *code == "profile" {
            eprintln!("note: {note}");
        }
    }
    listing.print(common.format)?;
    Ok(ExitCode::SUCCESS)
}

/// What its life itself keeps people out by.
fn tell_life(record: &LifeRecord) {
    let (slug, since) = (&record.journey, record.since);
    match record.life {
        Life::Paused => {
            eprintln!("{slug} is paused since {since}: what would start it is held until it goes on")
        }
        Life::Scheduled => eprintln!("{slug} has not begun yet: nobody enters before it does"),
        Life::Closing | Life::Finished | Life::Stopped | Life::Stopping => {
            eprintln!("{slug} is {} since {since}: nobody enters any more", record.life.word());
        }
        Life::Active => {}
    }
}

async fn published(store: &Sqlite, record: &LifeRecord) -> Result<Rules, Failure> {
    let versions = Versions::load(store).await?;
    Ok(rules::compile_pinned(store, &versions, record).await??)
}
