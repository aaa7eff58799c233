//! Waits: for a duration, until a date and time, until a day and time that come again and again, or until a date in the
//! data.
//!
//! | setting | goes on |
//! | --- | --- |
//! | `for: PT8H` | so long after the contact came |
//! | `for: P1D, at: "10:00"` | then at the next 10:00 (the same instant when it is 10:00 sharp) |
//! | `for: P1D, only_on: [monday, …]` | then on the next of these days, at the same local time (or at `at`) |
//! | `until: 2026-12-24T09:00` | then; in the workspace's zone unless `zone` says otherwise |
//! | `until: {at: "09:00"}` | at the next 09:00, within 24 hours |
//! | `until: {weekday: tuesday, at: "10:00"}` | on the next Tuesday at 10:00; also several days |
//! | `until: {day: 1, at: "09:00"}` | on the next 1st of a month; the 31st is the last day of shorter months |
//! | `until: {ref: trigger.delivery_date, days: 3, at: "09:00"}` | three calendar days after the date; also `days: -3`, `before: PT2H`, `after: P1M`, and `yearly: true` for the next anniversary |
//!
//! `zone` is `contact` (the default: the contact's own zone, else the workspace's), `workspace`, or an IANA name. An end
//! that has passed lets the contact go on at once, and so does a date that is missing, is no date, or lies further ahead
//! than [`WAIT_MAX_DAYS`]: the last leave by the outcome `no_date`, so that a link without `when` takes them along, and
//! one with `when: no_date` may lead them elsewhere. A date that is put off while the contact waits for it is waited for
//! again; when the contact's own field is brought forward that is noticed at once.
//!
//! In a loop a contact that comes again never finds the same 10:00 a second time: from the second passage on the next
//! time of the day is later than now.

pub mod calendar;
mod read;

use model::{Event, Period, Place, Timestamp, Zone, event::kind};
use segment::reference::RefPath;

use self::calendar::{Days, Moment};
use super::{ALWAYS, Expect, Flow, Kind, Named, Reading, Role, Step};
use crate::{
    check::Binder,
    data::{DataType, Datum},
    run::{Context, Ear, Woken, World},
    trace::Detail,
};

pub(crate) use read::period;

/// The longest wait, in days.
pub const WAIT_MAX_DAYS: i32 = 400;

/// The kind.
pub static KIND: Kind =
    Kind { word: "wait", name_en: "Wait", name_fr: "Attendre", role: Role::Action, read: read_wait };

/// Outcomes of a wait for a date in the data.
const OUTCOMES_OF_DATE: &[&str] = &["reached", "no_date"];
const NO_DATE: u8 = 1;

/// Whose zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ZoneChoice {
    /// The contact's, else the workspace's.
    Contact,
    /// The workspace's.
    Workspace,
    /// This one.
    Named(Zone),
}

impl ZoneChoice {
    /// The zone for a contact; an unknown name of a contact's zone counts as none.
    pub(crate) fn of(&self, time_zone: Option<&str>, world: &World<'_>) -> Zone {
        match self {
            Self::Named(zone) => zone.clone(),
            Self::Workspace => world.zone.clone(),
            Self::Contact => {
                time_zone.and_then(|name| Zone::parse(name).ok()).unwrap_or_else(|| world.zone.clone())
            }
        }
    }
}

#[derive(Debug)]
enum How {
    For { period: Period, minute: Option<u16>, only_on: Days },
    Until(Target),
}

#[derive(Debug)]
enum Target {
    /// A date and time as written: it is read in the zone, which may be the contact's.
    Fixed(String),
    Next {
        days: Days,
        minute: u16,
    },
    Date {
        path: RefPath,
        place: Place,
        offset: Offset,
        minute: Option<u16>,
        yearly: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Offset {
    Days(i32),
    Period { period: Period, sign: i8 },
}

#[derive(Debug)]
struct Wait {
    how: How,
    zone: ZoneChoice,
    /// The field of the contact that holds the date.
    field: Option<String>,
}

/// How long a period is at most; months have up to 31 days.
pub(crate) fn length(period: Period) -> i64 {
    period.micros.saturating_add(i64::from(period.months).saturating_mul(31 * Timestamp::DAY))
}

fn read_wait(reading: &mut Reading<'_, '_>) -> Option<Box<dyn Step>> {
    read::wait(reading)
}

impl Step for Wait {
    fn outcomes(&self) -> &'static [&'static str] {
        match self.how {
            How::Until(Target::Date { .. }) => OUTCOMES_OF_DATE,
            _ => ALWAYS,
        }
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        let How::Until(Target::Date { path, place, .. }) = &self.how else { return };
        let Some(found) = binder.reference(path, *place, "until", Expect::Value) else { return };
        if !matches!(found, DataType::Date | DataType::Instant | DataType::Text) {
            let named = Named { text: path.to_string(), place: *place, field: binder.path("until") };
            let message = format!("`{path}` is of type {found}, expected is a date");
            binder.type_problem(&named, message, "refer to a datum of type date or instant");
        }
        if let [root, field] = path.parts() {
            self.field = (root == "contact").then(|| field.clone());
        }
    }

    /// A date that has passed, or is missing, breaks no loop.
    fn waits(&self) -> bool {
        match &self.how {
            How::For { period, .. } => !period.is_zero(),
            How::Until(Target::Next { .. }) => true,
            How::Until(Target::Fixed(_) | Target::Date { .. }) => false,
        }
    }

    fn hears(&self, signal: &Event, _: &Ear<'_>) -> bool {
        let Some(field) = &self.field else { return false };
        let changed = signal.properties.get("fields").and_then(serde_json::Value::as_array);
        signal.kind == kind::CONTACT_UPDATED
            && changed.is_none_or(|names| names.iter().any(|name| name.as_str() == Some(field)))
    }

    fn listens(&self) -> Vec<String> {
        self.field.iter().map(|_| kind::CONTACT_UPDATED.to_owned()).collect()
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        let now = context.world.now;
        let since = context.stayed.map_or(now, |(stay, _)| stay.since);
        let zone = self.zone.of(context.person().contact.time_zone.as_deref(), context.world);
        let again = context.visit > 1;
        let target = match &self.how {
            How::Until(Target::Date { .. }) => match self.date(context, since, &zone) {
                Ok(target) => target,
                Err(why) => return Flow::done(NO_DATE, why),
            },
            _ if matches!(context.stayed, Some((_, Woken::Time))) => now,
            How::For { period, minute, only_on } => {
                let at = period.after(since);
                match minute {
                    Some(minute) => calendar::next(at, *minute, *only_on, &zone, false),
                    None => calendar::same_time(at, *only_on, &zone),
                }
            }
            How::Until(Target::Next { days, minute }) => calendar::next(since, *minute, *days, &zone, again),
            How::Until(Target::Fixed(text)) => Timestamp::parse(text, &zone).unwrap_or(now),
        };
        if target > now {
            return Flow::Wait(super::Wait { until: Some(target), memo: None });
        }
        Flow::done(0, Detail::None)
    }
}

impl Wait {
    /// The instant of the date in the data; an error says why there is none.
    fn date(&self, context: &Context<'_>, since: Timestamp, zone: &Zone) -> Result<Timestamp, Detail> {
        let How::Until(Target::Date { path, offset, minute, yearly, .. }) = &self.how else {
            return Err(Detail::None);
        };
        let Some(Datum::Value(value)) = context.data().datum(path) else { return Err(Detail::None) };
        let nothing = || Detail::Text(value.to_string());
        let moment = Moment::of(&value, zone).ok_or_else(nothing)?;
        let shifted = |moment: Moment| match *offset {
            Offset::Days(days) => Some(moment.plus_days(days, zone)?.at(*minute, zone)),
            Offset::Period { period, sign } => {
                let at = moment.at(*minute, zone);
                Some(if sign < 0 { period.before(at) } else { period.after(at) })
            }
        };
        let target = if *yearly {
            let year = since.civil(zone).year();
            let again = context.visit > 1;
            let mut years = (year - 2..=year + 3).filter_map(|year| shifted(moment.in_year(year, zone)?));
            years.find(|at| if again { *at > since } else { *at >= since })
        } else {
            shifted(moment)
        };
        let target = target.ok_or_else(nothing)?;
        let far = target.since(context.world.now) > i64::from(WAIT_MAX_DAYS) * Timestamp::DAY;
        if far { Err(Detail::Until(target)) } else { Ok(target) }
    }
}
