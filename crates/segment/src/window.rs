//! When something must have happened, to be counted.

use std::borrow::Cow;

use model::{Period, Timestamp, Value, Zone};

use crate::{
    Data, RefPath,
    dates::{Calendar, Interval, expiry, start_of_day},
    test::instant_of,
};

/// A day, whose first instant depends on the zone, an instant, or data of a run that holds one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The first instant of a day.
    Day(i32),
    /// An instant.
    At(Timestamp),
    /// What a reference leads to, as in `{ref: run.entered_at}`: see [`Window::resolved`].
    Ref(RefPath),
}

impl Bound {
    /// The instant; none for a reference that was not resolved.
    #[must_use]
    pub fn at(&self, zone: &Zone) -> Option<Timestamp> {
        match self {
            Self::Day(day) => Some(start_of_day(*day, zone)),
            Self::At(at) => Some(*at),
            Self::Ref(_) => None,
        }
    }
}

/// When something must have happened. Every window ends before now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// Ever.
    #[default]
    Always,
    /// In the last so long.
    Within(Period),
    /// More than so long ago.
    OlderThan(Period),
    /// Less than the second and more than the first so long ago.
    BetweenAgo(Period, Period),
    /// From the first (included) to the second (excluded).
    Absolute(Option<Bound>, Option<Bound>),
    /// In a calendar period of the workspace's zone.
    Calendar(Calendar),
}

impl Window {
    /// The instants of the clock at which something that happened at `at` lies inside.
    #[must_use]
    pub fn interval(&self, at: Timestamp, zone: &Zone) -> Interval {
        let past = at.plus(1);
        let interval = match self {
            Self::Always => Interval { from: past, until: Timestamp::MAX },
            Self::Within(period) => Interval { from: past, until: expiry(*period, at) },
            Self::OlderThan(period) => Interval { from: expiry(*period, at), until: Timestamp::MAX },
            Self::BetweenAgo(near, far) => Interval { from: expiry(*near, at), until: expiry(*far, at) },
            Self::Absolute(since, until) => {
                let within = |bound: &Option<Bound>, holds: fn(&Timestamp, &Timestamp) -> bool| {
                    bound.as_ref().is_none_or(|bound| bound.at(zone).is_some_and(|bound| holds(&at, &bound)))
                };
                let inside = within(since, Timestamp::ge) && within(until, Timestamp::lt);
                if inside { Interval { from: past, until: Timestamp::MAX } } else { Interval::NEVER }
            }
            Self::Calendar(calendar) => {
                let seen = calendar.seen(at, zone);
                Interval { from: seen.from.max(past), until: seen.until }
            }
        };
        if interval.from < interval.until { interval } else { Interval::NEVER }
    }

    /// The instants inside at `now`: from the first (included) to the second (excluded). An event lies inside exactly
    /// when its instant is between them.
    #[must_use]
    pub fn bounds(&self, now: Timestamp, zone: &Zone) -> (Timestamp, Timestamp) {
        let within = |period: &Period| first_unexpired(*period, now);
        match self {
            Self::Always => (Timestamp::MIN, now),
            Self::Within(period) => (within(period), now),
            Self::OlderThan(period) => (Timestamp::MIN, within(period)),
            Self::BetweenAgo(near, far) => (within(far), within(near)),
            Self::Absolute(since, until) => (
                since.as_ref().map_or(Timestamp::MIN, |bound| bound.at(zone).unwrap_or(Timestamp::MAX)),
                until.as_ref().map_or(now, |bound| bound.at(zone).unwrap_or(Timestamp::MIN).min(now)),
            ),
            Self::Calendar(calendar) => {
                let since = calendar.start(now, zone);
                let until = if calendar.is_current() { now } else { calendar.end(now, zone) };
                (since, until)
            }
        }
    }

    /// As [`Window::bounds`], of whoever asks about what is known *now*: what ends now takes this very instant in, and what
    /// is said to lie up to `ahead` microseconds in the future too (clocks differ).
    #[must_use]
    pub fn bounds_now(&self, now: Timestamp, ahead: i64, zone: &Zone) -> (Timestamp, Timestamp) {
        let (since, until) = self.bounds(now, zone);
        let end = now.plus(ahead).plus(1);
        let until = match self {
            Self::Always | Self::Within(_) => end,
            Self::Calendar(calendar) if calendar.is_current() => end,
            Self::Absolute(_, None) => end,
            Self::Absolute(_, Some(bound)) => bound.at(zone).unwrap_or(Timestamp::MIN).min(end),
            _ => until,
        };
        (since, until)
    }

    /// With the data behind references in their place. A reference that leads to nothing, or to no instant, leaves
    /// nothing inside.
    #[must_use]
    pub fn resolved(&self, data: &dyn Data, zone: &Zone) -> Cow<'_, Self> {
        let Self::Absolute(since, until) = self else { return Cow::Borrowed(self) };
        if self.refs().next().is_none() {
            return Cow::Borrowed(self);
        }
        let resolve = |bound: &Option<Bound>| match bound {
            Some(Bound::Ref(path)) => data.value(path).and_then(|value| bound_of(&value, zone)).map(Some),
            other => Some(other.clone()),
        };
        Cow::Owned(match (resolve(since), resolve(until)) {
            (Some(since), Some(until)) => Self::Absolute(since, until),
            _ => Self::Absolute(None, Some(Bound::At(Timestamp::MIN))),
        })
    }

    /// The references of its ends.
    pub fn refs(&self) -> impl Iterator<Item = &RefPath> {
        let ends = if let Self::Absolute(since, until) = self {
            [since.as_ref(), until.as_ref()]
        } else {
            [None, None]
        };
        ends.into_iter()
            .flatten()
            .filter_map(|bound| if let Bound::Ref(path) = bound { Some(path) } else { None })
    }

    /// Whether what is inside at one time is always a run up to now: of a count only the last few must be kept.
    #[must_use]
    pub const fn ends_now(&self) -> bool {
        match self {
            Self::Always | Self::Within(_) => true,
            Self::Calendar(calendar) => calendar.is_current(),
            Self::OlderThan(_) | Self::BetweenAgo(..) | Self::Absolute(..) => false,
        }
    }
}

fn bound_of(value: &Value, zone: &Zone) -> Option<Bound> {
    match value {
        Value::Date(day) => Some(Bound::Day(*day)),
        other => instant_of(other, zone).map(Bound::At),
    }
}

/// The first instant that lies at most `period` back from `now`.
fn first_unexpired(period: Period, now: Timestamp) -> Timestamp {
    let about = period.before(now);
    if period.months == 0 {
        return about;
    }
    // Months clamp to the end of shorter ones, by up to three days; within these, `expiry` only grows.
    let (mut low, mut high) = (about.plus_days(-4), about.plus_days(4));
    while low.0 + 1 < high.0 {
        let middle = Timestamp(low.0 + (high.0 - low.0) / 2);
        if expiry(period, middle) > now { high = middle } else { low = middle }
    }
    high
}
