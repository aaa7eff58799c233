//! Quiet hours: when nobody is to be disturbed, by the clock on their wall.

use jiff::civil::{Date, DateTime, Time, Weekday};
use model::{Channel, Timestamp, Zone};

/// Quiet hours for some messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Quiet {
    /// On these channels; on all that reach a contact when empty.
    pub channels: Vec<Channel>,
    /// For these purposes and their topics; for all when empty.
    pub purposes: Vec<String>,
    /// For contacts in these countries, as in `FR` or `France`; for all when empty.
    pub countries: Vec<String>,
    /// Whether transactional messages are held too.
    pub transactional: bool,
    /// Whose clock.
    pub zone: ZoneChoice,
    /// The hours, week by week.
    pub weekly: Vec<Span>,
    /// Whole days.
    pub days: Vec<Days>,
}

/// Whose clock says what is quiet.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ZoneChoice {
    /// The contact's, else the workspace's.
    #[default]
    Contact,
    /// The workspace's.
    Workspace,
    /// This one.
    Fixed(Zone),
}

/// Hours of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Days on which it begins, Monday first.
    pub weekdays: [bool; 7],
    /// From this minute of the day (included).
    pub from: u16,
    /// Up to this minute (excluded), 1,440 for midnight; of the next day when it is not after `from`.
    pub to: u16,
}

/// Whole days, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// Of certain years.
    Dates(Date, Date),
    /// Every year: (month, day). The 29th of February is left out in other years.
    Yearly(i8, i8),
}

/// Minutes of a day.
pub(crate) const DAY: u16 = 24 * 60;

impl Span {
    /// How many minutes it lasts.
    pub(crate) const fn minutes(&self) -> u16 {
        if self.to > self.from { self.to - self.from } else { self.to + DAY - self.from }
    }
}

/// The civil time so many minutes into a day.
fn minute_of(date: Date, minutes: u16) -> DateTime {
    if minutes >= DAY {
        let next = date.tomorrow().unwrap_or(Date::MAX);
        return minute_of(next, minutes - DAY);
    }
    let time = Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).unwrap_or(Time::midnight());
    DateTime::from_parts(date, time)
}

fn is_on(weekdays: &[bool; 7], day: Weekday) -> bool {
    weekdays[day.to_monday_zero_offset() as usize]
}

impl Quiet {
    /// When the quiet that holds at a civil time ends, as far as one rule of it says; none when it is not quiet.
    fn quiet_until(&self, at: DateTime) -> Option<DateTime> {
        let (today, yesterday) = (at.date(), at.date().yesterday().unwrap_or(Date::MIN));
        let spans = self.weekly.iter().flat_map(|span| {
            [today, yesterday]
                .into_iter()
                .filter(|date| is_on(&span.weekdays, date.weekday()))
                .map(|date| (minute_of(date, span.from), minute_of(date, span.from + span.minutes())))
        });
        let days = self
            .days
            .iter()
            .filter(|days| days.hold(today))
            .map(|_| (minute_of(today, 0), minute_of(today, DAY)));
        spans.chain(days).filter(|(from, to)| *from <= at && at < *to).map(|(_, to)| to).max()
    }

    /// Whether it is quiet at an instant.
    #[must_use]
    pub fn is_quiet(&self, at: Timestamp, zone: &Zone) -> bool {
        self.quiet_until(at.civil(zone)).is_some()
    }

    /// The first instant from `at` on at which it is not quiet; [`Timestamp::MAX`] when that is not within
    /// `Self::LONGEST` steps (rules that were read never get there).
    #[must_use]
    pub fn free(&self, at: Timestamp, zone: &Zone) -> Timestamp {
        let mut at = at;
        for _ in 0..Self::LONGEST {
            let Some(end) = self.quiet_until(at.civil(zone)) else { return at };
            at = next(at, end, zone);
        }
        Timestamp::MAX
    }

    /// Most steps from one end of a quiet time to the next.
    const LONGEST: usize = 400;
}

/// The first instant after `at` at which the clock shows `end` or jumps: a clock that goes back may make it quiet again,
/// one that goes forward may jump over the end.
fn next(at: Timestamp, end: DateTime, zone: &Zone) -> Timestamp {
    let shown = zone.jiff().to_ambiguous_zoned(end);
    let earlier = shown.clone().earlier().map(|zoned| Timestamp::from_jiff(zoned.timestamp()));
    let later = shown.later().map(|zoned| Timestamp::from_jiff(zoned.timestamp()));
    let shows = [earlier, later].into_iter().flatten().filter(|shown| *shown > at).min();
    let shows = shows.unwrap_or_else(|| at.plus(Timestamp::MINUTE));
    let jump = zone.jiff().following(at.to_jiff()).next();
    let jump = jump.map(|jump| Timestamp::from_jiff(jump.timestamp())).filter(|jump| *jump > at);
    jump.map_or(shows, |jump| jump.min(shows))
}

impl Days {
    /// Whether a date is among them.
    #[must_use]
    pub fn hold(&self, date: Date) -> bool {
        match self {
            Self::Dates(first, last) => *first <= date && date <= *last,
            Self::Yearly(month, day) => date.month() == *month && date.day() == *day,
        }
    }
}
