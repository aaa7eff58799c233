//! Where recent events are: an index in memory, made from the rows that are committed.

use std::{collections::BTreeMap, ops::RangeInclusive};

use model::ContactId;
use rusqlite::Connection;
use storage::Result;

use super::{Phase, Place, State};
use crate::pool::driver;

/// An event without its properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) contact: i64,
    pub(crate) at: i64,
    pub(crate) no: i64,
    pub(crate) kind: i64,
}

impl Mark {
    pub(crate) const fn place(&self) -> Place {
        (self.contact, self.at, self.no)
    }
}

/// Events that are sealed together, or wait for that.
#[derive(Debug, Default)]
struct Part {
    /// Kinds by place.
    histories: BTreeMap<Place, i64>,
    /// By product, in order of their numbers.
    interests: BTreeMap<Box<str>, Vec<Mark>>,
}

impl Part {
    fn add(&mut self, mark: Mark, product: Option<&str>) {
        self.histories.insert(mark.place(), mark.kind);
        let Some(product) = product else { return };
        match self.interests.get_mut(product) {
            Some(marks) => marks.push(mark),
            None => drop(self.interests.insert(product.into(), vec![mark])),
        }
    }

    fn remove(&mut self, place: Place, product: Option<&str>) {
        self.histories.remove(&place);
        if let Some(marks) = product.and_then(|product| self.interests.get_mut(product)) {
            marks.retain(|mark| mark.no != place.2);
        }
    }
}

/// The rows up to a number, but for those taken before their turn.
#[derive(Debug, Default)]
pub(super) struct Index {
    epoch: i64,
    sealed: i64,
    /// Up to here rows are in it.
    up_to: i64,
    /// Those up to `sealed`, until their rows are gone.
    old: Option<Part>,
    new: Part,
}

impl Index {
    /// One that can follow this state.
    pub(super) fn of(state: &State) -> Self {
        Self { epoch: state.epoch, sealed: state.gone, up_to: state.gone, ..Self::default() }
    }

    /// Takes in what is committed; false when this is a state of the past, for which something may be missing.
    pub(super) fn follow(&mut self, connection: &Connection, state: &State) -> Result<bool> {
        if state.epoch < self.epoch || state.sealed < self.sealed {
            return Ok(false);
        }
        if state.sealed > self.sealed && state.gone != self.sealed {
            *self = Self::of(state);
        }
        self.forget_taken(connection, state.epoch)?;
        if state.sealed > self.sealed {
            if state.phase < Phase::Done {
                self.read(connection, state.sealed)?;
            }
            self.up_to = self.up_to.max(state.sealed);
            self.old = Some(std::mem::take(&mut self.new));
            self.sealed = state.sealed;
        }
        if state.phase == Phase::Done {
            self.old = None;
        } else if state.phase < Phase::Rows && self.old.is_none() {
            return Ok(false);
        }
        self.read(connection, state.newest)?;
        Ok(true)
    }

    /// Forgets the rows that were taken before their turn.
    fn forget_taken(&mut self, connection: &Connection, to: i64) -> Result<()> {
        if to <= self.epoch {
            return Ok(());
        }
        let mut query = connection
            .prepare_cached(
                "SELECT event_no, contact_id, at, product FROM recent_taken
                 WHERE taken_no > ?1 AND taken_no <= ?2",
            )
            .map_err(driver)?;
        let mut rows = query.query((self.epoch, to)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let get = |column| row.get::<_, i64>(column).map_err(driver);
            let place = (get(1)?, get(2)?, get(0)?);
            let product = row.get_ref(3).map_err(driver)?;
            let product = product.as_str_or_null().unwrap_or_default();
            for part in self.old.iter_mut().chain([&mut self.new]) {
                part.remove(place, product);
            }
        }
        self.epoch = to;
        Ok(())
    }

    /// Reads rows up to a number.
    fn read(&mut self, connection: &Connection, to: i64) -> Result<()> {
        if to <= self.up_to {
            return Ok(());
        }
        let mut query = connection
            .prepare_cached(
                "SELECT event_no, contact_id, at, kind_id, product FROM recent_events
                 WHERE event_no > ?1 AND event_no <= ?2 ORDER BY event_no",
            )
            .map_err(driver)?;
        let mut rows = query.query((self.up_to, to)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let get = |column| row.get::<_, i64>(column).map_err(driver);
            let mark = Mark { no: get(0)?, contact: get(1)?, at: get(2)?, kind: get(3)? };
            let product = row.get_ref(4).map_err(driver)?;
            self.new.add(mark, product.as_str_or_null().unwrap_or_default());
            self.up_to = mark.no;
        }
        self.up_to = to;
        Ok(())
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.old.iter().chain([&self.new])
    }

    /// Events of some contacts, those of the first one from an instant on; each part in order.
    pub(super) fn histories(&self, contacts: &RangeInclusive<i64>, since: i64) -> impl Iterator<Item = Mark> {
        let from = (*contacts.start(), since, i64::MIN);
        let range =
            (contacts.start() <= contacts.end()).then(|| from..=(*contacts.end(), i64::MAX, i64::MAX));
        range.into_iter().flat_map(|range| {
            self.parts().flat_map(move |part| part.histories.range(range.clone())).map(mark)
        })
    }

    /// The numbers of a contact's rows up to a number, and that number. Some may have been taken or moved since; rows of
    /// later ones are not in it.
    pub(super) fn of_contact(&self, contact: ContactId) -> (Vec<i64>, i64) {
        let contacts = contact.0..=contact.0;
        let own = self.histories(&contacts, i64::MIN);
        (own.map(|mark| mark.no).collect(), self.up_to)
    }

    /// Events with a product.
    pub(super) fn interests(&self, product: &str) -> impl Iterator<Item = Mark> {
        self.parts().filter_map(move |part| part.interests.get(product)).flatten().copied()
    }

    /// Whether it knows the sealed events of this state.
    fn sealed_of(&self, state: &State) -> Option<&Part> {
        let is_same = (self.epoch, self.sealed) == (state.epoch, state.sealed);
        self.old.as_ref().filter(|_| is_same)
    }

    /// The next sealed events to be moved into the histories; none when the index does not know them.
    pub(super) fn next_histories(&self, state: &State, limit: usize) -> Option<Vec<Mark>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let part = self.sealed_of(state)?;
        Some(part.histories.range((Excluded(state.place), Unbounded)).take(limit).map(mark).collect())
    }

    /// The next sealed events to be moved into the interests; none when the index does not know them.
    pub(super) fn next_interests(&self, state: &State, limit: usize) -> Option<Vec<(Box<str>, Mark)>> {
        use std::ops::Bound::{Included, Unbounded};
        let part = self.sealed_of(state)?;
        let (product, no) = (state.interest.0.as_str(), state.interest.1);
        let next = part
            .interests
            .range::<str, _>((Included(product), Unbounded))
            .flat_map(|(product, marks)| marks.iter().map(move |mark| (product.clone(), *mark)))
            .filter(|(name, mark)| (&**name, mark.no) > (product, no));
        Some(next.take(limit).collect())
    }
}

fn mark((place, kind): (&Place, &i64)) -> Mark {
    Mark { contact: place.0, at: place.1, no: place.2, kind: *kind }
}
