//! Moving sealed events to where they are kept.

use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use storage::Result;

use super::{Mark, Phase, State};
use crate::{
    caches::Caches,
    pool::driver,
    rows::{inconsistent, last_number},
};

/// Events that are moved for each that arrives, into histories and interests. A batch is moved long before the next one is
/// full: a quarter of a batch arrives in each phase.
const MOVED_FOR_EACH: i64 = 4;
/// Rows that go for each event that arrives.
const GONE_FOR_EACH: i64 = 16;

/// Moves events inside the transactions that bring new ones.
pub(crate) struct Mover {
    caches: Arc<Caches>,
    /// Events that are sealed together.
    batch: i64,
    /// The last number of an event that was seen.
    seen: i64,
}

impl Mover {
    pub(crate) fn new(connection: &Connection, caches: Arc<Caches>, batch: u32) -> Result<Self> {
        Ok(Self { caches, batch: i64::from(batch.max(1)), seen: last_number(connection, "event")? })
    }

    /// At the end of a transaction: moves some when it brought some. Answers whether it did.
    pub(crate) fn before_commit(&mut self, transaction: &Transaction<'_>) -> Result<bool> {
        let last = last_number(transaction, "event")?;
        let arrived = last - std::mem::replace(&mut self.seen, last);
        if arrived <= 0 {
            return Ok(false);
        }
        let state = State::read(transaction)?;
        let limit = |for_each: i64| usize::try_from(arrived.saturating_mul(for_each)).unwrap_or(usize::MAX);
        match state.phase {
            Phase::Done => seal(transaction, state, self.batch)?,
            Phase::Histories => {
                // An index that does not know them will, after this commit.
                let next = self.caches.recent.lock().next_histories(&state, limit(MOVED_FOR_EACH));
                if let Some(next) = next {
                    move_histories(transaction, state, &next, limit(MOVED_FOR_EACH))?;
                }
            }
            Phase::Interests => {
                let next = self.caches.recent.lock().next_interests(&state, limit(MOVED_FOR_EACH));
                if let Some(next) = next {
                    move_interests(transaction, state, &next, limit(MOVED_FOR_EACH))?;
                }
            }
            Phase::Rows => remove_rows(transaction, state, arrived.saturating_mul(GONE_FOR_EACH))?,
        }
        storage::fault::point("recent.moved");
        Ok(true)
    }

    /// After a commit that brought some: the index takes them in, so that no reader has to take in many at once.
    pub(crate) fn after_commit(&self, connection: &mut Connection) -> Result<()> {
        let snapshot = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(driver)?;
        self.caches.recent.look(&snapshot).map(drop)
    }
}

/// Seals a batch when there are enough. What is sealed here is moved by later transactions, when it is certain to stay.
fn seal(connection: &Connection, state: State, batch: i64) -> Result<()> {
    let first: Option<i64> = connection
        .prepare_cached("SELECT min(event_no) FROM recent_events")
        .and_then(|mut query| query.query_row([], |row| row.get(0)))
        .map_err(driver)?;
    let Some(first) = first else { return Ok(()) };
    if state.newest - first + 1 < batch {
        return Ok(());
    }
    let sealed = State {
        gone: state.sealed,
        sealed: state.newest,
        phase: Phase::Histories,
        place: (i64::MIN, i64::MIN, i64::MIN),
        ..state
    };
    // Rows of what was moved before are none that an index could still hold.
    connection
        .prepare_cached("DELETE FROM recent_taken WHERE event_no <= ?1")
        .and_then(|mut delete| delete.execute([sealed.gone]))
        .map_err(driver)?;
    sealed.write(connection)
}

/// Copies an event into its contact's history.
pub(super) fn into_history(connection: &Connection, mark: Mark) -> Result<()> {
    let moved = connection
        .prepare_cached(
            "INSERT INTO events (contact_id, at, event_no, kind_id, received_at, message_id, properties)
             SELECT contact_id, at, event_no, kind_id, received_at, message_id, properties
             FROM recent_events WHERE event_no = ?1",
        )
        .and_then(|mut insert| insert.execute([mark.no]))
        .map_err(driver)?;
    if moved == 1 { Ok(()) } else { Err(inconsistent("recent_events", mark.no, "it is not there")) }
}

/// Marks who cared for a product.
pub(super) fn into_interests(connection: &Connection, product: &str, mark: Mark) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO interests (product, kind_id, at, contact_id, event_no) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .and_then(|mut insert| insert.execute((product, mark.kind, mark.at, mark.contact, mark.no)))
        .map_err(driver)?;
    Ok(())
}

fn move_histories(connection: &Connection, mut state: State, next: &[Mark], limit: usize) -> Result<()> {
    for mark in next {
        into_history(connection, *mark)?;
        state.place = mark.place();
    }
    if next.len() < limit {
        (state.phase, state.interest) = (Phase::Interests, (String::new(), i64::MIN));
    }
    state.write(connection)
}

fn move_interests(
    connection: &Connection,
    mut state: State,
    next: &[(Box<str>, Mark)],
    limit: usize,
) -> Result<()> {
    for (product, mark) in next {
        into_interests(connection, product, *mark)?;
    }
    if let Some((product, mark)) = next.last() {
        state.interest = (product.to_string(), mark.no);
    }
    if next.len() < limit {
        state.phase = Phase::Rows;
    }
    state.write(connection)
}

fn remove_rows(connection: &Connection, mut state: State, limit: i64) -> Result<()> {
    let to: Option<i64> = connection
        .prepare_cached(
            "SELECT max(event_no) FROM
               (SELECT event_no FROM recent_events WHERE event_no <= ?1 ORDER BY event_no LIMIT ?2)",
        )
        .and_then(|mut query| query.query_row((state.sealed, limit), |row| row.get(0)))
        .map_err(driver)?;
    let Some(to) = to else {
        state.phase = Phase::Done;
        return state.write(connection);
    };
    connection
        .prepare_cached("DELETE FROM recent_events WHERE event_no <= ?1")
        .and_then(|mut delete| delete.execute([to]))
        .map_err(driver)?;
    Ok(())
}
