//! `relance journey simulate`: plays a draft over the stored history. Nothing is written, nothing is sent.

use std::{path::Path, process::ExitCode};

use engine::{
    rules::{self, Workspace},
    simulate::{self, Group, Options, Part, Played, Simulation},
};
use journey::Journey;
use model::{Lang, Problem, Timestamp, Zone};
use serde_json::{Value as Json, json};
use storage::journeys::CountDelta;

use super::{Language, count, files, life, show};
use crate::{
    context::{Common, Failure, Format},
    output::Listing,
};

/// Options of `relance journey simulate`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The draft's file, or its folder
    file: std::path::PathBuf,
    /// The first instant; 30 days before the last one without it
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// The last instant (excluded); now (or --at) without it
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    /// Play only about so many contacts, spread over the base
    #[arg(long, value_name = "CONTACTS", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// Play one contact, by external id or email address: its way, and why events did not start the journey
    #[arg(long)]
    contact: Option<String>,
    /// The share of messages that are opened, as in 0.3
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    open_rate: f64,
    /// The share of messages in which a link is clicked, as in 0.05
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    click_rate: f64,
    /// Days after an entry or a message in which purchases are counted
    #[arg(long, value_name = "DAYS", default_value_t = simulate::WITHIN_DAYS as u16, value_parser = clap::value_parser!(u16).range(1..=365))]
    within: u16,
    /// Seed of the dice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Language of the names
    #[arg(long, value_enum, default_value_t = Language::En)]
    lang: Language,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to 1".to_owned()),
    }
}

impl Args {
    fn options(&self, now: Timestamp) -> Result<Options, Problem> {
        let parse =
            |text: &str, field| Timestamp::parse(text, &Zone::UTC).map_err(|problem| problem.field(field));
        let to = self.to.as_deref().map_or(Ok(now), |text| parse(text, "--to"))?;
        let from = match &self.from {
            Some(text) => parse(text, "--from")?,
            None => to.plus_days(-simulate::DAYS),
        };
        if from >= to {
            return Err(Problem::new("simulate.span", format!("it would begin at {from} and end at {to}"))
                .field("--from")
                .value(from)
                .cure("give a --from that lies before --to"));
        }
        Ok(Options {
            from,
            to,
            seed: self.seed,
            sample: self.sample,
            keep: self.contact.is_some(),
            explain: self.contact.is_some(),
            open_rate: self.open_rate,
            click_rate: self.click_rate,
            within_days: i64::from(self.within),
            ..Options::before(to)
        })
    }
}

/// Plays a draft.
pub(super) async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let folder = files::read(&args.file)?;
    let mut options = args.options(common.clock()?.now())?;
    let store = life::existing(common)?;
    let rules = rules::compile(&folder, &Workspace::load(&store).await?)?;
    warn(rules.warnings.len(), &args.file);
    if let Some(name) = &args.contact {
        options.contact = Some(life::contact_of(&store, name).await?);
    }
    let bar = show::Bar::new();
    let played = simulate::run(&store, rules, options, &bar).await;
    bar.clear();
    let played = played?;
    let lang = args.lang.into();
    if args.contact.is_some() {
        one(&played, lang, common.format)?;
    } else {
        all(&played, lang, common.format)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn warn(warnings: usize, file: &Path) {
    if warnings > 0 {
        eprintln!("{}: see `relance journey check {}`", count(warnings, "warning"), file.display());
    }
}

/// What a trigger is called: its kind and its place in the file.
pub(super) fn trigger_name(journey: &Journey, trigger: Option<usize>) -> String {
    let Some(place) = trigger else { return "audience".to_owned() };
    let kind = journey.triggers.get(place).map(|trigger| trigger.on.event_kind()).unwrap_or_default();
    format!("{} (trigger {})", kind, place + 1)
}

fn waiting(played: &Simulation) -> Vec<CountDelta> {
    let journey = played.journey();
    let stays = |(node, n): (&u16, &u64)| CountDelta {
        node: journey.node(*node).id.clone(),
        measure: String::new(),
        n: *n,
    };
    played.waiting.iter().map(stays).collect()
}

/// A title before a table; other formats name things by their columns.
fn title(text: &str) {
    println!("\n{text}");
}

fn all(played: &Simulation, lang: Lang, format: Format) -> Result<(), Failure> {
    let journey = played.journey();
    let nodes = show::listing_of(journey, &played.counts, &waiting(played), lang, format);
    match format {
        Format::Csv => nodes.print(format)?,
        Format::Json => {
            let text = serde_json::to_string_pretty(&document(played, &nodes, lang))
                .map_err(|error| Failure::Other(error.to_string()))?;
            println!("{text}");
        }
        Format::Table => tables(played, &nodes, lang)?,
    }
    for (_, note) in &played.notes {
        eprintln!("note: {note}");
    }
    eprintln!("nothing was written and nothing was sent");
    Ok(())
}

fn tables(played: &Simulation, nodes: &Listing, lang: Lang) -> Result<(), Failure> {
    let (journey, options) = (played.journey(), &played.options);
    println!("{} as if it had been published on {}, until {}", journey.slug, options.from, options.to);
    let sample = if options.sample.is_some() { " (a sample)" } else { "" };
    println!(
        "{} contacts{sample}, {} of them played; {} entered, {} times",
        played.contacts, played.played, played.people, played.entered
    );
    if journey.goal.is_some() {
        println!("{} reached the goal", played.goals);
    }
    title("who would have entered");
    triggers(played).print(Format::Table)?;
    title("which way they would have gone");
    nodes.print(Format::Table)?;
    if journey.nodes.iter().any(|node| node.step.sending().is_some()) {
        title("what they would have been sent");
        messages(played, lang, Format::Table).print(Format::Table)?;
    }
    if !played.coupons.is_empty() {
        title("coupons they would have needed");
        coupons(played).print(Format::Table)?;
    }
    title(&format!(
        "what was bought within {} days (no proof of cause: who enters differs from who does not)",
        options.within_days
    ));
    purchases(played).print(Format::Table)?;
    Ok(())
}

fn triggers(played: &Simulation) -> Listing {
    let mut listing = Listing::new(&["trigger", "entered"], &["entered"]);
    let journey = played.journey();
    let none = [None];
    let places: Vec<Option<usize>> = if journey.triggers.is_empty() {
        none.to_vec()
    } else {
        (0..journey.triggers.len()).map(Some).collect()
    };
    for place in places {
        let entered = played.by_trigger.get(&place).copied().unwrap_or_default();
        listing.rows.push(vec![trigger_name(journey, place), entered.to_string()]);
    }
    listing
}

fn messages(played: &Simulation, lang: Lang, format: Format) -> Listing {
    let columns = ["node", "channel", "sent", "held", "refused", "reason"];
    let mut listing = Listing::new(&columns, &["sent", "held", "refused"]);
    let journey = played.journey();
    for (number, node) in (0_u16..).zip(&journey.nodes) {
        let Some(sending) = node.step.sending() else { continue };
        let (sent, held) = played.messages.get(&number).copied().unwrap_or_default();
        let mut row =
            vec![node.id.clone(), sending.channel.word().to_owned(), sent.to_string(), held.to_string()];
        let own = played.counts.0.iter().filter(|(measure, _)| measure.node == number);
        let refused: Vec<_> =
            own.filter_map(|(measure, n)| measure.refusal.map(|refusal| (refusal, *n))).collect();
        if refused.is_empty() {
            row.extend(["0".to_owned(), String::new()]);
            listing.rows.push(row);
            continue;
        }
        for (place, (refusal, n)) in refused.into_iter().enumerate() {
            let mut own = row.clone();
            if place > 0 && format == Format::Table {
                own.fill(String::new());
            }
            let reason = if format == Format::Table { refusal.label(lang) } else { refusal.word() };
            own.extend([n.to_string(), reason.to_owned()]);
            listing.rows.push(own);
        }
    }
    listing
}

fn coupons(played: &Simulation) -> Listing {
    let mut listing = Listing::new(&["set", "needed", "free_now"], &["needed", "free_now"]);
    for (set, (needed, free)) in &played.coupons {
        let free = free.map(|free| free.to_string()).unwrap_or_default();
        listing.rows.push(vec![set.to_string(), needed.to_string(), free]);
    }
    listing
}

/// The groups whose purchases are told, with what to call them.
fn groups(played: &Simulation) -> Vec<(&'static str, Group)> {
    let bought = played.purchases;
    let mut groups = vec![("entered", bought.entered), ("were sent a message", bought.messaged)];
    if bought.held_out.people > 0 {
        groups.push(("holdout", bought.held_out));
    }
    groups.push(("did not enter, as many over the same days", bought.others));
    groups
}

fn purchases(played: &Simulation) -> Listing {
    let columns = ["who", "people", "orders", "revenue", "orders_per_100", "revenue_per_100"];
    let mut listing = Listing::new(&columns, &columns[1..]);
    let entered = played.entered;
    for (name, group) in groups(played) {
        // Those who did not enter are told as if they were as many as those who did.
        let is_others = name.starts_with("did not");
        let base = if is_others { entered } else { group.people };
        let of_100 = |n: f64| if base == 0 { 0.0 } else { n * 100.0 / base as f64 };
        listing.rows.push(vec![
            name.to_owned(),
            group.people.to_string(),
            format!("{:.1}", group.orders),
            format!("{:.2}", group.revenue),
            format!("{:.2}", of_100(group.orders)),
            format!("{:.2}", of_100(group.revenue)),
        ]);
    }
    listing
}

/// A list as JSON rows.
fn rows(listing: &Listing) -> Json {
    let mut bytes = Vec::new();
    drop(listing.write(Format::Json, &mut bytes));
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn document(played: &Simulation, nodes: &Listing, lang: Lang) -> Json {
    let options = &played.options;
    json!({
        "journey": played.journey().slug.as_str(),
        "from": options.from.to_string(),
        "to": options.to.to_string(),
        "seed": options.seed,
        "sample": options.sample,
        "contacts": played.contacts,
        "contact_days": played.contact_days(),
        "played": played.played,
        "people": played.people,
        "entered": played.entered,
        "goals": played.goals,
        "triggers": rows(&triggers(played)),
        "nodes": rows(nodes),
        "messages": rows(&messages(played, lang, Format::Json)),
        "coupons": rows(&coupons(played)),
        "bought": {
            "within_days": options.within_days,
            "note": "no proof of cause: who enters differs from who does not",
            "currency": played.rules().currency.code(),
            "groups": rows(&purchases(played)),
        },
        "notes": played.notes.iter().map(|(code, text)| json!({"code": code, "text": text})).collect::<Json>(),
    })
}

/// One contact's way, step by step, and why events did not start the journey.
pub(super) fn one(played: &Simulation, lang: Lang, format: Format) -> Result<(), Failure> {
    let journey = played.journey();
    let columns = ["enrolment", "at", "node", "name", "outcome", "why"];
    let mut steps = Listing::new(&columns, &["enrolment"]);
    let none = Part::default();
    let part = played.parts.first().unwrap_or(&none);
    for own in &part.enrolments {
        enrolment(journey, own, lang, &mut steps);
    }
    let refused = why_not(journey, part);
    match format {
        Format::Json => {
            let text = json!({ "steps": rows(&steps), "did_not_enter": rows(&refused) });
            let text =
                serde_json::to_string_pretty(&text).map_err(|error| Failure::Other(error.to_string()))?;
            println!("{text}");
        }
        Format::Csv => steps.print(format)?,
        Format::Table => {
            println!(
                "{} entered {} times",
                if part.name.is_empty() { "the contact" } else { &part.name },
                part.enrolments.len()
            );
            steps.print(format)?;
            if !refused.rows.is_empty() {
                title("what did not start it");
                refused.print(format)?;
            }
        }
    }
    if part.enrolments.is_empty() && part.refused.is_empty() {
        eprintln!(
            "nothing that a trigger listens for happened to this contact between {} and {}",
            played.options.from, played.options.to
        );
    }
    Ok(())
}

fn enrolment(journey: &Journey, own: &Played, lang: Lang, steps: &mut Listing) {
    for record in &own.trace {
        for step in &record.steps {
            let told = show::told(journey, step, lang);
            steps
                .rows
                .push([own.ordinal.to_string(), record.at.to_string()].into_iter().chain(told).collect());
        }
    }
}

/// Why events did not start the journey.
pub(super) fn why_not(journey: &Journey, part: &Part) -> Listing {
    let mut listing = Listing::new(&["at", "event", "trigger", "reason", "why"], &[]);
    for refused in &part.refused {
        listing.rows.push(vec![
            refused.at.to_string(),
            refused.kind.clone(),
            trigger_name(journey, refused.trigger),
            refused.why.word().to_owned(),
            refused.why.to_string(),
        ]);
    }
    listing
}
