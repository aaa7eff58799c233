//! Days, rolling windows and calendar periods as intervals of the clock: for a given instant of the past, *from when
//! until when* does "now" see it inside the window? Each question has one interval, so a flip is one of its two ends.

use jiff::{ToSpan, civil};
use model::{Period, Timestamp, Zone};

/// The instants of the clock at which something holds: `from <= now < until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// First instant at which it holds.
    pub from: Timestamp,
    /// First instant after `from` at which it does no longer hold; [`Timestamp::MAX`] is never.
    pub until: Timestamp,
}

impl Interval {
    /// At no time.
    pub const NEVER: Self = Self { from: Timestamp::MAX, until: Timestamp::MAX };

    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// The next end after `now`.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Option<Timestamp> {
        [self.from, self.until]
            .into_iter()
            .filter(|at| *at > now && *at < Timestamp::MAX && self.from < self.until)
            .min()
    }
}

/// The calendar day of an instant in a zone, as days since 1970-01-01.
#[must_use]
pub fn day_of(at: Timestamp, zone: &Zone) -> i32 {
    if *zone == Zone::UTC { at.day_utc() } else { day_of_date(at.civil(zone).date()) }
}

/// The first instant of a calendar day in a zone; saturates at the ends of time.
#[must_use]
pub fn start_of_day(day: i32, zone: &Zone) -> Timestamp {
    if *zone == Zone::UTC {
        return Timestamp(i64::from(day) * Timestamp::DAY);
    }
    date_of_day(day)
        .to_zoned(zone.jiff().clone())
        .map_or(Timestamp(i64::from(day) * Timestamp::DAY), |z| Timestamp::from_jiff(z.timestamp()))
}

/// The date of a day number; saturates at the years −9999 and 9999.
#[must_use]
pub fn date_of_day(day: i32) -> civil::Date {
    civil::date(1970, 1, 1).saturating_add(day.clamp(-4_000_000, 3_000_000).days())
}

/// The day number of a date.
#[must_use]
pub fn day_of_date(date: civil::Date) -> i32 {
    civil::date(1970, 1, 1).until(date).map_or(0, |span| span.get_days())
}

/// The first "now" for which `t` lies more than `period` back. Months go by the UTC calendar; where the day is missing
/// in the later month (31 January and one month) it is the first instant of the month after. Never decreases with `t`.
#[must_use]
pub fn expiry(period: Period, t: Timestamp) -> Timestamp {
    let t = t.plus(period.micros);
    if period.months == 0 {
        return t.plus(1);
    }
    let day = t.day_utc();
    let within_day = t.0 - i64::from(day) * Timestamp::DAY;
    let date = date_of_day(day);
    let index = i64::from(date.year()) * 12 + i64::from(date.month()) - 1 + i64::from(period.months);
    let Some(first) = first_of_month(index) else { return Timestamp::MAX };
    if i32::from(date.day()) > i32::from(first.days_in_month()) {
        return first_of_month(index + 1)
            .map_or(Timestamp::MAX, |next| start_of_day(day_of_date(next), &Zone::UTC));
    }
    let target = day_of_date(first) + i32::from(date.day()) - 1;
    start_of_day(target, &Zone::UTC).plus(within_day).plus(1)
}

/// The first day of a month counted from year 0.
fn first_of_month(index: i64) -> Option<civil::Date> {
    let year = i16::try_from(index.div_euclid(12)).ok()?;
    civil::Date::new(year, index.rem_euclid(12) as i8 + 1, 1).ok()
}

/// The last day at which `day` lies at most `period` back (whole days of it).
#[must_use]
pub fn last_day_within(period: Period, day: i32) -> i32 {
    let end = expiry(period, Timestamp(i64::from(day) * Timestamp::DAY));
    // `expiry` is one microsecond after the same midnight, or the first midnight too late.
    if end == Timestamp::MAX { i32::MAX / 2 } else { end.plus(-1).day_utc() }
}

/// Calendar periods, in the workspace's zone; weeks begin on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Calendar {
    /// Since midnight.
    Today,
    /// The day before.
    Yesterday,
    /// Since Monday.
    ThisWeek,
    /// The seven days before this week.
    LastWeek,
    /// Since the first of the month.
    ThisMonth,
    /// The month before.
    LastMonth,
    /// Since the first of January, April, July or October.
    ThisQuarter,
    /// The three months before this quarter.
    LastQuarter,
    /// Since the first of January.
    ThisYear,
    /// The year before.
    LastYear,
}

impl Calendar {
    /// All, with their words in files.
    pub const ALL: [(&'static str, Self); 10] = [
        ("today", Self::Today),
        ("yesterday", Self::Yesterday),
        ("this_week", Self::ThisWeek),
        ("last_week", Self::LastWeek),
        ("this_month", Self::ThisMonth),
        ("last_month", Self::LastMonth),
        ("this_quarter", Self::ThisQuarter),
        ("last_quarter", Self::LastQuarter),
        ("this_year", Self::ThisYear),
        ("last_year", Self::LastYear),
    ];

    /// The calendar unit (day, week, …) that holds `day`: its first day and the first day of the next one.
    fn unit(self, day: i32) -> (i32, i32) {
        let date = date_of_day(day);
        let months = |from: i8, count: i32| {
            let index = i64::from(date.year()) * 12 + i64::from(from) - 1;
            let at = |index| first_of_month(index).map_or(i32::MAX / 2, day_of_date);
            (at(index), at(index + i64::from(count)))
        };
        match self {
            Self::Today | Self::Yesterday => (day, day + 1),
            Self::ThisWeek | Self::LastWeek => {
                // 1970-01-01 was a Thursday.
                let monday = day - (day + 3).rem_euclid(7);
                (monday, monday + 7)
            }
            Self::ThisMonth | Self::LastMonth => months(date.month(), 1),
            Self::ThisQuarter | Self::LastQuarter => months((date.month() - 1) / 3 * 3 + 1, 3),
            Self::ThisYear | Self::LastYear => months(1, 12),
        }
    }

    /// Whether it is the unit that runs, not the one before.
    #[must_use]
    pub const fn is_current(self) -> bool {
        matches!(self, Self::Today | Self::ThisWeek | Self::ThisMonth | Self::ThisQuarter | Self::ThisYear)
    }

    /// The days (first, and first after) on which "today" sees `day` inside the period.
    #[must_use]
    pub fn seen_on(self, day: i32) -> (i32, i32) {
        let (first, next) = self.unit(day);
        if self.is_current() { (first, next) } else { (next, self.unit(next).1) }
    }

    /// The instants at which "now" sees `at` inside the period.
    #[must_use]
    pub fn seen(self, at: Timestamp, zone: &Zone) -> Interval {
        let (first, next) = self.seen_on(day_of(at, zone));
        Interval { from: start_of_day(first, zone), until: start_of_day(next, zone) }
    }

    /// The first instant after the period at `now`.
    #[must_use]
    pub fn end(self, now: Timestamp, zone: &Zone) -> Timestamp {
        let (first, next) = self.unit(day_of(now, zone));
        start_of_day(if self.is_current() { next } else { first }, zone)
    }

    /// The first instant of the period at `now`.
    #[must_use]
    pub fn start(self, now: Timestamp, zone: &Zone) -> Timestamp {
        let (first, _) = self.unit(day_of(now, zone));
        let first = if self.is_current() { first } else { self.unit(first - 1).0 };
        start_of_day(first, zone)
    }
}

/// Whether `today` is the anniversary of `day`: the same day of the month in the same or a later year. Who was born on
/// 29 February has it on 28 February in other years.
#[must_use]
pub fn is_anniversary(day: i32, today: i32) -> bool {
    let (date, now) = (date_of_day(day), date_of_day(today));
    let same = (date.month(), date.day()) == (now.month(), now.day());
    let leap =
        (date.month(), date.day()) == (2, 29) && (now.month(), now.day()) == (2, 28) && !now.in_leap_year();
    today >= day && (same || leap)
}

/// The first anniversary of `day` on `from` or later.
#[must_use]
pub fn next_anniversary(day: i32, from: i32) -> i32 {
    let from = from.max(day);
    let date = date_of_day(day);
    let year = date_of_day(from).year();
    let on = |year: i16| {
        civil::Date::new(year, date.month(), date.day())
            .or_else(|_| civil::Date::new(year, date.month(), 28))
            .map_or(i32::MAX / 2, day_of_date)
    };
    let here = on(year);
    if here >= from { here } else { on(year.saturating_add(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text, &Zone::UTC).unwrap()
    }

    #[test]
    fn windows_expire_once() {
        for (period, t, end) in [
            ("P30D", "2024-01-01 10:00", "2024-01-31T10:00:00.000001Z"),
            ("P1M", "2024-01-15 10:00", "2024-02-15T10:00:00.000001Z"),
            ("P1M", "2023-01-31 10:00", "2023-03-01T00:00:00Z"),
            ("P1Y", "2024-02-29 10:00", "2025-03-01T00:00:00Z"),
            ("P1MT1H", "2024-01-31 23:30", "2024-03-01T00:30:00.000001Z"),
        ] {
            assert_eq!(expiry(Period::parse(period).unwrap(), at(t)).to_string(), end, "{period} {t}");
        }
    }

    #[test]
    fn calendar_periods_by_zone() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        let t = at("2025-12-31 23:30");
        let seen = Calendar::ThisYear.seen(t, &paris);
        assert_eq!(seen.from.to_string(), "2025-12-31T23:00:00Z");
        assert_eq!(seen.until.to_string(), "2026-12-31T23:00:00Z");
        let seen = Calendar::LastQuarter.seen(t, &Zone::UTC);
        assert_eq!((seen.from, seen.until), (at("2026-01-01"), at("2026-04-01")));
        assert_eq!(Calendar::ThisWeek.start(at("2026-11-22 08:00"), &Zone::UTC), at("2026-11-16"));
        assert_eq!(Calendar::LastWeek.start(at("2026-11-22 08:00"), &Zone::UTC), at("2026-11-09"));
        assert_eq!(Calendar::LastMonth.start(at("2026-01-05"), &Zone::UTC), at("2025-12-01"));
    }

    #[test]
    fn anniversaries_of_leap_days() {
        let day = |text| model::field::parse_date(text).unwrap();
        let born = day("1996-02-29");
        assert!(is_anniversary(born, day("2026-02-28")));
        assert!(!is_anniversary(born, day("2028-02-28")));
        assert!(is_anniversary(born, day("2028-02-29")));
        assert!(!is_anniversary(born, day("1995-02-28")));
        assert_eq!(next_anniversary(born, day("2026-02-28")), day("2026-02-28"));
        assert_eq!(next_anniversary(born, day("2026-03-01")), day("2027-02-28"));
        assert_eq!(next_anniversary(born, day("2028-01-01")), day("2028-02-29"));
    }
}
