//! Events that arrived lately. They are appended to a table of their own, whatever contacts they are of, and moved into
//! their contacts' histories many at a time, in the order of the keys there: in a large base an event would otherwise
//! change pages of its own, of the table and of each index. What is read is always
//! both, as of one moment: [`Recent::look`] answers with what the histories do not hold yet.
//!
//! A batch of events is *sealed* when so many have come (`Options::recent_events`); those that come behind it wait for
//! the next. The sealed ones are moved by the transactions that bring new events, each a few times as many as it brings:
//! first into `events`, by contact; then into `interests`, by product; then their rows go. How far that has come is a row
//! that commits with it.

mod index;
mod moving;

use std::{
    ops::RangeInclusive,
    sync::{Mutex, MutexGuard, PoisonError},
};

use model::{ContactId, Event, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use storage::Result;

use self::index::Index;
use crate::{
    events::{EventRow, parse_properties},
    pool::driver,
    rows::text,
};

pub(crate) use self::{index::Mark, moving::Mover};

/// What is moved at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Events into histories, by contact.
    Histories,
    /// Who cares for which product, by product.
    Interests,
    /// Their rows go.
    Rows,
    /// Nothing: a new batch may be sealed.
    Done,
}

impl Phase {
    const fn of(number: i64) -> Self {
        match number {
            0 => Self::Histories,
            1 => Self::Interests,
            2 => Self::Rows,
            _ => Self::Done,
        }
    }
}

/// An event's place in the histories: contact, instant, number.
type Place = (i64, i64, i64);

/// How far the moving has come, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    /// The last row that was taken before its turn.
    epoch: i64,
    /// Up to here everything was moved before.
    gone: i64,
    /// Up to here it is being moved, or was.
    sealed: i64,
    phase: Phase,
    /// The last that is in the histories.
    place: Place,
    /// The last that is among the interests: product and number.
    interest: (String, i64),
    /// The newest event; 0 when there is none.
    newest: i64,
}

impl State {
    fn read(connection: &Connection) -> Result<Self> {
        connection
            .prepare_cached(
                "SELECT epoch, gone, sealed, phase, contact_id, at, event_no, product,
                   ifnull((SELECT max(event_no) FROM recent_events), 0) FROM recent_moving",
            )
            .and_then(|mut query| {
                query.query_row([], |row| {
                    let event_no = row.get(6)?;
                    Ok(Self {
                        epoch: row.get(0)?,
                        gone: row.get(1)?,
                        sealed: row.get(2)?,
                        phase: Phase::of(row.get(3)?),
                        place: (row.get(4)?, row.get(5)?, event_no),
                        interest: (row.get(7)?, event_no),
                        newest: row.get(8)?,
                    })
                })
            })
            .map_err(driver)
    }

    fn write(&self, connection: &Connection) -> Result<()> {
        let event_no = if self.phase == Phase::Interests { self.interest.1 } else { self.place.2 };
        connection
            .prepare_cached(
                "UPDATE recent_moving SET epoch = ?1, gone = ?2, sealed = ?3, phase = ?4, contact_id = ?5, at = ?6,
                   event_no = ?7, product = ?8",
            )
            .and_then(|mut update| {
                update.execute((
                    self.epoch,
                    self.gone,
                    self.sealed,
                    self.phase as i64,
                    self.place.0,
                    self.place.1,
                    event_no,
                    &self.interest.0,
                ))
            })
            .map_err(driver)?;
        Ok(())
    }

    /// Whether there is nothing but what the histories hold.
    fn is_empty(&self) -> bool {
        self.newest == 0 || (self.phase >= Phase::Rows && self.newest <= self.sealed)
    }

    /// Whether the histories lack this event.
    fn is_apart(&self, place: Place) -> bool {
        place.2 > self.sealed || (self.phase == Phase::Histories && place > self.place)
    }

    /// Whether the interests lack this event of a product.
    fn is_interest_apart(&self, product: &str, no: i64) -> bool {
        no > self.sealed
            || self.phase == Phase::Histories
            || (self.phase == Phase::Interests && (product, no) > (self.interest.0.as_str(), self.interest.1))
    }
}

/// Where recent events are, in memory, shared by all connections of this process. It follows what is committed.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Index>);

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the histories do not hold yet, as this connection sees it. The connection must be inside a transaction that has
    /// written nothing.
    pub(crate) fn look<'r>(&'r self, connection: &Connection) -> Result<View<'r>> {
        let state = State::read(connection)?;
        if state.is_empty() {
            return Ok(View { state, held: Held::Nothing });
        }
        let mut shared = self.lock();
        if shared.follow(connection, &state)? {
            return Ok(View { state, held: Held::Shared(shared) });
        }
        drop(shared);
        // Somebody else has seen more already: what this snapshot needs may be forgotten there.
        let mut own = Index::of(&state);
        own.follow(connection, &state)?;
        Ok(View { state, held: Held::Own(own) })
    }
}

enum Held<'r> {
    Nothing,
    Shared(MutexGuard<'r, Index>),
    Own(Index),
}

/// Recent events as of one moment. Others wait while it is held.
pub(crate) struct View<'r> {
    state: State,
    held: Held<'r>,
}

impl View<'_> {
    fn index(&self) -> Option<&Index> {
        match &self.held {
            Held::Nothing => None,
            Held::Shared(index) => Some(index),
            Held::Own(index) => Some(index),
        }
    }

    /// Those of some contacts that are of wanted kinds and inside a span, by contact, time and number.
    pub(crate) fn of_contacts(
        &self,
        contacts: &RangeInclusive<i64>,
        (since, until): (Timestamp, Timestamp),
        is_wanted: impl Fn(i64) -> bool,
    ) -> Vec<Mark> {
        let Some(index) = self.index() else { return Vec::new() };
        let mut marks: Vec<Mark> = index
            .histories(contacts, since.0)
            .filter(|mark| {
                mark.at >= since.0
                    && mark.at < until.0
                    && is_wanted(mark.kind)
                    && mark.no <= self.state.newest
                    && self.state.is_apart(mark.place())
            })
            .collect();
        marks.sort_unstable_by_key(Mark::place);
        marks
    }

    /// Those with a product that are of a kind and inside a span.
    pub(crate) fn of_product(
        &self,
        product: &str,
        kind: i64,
        (since, until): (Timestamp, Timestamp),
    ) -> impl Iterator<Item = Mark> {
        self.index().into_iter().flat_map(move |index| {
            index.interests(product).filter(move |mark| {
                mark.kind == kind
                    && mark.at >= since.0
                    && mark.at < until.0
                    && mark.no <= self.state.newest
                    && self.state.is_interest_apart(product, mark.no)
            })
        })
    }
}

/// Appends an event. Its message id is claimed by the caller.
pub(crate) fn add(connection: &Connection, event: &EventRow<'_>) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO recent_events
               (event_no, contact_id, at, kind_id, received_at, product, message_id, properties)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .and_then(|mut insert| {
            insert.execute((
                event.no,
                event.contact.0,
                event.at.0,
                event.kind,
                event.received_at.0,
                event.product,
                event.message_id,
                event.properties,
            ))
        })
        .map_err(driver)?;
    Ok(())
}

/// Moves the events of a contact into its history now, before their turn: for whoever changes histories. With `recent` only
/// the contact's own rows are looked up, and those that came after the last commit; without it all rows are.
pub(crate) fn settle(connection: &Connection, recent: Option<&Recent>, contact: ContactId) -> Result<()> {
    let mut state = State::read(connection)?;
    if state.is_empty() && state.phase == Phase::Done {
        return Ok(());
    }
    let prepare = |sql| connection.prepare_cached(sql).map_err(driver);
    let read = |row: &rusqlite::Row<'_>| {
        let mark = Mark { no: row.get(0)?, contact: row.get(1)?, at: row.get(2)?, kind: row.get(3)? };
        Ok((mark, row.get(4)?))
    };
    let (numbers, up_to) = recent.map_or_else(|| (Vec::new(), 0), |recent| recent.lock().of_contact(contact));
    let mut own: Vec<(Mark, Option<String>)> = Vec::new();
    {
        let mut one = prepare(
            "SELECT event_no, contact_id, at, kind_id, product FROM recent_events
             WHERE event_no = ?1 AND contact_id = ?2",
        )?;
        for no in numbers {
            own.extend(one.query_row((no, contact.0), read).optional().map_err(driver)?);
        }
        let mut later = prepare(
            "SELECT event_no, contact_id, at, kind_id, product FROM recent_events
             WHERE event_no > ?1 AND contact_id = ?2",
        )?;
        let rows = later.query_map((up_to, contact.0), read).map_err(driver)?;
        own.extend(rows.collect::<rusqlite::Result<Vec<_>>>().map_err(driver)?);
    }
    own.sort_unstable_by_key(|(mark, _)| mark.no);
    if own.is_empty() {
        return Ok(());
    }
    let mut take = prepare(
        "INSERT INTO recent_taken (taken_no, contact_id, at, event_no, product) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut remove = prepare("DELETE FROM recent_events WHERE event_no = ?1")?;
    for (mark, product) in own {
        if state.is_apart(mark.place()) {
            moving::into_history(connection, mark)?;
        }
        if let Some(product) = &product
            && state.is_interest_apart(product, mark.no)
        {
            moving::into_interests(connection, product, mark)?;
        }
        state.epoch += 1;
        take.execute((state.epoch, mark.contact, mark.at, mark.no, product)).map_err(driver)?;
        remove.execute([mark.no]).map_err(driver)?;
    }
    state.write(connection)
}

/// A recent event whole.
pub(crate) fn load(connection: &Connection, mark: Mark, kind: &str) -> Result<Event> {
    let mut query = connection
        .prepare_cached("SELECT received_at, message_id, properties FROM recent_events WHERE event_no = ?1")
        .map_err(driver)?;
    let mut rows = query.query([mark.no]).map_err(driver)?;
    let Some(row) = rows.next().map_err(driver)? else {
        return Err(crate::rows::inconsistent("recent_events", mark.no, "it is not there"));
    };
    Ok(Event {
        contact: ContactId(mark.contact),
        at: Timestamp(mark.at),
        received_at: Timestamp(row.get(0).map_err(driver)?),
        kind: kind.to_owned(),
        message_id: row.get(1).map_err(driver)?,
        properties: parse_properties("recent_events", mark.no, text(row, 2).map_err(driver)?)?,
    })
}

#[cfg(test)]
mod tests;
