//! Tries 2 to 8 variants on contacts and finds out which does best; from then on all take the winner.
//!
//! `{kind: ab_test, variants: {a: 50, b: 50}, metric: clicks, end: {after: P7D, sample: 1000}}`
//!
//! - `variants`: shares in per cent, or a list for equal ones. A contact takes the same variant whenever it comes, in
//!   later runs and versions too.
//! - `metric`: `opens`, `clicks` (of the run's messages), `goal`, `purchases`, or `{event: Signed Up}`; `within` says how
//!   long after the variant was taken it counts (5 days).
//! - `end`: `after` the journey's start or `on` a date and time (UTC, or in `zone`), whichever is first, and 90 days at the
//!   latest. Of a `sample` so many contacts take part, and the others stay here until there is a winner; without `after` and
//!   `on` it ends when the last of the sample has had the time `within`. `significance: 95` (per cent, the default) ends it
//!   earlier, when the best is better beyond chance; `significance: none` lets it run to its end.
//!
//! How a winner is found: [`crate::ab`].

use model::{Event, Period, Problem, Timestamp, Zone, doc};

use super::{Flow, Kind, Reading, Role, Step, Wait, branches, split, wait};
use crate::{
    ab::{DECIDED, Metric, TEST_MAX_DAYS, Trial},
    check::Binder,
    document::read_word,
    run::{Context, Ear, Need},
    trace::Detail,
};

/// Most variants.
pub const VARIANTS_MAX: usize = 8;
/// How long after it took a variant a contact's deed counts unless the file says otherwise, in days.
pub const WITHIN_DAYS: i64 = 5;
/// The level at which a winner ends the test unless the file says otherwise, in per cent.
pub const SIGNIFICANCE: f64 = 95.0;

/// The kind.
pub static KIND: Kind =
    Kind { word: "ab_test", name_en: "A/B test", name_fr: "Test A/B", role: Role::Condition, read };

#[derive(Debug)]
struct AbTest {
    names: Vec<String>,
    shares: Vec<u32>,
    trial: Trial,
    place: model::Place,
}

fn read(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let place = reading.fields.place;
    let (node, path) = reading.required("variants")?;
    let (names, shares) = split::read_branches(reading, node, &path, (2, VARIANTS_MAX), &[])?;
    let (node, path) = reading.required("metric")?;
    let metric = metric(reading, node, &path)?;
    let days = i32::try_from(TEST_MAX_DAYS).unwrap_or(i32::MAX);
    let within = match reading.fields.optional("within") {
        None => Period::days(WITHIN_DAYS),
        Some(node) => {
            let path = reading.fields.path_of("within");
            wait::period(reading, node, &path, Some(days))?
        }
    };
    let level = level(reading)?;
    let mut trial =
        Trial { variants: names.len() as u8, metric, within, level, lasts: None, until: None, sample: None };
    if let Some(node) = reading.fields.optional("end") {
        let path = reading.fields.path_of("end");
        let fields = reading.keep(node.fields(&path))?;
        let mut inner = Reading { fields, problems: &mut *reading.problems };
        let read = end(&mut inner, &mut trial, days);
        let unknown = inner.fields.finish();
        reading.problems.extend(unknown);
        read?;
    }
    Some(Box::new(AbTest { names, shares, trial, place }))
}

fn metric(reading: &mut Reading<'_, '_>, node: &doc::Node, path: &str) -> Option<Metric> {
    if node.entries().is_none() {
        let words = [("opens", 0), ("clicks", 1), ("goal", 2), ("purchases", 3)];
        return Some(match reading.keep(read_word(node, path, &words))? {
            0 => Metric::Opens,
            1 => Metric::Clicks,
            2 => Metric::Goal,
            _ => Metric::Purchases,
        });
    }
    let mut fields = reading.keep(node.fields(path))?;
    let event = fields.required_text("event").map(str::to_owned);
    reading.problems.extend(fields.finish());
    reading.keep(event).map(Metric::Event)
}

/// The level as a share of one; the inner none: it does not end early.
#[expect(clippy::option_option, reason = "wrong, or switched off")]
fn level(reading: &mut Reading<'_, '_>) -> Option<Option<f64>> {
    let Some(node) = reading.fields.optional("significance") else { return Some(Some(SIGNIFICANCE / 100.0)) };
    let text = node.scalar().unwrap_or_default();
    if text == "none" {
        return Some(None);
    }
    let level = text.parse::<f64>().ok().filter(|level| (80.0..100.0).contains(level));
    let level = level.map(|level| Some(level / 100.0)).ok_or_else(|| {
        node.problem("journey.ab_test", format!("`{text}` is not a level of significance"))
            .field(reading.fields.path_of("significance"))
            .cure("write a number of per cent from 80 to below 100, as in 95, or none")
    });
    reading.keep(level)
}

fn end(reading: &mut Reading<'_, '_>, trial: &mut Trial, days: i32) -> Option<()> {
    if let Some(node) = reading.fields.optional("after") {
        let path = reading.fields.path_of("after");
        trial.lasts = Some(wait::period(reading, node, &path, Some(days))?);
    }
    if let Some(node) = reading.fields.optional("on") {
        let path = reading.fields.path_of("on");
        let zone = match reading.fields.optional("zone") {
            None => Ok(Zone::UTC),
            Some(zone) => {
                Zone::parse(&zone.scalar().unwrap_or_default()).map_err(|problem| problem.at(zone.place))
            }
        };
        let zone = reading.keep(zone.map_err(|problem| problem.field(&path)))?;
        let at = Timestamp::parse(&node.scalar().unwrap_or_default(), &zone);
        trial.until = Some(reading.keep(at.map_err(|problem| problem.field(path).at(node.place)))?);
    }
    let sample = reading.fields.integer("sample");
    if let Some(sample) = reading.keep(sample)? {
        let many = u64::try_from(sample).ok().filter(|sample| *sample > 0);
        let many = many.ok_or_else(|| {
            Problem::new("journey.ab_test", "a sample has at least one contact")
                .field(reading.fields.path_of("sample"))
                .at(reading.fields.place)
                .cure("a thousand contacts for each variant is a good size")
        });
        trial.sample = Some(reading.keep(many)?);
    }
    Some(())
}

impl Step for AbTest {
    fn branches(&self) -> Option<Vec<String>> {
        Some(self.names.clone())
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        if let Metric::Event(kind) = &self.trial.metric {
            binder.event_kind(kind, self.place, "metric");
        }
    }

    fn trial(&self) -> Option<&Trial> {
        Some(&self.trial)
    }

    fn hears(&self, signal: &Event, _ear: &Ear<'_>) -> bool {
        signal.kind == DECIDED
    }

    fn listens(&self) -> Vec<String> {
        self.trial.sample.map(|_| DECIDED.to_owned()).into_iter().collect()
    }

    fn may_stay(&self) -> bool {
        self.trial.sample.is_some()
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let winner = context.world.winners.iter().find(|(node, _)| *node == context.number);
        if let Some((_, variant)) = winner.filter(|(_, variant)| usize::from(*variant) < self.names.len()) {
            return Flow::done(*variant, Detail::Text("winner".into()));
        }
        if self.trial.sample.is_some() {
            let Some(passages) = context.answers.passages(context.number) else {
                return Flow::Needs(vec![Need::Passages(context.number)]);
            };
            // The others wait for the winner: the decision lets them go on.
            if self.trial.is_complete(passages.taken) {
                return Flow::Wait(Wait::default());
            }
        }
        let number = context.lasting_dice().below(u64::from(branches::WHOLE));
        Flow::done(branches::place_of(&self.shares, number as u32) as u8, Detail::None)
    }
}
