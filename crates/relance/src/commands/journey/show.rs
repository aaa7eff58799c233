//! Printing problems, results and traces; the progress bar.

use std::time::Duration;

use engine::{
    campaign::{Report, launch::Tell},
    told::Told,
};
use indicatif::{ProgressBar, ProgressStyle};
use journey::{Counts, Journey, trace::TraceStep};
use model::{Lang, Problem};
use storage::journeys::CountDelta;

use crate::{
    context::{Failure, Format},
    output::Listing,
};

/// Prints problems: as a compiler does, or as a list.
pub(super) fn problems(problems: &[Problem], format: Format) -> Result<(), Failure> {
    match format {
        Format::Table => problems.iter().for_each(|problem| println!("{problem}")),
        Format::Json => {
            let text =
                serde_json::to_string_pretty(problems).map_err(|error| Failure::Other(error.to_string()))?;
            println!("{text}");
        }
        Format::Csv => {
            let columns = ["severity", "code", "file", "line", "column", "field", "value", "message", "cure"];
            let mut listing = Listing::new(&columns, &["line", "column"]);
            for problem in problems {
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                let place = |number: fn(&model::Place) -> u32| {
                    problem.place.as_ref().map(|place| number(place).to_string()).unwrap_or_default()
                };
                listing.rows.push(vec![
                    if problem.is_error() { "error".into() } else { "warning".into() },
                    problem.code.to_string(),
                    text(&problem.file),
                    place(|place| place.line),
                    place(|place| place.column),
                    text(&problem.field),
                    text(&problem.value),
                    problem.message.clone(),
                    text(&problem.cure),
                ]);
            }
            listing.print(format)?;
        }
    }
    Ok(())
}

/// Prints what a run came to: a line for each way out of each node.
pub(super) fn report(journey: &Journey, report: &Report, lang: Lang, format: Format) -> Result<(), Failure> {
    counts(journey, &report.counts, &[], lang, format)
}

/// Prints the counts of a run: a line for each way out of each node, and for those who stay there.
pub(super) fn counts(
    journey: &Journey,
    counts: &Counts,
    waiting: &[CountDelta],
    lang: Lang,
    format: Format,
) -> Result<(), Failure> {
    listing_of(journey, counts, waiting, lang, format).print(format)?;
    Ok(())
}

/// See [`counts`].
pub(super) fn listing_of(
    journey: &Journey,
    counts: &Counts,
    waiting: &[CountDelta],
    lang: Lang,
    format: Format,
) -> Listing {
    let columns = ["node", "kind", "name", "in", "outcome", "reason", "contacts", "to"];
    let mut listing = Listing::new(&columns, &["in", "contacts"]);
    let mut last = None;
    let stays = |id: &str| waiting.iter().find(|delta| delta.node == id).map_or(0, |delta| delta.n);
    let mut lines = counts.lines(journey);
    for delta in waiting {
        let Some(node) = journey.number(&delta.node) else { continue };
        let place = lines.iter().rposition(|line| line.node == node).map_or(lines.len(), |place| place + 1);
        lines.insert(place, waits(node, delta.n));
    }
    for line in lines {
        let node = journey.node(line.node);
        // A table names a node once; lists name it on each line.
        let first = format != Format::Table || last != Some(line.node);
        last = Some(line.node);
        let once = |text: String| if first { text } else { String::new() };
        let reason = line.refusal.map(|refusal| match format {
            Format::Table => refusal.label(lang).to_owned(),
            _ => refusal.word().to_owned(),
        });
        listing.rows.push(vec![
            once(node.id.clone()),
            once(node.kind.word.to_owned()),
            once(node.label(lang).to_owned()),
            once((counts.entered(line.node) + stays(&node.id)).to_string()),
            line.outcome.to_owned(),
            reason.or_else(|| line.left.map(|why| why.word().to_owned())).unwrap_or_default(),
            line.contacts.to_string(),
            if line.outcome == WAITING || line.left.is_some() {
                String::new()
            } else {
                leads_to(journey, &line.to, line.no_branch, lang, format)
            },
        ]);
    }
    listing
}

/// Outcome of those who stay at a node.
const WAITING: &str = "waiting";

fn waits(node: u16, contacts: u64) -> journey::counts::Line {
    journey::counts::Line {
        node,
        outcome: WAITING.to_owned(),
        refusal: None,
        left: None,
        contacts,
        to: Vec::new(),
        no_branch: false,
    }
}

fn leads_to(journey: &Journey, to: &[u16], no_branch: bool, lang: Lang, format: Format) -> String {
    if !to.is_empty() {
        let ids: Vec<&str> = to.iter().map(|node| journey.node(*node).id.as_str()).collect();
        return ids.join(" + ");
    }
    match (format, no_branch, lang) {
        (Format::Table, true, Lang::En) => "left: no branch".into(),
        (Format::Table, true, Lang::Fr) => "sorti : aucune branche".into(),
        (Format::Table, false, Lang::En) => "left: end".into(),
        (Format::Table, false, Lang::Fr) => "sorti : fin".into(),
        (_, true, _) => "left:no_branch".into(),
        (_, false, _) => "left:end".into(),
    }
}

/// A step as it is told: node, name, outcome, why.
pub(super) fn told(journey: &Journey, step: &TraceStep, lang: Lang) -> [String; 4] {
    let Told { node, name, outcome, why } = engine::told::told(journey, step, lang);
    [node, name, outcome, why]
}

/// What a run says meanwhile, on standard error.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Tell for Bar {
    fn phase(&self, text: &str) {
        self.0.set_message(text.to_owned());
        self.0.set_position(0);
        self.0.set_length(0);
    }

    fn note(&self, text: &str) {
        self.0.suspend(|| eprintln!("{text}"));
    }

    fn progress(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}
