//! One comparison: an operator with its right side, asked of a value, and the next instant at which time alone can
//! change the answer.

use model::{Amount, Period, Timestamp, Value, Zone, text::folded};

use crate::{
    Data, Operand, Operator,
    dates::{
        Calendar, Interval, date_of_day, day_of, expiry, is_anniversary, last_day_within, next_anniversary,
        start_of_day,
    },
};

/// The instant of evaluation, and the workspace's zone.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The instant.
    pub now: Timestamp,
    /// The zone in which days begin.
    pub zone: &'a Zone,
}

/// The right side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// Values: one, two or many, by the operator.
    Values(Vec<Operand>),
    /// A duration.
    Period(Period),
    /// Two durations, the shorter first.
    Periods(Period, Period),
    /// A number of days.
    Days(i32),
    /// Days of the week: bit 0 is Monday.
    Weekdays(u8),
    /// Months: bit 0 is January.
    Months(u16),
    /// A calendar period.
    Calendar(Calendar),
    /// True or false.
    Truth(bool),
}

/// A comparison without its left side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// How.
    pub operator: Operator,
    /// With what.
    pub right: Right,
    /// Texts are compared as they stand, not without case.
    pub exactly: bool,
}

/// Comparisons that must all hold of the same left side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tests(pub Vec<Test>);

impl Tests {
    /// Whether all hold.
    #[must_use]
    pub fn hold(&self, left: Option<&Value>, moment: &Moment<'_>, data: &dyn Data) -> bool {
        self.0.iter().all(|test| test.holds(left, moment, data))
    }

    /// The earliest instant after now at which one may answer otherwise.
    #[must_use]
    pub fn next_flip(&self, left: Option<&Value>, moment: &Moment<'_>) -> Option<Timestamp> {
        self.0.iter().filter_map(|test| test.next_flip(left, moment)).min()
    }

    /// The references on the right sides.
    pub fn operands(&self) -> impl Iterator<Item = &Operand> {
        self.0.iter().flat_map(|test| match &test.right {
            Right::Values(values) => values.as_slice(),
            _ => &[],
        })
    }

    /// Whether they hold of nothing at all, at any time (the answer for whoever has no value).
    #[must_use]
    pub fn hold_of_nothing(&self) -> bool {
        self.0.iter().all(Test::holds_of_nothing)
    }
}

/// Compares two values with an operator that wants one value on its right. See [`Test::holds`] for the rules.
#[must_use]
pub fn compare(left: Option<&Value>, operator: Operator, right: &Value, moment: &Moment<'_>) -> bool {
    let right = Right::Values(vec![Operand::Literal(right.clone())]);
    Test { operator, right, exactly: false }.holds(left, moment, &crate::reference::NoData)
}

impl Test {
    /// Whether it holds. An empty left side fails every operator but the negative ones (`is_not`, `none_of`,
    /// `contains_not`, `starts_not_with`, `ends_not_with`, `includes_none`), which it satisfies, and `has_value: false`.
    /// An empty text is no value, nor is an empty list. A reference on the right that has no value equals nothing.
    #[must_use]
    pub fn holds(&self, left: Option<&Value>, moment: &Moment<'_>, data: &dyn Data) -> bool {
        let Some(left) = left.filter(|value| !is_empty(value)) else { return self.holds_of_nothing() };
        if let Some(positive) = self.operator.positive_of_negative() {
            return !self.positive(positive, left, moment, data);
        }
        self.positive(self.operator, left, moment, data)
    }

    fn holds_of_nothing(&self) -> bool {
        match self.operator {
            Operator::HasValue => self.right == Right::Truth(false),
            negative => negative.positive_of_negative().is_some(),
        }
    }

    fn positive(&self, operator: Operator, left: &Value, moment: &Moment<'_>, data: &dyn Data) -> bool {
        match &self.right {
            Right::Truth(truth) => *truth,
            Right::Values(operands) => {
                if let (Value::Text(text), [Operand::Literal(Value::Text(right))]) =
                    (left, operands.as_slice())
                {
                    // By far the commonest question: no copies.
                    return self.texts(operator, text, right);
                }
                let rights: Vec<Value> = operands.iter().flat_map(|one| resolve(one, moment, data)).collect();
                self.values(operator, left, &rights, moment.zone)
            }
            _ => temporal(left, moment.zone).is_some_and(|left| self.in_time(left, moment)),
        }
    }

    fn values(&self, operator: Operator, left: &Value, rights: &[Value], zone: &Zone) -> bool {
        let pair = |low: usize, holds: &dyn Fn(std::cmp::Ordering) -> bool| {
            rights.get(low).and_then(|right| order(left, right, zone)).is_some_and(holds)
        };
        match operator {
            Operator::Is if matches!(left, Value::Options(_)) => self.same_options(left, rights),
            Operator::Is | Operator::OneOf => rights.iter().any(|right| self.equal(left, right, zone)),
            Operator::GreaterThan | Operator::After => pair(0, &|o| o.is_gt()),
            Operator::AtLeast => pair(0, &|o| o.is_ge()),
            Operator::LessThan | Operator::Before => pair(0, &|o| o.is_lt()),
            Operator::AtMost => pair(0, &|o| o.is_le()),
            Operator::Between => pair(0, &|o| o.is_ge()) && pair(1, &|o| o.is_le()),
            Operator::Contains | Operator::StartsWith | Operator::EndsWith => rights.iter().any(|right| {
                texts_of(left)
                    .iter()
                    .any(|one| texts_of(right).iter().any(|other| self.texts(operator, one, other)))
            }),
            Operator::IncludesAny => wanted(rights).iter().any(|want| self.chosen(left, want)),
            Operator::IncludesAll => {
                let wanted = wanted(rights);
                !wanted.is_empty() && wanted.iter().all(|want| self.chosen(left, want))
            }
            Operator::Anniversary => rights.iter().any(|right| {
                matches!((temporal(left, zone), temporal(right, zone)),
                    (Some(left), Some(right)) if is_anniversary(left.day(zone), right.day(zone)))
            }),
            _ => false,
        }
    }

    fn texts(&self, operator: Operator, left: &str, right: &str) -> bool {
        let (left, right) = if self.exactly {
            (std::borrow::Cow::Borrowed(left), std::borrow::Cow::Borrowed(right))
        } else {
            (folded(left).into(), folded(right).into())
        };
        match operator {
            Operator::Is | Operator::OneOf | Operator::IncludesAny | Operator::IncludesAll => left == right,
            Operator::Contains => left.contains(right.as_ref()),
            Operator::StartsWith => left.starts_with(right.as_ref()),
            Operator::EndsWith => left.ends_with(right.as_ref()),
            _ => false,
        }
    }

    fn equal(&self, left: &Value, right: &Value, zone: &Zone) -> bool {
        match (left, right) {
            (Value::Text(left), Value::Text(right)) => self.texts(Operator::Is, left, right),
            (Value::Text(_), Value::Options(options)) => {
                options.iter().any(|option| self.equal(left, &Value::Text(option.clone()), zone))
            }
            (Value::Options(_), _) => self.same_options(left, std::slice::from_ref(right)),
            (Value::Boolean(left), Value::Boolean(right)) => left == right,
            _ => order(left, right, zone).is_some_and(std::cmp::Ordering::is_eq),
        }
    }

    /// The same options, whatever their order.
    fn same_options(&self, left: &Value, rights: &[Value]) -> bool {
        let (left, wanted) = (texts_of(left), wanted(rights));
        let in_other =
            |one: &String, other: &[String]| other.iter().any(|o| self.texts(Operator::Is, one, o));
        left.iter().all(|one| in_other(one, &wanted)) && wanted.iter().all(|one| in_other(one, &left))
    }

    fn chosen(&self, left: &Value, want: &str) -> bool {
        match left {
            Value::Options(options) => options.iter().any(|option| self.texts(Operator::Is, option, want)),
            other => self.texts(Operator::Is, &other.to_string(), want),
        }
    }

    fn in_time(&self, left: Temporal, moment: &Moment<'_>) -> bool {
        let today = day_of(moment.now, moment.zone);
        match &self.right {
            Right::Weekdays(days) => days >> (left.day(moment.zone) + 3).rem_euclid(7) & 1 == 1,
            Right::Months(months) => months >> (date_of_day(left.day(moment.zone)).month() - 1) & 1 == 1,
            Right::Days(n) => {
                let from = if self.operator == Operator::AnniversaryWithin { today } else { today + n };
                (from..=today + n).contains(&next_anniversary(left.day(moment.zone), from))
            }
            _ => self.interval(left, moment.zone).is_some_and(|interval| interval.holds(moment.now)),
        }
    }

    /// When "now" sees the left side inside a window.
    fn interval(&self, left: Temporal, zone: &Zone) -> Option<Interval> {
        if let (Temporal::Day(day), Right::Calendar(calendar)) = (left, &self.right) {
            let (first, next) = calendar.seen_on(day);
            return Some(Interval { from: start_of_day(first, zone), until: start_of_day(next, zone) });
        }
        // Whole days count a date by days: "within the last 7 days" still holds on the seventh day after.
        let by_days = |period: &Period| period.micros % Timestamp::DAY == 0;
        if let Temporal::Day(day) = left {
            let start = |day: i32| start_of_day(day, zone);
            let end = |period: &Period| start(last_day_within(*period, day).saturating_add(1));
            match (&self.right, self.operator) {
                (Right::Period(p), Operator::WithinLast) if by_days(p) => {
                    return Some(Interval { from: start(day), until: end(p) });
                }
                (Right::Period(p), Operator::MoreThanAgo) if by_days(p) => {
                    return Some(Interval { from: end(p), until: Timestamp::MAX });
                }
                (Right::Period(p), Operator::WithinNext) if by_days(p) => {
                    let first = p.before(Timestamp(i64::from(day) * Timestamp::DAY)).day_utc();
                    return Some(Interval { from: start(first), until: start(day + 1) });
                }
                (Right::Periods(near, far), _) if by_days(near) && by_days(far) => {
                    return Some(Interval { from: start(last_day_within(*near, day)), until: end(far) });
                }
                _ => {}
            }
        }
        let at = left.instant(zone);
        Some(match (&self.right, self.operator) {
            (Right::Period(p), Operator::WithinLast) => Interval { from: at.plus(1), until: expiry(*p, at) },
            (Right::Period(p), Operator::MoreThanAgo) => {
                Interval { from: expiry(*p, at), until: Timestamp::MAX }
            }
            (Right::Period(p), Operator::WithinNext) => Interval { from: p.before(at), until: at.plus(1) },
            (Right::Periods(near, far), _) => {
                Interval { from: expiry(*near, at).plus(-1), until: expiry(*far, at) }
            }
            (Right::Calendar(calendar), _) => calendar.seen(at, zone),
            _ => return None,
        })
    }

    /// The earliest instant after now at which it may answer otherwise for the same left side; none when time alone
    /// never changes the answer. Never too late; where it is too early the answer is simply the same there.
    #[must_use]
    pub fn next_flip(&self, left: Option<&Value>, moment: &Moment<'_>) -> Option<Timestamp> {
        let left = temporal(left?, moment.zone);
        let zone = moment.zone;
        let today = day_of(moment.now, zone);
        let midnight = |day: i32| start_of_day(day, zone);
        let later = |at: Timestamp| (at > moment.now).then_some(at);
        match &self.right {
            Right::Values(operands) => {
                let left = left?;
                let day = left.day(zone);
                let on_days = operands.contains(&Operand::Today)
                    || (operands.contains(&Operand::Now) && matches!(left, Temporal::Day(_)));
                if self.operator == Operator::Anniversary && on_days {
                    return Some(midnight(self.next_anniversary_change(day, today)));
                }
                let instants = operands.contains(&Operand::Now).then(|| left.instant(zone));
                let days = on_days.then_some([midnight(day), midnight(day + 1)]);
                days.into_iter()
                    .flatten()
                    .chain(instants.into_iter().flat_map(|at| [at, at.plus(1)]))
                    .filter_map(later)
                    .min()
            }
            Right::Days(n) => {
                let day = left?.day(zone);
                let first = next_anniversary(day, today + n);
                // It comes into reach at `first - n`; it is over after it (or at once after the exact day).
                let over = if self.operator == Operator::AnniversaryWithin {
                    next_anniversary(day, today) + 1
                } else {
                    first - n + 1
                };
                [first - n, over, next_anniversary(day, today + n + 1) - n]
                    .into_iter()
                    .filter(|flip| *flip > today)
                    .min()
                    .map(midnight)
            }
            Right::Weekdays(_) | Right::Months(_) | Right::Truth(_) => None,
            _ => self.interval(left?, zone)?.next(moment.now),
        }
    }

    fn next_anniversary_change(&self, day: i32, today: i32) -> i32 {
        let next = next_anniversary(day, today);
        if next == today { today + 1 } else { next }
    }
}

/// A day or an instant.
#[derive(Clone, Copy, Debug)]
enum Temporal {
    Day(i32),
    At(Timestamp),
}

impl Temporal {
    fn day(self, zone: &Zone) -> i32 {
        match self {
            Self::Day(day) => day,
            Self::At(at) => day_of(at, zone),
        }
    }

    fn instant(self, zone: &Zone) -> Timestamp {
        match self {
            Self::Day(day) => start_of_day(day, zone),
            Self::At(at) => at,
        }
    }
}

/// A value as an instant: of a day, its first; a text that says one too, a naive one in the zone.
pub(crate) fn instant_of(value: &Value, zone: &Zone) -> Option<Timestamp> {
    temporal(value, zone).map(|temporal| temporal.instant(zone))
}

/// A value as a day or instant, a text (of an event's property) too; a naive one is in the zone.
fn temporal(value: &Value, zone: &Zone) -> Option<Temporal> {
    match value {
        Value::Date(day) => Some(Temporal::Day(*day)),
        Value::Instant(at) => Some(Temporal::At(*at)),
        Value::Text(text) => model::field::parse_date(text)
            .map(Temporal::Day)
            .or_else(|| Timestamp::parse(text, zone).ok().map(Temporal::At)),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Integer(n) => Some(i128::from(*n) * i128::from(Amount::SCALE)),
        Value::Decimal(amount) => Some(i128::from(amount.0)),
        Value::Text(text) => Amount::parse(text).ok().map(|amount| i128::from(amount.0)),
        _ => None,
    }
}

/// How two values stand to each other; none when they cannot be compared. A day against an instant compares days.
fn order(left: &Value, right: &Value, zone: &Zone) -> Option<std::cmp::Ordering> {
    match (left, right) {
        (Value::Integer(_) | Value::Decimal(_), _) | (_, Value::Integer(_) | Value::Decimal(_)) => {
            Some(number(left)?.cmp(&number(right)?))
        }
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(right)),
        (Value::Date(_) | Value::Instant(_), _) | (_, Value::Date(_) | Value::Instant(_)) => {
            match (temporal(left, zone)?, temporal(right, zone)?) {
                (Temporal::At(left), Temporal::At(right)) => Some(left.cmp(&right)),
                (left, right) => Some(left.day(zone).cmp(&right.day(zone))),
            }
        }
        (Value::Text(left), Value::Text(right)) => Some(folded(left).cmp(&folded(right))),
        _ => None,
    }
}

/// Whether a value says nothing.
#[must_use]
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.is_empty(),
        Value::Options(options) => options.is_empty(),
        _ => false,
    }
}

fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Options(options) => options.clone(),
        other => vec![other.to_string()],
    }
}

fn wanted(rights: &[Value]) -> Vec<String> {
    rights.iter().flat_map(texts_of).collect()
}

fn resolve(operand: &Operand, moment: &Moment<'_>, data: &dyn Data) -> Option<Value> {
    match operand {
        Operand::Literal(value) => Some(value.clone()),
        Operand::Ref(path) => data.value(path).filter(|value| !is_empty(value)),
        Operand::RefStarting(path, start) => {
            let start = folded(start);
            let kept: Vec<String> = texts_of(&data.value(path)?)
                .into_iter()
                .filter(|one| folded(one).starts_with(&start))
                .collect();
            (!kept.is_empty()).then_some(Value::Options(kept))
        }
        Operand::Now => Some(Value::Instant(moment.now)),
        Operand::Today => Some(Value::Date(day_of(moment.now, moment.zone))),
    }
}

/// What a JSON value says, for properties of events; none for null, lists and objects.
#[must_use]
pub fn value_of_json(json: &serde_json::Value) -> Option<Value> {
    match json {
        serde_json::Value::String(text) => Some(Value::Text(text.clone())),
        serde_json::Value::Bool(truth) => Some(Value::Boolean(*truth)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(n) => Some(Value::Integer(n)),
            None => Amount::from_f64(number.as_f64()?).ok().map(Value::Decimal),
        },
        _ => None,
    }
}

impl Tests {
    /// Whether an answer can change with time alone.
    #[must_use]
    pub fn read_time(&self) -> bool {
        self.0.iter().any(|test| match &test.right {
            Right::Values(operands) => {
                operands.iter().any(|one| matches!(one, Operand::Now | Operand::Today))
            }
            Right::Period(_) | Right::Periods(..) | Right::Days(_) | Right::Calendar(_) => true,
            Right::Weekdays(_) | Right::Months(_) | Right::Truth(_) => false,
        })
    }
}
