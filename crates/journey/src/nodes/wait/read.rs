//! Reads the settings of a wait, and those about time that other nodes share with it.

use model::{Period, Problem, Timestamp, Zone, doc};
use segment::reference::RefPath;

use super::{Days, How, Offset, Target, WAIT_MAX_DAYS, Wait, ZoneChoice};
use crate::{
    document::read_word,
    nodes::{Reading, Step},
};

const WEEKDAYS: [(&str, u8); 7] = [
    ("monday", 1),
    ("tuesday", 1 << 1),
    ("wednesday", 1 << 2),
    ("thursday", 1 << 3),
    ("friday", 1 << 4),
    ("saturday", 1 << 5),
    ("sunday", 1 << 6),
];

pub(super) fn wait(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    let place = reading.fields.place;
    let (lasts, until) = (reading.fields.optional("for"), reading.fields.optional("until"));
    let zone = zone(reading, "zone");
    let (how, zone) = match (lasts, until) {
        (Some(node), None) => {
            let path = reading.fields.path_of("for");
            let period = period(reading, node, &path, Some(WAIT_MAX_DAYS));
            let minute = minute(reading, "at");
            let only_on = weekdays(reading, "only_on")?;
            (How::For { period: period?, minute: minute?, only_on }, zone?)
        }
        (None, Some(node)) => {
            let how = target(reading, node);
            let (target, own) = how?;
            // A date and time that is written down is the workspace's, unless the file says otherwise.
            let fixed = matches!(target, Target::Fixed(_));
            let default = if fixed { ZoneChoice::Workspace } else { ZoneChoice::Contact };
            (How::Until(target), own.or(zone?).or(Some(default)))
        }
        (one, _) => {
            let message =
                if one.is_none() { "a wait needs an end" } else { "`for` and `until` exclude each other" };
            let problem = Problem::new("journey.wait", message)
                .field(&reading.fields.path)
                .at(place)
                .cure("write `for: PT8H`, or `until: {weekday: tuesday, at: \"10:00\"}`");
            reading.problems.push(problem);
            return None;
        }
    };
    Some(Box::new(Wait { how, zone: zone.unwrap_or(ZoneChoice::Contact), field: None }))
}

/// What follows `until`, with the zone that stands in it.
fn target(reading: &mut Reading<'_, '_>, node: &doc::Node) -> Option<(Target, Option<ZoneChoice>)> {
    let path = reading.fields.path_of("until");
    let Some(entries) = node.entries() else {
        let text = node.scalar().unwrap_or_default();
        // Read once more in its zone when a contact comes; here only whether it can be read.
        let read = Timestamp::parse(&text, &Zone::UTC).map_err(|problem| problem.field(&path).at(node.place));
        return reading.keep(read).map(|_| (Target::Fixed(text), None));
    };
    let fields = reading.keep(node.fields(&path))?;
    let mut inner = Reading { fields, problems: &mut *reading.problems };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    let zone = zone(&mut inner, "zone");
    let target = if has("ref") { date(&mut inner) } else { next(&mut inner, node) };
    let unknown = inner.fields.finish();
    reading.problems.extend(unknown);
    Some((target?, zone?))
}

fn next(reading: &mut Reading<'_, '_>, node: &doc::Node) -> Option<Target> {
    let path = reading.fields.path.clone();
    let at = minute(reading, "at")?;
    let week = weekdays(reading, "weekday")?;
    let days = match reading.fields.optional("day") {
        None => week,
        Some(day) => {
            let number = day.integer().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=31).contains(n));
            let number = number.filter(|_| week == Days::Any);
            let read = number.ok_or_else(|| {
                day.problem(
                    "journey.wait",
                    "expected a day of the month, from 1 to 31, and no weekday beside it",
                )
                .field(format!("{path}.day"))
            });
            Days::Month(reading.keep(read)?)
        }
    };
    let minute = at.ok_or_else(|| {
        node.problem("journey.wait", "the time of the day is missing")
            .field(path)
            .cure("write it as in {weekday: tuesday, at: \"10:00\"}")
    });
    Some(Target::Next { days, minute: reading.keep(minute)? })
}

fn date(reading: &mut Reading<'_, '_>) -> Option<Target> {
    let field = reading.fields.path.clone();
    let (node, path) = reading.required("ref")?;
    let read = RefPath::parse(&node.scalar().unwrap_or_default());
    let path = reading.keep(read.map_err(|problem| problem.field(path).at(node.place)))?;
    let days = reading.fields.integer("days");
    let days = reading.keep(days)?;
    let mut side = |key: &'static str, sign: i8| {
        let Some(node) = reading.fields.optional(key) else { return Some(None) };
        let path = reading.fields.path_of(key);
        let period = period(reading, node, &path, Some(WAIT_MAX_DAYS))?;
        Some(Some(Offset::Period { period, sign }))
    };
    let (before, after) = (side("before", -1)?, side("after", 1)?);
    let given =
        [days.is_some(), before.is_some(), after.is_some()].into_iter().filter(|given| *given).count();
    let days = days.map(|days| i32::try_from(days).ok().filter(|days| days.abs() <= WAIT_MAX_DAYS));
    if given > 1 || days == Some(None) {
        let problem = Problem::new(
            "journey.wait",
            format!("expected one of `days`, `before` and `after`, of at most {WAIT_MAX_DAYS} days"),
        );
        let problem = problem.field(field).at(node.place);
        reading.problems.push(problem.cure("write `days: -3` for three days before the date"));
        return None;
    }
    let offset = before.or(after).unwrap_or(Offset::Days(days.flatten().unwrap_or(0)));
    let minute = minute(reading, "at")?;
    let yearly = reading.fields.boolean("yearly");
    let yearly = reading.keep(yearly)?.unwrap_or_default();
    Some(Target::Date { path, place: node.place, offset, minute, yearly })
}

/// An ISO 8601 duration of at most so many days.
pub(crate) fn period(
    reading: &mut Reading<'_, '_>,
    node: &doc::Node,
    path: &str,
    max_days: Option<i32>,
) -> Option<Period> {
    let text = node.scalar().unwrap_or_default();
    let read = Period::parse(&text).and_then(|period| {
        let length = super::length(period);
        match max_days.filter(|max| length > i64::from(*max) * Timestamp::DAY) {
            None => Ok(period),
            Some(max) => {
                Err(Problem::new("journey.wait_too_long", format!("`{text}` is longer than {max} days"))
                    .value(&text)
                    .cure(format!("wait for at most P{max}D")))
            }
        }
    });
    reading.keep(read.map_err(|problem| problem.field(path).at(node.place)))
}

/// A time of the day, in minutes; the outer none when it is wrong.
#[expect(clippy::option_option, reason = "wrong, or not there")]
fn minute(reading: &mut Reading<'_, '_>, key: &'static str) -> Option<Option<u16>> {
    let Some(node) = reading.fields.optional(key) else { return Some(None) };
    let text = node.scalar().unwrap_or_default();
    let number = |text: &str, below: u16| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|n| digits && *n < below)
    };
    let read = text.split_once(':').and_then(|(h, m)| Some(number(h, 24)? * 60 + number(m, 60)?));
    let read = read.ok_or_else(|| {
        node.problem("journey.time_of_day", format!("`{text}` is not a time of the day"))
            .field(reading.fields.path_of(key))
            .cure("write it as in \"09:00\" or \"17:30\"")
    });
    reading.keep(read).map(Some)
}

/// Days of the week, one or a list; none when one is wrong.
fn weekdays(reading: &mut Reading<'_, '_>, key: &'static str) -> Option<Days> {
    let Some(node) = reading.fields.optional(key) else { return Some(Days::Any) };
    let path = reading.fields.path_of(key);
    let items = node.items().unwrap_or(std::slice::from_ref(node));
    let mut bits = 0;
    for item in items {
        bits |= reading.keep(read_word(item, &path, &WEEKDAYS))?;
    }
    if bits == 0 {
        let problem = node.problem("journey.wait", "no day of the week is left").field(path);
        reading.problems.push(problem.cure("name at least one, as in [monday, tuesday]"));
        return None;
    }
    Some(Days::Week(bits))
}

/// `contact`, `workspace`, or the name of a zone; the outer none when it is wrong.
#[expect(clippy::option_option, reason = "wrong, or not there")]
fn zone(reading: &mut Reading<'_, '_>, key: &'static str) -> Option<Option<ZoneChoice>> {
    let Some(node) = reading.fields.optional(key) else { return Some(None) };
    let path = reading.fields.path_of(key);
    let read = match node.scalar().unwrap_or_default().as_str() {
        "contact" => Ok(ZoneChoice::Contact),
        "workspace" => Ok(ZoneChoice::Workspace),
        name => Zone::parse(name).map(ZoneChoice::Named).map_err(|problem| {
            problem
                .field(path)
                .at(node.place)
                .cure("write contact, workspace, or an IANA name as Europe/Paris")
        }),
    };
    reading.keep(read).map(Some)
}
