//! `relance rfm`: scores all contacts now, and shows the groups or lists the contacts.

use std::{collections::HashMap, io::IsTerminal, process::ExitCode};

use clap::ValueEnum;
use engine::rfm::{Scored, Standing};
use model::{ContactId, Lang, Problem};
use rfm::{GroupFigures, Measure, NO_GROUP, Ratio, RfmModel};
use storage::contacts::ContactStore;

use crate::{
    context::{Common, Failure, Format},
    output::Listing,
};

/// Options of `relance rfm`.
#[derive(clap::Args)]
pub struct Args {
    /// Which model: classic-11, groups-6, or a YAML or JSON file
    #[arg(long, default_value = "classic-11", value_name = "MODEL|FILE")]
    model: String,
    /// Count the orders of this time only, as in P2Y or P180D, or all of them (default: the model's)
    #[arg(long, value_name = "PERIOD|all")]
    window: Option<String>,
    /// Language of the labels
    #[arg(long, value_enum, default_value_t = Language::En)]
    lang: Language,
    /// List each contact, in a table too (CSV and JSON always do)
    #[arg(long)]
    all: bool,
    /// List contacts without an order in the window too
    #[arg(long)]
    include_none: bool,
    /// Read every order of the window even where the last run could be continued (the result is the same)
    #[arg(long)]
    anew: bool,
    /// Print the model's definition, to begin a file of one's own from, and stop
    #[arg(long)]
    show_model: bool,
}

/// A language of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// English
    En,
    /// French
    Fr,
}

/// Contacts whose names are looked up at once.
const BATCH: usize = 5_000;
/// Decimals of an average in CSV and JSON.
const DECIMALS: u32 = 10;
/// Longest bar of the chart, in characters.
const BAR: usize = 32;

/// Runs it.
///
/// # Errors
/// See [`Failure`].
pub async fn run(args: &Args, common: &Common) -> Result<ExitCode, Failure> {
    let (model, text) = read_model(args)?;
    if args.show_model {
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let at = common.clock()?.now();
    let store = common.open()?;
    let scored = engine::rfm::score(&store, &model, at, args.anew).await?;
    if !scored.still_live.is_empty() {
        let rescorer = engine::rfm::Rescorer::load(&store).await?;
        rescorer.rescore(&store, scored.still_live.clone(), at).await?;
    }
    tell(&scored, &model);
    let lang = match args.lang {
        Language::En => Lang::En,
        Language::Fr => Lang::Fr,
    };
    if common.format == Format::Table && !args.all {
        print_groups(&scored.groups, &model, lang);
        return Ok(ExitCode::SUCCESS);
    }
    let mut list = engine::rfm::standings(&store, &model.slug).await?;
    if !args.include_none {
        list.retain(|one| one.group != NO_GROUP);
    }
    print_contacts(&store, &list, &model, common.format).await?;
    Ok(ExitCode::SUCCESS)
}

/// The model asked for, and its file.
fn read_model(args: &Args) -> Result<(RfmModel, String), Failure> {
    let (text, file) = match RfmModel::built_in_file(&args.model) {
        Some(text) => (text.to_owned(), None),
        None => match std::fs::read_to_string(&args.model) {
            Ok(text) => (text, Some(args.model.as_str())),
            Err(error) => {
                let message =
                    format!("`{}` is neither a built-in model nor a readable file: {error}", args.model);
                let problem = Problem::new("rfm.model", message).field("--model").value(&args.model);
                return Err(problem.suggest(&args.model, RfmModel::BUILT_IN).into());
            }
        },
    };
    let mut model = RfmModel::parse(&text).map_err(|problems| {
        let named = problems.into_iter().map(|problem| match file {
            Some(file) => problem.in_file(file),
            None => problem,
        });
        Failure::Problems(named.collect())
    })?;
    if let Some(window) = &args.window {
        model.window = RfmModel::parse_window(window).map_err(|problem| problem.field("--window"))?;
    }
    Ok((model, text))
}

/// What happened, on standard error.
fn tell(scored: &Scored, model: &RfmModel) {
    let at = scored.ticket.run.window.until;
    let contacts = scored.cuts.contacts;
    let without =
        scored.groups.iter().find(|group| group.group == NO_GROUP).map_or(0, |group| group.contacts);
    eprintln!(
        "{}: {contacts} contacts scored as of {at}, {} moved to another group",
        model.slug,
        scored.moved()
    );
    if without > 0 {
        eprintln!("{without} more have no order in the window (group `{NO_GROUP}`)");
    }
    if contacts == 0 {
        eprintln!(
            "no contact has an order before {at}: import orders first (`relance import orders FILE`), or give another --at"
        );
    }
}

fn print_groups(groups: &[GroupFigures], model: &RfmModel, lang: Lang) {
    let scored: u64 = groups.iter().filter(|one| one.group != NO_GROUP).map(|one| one.contacts).sum();
    let most = groups.iter().map(|one| one.contacts).max().unwrap_or(0).max(1);
    let columns: [&'static str; 8] = match lang {
        Lang::En => ["group", "contacts", "share", "", "orders", "revenue", "median days", "median spent"],
        Lang::Fr => [
            "groupe",
            "contacts",
            "part",
            "",
            "commandes",
            "chiffre d'affaires",
            "jours (médiane)",
            "dépense (médiane)",
        ],
    };
    let mut listing =
        Listing::new(&columns, &[columns[1], columns[2], columns[4], columns[5], columns[6], columns[7]]);
    for one in groups.iter().filter(|one| one.group != NO_GROUP || one.contacts > 0) {
        let is_none = one.group == NO_GROUP;
        let share = one.contacts as f64 * 100.0 / scored.max(1) as f64;
        let spent: i128 = one.spent.parse().unwrap_or_default();
        let unless_none = |text: String| if is_none { String::new() } else { text };
        listing.rows.push(vec![
            model.label(&one.group, lang).to_owned(),
            one.contacts.to_string(),
            unless_none(decimal(&format!("{share:.1} %"), lang)),
            bar(one.contacts, most),
            unless_none(one.orders.to_string()),
            unless_none(decimal(&hundredths(spent), lang)),
            unless_none(decimal(&format!("{:.0}", one.median_days), lang)),
            unless_none(decimal(&format!("{:.2}", one.median_spent), lang)),
        ]);
    }
    if let Err(error) = listing.print(Format::Table) {
        eprintln!("error: {error}");
    }
    if std::io::stdout().is_terminal() {
        eprintln!("each contact: --format csv, --format json or --all");
    }
}

/// Ten-thousandths with two decimals, halves up.
fn hundredths(scaled: i128) -> String {
    Ratio::new(scaled, 1).map_or_else(String::new, |amount| amount.to_decimal(10_000, 2))
}

/// A number as a language writes it.
fn decimal(text: &str, lang: Lang) -> String {
    match lang {
        Lang::En => text.to_owned(),
        Lang::Fr => text.replace('.', ","),
    }
}

/// A bar in eighths of a character.
fn bar(value: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (value as f64 / most as f64 * (BAR * 8) as f64).round() as usize;
    let eighths = if value > 0 { eighths.max(1) } else { 0 };
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

async fn print_contacts(
    store: &(impl ContactStore + Sync),
    list: &[Standing],
    model: &RfmModel,
    format: Format,
) -> Result<(), Failure> {
    let columns = ["contact", "recency_days", "frequency", "monetary", "r", "f", "m", "group"];
    let mut listing = Listing::new(&columns, &columns[1..7]);
    listing.rows.reserve(list.len());
    for batch in list.chunks(BATCH) {
        let ids: Vec<ContactId> = batch.iter().map(|one| one.contact).collect();
        let names: HashMap<ContactId, Option<String>> = store
            .load_contacts(ids)
            .await?
            .into_iter()
            .map(|contact| (contact.id, contact.external_id.or(contact.email)))
            .collect();
        for one in batch {
            let name =
                names.get(&one.contact).cloned().flatten().unwrap_or_else(|| format!("#{}", one.contact));
            listing.rows.push(row(one, name, model));
        }
    }
    Ok(listing.print(format)?)
}

/// Averages are printed with exactly ten decimals, sums as they are.
fn row(one: &Standing, name: String, model: &RfmModel) -> Vec<String> {
    if one.code == 0 {
        let empty = || String::new();
        return vec![name, empty(), "0".into(), empty(), empty(), empty(), empty(), one.group.clone()];
    }
    let monetary = match model.measure {
        Measure::Average => Ratio::average(one.spent, one.orders).to_decimal(10_000, DECIMALS),
        Measure::Sum => model::Amount(one.spent).to_string(),
    };
    vec![
        name,
        one.days.to_string(),
        one.orders.to_string(),
        monetary,
        (one.code / 100).to_string(),
        (one.code / 10 % 10).to_string(),
        (one.code % 10).to_string(),
        one.group.clone(),
    ]
}
