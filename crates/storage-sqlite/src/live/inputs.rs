//! Inputs and waves: what waits to be worked on.

use std::collections::HashMap;

use model::{ContactId, Event, Timestamp};
use roaring::RoaringTreemap;
use rusqlite::{CachedStatement, Connection, OptionalExtension};
use storage::{
    Result, StoreError,
    live::{Input, NewInput, NewWave, Wave},
};

use super::limit_rows;
use crate::{
    events,
    hooks::Feed,
    pool::driver,
    rows::{blob, from_json, inconsistent, take_numbers, text, to_json},
};

/// Name of the sequence of inputs.
pub(super) const SEQUENCE: &str = "input";

/// The inputs that wait, in order; those of a merged contact are the one's that it was merged into.
pub(super) fn take(connection: &Connection, until: i64, limit: usize) -> Result<Vec<Input>> {
    let mut query = connection
        .prepare_cached(
            "SELECT input_no, ifnull(became, inputs.contact_id), inputs.at, received_at, name, message_id, causes,
               properties
             FROM inputs JOIN event_kinds USING (kind_id)
               LEFT JOIN departures ON departures.contact_id = inputs.contact_id
             WHERE input_no <= ?1 ORDER BY input_no LIMIT ?2",
        )
        .map_err(driver)?;
    let mut rows = query.query((until, limit_rows(limit))).map_err(driver)?;
    let mut inputs = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let no: i64 = row.get(0).map_err(driver)?;
        let properties = text(row, 7).map_err(driver)?;
        let event = Event {
            contact: ContactId(row.get(1).map_err(driver)?),
            at: Timestamp(row.get(2).map_err(driver)?),
            received_at: Timestamp(row.get(3).map_err(driver)?),
            kind: row.get(4).map_err(driver)?,
            message_id: row.get(5).map_err(driver)?,
            properties: if properties.is_empty() {
                serde_json::Map::new()
            } else {
                from_json("inputs", no, properties)?
            },
        };
        inputs.push(Input { no, event, causes: row.get(6).map_err(driver)? });
    }
    Ok(inputs)
}

/// An input as a row, its kind by number and its properties as JSON (empty when there are none).
pub(crate) struct InputRow<'a> {
    pub(crate) contact: ContactId,
    pub(crate) at: Timestamp,
    pub(crate) received_at: Timestamp,
    pub(crate) kind: u32,
    pub(crate) message_id: Option<&'a str>,
    pub(crate) causes: u8,
    pub(crate) properties: &'a str,
}

impl<'a> InputRow<'a> {
    fn of(event: &'a Event, kind: u32, causes: u8, properties: &'a str) -> Self {
        Self {
            contact: event.contact,
            at: event.at,
            received_at: event.received_at,
            kind,
            message_id: event.message_id.as_deref(),
            causes,
            properties,
        }
    }
}

/// The queue's end, in a transaction: inputs are put behind what is there, and get their numbers at the end.
pub(crate) struct Queue<'c> {
    insert: CachedStatement<'c>,
    next: i64,
    added: i64,
    connection: &'c Connection,
    feed: Feed,
}

impl<'c> Queue<'c> {
    /// The end as it is. Nobody else writes in this transaction, so numbers are taken in one go by [`Queue::close`].
    pub(crate) fn open(connection: &'c Connection) -> Result<Self> {
        let insert = connection
            .prepare_cached(
                "INSERT INTO inputs (input_no, contact_id, at, received_at, kind_id, message_id, causes, properties)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )
            .map_err(driver)?;
        let next = crate::rows::last_number(connection, SEQUENCE)? + 1;
        Ok(Self { insert, next, added: 0, connection, feed: Feed::open(connection)? })
    }

    /// Adds one.
    pub(crate) fn add(&mut self, row: &InputRow<'_>) -> Result<()> {
        self.insert
            .execute((
                self.next + self.added,
                row.contact.0,
                row.at.0,
                row.received_at.0,
                row.kind,
                row.message_id,
                row.causes,
                row.properties,
            ))
            .map_err(driver)?;
        self.added += 1;
        self.feed.tell(self.connection, row)
    }

    /// Marks the numbers as taken.
    pub(crate) fn close(self, connection: &Connection) -> Result<()> {
        if self.added > 0 {
            take_numbers(connection, SEQUENCE, self.added)?;
        }
        self.feed.close(connection)
    }
}

/// Numbers of kinds, each looked up once in a transaction.
#[derive(Default)]
pub(crate) struct Kinds(HashMap<String, u32>);

impl Kinds {
    pub(crate) fn id(&mut self, connection: &Connection, name: &str) -> Result<u32> {
        if let Some(id) = self.0.get(name) {
            return Ok(*id);
        }
        let id = events::kind_id(connection, name)?;
        self.0.insert(name.to_owned(), id);
        Ok(id)
    }
}

/// A map of properties as a column: empty text when there are none.
pub(crate) fn properties_text(properties: &serde_json::Map<String, serde_json::Value>) -> Result<String> {
    if properties.is_empty() { Ok(String::new()) } else { to_json(properties) }
}

/// Adds inputs, in order; those that are stored go into their contacts' histories, too. A stored one whose message id is
/// known is left out: it happened already.
pub(crate) fn add(connection: &Connection, inputs: &[NewInput]) -> Result<()> {
    if inputs.is_empty() {
        return Ok(());
    }
    let stored = inputs.iter().filter(|input| input.stored && input.event.contact.0 > 0).count();
    let mut event_no = if stored == 0 { 0 } else { take_numbers(connection, "event", stored as i64)? };
    let mut kinds = Kinds::default();
    let mut queue = Queue::open(connection)?;
    for NewInput { event, causes, stored } in inputs {
        let kind = kinds.id(connection, &event.kind)?;
        let properties = properties_text(&event.properties)?;
        if *stored && event.contact.0 > 0 {
            if !store(connection, event, event_no, kind, &properties)? {
                continue;
            }
            event_no += 1;
        }
        queue.add(&InputRow::of(event, kind, *causes, &properties))?;
    }
    queue.close(connection)
}

/// Puts events into their contacts' histories only: nobody listens. Those whose message id is known are left out.
pub(crate) fn keep(connection: &Connection, inputs: &[NewInput]) -> Result<()> {
    let mut event_no = take_numbers(connection, "event", inputs.len() as i64)?;
    let mut kinds = Kinds::default();
    let mut feed = Feed::open(connection)?;
    for NewInput { event, causes, .. } in inputs.iter().filter(|input| input.event.contact.0 > 0) {
        let kind = kinds.id(connection, &event.kind)?;
        let properties = properties_text(&event.properties)?;
        if store(connection, event, event_no, kind, &properties)? {
            event_no += 1;
            feed.tell(connection, &InputRow::of(event, kind, *causes, &properties))?;
        }
    }
    feed.close(connection)
}

/// Puts an event into its contact's history; false when its message id is known.
fn store(connection: &Connection, event: &Event, no: i64, kind: u32, properties: &str) -> Result<bool> {
    if let Some(message_id) = &event.message_id {
        let new = connection
            .prepare_cached(
                "INSERT INTO message_ids (message_id, contact_id, at, event_no) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (message_id) DO NOTHING",
            )
            .and_then(|mut insert| insert.execute((message_id, event.contact.0, event.at.0, no)))
            .map_err(driver)?;
        if new == 0 {
            return Ok(false);
        }
    }
    let row = events::EventRow {
        contact: event.contact,
        at: event.at,
        no,
        kind,
        received_at: event.received_at,
        message_id: event.message_id.as_deref(),
        product: events::product_of(&event.properties),
        properties,
    };
    crate::recent::add(connection, &row)?;
    Ok(true)
}

/// Numbers in order, as ranges of consecutive ones.
fn ranges(numbers: &[i64]) -> Vec<(i64, i64)> {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for number in sorted {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}

/// Whether all these inputs wait.
pub(super) fn are_waiting(connection: &Connection, numbers: &[i64]) -> Result<bool> {
    let mut query = connection
        .prepare_cached("SELECT count(*) FROM inputs WHERE input_no BETWEEN ?1 AND ?2")
        .map_err(driver)?;
    for (first, last) in ranges(numbers) {
        let n: i64 = query.query_row((first, last), |row| row.get(0)).map_err(driver)?;
        if n != last - first + 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whose these inputs are, as they were added.
pub(super) fn contacts_of(connection: &Connection, numbers: &[i64]) -> Result<Vec<ContactId>> {
    let mut query = connection
        .prepare_cached("SELECT contact_id FROM inputs WHERE input_no BETWEEN ?1 AND ?2")
        .map_err(driver)?;
    let mut contacts = Vec::with_capacity(numbers.len());
    for range in ranges(numbers) {
        let rows = query.query_map(range, |row| row.get(0).map(ContactId)).map_err(driver)?;
        for contact in rows {
            contacts.push(contact.map_err(driver)?);
        }
    }
    Ok(contacts)
}

/// Takes inputs out of the queue.
pub(super) fn remove(connection: &Connection, numbers: &[i64]) -> Result<()> {
    let mut delete =
        connection.prepare_cached("DELETE FROM inputs WHERE input_no BETWEEN ?1 AND ?2").map_err(driver)?;
    for range in ranges(numbers) {
        delete.execute(range).map_err(driver)?;
    }
    Ok(())
}

/// Adds waves; one without contacts is none.
pub(crate) fn add_waves(connection: &Connection, waves: &[NewWave]) -> Result<()> {
    for wave in waves {
        let Some(last) = wave.contacts.max() else { continue };
        let mut contacts = Vec::with_capacity(wave.contacts.serialized_size());
        wave.contacts.serialize_into(&mut contacts).map_err(|error| StoreError::Driver(error.to_string()))?;
        let no = take_numbers(connection, "wave", 1)?;
        connection
            .prepare_cached(
                "INSERT INTO waves (wave_no, checkpoint, last_contact, causes, event, contacts)
                 VALUES (?1, 0, ?2, ?3, ?4, ?5)",
            )
            .map_err(driver)?
            .execute((no, last.cast_signed(), wave.causes, to_json(&wave.event)?, contacts))
            .map_err(driver)?;
    }
    Ok(())
}

/// The waves on their way.
pub(super) fn waves(connection: &Connection) -> Result<Vec<Wave>> {
    let mut query = connection
        .prepare_cached("SELECT wave_no, checkpoint, causes, event, contacts FROM waves ORDER BY wave_no")
        .map_err(driver)?;
    let mut rows = query.query([]).map_err(driver)?;
    let mut waves = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let no: i64 = row.get(0).map_err(driver)?;
        waves.push(Wave {
            no,
            checkpoint: ContactId(row.get(1).map_err(driver)?),
            causes: row.get(2).map_err(driver)?,
            event: from_json("waves", no, text(row, 3).map_err(driver)?)?,
            contacts: RoaringTreemap::deserialize_from(blob(row, 4).map_err(driver)?)
                .map_err(|error| inconsistent("waves", no, error))?,
        });
    }
    Ok(waves)
}

/// Where a wave stands; none when it is over.
pub(super) fn wave_stands(connection: &Connection, no: i64) -> Result<Option<ContactId>> {
    connection
        .prepare_cached("SELECT checkpoint FROM waves WHERE wave_no = ?1")
        .and_then(|mut query| query.query_row([no], |row| row.get(0).map(ContactId)).optional())
        .map_err(driver)
}

/// Moves a wave on; behind its last contact it goes.
pub(super) fn move_wave(connection: &Connection, no: i64, to: ContactId) -> Result<()> {
    let gone = connection
        .prepare_cached("DELETE FROM waves WHERE wave_no = ?1 AND last_contact <= ?2")
        .and_then(|mut delete| delete.execute((no, to.0)))
        .map_err(driver)?;
    if gone == 0 {
        connection
            .prepare_cached("UPDATE waves SET checkpoint = ?2 WHERE wave_no = ?1")
            .and_then(|mut update| update.execute((no, to.0)))
            .map_err(driver)?;
    }
    Ok(())
}
