//! Instants as microseconds UTC, periods as ISO 8601, zones with daylight-saving rules.

use std::fmt;

use jiff::{civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::Problem;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Where "now" comes from. The shell hands one in; tests and the demo hand in one of their own.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// A clock that stands still: `--at INSTANT`, and tests.
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

impl Timestamp {
    /// Microseconds in a second.
    pub const SECOND: i64 = 1_000_000;
    /// Microseconds in a minute.
    pub const MINUTE: i64 = 60 * Self::SECOND;
    /// Microseconds in an hour.
    pub const HOUR: i64 = 60 * Self::MINUTE;
    /// Microseconds in 24 hours.
    pub const DAY: i64 = 24 * Self::HOUR;
    /// The earliest instant that is taken from outside: 1970-01-01.
    pub const OUTSIDE_MIN: Self = Self(0);
    /// The latest instant that is taken from outside (exclusive): 2200-01-01.
    pub const OUTSIDE_MAX: Self = Self(7_258_118_400 * Self::SECOND);
    /// Before everything.
    pub const MIN: Self = Self(i64::MIN);
    /// After everything.
    pub const MAX: Self = Self(i64::MAX);

    /// So many microseconds later (earlier when negative); stays within the range.
    #[must_use]
    pub const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// So many days of 24 hours later.
    #[must_use]
    pub const fn plus_days(self, days: i64) -> Self {
        self.plus(days.saturating_mul(Self::DAY))
    }

    /// Microseconds from `earlier` to here.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The day number since 1970-01-01 in UTC.
    #[must_use]
    pub const fn day_utc(self) -> i32 {
        self.0.div_euclid(Self::DAY) as i32
    }

    /// Reads an instant: RFC 3339 (`2026-11-22T08:00:00Z`, with any offset), or a naive date and time
    /// (`2011-12-09 12:50:00`, `2011-12-09T12:50`) or date (`2011-12-09`, its midnight), which are in `zone`. A naive
    /// time that a clock change skips is moved forward, one that it repeats is the first.
    ///
    /// # Errors
    /// `time.invalid` when it is none of these, `time.out_of_range` before 1970 or after 2199.
    pub fn parse(text: &str, zone: &Zone) -> Result<Self, Problem> {
        let trimmed = text.trim();
        let parsed = fast_naive(trimmed, zone).or_else(|| slow(trimmed, zone));
        let Some(at) = parsed else {
            return Err(Problem::new("time.invalid", format!("`{text}` is not a date and time"))
                .value(text)
                .cure("use ISO 8601, as in 2026-11-22T08:00:00Z or 2026-11-22 08:00:00"));
        };
        if at < Self::OUTSIDE_MIN || at >= Self::OUTSIDE_MAX {
            return Err(Problem::new("time.out_of_range", format!("`{text}` is not between 1970 and 2199"))
                .value(text)
                .cure("check the column and its format"));
        }
        Ok(at)
    }

    /// In jiff's terms; saturates at jiff's range.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }

    /// From jiff's terms.
    #[must_use]
    pub fn from_jiff(at: jiff::Timestamp) -> Self {
        Self(at.as_microsecond())
    }

    /// The civil date and time in a zone.
    #[must_use]
    pub fn civil(self, zone: &Zone) -> civil::DateTime {
        zone.0.to_datetime(self.to_jiff())
    }
}

/// `YYYY-MM-DD[ T]HH:MM[:SS]` in UTC without going through the general parser: imports read millions of these.
fn fast_naive(text: &str, zone: &Zone) -> Option<Timestamp> {
    let b = text.as_bytes();
    if zone.0 != TimeZone::UTC || !matches!(b.len(), 10 | 16 | 19) || b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        b[range].iter().try_fold(0_i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let date = civil::Date::new(year as i16, month as i8, day as i8).ok()?;
    let (mut hour, mut minute, mut second) = (0, 0, 0);
    if b.len() > 10 {
        if !matches!(b[10], b' ' | b'T') || b[13] != b':' {
            return None;
        }
        (hour, minute) = (number(11..13)?, number(14..16)?);
        if b.len() == 19 {
            if b[16] != b':' {
                return None;
            }
            second = number(17..19)?;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
    }
    let days = days_from_civil(i64::from(date.year()), month, day);
    Some(Timestamp(((days * 24 + hour) * 60 + minute) * Timestamp::MINUTE + second * Timestamp::SECOND))
}

/// Days since 1970-01-01 of a proleptic Gregorian date (the usual era arithmetic).
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

fn slow(text: &str, zone: &Zone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp::from_jiff(at));
    }
    let naive = text.parse::<civil::DateTime>().ok()?;
    let at = zone.0.to_ambiguous_zoned(naive).compatible().ok()?.timestamp();
    Some(Timestamp::from_jiff(at))
}

/// RFC 3339 in UTC, with as many decimals as it has.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_jiff(), f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        text.parse::<jiff::Timestamp>().map(Self::from_jiff).map_err(serde::de::Error::custom)
    }
}

/// A time zone of the IANA database, which is built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// A zone by its IANA name, as in `Europe/Paris`.
    ///
    /// # Errors
    /// `zone.unknown`.
    pub fn parse(name: &str) -> Result<Self, Problem> {
        if name.eq_ignore_ascii_case("utc") || name == "Z" {
            return Ok(Self::UTC);
        }
        TimeZone::get(name).map(Self).map_err(|_| {
            Problem::new("zone.unknown", format!("`{name}` is not a time zone"))
                .value(name)
                .cure("use an IANA name, as in Europe/Paris or UTC")
        })
    }

    /// jiff's zone.
    #[must_use]
    pub fn jiff(&self) -> &TimeZone {
        &self.0
    }
}

/// An ISO 8601 duration: months (calendar) and a fixed rest. `P1D` is 24 hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Period {
    /// Years and months, in months.
    pub months: i32,
    /// Weeks, days, hours, minutes and seconds, in microseconds.
    pub micros: i64,
}

impl Period {
    /// So many days of 24 hours.
    #[must_use]
    pub const fn days(days: i64) -> Self {
        Self { months: 0, micros: days * Timestamp::DAY }
    }

    /// Reads `PT8H`, `P1D`, `P2Y`, `P1M`, `P1DT12H`.
    ///
    /// # Errors
    /// `period.invalid` when it is no ISO 8601 duration or is negative.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let invalid = || {
            Problem::new("period.invalid", format!("`{text}` is not a duration"))
                .value(text)
                .cure("use ISO 8601, as in PT8H (8 hours), P1D (a day), P30D, P2Y")
        };
        if !text.starts_with(['P', 'p']) {
            return Err(invalid());
        }
        let span: jiff::Span = text.parse().map_err(|_| invalid())?;
        if span.is_negative() {
            return Err(invalid());
        }
        let months = i32::from(span.get_years()) * 12 + span.get_months();
        let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
        let micros = days * Timestamp::DAY
            + i64::from(span.get_hours()) * Timestamp::HOUR
            + span.get_minutes() * Timestamp::MINUTE
            + span.get_seconds() * Timestamp::SECOND
            + span.get_milliseconds() * 1_000
            + span.get_microseconds();
        Ok(Self { months, micros })
    }

    /// The instant so long before `at` (months by the UTC calendar, clamped to the month's end).
    #[must_use]
    pub fn before(self, at: Timestamp) -> Timestamp {
        self.shift(at, -1)
    }

    /// The instant so long after `at` (months by the UTC calendar, clamped to the month's end).
    #[must_use]
    pub fn after(self, at: Timestamp) -> Timestamp {
        self.shift(at, 1)
    }

    fn shift(self, at: Timestamp, sign: i32) -> Timestamp {
        let mut at = at;
        if self.months != 0 {
            let zoned = at.to_jiff().to_zoned(TimeZone::UTC);
            let span = jiff::Span::new().months(self.months.saturating_mul(sign).clamp(-119_988, 119_988));
            at =
                zoned.checked_add(span).map_or(if sign < 0 { Timestamp::MIN } else { Timestamp::MAX }, |z| {
                    Timestamp::from_jiff(z.timestamp())
                });
        }
        at.plus(self.micros.saturating_mul(i64::from(sign)))
    }

    /// Whether it is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.months == 0 && self.micros == 0
    }
}

/// ISO 8601, as in `P2Y`, `P1DT12H`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("PT0S");
        }
        f.write_str("P")?;
        let (years, months) = (self.months / 12, self.months % 12);
        for (n, unit) in
            [(i64::from(years), "Y"), (i64::from(months), "M"), (self.micros / Timestamp::DAY, "D")]
        {
            if n != 0 {
                write!(f, "{n}{unit}")?;
            }
        }
        let rest = self.micros % Timestamp::DAY;
        if rest == 0 {
            return Ok(());
        }
        f.write_str("T")?;
        let (hours, minutes) = (rest / Timestamp::HOUR, rest % Timestamp::HOUR / Timestamp::MINUTE);
        let micros = rest % Timestamp::MINUTE;
        if hours != 0 {
            write!(f, "{hours}H")?;
        }
        if minutes != 0 {
            write!(f, "{minutes}M")?;
        }
        if micros != 0 {
            let fraction = format!("{:06}", micros % Timestamp::SECOND);
            let fraction = fraction.trim_end_matches('0');
            let dot = if fraction.is_empty() { "" } else { "." };
            write!(f, "{}{dot}{fraction}S", micros / Timestamp::SECOND)?;
        }
        Ok(())
    }
}

impl Serialize for Period {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_instants() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        for (text, zone, out) in [
            ("2011-12-09 12:50:00", &Zone::UTC, "2011-12-09T12:50:00Z"),
            ("2011-12-09", &Zone::UTC, "2011-12-09T00:00:00Z"),
            ("2011-12-09T12:50", &Zone::UTC, "2011-12-09T12:50:00Z"),
            ("2026-11-22T08:00:00+01:00", &Zone::UTC, "2026-11-22T07:00:00Z"),
            ("2026-11-22 08:00:00.5", &Zone::UTC, "2026-11-22T08:00:00.5Z"),
            ("2026-07-01 08:00", &paris, "2026-07-01T06:00:00Z"),
            ("2026-03-29 02:30", &paris, "2026-03-29T01:30:00Z"),
            ("2024-02-29 00:00:00", &Zone::UTC, "2024-02-29T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::parse(text, zone).unwrap().to_string(), out, "{text}");
        }
        for (text, code) in [
            ("2023-02-29", "time.invalid"),
            ("12/09/2011", "time.invalid"),
            ("2011-12-09 24:00:00", "time.invalid"),
            ("1969-12-31 23:59:59", "time.out_of_range"),
            ("2200-01-01", "time.out_of_range"),
        ] {
            assert_eq!(Timestamp::parse(text, &Zone::UTC).unwrap_err().code, code, "{text}");
        }
        assert!(Timestamp::parse("2199-12-31 23:59:59", &Zone::UTC).is_ok());
    }

    #[test]
    fn periods_go_round() {
        for text in ["PT8H", "P1D", "P2Y", "P1M", "P1DT12H", "P30D", "PT0.5S", "PT0S"] {
            assert_eq!(Period::parse(text).unwrap().to_string(), text);
        }
        for bad in ["8h", "-P1D", "P", "one day"] {
            assert_eq!(Period::parse(bad).unwrap_err().code, "period.invalid", "{bad}");
        }
        let at = Timestamp::parse("2024-02-29", &Zone::UTC).unwrap();
        assert_eq!(Period::parse("P1Y").unwrap().before(at).to_string(), "2023-02-28T00:00:00Z");
    }
}
