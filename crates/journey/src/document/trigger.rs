//! Kinds of triggers and their settings. Exits and the goal take the kinds that are events of the contact itself.
//!
//! Each kind can be written in full, `{on: segment_entered, segment: vip}`, or short, with its word as the key of what it
//! is about: `{segment_entered: vip}`, `{event: Order Completed}`, `{cart_abandoned: PT1H}`.

use model::{Amount, Cart, Period, Place, Problem, Problems, Slug, Timestamp, Zone, doc};

use super::{
    live::{Use, period},
    read_word, take,
};
use crate::{
    entry::{DateTrigger, Every, Interest, On, ProductTrigger, Schedule},
    nodes::Named,
};

/// Furthest that a date trigger may lie before or after its date, in days.
pub const DATE_DAYS_MAX: i64 = 3_660;
/// The same for a yearly one: a year later is the next date's business.
pub const YEARLY_DAYS_MAX: i64 = 364;
/// Longest interval of a schedule, in its unit.
pub const INTERVAL_MAX: i64 = 366;
/// Longest time that a cart may lie untouched before it counts as abandoned, in days.
pub const ABANDONED_DAYS_MAX: i64 = 90;
/// Longest look-back for interest in a product.
pub const WITHIN_DAYS_MAX: i64 = 730;
/// The time of the day of a date trigger that gives none, in minutes.
pub const AT_DEFAULT: u16 = 9 * 60;

/// A kind's word, and the key of what it is about when that word stands in place of `on`.
const WORDS: &[(&str, Word)] = &[
    ("event", Word::Event),
    ("segment_entered", Word::SegmentEntered),
    ("segment_exited", Word::SegmentExited),
    ("rfm_changed", Word::RfmChanged),
    ("cart_abandoned", Word::CartAbandoned),
    ("date", Word::Date),
    ("schedule", Word::Schedule),
    ("price_drop", Word::PriceDrop),
    ("back_in_stock", Word::BackInStock),
    ("low_stock", Word::LowStock),
    ("api", Word::Api),
    ("manual", Word::Api),
];

/// The words of `on`, for the file's schema.
pub(crate) fn words() -> Vec<&'static str> {
    WORDS.iter().map(|(word, _)| *word).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Event,
    SegmentEntered,
    SegmentExited,
    RfmChanged,
    CartAbandoned,
    Date,
    Schedule,
    PriceDrop,
    BackInStock,
    LowStock,
    Api,
}

impl Word {
    /// Whether an exit or a goal can wait for it: the others only start a journey.
    const fn is_event(self) -> bool {
        matches!(self, Self::Event | Self::SegmentEntered | Self::SegmentExited | Self::RfmChanged)
    }

    /// The key of what it is about.
    const fn subject(self) -> Option<&'static str> {
        Some(match self {
            Self::Event => "event",
            Self::SegmentEntered | Self::SegmentExited => "segment",
            Self::RfmChanged => "model",
            Self::CartAbandoned => "after",
            Self::Date => "field",
            Self::Schedule => "every",
            Self::LowStock => "at_most",
            Self::PriceDrop | Self::BackInStock | Self::Api => return None,
        })
    }
}

/// What was read.
pub(super) struct Read {
    pub on: On,
    pub named: Option<Named>,
    pub groups: Vec<Named>,
}

/// A text alone: `api`, `cart_abandoned`, `price_drop`, `back_in_stock`, or a kind of event.
pub(super) fn of_text(text: &str, place: Place, path: &str, of: Use) -> (On, Option<Named>) {
    let word = WORDS.iter().find(|(word, _)| *word == text).map(|(_, word)| *word);
    let on = match word.filter(|_| of == Use::Trigger) {
        Some(Word::Api) => On::Api,
        Some(Word::CartAbandoned) => On::CartAbandoned { after: Cart::ABANDONED_AFTER_DEFAULT },
        Some(Word::PriceDrop) => On::PriceDrop(product_default(Word::PriceDrop)),
        Some(Word::BackInStock) => On::BackInStock(product_default(Word::BackInStock)),
        _ => {
            let named = Named { text: text.to_owned(), place, field: path.to_owned() };
            return (On::Event(text.to_owned()), Some(named));
        }
    };
    (on, None)
}

/// Reads what a listener waits for.
pub(super) fn read(fields: &mut doc::Fields<'_>, of: Use, problems: &mut Problems) -> Option<Read> {
    let (word, subject) = kind(fields, of, problems)?;
    let mut reading = Reading { fields, problems, subject, word };
    let plain = |on| Some(Read { on, named: None, groups: Vec::new() });
    match word {
        Word::Event => {
            let named = reading.name()?;
            Some(Read { on: On::Event(named.text.clone()), named: Some(named), groups: Vec::new() })
        }
        Word::SegmentEntered | Word::SegmentExited => reading.segment(),
        Word::RfmChanged => reading.rfm(),
        Word::CartAbandoned => {
            let after = reading.abandoned_after()?;
            plain(On::CartAbandoned { after })
        }
        Word::Date => reading.date(),
        Word::Schedule => reading.schedule().map(On::Schedule).and_then(plain),
        Word::PriceDrop => reading.product().map(On::PriceDrop).and_then(plain),
        Word::BackInStock => reading.product().map(On::BackInStock).and_then(plain),
        Word::LowStock => reading.product().map(On::LowStock).and_then(plain),
        Word::Api => plain(On::Api),
    }
}

/// The kind, and the key under which what it is about stands.
fn kind(
    fields: &mut doc::Fields<'_>,
    of: Use,
    problems: &mut Problems,
) -> Option<(Word, Option<&'static str>)> {
    let fits = |word: Word| of == Use::Trigger || word.is_event();
    if let Some(node) = fields.optional("on") {
        let words: Vec<(&str, Word)> = WORDS.iter().copied().filter(|(_, word)| fits(*word)).collect();
        let word = take(problems, read_word(node, &fields.path_of("on"), &words))?;
        return Some((word, word.subject()));
    }
    // Short: the first key that is a kind's word.
    for (name, word) in WORDS.iter().filter(|(_, word)| fits(*word)) {
        if fields.optional(name).is_some() {
            return Some((*word, Some(*name)));
        }
    }
    let names: Vec<&str> = WORDS.iter().filter(|(_, word)| fits(*word)).map(|(name, _)| *name).collect();
    problems.push(
        Problem::new("journey.listener", "nothing says what is waited for")
            .field(fields.path.clone())
            .at(fields.place)
            .cure(format!("add `on`, one of: {}", names.join(", "))),
    );
    None
}

struct Reading<'r, 'a> {
    fields: &'r mut doc::Fields<'a>,
    problems: &'r mut Problems,
    /// The key of what the listener is about.
    subject: Option<&'static str>,
    word: Word,
}

impl<'a> Reading<'_, 'a> {
    fn keep<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        take(self.problems, read)
    }

    fn wrong(&mut self, node: &doc::Node, key: &str, message: impl Into<String>, cure: &str) {
        let problem = node.problem("journey.setting", message).field(self.fields.path_of(key));
        self.problems.push(problem.cure(cure));
    }

    /// The node of what it is about, if it was written; the short form may leave it empty.
    fn about(&mut self) -> Option<&'a doc::Node> {
        self.subject.and_then(|key| self.fields.optional(key))
    }

    /// The name of what it is about.
    fn name(&mut self) -> Option<Named> {
        let key = self.subject?;
        let read = self.fields.required(key);
        let node = self.keep(read)?;
        let text = node.scalar().unwrap_or_default();
        if text.trim().is_empty() {
            self.wrong(node, key, format!("expected a name, found {}", node.kind()), "write its name");
            return None;
        }
        Some(Named { text, place: node.place, field: self.fields.path_of(key) })
    }

    fn segment(&mut self) -> Option<Read> {
        let named = self.name()?;
        let slug = Slug::parse(&named.text).map_err(|problem| problem.field(&named.field).at(named.place));
        let slug = self.keep(slug)?;
        let on = match self.word {
            Word::SegmentExited => On::SegmentExited(slug),
            _ => On::SegmentEntered(slug),
        };
        Some(Read { on, named: Some(named), groups: Vec::new() })
    }

    fn rfm(&mut self) -> Option<Read> {
        let key = self.subject?;
        let named = self.fields.optional(key).and_then(|node| {
            let text = node.scalar().filter(|text| !text.is_empty())?;
            Some(Named { text, place: node.place, field: self.fields.path_of(key) })
        });
        let mut groups = Vec::new();
        let mut side = |fields: &mut doc::Fields<'_>, key: &'static str| -> Vec<String> {
            let Some(node) = fields.optional(key) else { return Vec::new() };
            let items = node.items().unwrap_or(std::slice::from_ref(node));
            let path = fields.path_of(key);
            for item in items {
                let text = item.scalar().unwrap_or_default();
                groups.push(Named { text, place: item.place, field: path.clone() });
            }
            items.iter().map(|item| item.scalar().unwrap_or_default()).collect()
        };
        let (from, to) = (side(self.fields, "from"), side(self.fields, "to"));
        // Which model is meant when none is named, the compiler finds by the groups.
        let model = named.as_ref().map_or_else(String::new, |named| named.text.clone());
        Some(Read { on: On::RfmChanged { model, from, to }, named, groups })
    }

    fn abandoned_after(&mut self) -> Option<i64> {
        let Some(node) = self.about().filter(|node| node.entries().is_none()) else {
            return Some(Cart::ABANDONED_AFTER_DEFAULT);
        };
        let key = self.subject.unwrap_or("after");
        let read = period(node, &self.fields.path_of(key));
        let after = micros(self.keep(read)?);
        if after <= 0 || after > ABANDONED_DAYS_MAX * Timestamp::DAY {
            let message = format!("a cart is abandoned after a time of up to {ABANDONED_DAYS_MAX} days");
            self.wrong(node, key, message, "write it as in PT30M");
            return None;
        }
        Some(after)
    }

    fn date(&mut self) -> Option<Read> {
        let named = self.name();
        let days = self.fields.optional("days");
        let minute = self.minute(Some(AT_DEFAULT));
        let zones = [("contact", true), ("workspace", false)];
        let path = self.fields.path_of("zone");
        let zone = self.fields.optional("zone").map_or(Ok(true), |node| read_word(node, &path, &zones));
        let contact_zone = self.keep(zone);
        let path = self.fields.path_of("every");
        // Nobody should learn by a missing mail, or by one too many, what was assumed here.
        let every = self.fields.required("every").map_err(|problem| {
            problem.cure("write every: year for a birthday, every: once for an appointment")
        });
        let every = every.and_then(|node| read_word(node, &path, &[("year", true), ("once", false)]));
        let yearly = self.keep(every);
        let max = if yearly == Some(true) { YEARLY_DAYS_MAX } else { DATE_DAYS_MAX };
        let offset_days = match days {
            None => Some(0),
            Some(node) => {
                let days = day_count(node).filter(|days| (-max..=max).contains(days));
                if days.is_none() {
                    let message = format!("expected a number of days between -{max} and {max}");
                    self.wrong(node, "days", message, "write -3 for three days before, 0 for the day itself");
                }
                days.map(|days| days as i32)
            }
        };
        let named = named?;
        let date = DateTrigger {
            field: named.text.clone(),
            offset_days: offset_days?,
            minute: minute?,
            contact_zone: contact_zone?,
            yearly: yearly?,
        };
        Some(Read { on: On::Date(date), named: Some(named), groups: Vec::new() })
    }

    /// A time of the day under `at`, in minutes.
    fn minute(&mut self, default: Option<u16>) -> Option<u16> {
        let node = match (self.fields.optional("at"), default) {
            (Some(node), _) => node,
            (None, Some(default)) => return Some(default),
            (None, None) => {
                let read = self.fields.required("at");
                return self
                    .keep(read.map_err(|problem| problem.cure("write it as in at: \"09:00\"")))
                    .map(|_| 0);
            }
        };
        let text = node.scalar().unwrap_or_default();
        let minute = minute_of(&text);
        if minute.is_none() {
            self.wrong(node, "at", format!("`{text}` is not a time of the day"), "write it as in \"09:00\"");
        }
        minute
    }

    fn schedule(&mut self) -> Option<Schedule> {
        let key = self.subject.unwrap_or("every");
        let units = [("day", Every::Day), ("week", Every::Week), ("month", Every::Month)];
        let path = self.fields.path_of(key);
        let every = self.fields.required(key).and_then(|node| read_word(node, &path, &units));
        let every = self.keep(every);
        let interval = self.interval();
        let weekdays = self.weekdays();
        let day = self.fields.optional("day");
        let minute = self.minute(None);
        let path = self.fields.path_of("zone");
        let zone = self.fields.optional("zone").map(|node| {
            Zone::parse(&node.scalar().unwrap_or_default())
                .map_err(|problem| problem.field(&path).at(node.place))
        });
        let zone = match zone {
            None => Some(None),
            Some(read) => self.keep(read).map(Some),
        };
        let (every, weekdays) = (every?, weekdays?);
        let place = self.fields.place;
        let at = |fields: &doc::Fields<'_>, key: &str, message: &str, cure: &str| {
            Problem::new("journey.setting", message).field(fields.path_of(key)).at(place).cure(cure)
        };
        let month_day = match (every, day) {
            (Every::Month, None) => {
                let problem = at(self.fields, "day", "nothing says on which day of the month", "add day: 1");
                self.problems.push(problem);
                return None;
            }
            (Every::Month, Some(node)) => {
                let day = node.integer().filter(|day| (1..=31).contains(day));
                if day.is_none() {
                    self.wrong(
                        node,
                        "day",
                        "expected a day of the month, 1 to 31",
                        "31 is the last day of every month",
                    );
                }
                Some(day? as u8)
            }
            (_, Some(node)) => {
                self.wrong(node, "day", "a day of the month is for every: month", "use days: [monday]");
                return None;
            }
            (_, None) => None,
        };
        let missing = every == Every::Week && weekdays.is_empty();
        let needless = every == Every::Month && !weekdays.is_empty();
        if missing || needless {
            let message = if missing {
                "nothing says on which days of the week"
            } else {
                "days of the week are not for every: month"
            };
            let cure = if missing { "add days: [monday]" } else { "use day: 1" };
            let problem = at(self.fields, "days", message, cure);
            self.problems.push(problem);
            return None;
        }
        Some(Schedule { every, interval: interval?, weekdays, month_day, minute: minute?, zone: zone? })
    }

    fn interval(&mut self) -> Option<u16> {
        let Some(node) = self.fields.optional("interval") else { return Some(1) };
        let interval = node.integer().filter(|n| (1..=INTERVAL_MAX).contains(n)).map(|n| n as u16);
        if interval.is_none() {
            let message = format!("expected a whole number between 1 and {INTERVAL_MAX}");
            self.wrong(node, "interval", message, "2 is every other one");
        }
        interval
    }

    fn weekdays(&mut self) -> Option<Vec<u8>> {
        let Some(node) = self.fields.optional("days") else { return Some(Vec::new()) };
        let path = self.fields.path_of("days");
        let mut days = Vec::new();
        for item in node.items().unwrap_or(std::slice::from_ref(node)) {
            let read = read_word(item, &path, WEEKDAYS);
            days.push(self.keep(read)?);
        }
        days.sort_unstable();
        days.dedup();
        Some(days)
    }

    fn product(&mut self) -> Option<ProductTrigger> {
        let default = product_default(self.word);
        let is_drop = self.word == Word::PriceDrop;
        let amount = if is_drop { self.positive("amount") } else { Some(None) };
        let percent = if is_drop { self.positive("percent") } else { Some(None) };
        let at_most = if self.word == Word::LowStock { self.at_most() } else { Some(None) };
        let interest = self.interest();
        let path = self.fields.path_of("within");
        let within = self.fields.optional("within");
        let within = match within {
            None => Some(default.within),
            Some(node) => {
                let read = period(node, &path);
                let period = self.keep(read);
                let long = |p: &Period| p.is_zero() || micros(*p) > WITHIN_DAYS_MAX * Timestamp::DAY;
                if period.as_ref().is_some_and(long) {
                    let message = format!("expected a time of up to {WITHIN_DAYS_MAX} days");
                    self.wrong(node, "within", message, "write it as in P30D");
                    return None;
                }
                period
            }
        };
        let (amount, percent) = (amount?, percent?);
        if amount.is_some() && percent.is_some() {
            let problem = Problem::new("journey.setting", "`amount` and `percent` exclude each other");
            self.problems
                .push(problem.field(self.fields.path.clone()).at(self.fields.place).cure("keep one of them"));
            return None;
        }
        let interest = interest?.unwrap_or(default.interest);
        Some(ProductTrigger { amount, percent, at_most: at_most?, interest, within: within? })
    }

    /// A number above 0; per cent below 100.
    fn positive(&mut self, key: &'static str) -> Option<Option<Amount>> {
        let Some(node) = self.fields.optional(key) else { return Some(None) };
        let text = node.scalar().unwrap_or_default();
        let number = Amount::parse(text.trim().trim_end_matches('%').trim_end()).ok();
        let most = if key == "percent" { Amount::units(100) } else { Amount(i64::MAX) };
        let number = number.filter(|number| number.0 > 0 && number.0 <= most.0);
        if number.is_none() {
            let cure = if key == "percent" { "write per cent, as in 10" } else { "write it as in 5 or 2.50" };
            self.wrong(node, key, format!("`{text}` is not possible here"), cure);
        }
        number.map(Some)
    }

    fn at_most(&mut self) -> Option<Option<i64>> {
        let key = self.subject.unwrap_or("at_most");
        // Without a number the workspace's minimum stock is meant.
        let Some(node) = self.fields.optional(key) else { return Some(None) };
        // `{low_stock: {…}}` is no short form.
        let units = node.integer().filter(|units| *units >= 0);
        if units.is_none() {
            self.wrong(node, key, "expected a number of units, 0 or more", "write it as in at_most: 5");
        }
        units.map(Some)
    }

    fn interest(&mut self) -> Option<Option<Vec<Interest>>> {
        let Some(node) = self.fields.optional("interest") else { return Some(None) };
        let path = self.fields.path_of("interest");
        let mut all = Vec::new();
        for item in node.items().unwrap_or(std::slice::from_ref(node)) {
            let read = read_word(item, &path, INTERESTS);
            let one = self.keep(read)?;
            if !all.contains(&one) {
                all.push(one);
            }
        }
        if all.is_empty() {
            self.wrong(node, "interest", "nobody is meant", "write it as in [viewed, added]");
            return None;
        }
        Some(Some(all))
    }
}

fn product_default(word: Word) -> ProductTrigger {
    let interest = match word {
        // Whoever asked to hear of it.
        Word::BackInStock => vec![Interest::Subscribed],
        _ => vec![Interest::Viewed, Interest::Added, Interest::CheckoutStarted],
    };
    ProductTrigger { amount: None, percent: None, at_most: None, interest, within: Period::days(30) }
}

/// Words of [`Interest`].
pub(crate) const INTERESTS: &[(&str, Interest)] = &[
    ("viewed", Interest::Viewed),
    ("added", Interest::Added),
    ("checkout", Interest::CheckoutStarted),
    ("subscribed", Interest::Subscribed),
];

/// Days of the week, Monday is 1.
pub(crate) const WEEKDAYS: &[(&str, u8)] = &[
    ("monday", 1),
    ("tuesday", 2),
    ("wednesday", 3),
    ("thursday", 4),
    ("friday", 5),
    ("saturday", 6),
    ("sunday", 7),
];

/// A time of the day, as in `09:00` or `9:00`, in minutes.
#[must_use]
pub fn minute_of(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(hour, 2) || minute.len() != 2 || !digits(minute, 2) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

/// Days as a number, or as a duration of whole days with an optional sign (`-P3D`).
fn day_count(node: &doc::Node) -> Option<i64> {
    if let Some(days) = node.integer() {
        return Some(days);
    }
    let text = node.text()?;
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let period = Period::parse(text).ok()?;
    (period.months == 0 && period.micros % Timestamp::DAY == 0)
        .then_some(sign * (period.micros / Timestamp::DAY))
}

/// A duration in microseconds; months count 31 days.
#[must_use]
pub(crate) const fn micros(period: Period) -> i64 {
    period.micros.saturating_add((period.months as i64).saturating_mul(31 * Timestamp::DAY))
}
