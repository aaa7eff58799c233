//! The calendar of a wait: local times, days of the week, days of the month, anniversaries — with daylight-saving rules.
//! A local time that a clock change skips is moved forward by the length of the gap; of one that it repeats the first
//! is meant.

use jiff::{Span, civil};
use model::{Timestamp, Value, Zone};

/// Which days are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// All of them.
    Any,
    /// These days of the week: bit 0 is Monday.
    Week(u8),
    /// This day of the month, from 1; the last day of shorter months.
    Month(u8),
}

impl Days {
    /// Whether a day is one of them.
    #[must_use]
    pub fn has(self, day: civil::Date) -> bool {
        match self {
            Self::Any => true,
            Self::Week(bits) => bits & (1 << day.weekday().to_monday_zero_offset()) != 0,
            Self::Month(wanted) => {
                let last = day.days_in_month();
                day.day() == i8::try_from(wanted).unwrap_or(last).min(last)
            }
        }
    }
}

/// As far ahead as the next day is looked for: any day of the week or of the month comes before.
const LOOK_AHEAD: i32 = 62;

fn span(days: i32) -> Option<Span> {
    Span::new().try_days(days).ok()
}

fn days_after(day: civil::Date, days: i32) -> Option<civil::Date> {
    day.checked_add(span(days)?).ok()
}

/// The instant of a local time of a day, in minutes.
#[must_use]
pub fn instant(day: civil::Date, minute: u16, zone: &Zone) -> Timestamp {
    local(day.at((minute / 60 % 24) as i8, (minute % 60) as i8, 0, 0), zone)
}

fn local(at: civil::DateTime, zone: &Zone) -> Timestamp {
    let zoned = zone.jiff().to_ambiguous_zoned(at).compatible();
    zoned.map_or(Timestamp::MAX, |zoned| Timestamp::from_jiff(zoned.timestamp()))
}

/// The first instant at a local time, on one of these days, that is not before `from` (with `after`: that is after it).
#[must_use]
pub fn next(from: Timestamp, minute: u16, days: Days, zone: &Zone, after: bool) -> Timestamp {
    let first = from.civil(zone).date();
    (0..=LOOK_AHEAD)
        .filter_map(|n| days_after(first, n))
        .filter(|day| days.has(*day))
        .map(|day| instant(day, minute, zone))
        .find(|at| if after { *at > from } else { *at >= from })
        .unwrap_or(Timestamp::MAX)
}

/// `from` itself when it lies on one of these days, else the same local time on the next of them.
#[must_use]
pub fn same_time(from: Timestamp, days: Days, zone: &Zone) -> Timestamp {
    let civil = from.civil(zone);
    if days.has(civil.date()) {
        return from;
    }
    (1..=LOOK_AHEAD)
        .filter_map(|n| civil.checked_add(span(n)?).ok())
        .find(|at| days.has(at.date()))
        .map_or(Timestamp::MAX, |at| local(at, zone))
}

/// A date as data holds it: a day, or an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A day.
    Day(civil::Date),
    /// An instant.
    Instant(Timestamp),
}

impl Moment {
    /// What a datum says; none when it is no date. Texts (an event's properties) are read as ISO 8601: a day, or a date
    /// and time, which is in `zone` where it names no offset.
    #[must_use]
    pub fn of(value: &Value, zone: &Zone) -> Option<Self> {
        match value {
            Value::Date(days) => {
                let day = days_after(civil::date(1970, 1, 1), *days)?;
                Some(Self::Day(day))
            }
            Value::Instant(at) => Some(Self::Instant(*at)),
            Value::Text(text) => {
                let text = text.trim();
                if let (10, Ok(day)) = (text.len(), text.parse::<civil::Date>()) {
                    return Some(Self::Day(day));
                }
                Timestamp::parse(text, zone).ok().map(Self::Instant)
            }
            _ => None,
        }
    }

    /// So many calendar days later (earlier when negative): the local time stays.
    #[must_use]
    pub fn plus_days(self, days: i32, zone: &Zone) -> Option<Self> {
        match self {
            Self::Day(day) => days_after(day, days).map(Self::Day),
            Self::Instant(at) if days == 0 => Some(Self::Instant(at)),
            Self::Instant(at) => {
                let civil = at.civil(zone).checked_add(span(days)?).ok()?;
                Some(Self::Instant(local(civil, zone)))
            }
        }
    }

    /// In the year of another day; 29 February is the 28th in common years.
    #[must_use]
    pub fn in_year(self, year: i16, zone: &Zone) -> Option<Self> {
        let moved = |day: civil::Date| {
            let first = civil::Date::new(year, day.month(), 1).ok()?;
            civil::Date::new(year, day.month(), day.day().min(first.days_in_month())).ok()
        };
        match self {
            Self::Day(day) => moved(day).map(Self::Day),
            Self::Instant(at) => {
                let civil = at.civil(zone);
                let day = moved(civil.date())?;
                Some(Self::Instant(local(day.to_datetime(civil.time()), zone)))
            }
        }
    }

    /// The instant: at a local time of its day, or without one the instant itself (of a day its beginning).
    #[must_use]
    pub fn at(self, minute: Option<u16>, zone: &Zone) -> Timestamp {
        match (self, minute) {
            (Self::Day(day), minute) => instant(day, minute.unwrap_or(0), zone),
            (Self::Instant(at), None) => at,
            (Self::Instant(at), Some(minute)) => instant(at.civil(zone).date(), minute, zone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text, &Zone::UTC).unwrap()
    }

    #[test]
    fn the_next_time_of_a_day_follows_the_clocks() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        let tuesday = Days::Week(1 << 1);
        let weekend = Days::Week(0b110_0000);
        for (from, minute, days, after, expected) in [
            // In Paris it is 11:00 on Sunday, 22 November 2026.
            ("2026-11-22T10:00:00Z", 11 * 60, Days::Any, false, "2026-11-22T10:00:00Z"),
            ("2026-11-22T10:00:00Z", 11 * 60, Days::Any, true, "2026-11-23T10:00:00Z"),
            ("2026-11-22T10:00:00Z", 10 * 60, Days::Any, false, "2026-11-23T09:00:00Z"),
            ("2026-11-22T10:00:00Z", 600, tuesday, false, "2026-11-24T09:00:00Z"),
            ("2026-11-24T09:00:00.000001Z", 600, tuesday, false, "2026-12-01T09:00:00Z"),
            ("2026-11-22T23:30:00Z", 600, weekend, false, "2026-11-28T09:00:00Z"),
            // The night of 29 March 2026 has no 02:30: it is 03:30.
            ("2026-03-28T12:00:00Z", 150, Days::Any, false, "2026-03-29T01:30:00Z"),
            ("2026-03-29T01:30:00Z", 150, Days::Any, true, "2026-03-30T00:30:00Z"),
            // The night of 25 October 2026 has two 02:30: the first is meant, also when it has gone by.
            ("2026-10-24T12:00:00Z", 150, Days::Any, false, "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:45:00Z", 150, Days::Any, false, "2026-10-26T01:30:00Z"),
            // The 31st is the last day of shorter months.
            ("2026-11-22T10:00:00Z", 0, Days::Month(31), false, "2026-11-29T23:00:00Z"),
            ("2026-11-30T10:00:00Z", 0, Days::Month(31), false, "2026-12-30T23:00:00Z"),
            ("2027-02-01T10:00:00Z", 0, Days::Month(30), false, "2027-02-27T23:00:00Z"),
        ] {
            assert_eq!(next(at(from), minute, days, &paris, after).to_string(), expected, "{from} {minute}");
        }
    }

    #[test]
    fn the_same_time_on_an_allowed_day() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        let weekdays = Days::Week(0b1_1111);
        for (from, expected) in [
            ("2026-11-20T22:59:59Z", "2026-11-20T22:59:59Z"),
            // Saturday there, though Friday in UTC; the time of the day stays, over a clock change too.
            ("2026-11-20T23:00:00Z", "2026-11-22T23:00:00Z"),
            ("2026-03-28T09:00:00Z", "2026-03-30T08:00:00Z"),
        ] {
            assert_eq!(same_time(at(from), weekdays, &paris).to_string(), expected, "{from}");
        }
    }

    #[test]
    fn dates_of_data() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        let text = |text: &str| Moment::of(&Value::Text(text.into()), &paris);
        assert_eq!(text("2026-12-24"), Some(Moment::Day(civil::date(2026, 12, 24))));
        assert_eq!(text("2026-12-24 09:00"), Some(Moment::Instant(at("2026-12-24T08:00:00Z"))));
        assert_eq!(text("2026-12-24T09:00:00+03:00"), Some(Moment::Instant(at("2026-12-24T06:00:00Z"))));
        for bad in ["", "soon", "24/12/2026", "0001-01-01 00:00", "2026-13-01"] {
            assert_eq!(text(bad), None, "{bad}");
        }
        assert_eq!(Moment::of(&Value::Integer(7), &paris), None);
        assert_eq!(Moment::of(&Value::Date(i32::MAX), &paris), None);
        let day = Moment::of(&Value::Date(0), &paris).unwrap();
        assert_eq!(day.at(Some(540), &paris), at("1970-01-01T08:00:00Z"));
        assert_eq!(day.plus_days(i32::MAX, &paris), None);
        // Three days before, at the same local time, though the clocks change between.
        let spring = Moment::Instant(at("2026-03-30T08:00:00Z"));
        assert_eq!(spring.plus_days(-3, &paris), Some(Moment::Instant(at("2026-03-27T09:00:00Z"))));
        assert_eq!(spring.at(Some(0), &paris), at("2026-03-29T22:00:00Z"));
        let leap = Moment::Day(civil::date(2000, 2, 29));
        assert_eq!(leap.in_year(2027, &paris), Some(Moment::Day(civil::date(2027, 2, 28))));
        assert_eq!(leap.in_year(2028, &paris), Some(Moment::Day(civil::date(2028, 2, 29))));
    }
}
