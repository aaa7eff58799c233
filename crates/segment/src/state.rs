//! What is kept of a contact's history for one condition, so that an event costs what it matches, not what lies in the
//! history.
//!
//! Per activity: what lies inside its window for good is added up; what has left the window is dropped; of a count in a
//! window that ends now only the last few are kept, as many as the comparison can tell apart. What cannot be answered
//! from that (an order that changed after it was added up) is said to need a [`Observed::Refill`] from the history.

use model::{Event, Order, Timestamp, Zone};

use crate::{
    Activity, Condition, Entries, Entry, Measure, Products, activity::Tally, parse_activity::count_needed,
};

/// The form of [`State::to_bytes`].
const VERSION: u8 = 1;

/// What is kept for one contact and one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    as_of: Timestamp,
    parts: Vec<Part>,
}

/// Of one activity, in the order of [`Condition::activities`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Part {
    settled: Tally,
    recent: Vec<Entry>,
    /// Some that still lie inside were dropped, because more than enough do.
    partial: bool,
}

/// What an observation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Observed {
    /// The condition does not look at it, or not any more.
    Ignored,
    /// It is taken in: evaluate again.
    Taken,
    /// It cannot be taken in: build the state again from the history.
    Refill,
}

impl State {
    /// Builds it from a history, as of `now`. `entries` gives those of one activity, in any order.
    #[must_use]
    pub fn build(
        condition: &Condition,
        mut entries: impl FnMut(&Activity) -> Vec<Entry>,
        now: Timestamp,
        zone: &Zone,
    ) -> Self {
        let parts = condition
            .activities()
            .into_iter()
            .map(|activity| {
                let mut recent = entries(activity);
                recent.sort_unstable();
                Part { recent, ..Part::default() }
            })
            .collect();
        let mut state = Self { as_of: Timestamp::MIN, parts };
        state.advance(condition, now, zone);
        state
    }

    /// The instant up to which it is settled: it answers for this instant and every later one.
    #[must_use]
    pub const fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// How many entries are kept one by one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.recent.len()).sum()
    }

    /// Whether no entry is kept one by one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries of an activity of `condition`, for [`crate::Facts::entries`].
    #[must_use]
    pub fn entries<'s>(&'s self, condition: &Condition, activity: &Activity) -> Entries<'s> {
        let at = condition.activities().into_iter().position(|own| std::ptr::eq(own, activity));
        at.and_then(|at| self.parts.get(at)).map_or_else(Entries::default, |part| Entries {
            settled: part.settled,
            recent: part.recent.as_slice().into(),
        })
    }

    /// Takes a new event in; late ones too.
    pub fn observe(
        &mut self,
        condition: &Condition,
        event: &Event,
        products: &dyn Products,
        zone: &Zone,
    ) -> Observed {
        let mut observed = Observed::Ignored;
        for (part, activity) in self.parts.iter_mut().zip(condition.activities()) {
            if let Some(entry) = activity.entry_of_event(event, products, zone) {
                observed = observed.max(part.insert(activity, entry, self.as_of, zone));
            }
        }
        observed
    }

    /// Takes an order in: a new one, or (`known`) one that was taken in before and changed by a refund or cancellation.
    pub fn observe_order(
        &mut self,
        condition: &Condition,
        order: &Order,
        known: bool,
        products: &dyn Products,
        zone: &Zone,
    ) -> Observed {
        let mut observed = Observed::Ignored;
        for (part, activity) in self.parts.iter_mut().zip(condition.activities()) {
            if !activity.is_about_orders() {
                continue;
            }
            let entry = activity.entry_of_order(order, products, zone);
            let done = if known {
                part.change(activity, order, entry, self.as_of, zone)
            } else {
                entry.map_or(Observed::Ignored, |entry| part.insert(activity, entry, self.as_of, zone))
            };
            observed = observed.max(done);
        }
        observed
    }

    /// Drops and adds up what the passing of time allows. `now` before [`State::as_of`] does nothing.
    pub fn advance(&mut self, condition: &Condition, now: Timestamp, zone: &Zone) {
        if now < self.as_of {
            return;
        }
        self.as_of = now;
        for (part, activity) in self.parts.iter_mut().zip(condition.activities()) {
            part.settle(activity, now, zone);
        }
    }
}

impl Part {
    fn insert(&mut self, activity: &Activity, entry: Entry, as_of: Timestamp, zone: &Zone) -> Observed {
        if activity.window.interval(entry.at, zone).until <= as_of {
            return Observed::Ignored;
        }
        let at = self.recent.partition_point(|own| *own <= entry);
        self.recent.insert(at, entry);
        self.settle(activity, as_of, zone);
        Observed::Taken
    }

    fn change(
        &mut self,
        activity: &Activity,
        order: &Order,
        entry: Option<Entry>,
        as_of: Timestamp,
        zone: &Zone,
    ) -> Observed {
        if activity.window.interval(order.at, zone).until <= as_of {
            return Observed::Ignored;
        }
        let Some(at) = self.recent.iter().position(|own| own.order == order.no.0) else {
            // It may be among those that were added up or dropped.
            if self.partial || self.settled.count > 0 {
                return Observed::Refill;
            }
            return entry.map_or(Observed::Ignored, |entry| self.insert(activity, entry, as_of, zone));
        };
        let old = self.recent[at];
        match entry {
            Some(entry) if entry.at == old.at => {
                self.recent[at] = entry;
                self.recent.sort_unstable();
                Observed::Taken
            }
            _ if self.partial => Observed::Refill,
            entry => {
                self.recent.remove(at);
                entry.map_or(Observed::Taken, |entry| {
                    self.insert(activity, entry, as_of, zone).max(Observed::Taken)
                })
            }
        }
    }

    fn settle(&mut self, activity: &Activity, now: Timestamp, zone: &Zone) {
        let window = &activity.window;
        self.recent.retain(|entry| {
            let interval = window.interval(entry.at, zone);
            let for_good = interval.from <= now && interval.until == Timestamp::MAX;
            if for_good {
                self.settled.add(entry);
            }
            !for_good && interval.until > now
        });
        let enough = match &activity.measure {
            Measure::Count => count_needed(&activity.tests),
            Measure::Last => Some(1),
            _ => None,
        };
        let Some(enough) = enough.filter(|_| window.ends_now()) else { return };
        let entered = self.recent.partition_point(|entry| window.interval(entry.at, zone).from <= now);
        if entered > enough {
            self.recent.drain(..entered - enough);
            self.partial = true;
        }
    }
}

impl State {
    /// For storing.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        write(&mut out, i128::from(self.as_of.0));
        write(&mut out, self.parts.len() as i128);
        for part in &self.parts {
            out.push(
                u8::from(part.partial)
                    | u8::from(part.settled.span.is_some()) << 1
                    | u8::from(part.settled.range.is_some()) << 2,
            );
            write(&mut out, i128::from(part.settled.count));
            write(&mut out, part.settled.sum);
            if let Some((first, last)) = part.settled.span {
                write(&mut out, i128::from(first.0));
                write(&mut out, i128::from(last.0));
            }
            if let Some((smallest, greatest)) = part.settled.range {
                write(&mut out, smallest);
                write(&mut out, greatest);
            }
            write(&mut out, part.recent.len() as i128);
            let mut before = 0;
            for entry in &part.recent {
                write(&mut out, i128::from(entry.at.0) - i128::from(before));
                write(&mut out, i128::from(entry.order));
                write(&mut out, entry.figure);
                before = entry.at.0;
            }
        }
        out
    }

    /// What [`State::to_bytes`] wrote for the same condition; none for anything else (build it again then).
    #[must_use]
    pub fn from_bytes(bytes: &[u8], condition: &Condition) -> Option<Self> {
        let (version, mut rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let input = &mut rest;
        let as_of = Timestamp(number(input)?);
        let count: usize = number(input)?;
        if count != condition.activities().len() {
            return None;
        }
        let mut parts = Vec::with_capacity(count);
        for _ in 0..count {
            let (flags, after) = input.split_first()?;
            *input = after;
            let mut settled = Tally { count: number(input)?, sum: read(input)?, span: None, range: None };
            if flags & 2 != 0 {
                settled.span = Some((Timestamp(number(input)?), Timestamp(number(input)?)));
            }
            if flags & 4 != 0 {
                settled.range = Some((read(input)?, read(input)?));
            }
            let kept: usize = number(input)?;
            let mut recent = Vec::with_capacity(kept.min(input.len()));
            let mut at: i64 = 0;
            for _ in 0..kept {
                at = at.checked_add(number(input)?)?;
                recent.push(Entry { at: Timestamp(at), order: number(input)?, figure: read(input)? });
            }
            parts.push(Part { settled, recent, partial: flags & 1 != 0 });
        }
        input.is_empty().then_some(Self { as_of, parts })
    }
}

/// Zigzag, then seven bits to a byte.
fn write(out: &mut Vec<u8>, n: i128) {
    let mut rest = ((n << 1) ^ (n >> 127)) as u128;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn read(input: &mut &[u8]) -> Option<i128> {
    let mut n: u128 = 0;
    for shift in (0..128).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        n |= u128::from(byte & 127).checked_shl(shift)?;
        if byte & 128 == 0 {
            return Some((n >> 1) as i128 ^ -((n & 1) as i128));
        }
    }
    None
}

fn number<T: TryFrom<i128>>(input: &mut &[u8]) -> Option<T> {
    T::try_from(read(input)?).ok()
}
