//! When recurring starts come next: pure, in a zone's own calendar.
//!
//! * A time of the day that a change of the clocks skips comes as much later as the clocks were put forward (02:30 becomes
//!   03:30); one that comes twice is the first of the two.
//! * The 31st is the last day of shorter months.
//! * Every so many days, weeks or months are counted from fixed beginnings (`anchor`), so that the answer does not depend
//!   on when somebody asks or on how often the engine was restarted.

use jiff::{ToSpan, civil};
use journey::entry::{Every, On, Schedule};
use model::{Timestamp, Zone};
use storage::live::{Life, LifeRecord};

use super::{Book, LiveJourney, lives::Memo};

/// Farthest that the next occurrence is looked for, in days: an interval of a thousand months fits in.
const DAYS_MAX: i64 = 40_000;

/// The Monday from which weeks are counted, and the month before which no interval begins: 1970-01-05.
const fn anchor() -> civil::Date {
    civil::date(1970, 1, 5)
}

/// The first occurrence after `after` (exclusive), counted from `since`: the day on which the journey began. None when no day
/// of the next hundred years fits (every 7 days, on Mondays, begun on a Sunday).
#[must_use]
pub fn next(schedule: &Schedule, zone: &Zone, since: Timestamp, after: Timestamp) -> Option<Timestamp> {
    let zone = schedule.zone.as_ref().unwrap_or(zone);
    let first = since.civil(zone).date();
    // The day itself may still have an occurrence to come.
    let mut day = after.civil(zone).date().yesterday().ok()?.max(first);
    let last = day.checked_add(DAYS_MAX.days()).ok()?;
    while day <= last {
        if fits(schedule, first, day)
            && let Some(at) = at_minute(day, schedule.minute, zone)
            && at > after
            && at >= since
        {
            return Some(at);
        }
        day = match schedule.every {
            Every::Month if !fits_month(schedule, first, day) => first_of_next_month(day)?,
            _ => day.tomorrow().ok()?,
        };
    }
    None
}

/// The last occurrence until `until` (included) and after `after`; what was missed before it is not made up for.
#[must_use]
pub fn last_due(
    schedule: &Schedule,
    zone: &Zone,
    since: Timestamp,
    after: Timestamp,
    until: Timestamp,
) -> Option<(Timestamp, u64)> {
    let mut found = None;
    let mut at = after;
    while let Some(one) = next(schedule, zone, since, at).filter(|one| *one <= until) {
        found = Some((one, found.map_or(0, |(_, missed)| missed + 1)));
        at = one;
    }
    found
}

/// Whether a day is one of the schedule's.
fn fits(schedule: &Schedule, first: civil::Date, day: civil::Date) -> bool {
    let weekday = day.weekday().to_monday_one_offset().unsigned_abs();
    let on_weekday = schedule.weekdays.is_empty() || schedule.weekdays.contains(&weekday);
    let interval = i64::from(schedule.interval.max(1));
    match schedule.every {
        Every::Day => days_between(first, day).rem_euclid(interval) == 0 && on_weekday,
        Every::Week => {
            let week = |date| days_between(anchor(), date).div_euclid(7);
            // Without days of the week it is the one on which it began.
            let on_day =
                if schedule.weekdays.is_empty() { day.weekday() == first.weekday() } else { on_weekday };
            on_day && (week(day) - week(first)).rem_euclid(interval) == 0
        }
        Every::Month => {
            let wanted = schedule.month_day.map_or(first.day(), u8::cast_signed).clamp(1, 31);
            let on_day = day.day() == wanted.min(day.days_in_month());
            on_day && on_weekday && fits_month(schedule, first, day)
        }
    }
}

fn fits_month(schedule: &Schedule, first: civil::Date, day: civil::Date) -> bool {
    let month = |date: civil::Date| i64::from(date.year()) * 12 + i64::from(date.month());
    (month(day) - month(first)).rem_euclid(i64::from(schedule.interval.max(1))) == 0
}

fn first_of_next_month(day: civil::Date) -> Option<civil::Date> {
    day.last_of_month().tomorrow().ok()
}

fn days_between(from: civil::Date, to: civil::Date) -> i64 {
    from.until(to).map_or(0, |span| i64::from(span.get_days()))
}

fn at_minute(day: civil::Date, minute: u16, zone: &Zone) -> Option<Timestamp> {
    let minute = minute.min(24 * 60 - 1);
    let time = civil::time((minute / 60) as i8, (minute % 60) as i8, 0, 0);
    // "Compatible": later by the gap, the first of two.
    let zoned = zone.jiff().to_ambiguous_zoned(day.to_datetime(time)).compatible().ok()?;
    Some(Timestamp::from_jiff(zoned.timestamp()))
}

/// Since when a schedule trigger's occurrences count: the last one that was done, or the journey's beginning.
#[must_use]
pub(super) fn done_until(record: &LifeRecord, memo: &Memo, trigger: usize) -> Timestamp {
    // An instant before the beginning: an occurrence at the very beginning counts.
    memo.occurrences.get(&trigger.to_string()).copied().unwrap_or(record.began(memo).plus(-1))
}

/// When something of the book begins or ends by itself next: a scheduled version, an end, a recurring start. Past
/// instants are due at once. None: never.
#[must_use]
pub fn next_start(book: &Book) -> Option<Timestamp> {
    book.journeys.iter().filter_map(|live| next_of(live)).min()
}

fn next_of(live: &LiveJourney) -> Option<Timestamp> {
    let journey = &live.rules.journey;
    match live.record.life {
        Life::Scheduled => live.record.starts_at,
        Life::Active => {
            let memo = Memo::of(&live.record);
            let occurrences = journey.triggers.iter().enumerate().filter_map(|(place, trigger)| {
                let On::Schedule(schedule) = &trigger.on else { return None };
                let done = done_until(&live.record, &memo, place);
                next(schedule, &live.rules.zone, live.record.began(&memo), done)
            });
            let open = live.open;
            let first = occurrences.min().filter(|at| open && journey.ends_at.is_none_or(|end| *at < end));
            first.into_iter().chain(journey.ends_at).min()
        }
        _ => None,
    }
}

/// When a life began to be active.
pub(super) trait Began {
    /// When newcomers could enter for the first time.
    fn began(&self, memo: &Memo) -> Timestamp;
}

impl Began for LifeRecord {
    fn began(&self, memo: &Memo) -> Timestamp {
        memo.began_at.unwrap_or(self.since)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text, &Zone::UTC).unwrap()
    }

    fn schedule(every: Every, interval: u16, weekdays: &[u8], month_day: Option<u8>, time: &str) -> Schedule {
        let (hour, minute) = time.split_once(':').unwrap();
        let minute = hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap();
        Schedule { every, interval, weekdays: weekdays.to_vec(), month_day, minute, zone: None }
    }

    #[test]
    fn table() {
        use Every::{Day, Month, Week};
        let paris = "Europe/Paris";
        for (schedule, zone, since, after, expected) in [
            // The same day, later; the next day when it is just over.
            (
                schedule(Day, 1, &[], None, "09:00"),
                "UTC",
                "2026-03-01",
                "2026-03-01T08:59:59Z",
                "2026-03-01T09:00:00Z",
            ),
            (
                schedule(Day, 1, &[], None, "09:00"),
                "UTC",
                "2026-03-01",
                "2026-03-01T09:00:00Z",
                "2026-03-02T09:00:00Z",
            ),
            // The clocks go forward in Paris on 2026-03-29: 02:30 is skipped; and back on 2026-10-25: the first 02:30.
            (
                schedule(Day, 1, &[], None, "02:30"),
                paris,
                "2026-03-01",
                "2026-03-28T12:00:00Z",
                "2026-03-29T01:30:00Z",
            ),
            (
                schedule(Day, 1, &[], None, "02:30"),
                paris,
                "2026-03-01",
                "2026-10-24T12:00:00Z",
                "2026-10-25T00:30:00Z",
            ),
            (
                schedule(Day, 1, &[], None, "02:30"),
                paris,
                "2026-03-01",
                "2026-10-25T00:30:00Z",
                "2026-10-26T01:30:00Z",
            ),
            (
                schedule(Day, 1, &[], None, "09:00"),
                paris,
                "2026-03-01",
                "2026-03-28T12:00:00Z",
                "2026-03-29T07:00:00Z",
            ),
            // Every third day, counted from the beginning.
            (
                schedule(Day, 3, &[], None, "09:00"),
                "UTC",
                "2026-03-01",
                "2026-03-01T09:00:00Z",
                "2026-03-04T09:00:00Z",
            ),
            (
                schedule(Day, 3, &[], None, "09:00"),
                "UTC",
                "2026-03-01",
                "2026-03-05T00:00:00Z",
                "2026-03-07T09:00:00Z",
            ),
            // On workdays.
            (
                schedule(Day, 1, &[1, 2, 3, 4, 5], None, "09:00"),
                "UTC",
                "2026-03-01",
                "2026-03-06T09:00:00Z",
                "2026-03-09T09:00:00Z",
            ),
            // Every week, every second week, without a day: the one on which it began (a Sunday).
            (
                schedule(Week, 1, &[2], None, "10:00"),
                "UTC",
                "2026-03-01",
                "2026-03-01T00:00:00Z",
                "2026-03-03T10:00:00Z",
            ),
            (
                schedule(Week, 2, &[2], None, "10:00"),
                "UTC",
                "2026-03-02",
                "2026-03-03T10:00:00Z",
                "2026-03-17T10:00:00Z",
            ),
            (
                schedule(Week, 1, &[], None, "10:00"),
                "UTC",
                "2026-03-01",
                "2026-03-01T10:00:00Z",
                "2026-03-08T10:00:00Z",
            ),
            // The 31st is the last day of shorter months; a leap year's February has 29.
            (
                schedule(Month, 1, &[], Some(31), "08:00"),
                "UTC",
                "2026-01-01",
                "2026-01-31T08:00:00Z",
                "2026-02-28T08:00:00Z",
            ),
            (
                schedule(Month, 1, &[], Some(31), "08:00"),
                "UTC",
                "2026-01-01",
                "2026-02-28T08:00:00Z",
                "2026-03-31T08:00:00Z",
            ),
            (
                schedule(Month, 1, &[], Some(30), "08:00"),
                "UTC",
                "2028-01-01",
                "2028-01-30T08:00:00Z",
                "2028-02-29T08:00:00Z",
            ),
            // Every third month, and without a day: the one on which it began.
            (
                schedule(Month, 3, &[], Some(1), "08:00"),
                "UTC",
                "2026-01-15",
                "2026-01-15T00:00:00Z",
                "2026-04-01T08:00:00Z",
            ),
            (
                schedule(Month, 12, &[], None, "08:00"),
                "UTC",
                "2028-02-29",
                "2028-02-29T08:00:00Z",
                "2029-02-28T08:00:00Z",
            ),
            // Nothing before the beginning.
            (
                schedule(Day, 1, &[], None, "09:00"),
                "UTC",
                "2026-03-10",
                "2026-01-01T00:00:00Z",
                "2026-03-10T09:00:00Z",
            ),
        ] {
            let zone = Zone::parse(zone).unwrap();
            let found = next(&schedule, &zone, at(&format!("{since}T00:00:00Z")), at(after));
            assert_eq!(found, Some(at(expected)), "{schedule:?} from {since} after {after}");
        }
    }

    #[test]
    fn its_own_zone_goes_before_the_workspaces() {
        let mut daily = schedule(Every::Day, 1, &[], None, "09:00");
        daily.zone = Some(Zone::parse("America/New_York").unwrap());
        let found = next(&daily, &Zone::UTC, at("2026-01-01T00:00:00Z"), at("2026-01-10T00:00:00Z"));
        assert_eq!(found, Some(at("2026-01-10T14:00:00Z")));
    }

    #[test]
    fn what_was_missed_is_one_start_not_many() {
        let daily = schedule(Every::Day, 1, &[], None, "09:00");
        let (since, until) = (at("2026-01-01T00:00:00Z"), at("2026-01-05T12:00:00Z"));
        let due = last_due(&daily, &Zone::UTC, since, at("2026-01-01T09:00:00Z"), until);
        assert_eq!(due, Some((at("2026-01-05T09:00:00Z"), 3)));
        assert_eq!(last_due(&daily, &Zone::UTC, since, at("2026-01-05T09:00:00Z"), until), None);
    }

    proptest! {
        #[test]
        fn occurrences_ascend_and_do_not_depend_on_when_one_asks(
            every in prop_oneof![Just(Every::Day), Just(Every::Week), Just(Every::Month)],
            interval in 1_u16..30, weekdays in proptest::collection::vec(1_u8..=7, 0..3),
            month_day in proptest::option::of(1_u8..=31), minute in 0_u16..1440,
            since in 0_i64..20_000, ask in 0_i64..2_000,
        ) {
            // Days of the week beside a day of the month may take years to meet: left out here.
            // So do they beside every so many days, or never (every 7 days on Mondays, begun on a Sunday).
            let weekdays = if every == Every::Week { weekdays } else { Vec::new() };
            let schedule = Schedule { every, interval, weekdays, month_day, minute, zone: None };
            let zone = Zone::parse("Europe/Paris").unwrap();
            let since = Timestamp(since * Timestamp::DAY);
            let after = since.plus(ask * Timestamp::DAY / 7);
            let one = next(&schedule, &zone, since, after).unwrap();
            prop_assert!(one > after && one >= since);
            // Asked an instant before, it is the same; asked at it, a later one.
            prop_assert_eq!(next(&schedule, &zone, since, one.plus(-1)), Some(one));
            prop_assert!(next(&schedule, &zone, since, one).unwrap() > one);
        }
    }
}
