//! What is kept of contacts' histories for segments: one row for each contact, with an entry for each segment.
//!
//! An entry says of which build of the segment it is, so that nothing has to be removed when a segment is built anew or
//! taken away: what is of another condition is not read, and goes when the row is written next. It also notes the flip that
//! is stored for the contact, so that most events, which change no flip, look none up.

use std::collections::BTreeMap;

use model::{ContactId, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use storage::Result;

use crate::{pool::driver, rows::inconsistent};

/// Which builds of a segment its entries must be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Builds {
    /// The last.
    last: u32,
    /// The one in which its condition changed.
    changed_in: u32,
}

impl Builds {
    pub(super) fn of(connection: &Connection, no: i64) -> Result<Self> {
        connection
            .prepare_cached("SELECT builds, changed_in FROM segments WHERE segment_no = ?1")
            .and_then(|mut query| {
                query.query_row([no], |row| Ok(Self { last: row.get(0)?, changed_in: row.get(1)? }))
            })
            .map_err(driver)
    }
}

/// What is known of the flip that is stored for a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flip {
    /// Nothing.
    Unknown,
    /// It is this, or there is none.
    Stored(Option<Timestamp>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    no: u32,
    /// The build in which the condition changed that the state is of.
    changed_in: u32,
    /// The build whose flip it notes; 0: it notes none.
    build: u32,
    /// The flip; `i64::MIN`: there is none.
    flip: i64,
    state: Vec<u8>,
}

const NO_FLIP: i64 = i64::MIN;

/// The entries of a contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    entries: Vec<Entry>,
    changed: bool,
}

impl Row {
    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            let no = u32::from_le_bytes(take(&mut bytes)?);
            let changed_in = u32::from_le_bytes(take(&mut bytes)?);
            let build = u32::from_le_bytes(take(&mut bytes)?);
            let flip = i64::from_le_bytes(take(&mut bytes)?);
            let length = u32::from_le_bytes(take(&mut bytes)?) as usize;
            let (state, rest) = bytes.split_at_checked(length)?;
            entries.push(Entry { no, changed_in, build, flip, state: state.to_vec() });
            bytes = rest;
        }
        Some(Self { entries, changed: false })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.entries.iter().map(|entry| 24 + entry.state.len()).sum());
        for entry in &self.entries {
            bytes.extend(entry.no.to_le_bytes());
            bytes.extend(entry.changed_in.to_le_bytes());
            bytes.extend(entry.build.to_le_bytes());
            bytes.extend(entry.flip.to_le_bytes());
            bytes.extend((entry.state.len() as u32).to_le_bytes());
            bytes.extend(&entry.state);
        }
        bytes
    }

    fn entry(&mut self, no: u32) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.no == no)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

/// A segment's number as entries have it: numbers are given from 1 on, one for each new segment.
fn short(no: i64) -> Result<u32> {
    u32::try_from(no).map_err(|_| inconsistent("segments", no, "the number is too large"))
}

const SELECT: &str = "SELECT entries FROM segment_kept WHERE contact_id = ?1";

fn load(connection: &Connection, contact: ContactId) -> Result<Option<Row>> {
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached(SELECT)
        .and_then(|mut query| query.query_row([contact.0], |row| row.get(0)).optional())
        .map_err(driver)?;
    bytes.map(|bytes| read(contact, &bytes)).transpose()
}

fn read(contact: ContactId, bytes: &[u8]) -> Result<Row> {
    Row::from_bytes(bytes).ok_or_else(|| inconsistent("segment_kept", contact, "it does not read back"))
}

/// What is kept for some segments, by segment, by contact.
pub(super) fn states(
    connection: &Connection,
    segments: &[(usize, i64)],
    count: usize,
    contacts: &[ContactId],
) -> Result<Vec<Vec<Option<Vec<u8>>>>> {
    let mut all = vec![vec![None; contacts.len()]; count];
    let mut places = Vec::with_capacity(segments.len());
    for (place, no) in segments {
        places.push((*place, short(*no)?, Builds::of(connection, *no)?));
    }
    let mut statement = connection.prepare_cached(SELECT).map_err(driver)?;
    for (row_of, contact) in contacts.iter().enumerate() {
        let bytes: Option<Vec<u8>> =
            statement.query_row([contact.0], |row| row.get(0)).optional().map_err(driver)?;
        let Some(bytes) = bytes else { continue };
        for entry in read(*contact, &bytes)?.entries {
            let place = places.iter().find(|(_, no, _)| *no == entry.no);
            if let Some((place, _, builds)) = place
                && builds.changed_in == entry.changed_in
            {
                all[*place][row_of] = Some(entry.state);
            }
        }
    }
    Ok(all)
}

/// The rows that a transaction reads and writes, each once.
pub(super) struct Kept<'c> {
    connection: &'c Connection,
    rows: BTreeMap<ContactId, Row>,
}

impl<'c> Kept<'c> {
    pub(super) const fn new(connection: &'c Connection) -> Self {
        Self { connection, rows: BTreeMap::new() }
    }

    fn row(&mut self, contact: ContactId) -> Result<&mut Row> {
        if !self.rows.contains_key(&contact) {
            let row = load(self.connection, contact)?.unwrap_or_default();
            self.rows.insert(contact, row);
        }
        Ok(self.rows.entry(contact).or_default())
    }

    /// Keeps a state, and notes the flip that is stored beside it from now on. Answers what was stored before.
    pub(super) fn set(
        &mut self,
        contact: ContactId,
        no: i64,
        builds: Builds,
        flip: Option<Timestamp>,
        state: &[u8],
    ) -> Result<Flip> {
        let no = short(no)?;
        let row = self.row(contact)?;
        row.changed = true;
        let flip = flip.map_or(NO_FLIP, |at| at.0);
        let entry =
            Entry { no, changed_in: builds.changed_in, build: builds.last, flip, state: state.to_vec() };
        let Some(known) = row.entry(no) else {
            row.entries.push(entry);
            return Ok(Flip::Unknown);
        };
        let before = std::mem::replace(known, entry);
        Ok(match (before.build == builds.last, before.flip) {
            (false, _) => Flip::Unknown,
            (true, NO_FLIP) => Flip::Stored(None),
            (true, at) => Flip::Stored(Some(Timestamp(at))),
        })
    }

    /// The flip of a contact is changed without its state.
    pub(super) fn forget_flip(&mut self, contact: ContactId, no: i64) -> Result<()> {
        let no = short(no)?;
        let row = self.row(contact)?;
        if let Some(entry) = row.entry(no).filter(|entry| entry.build != 0) {
            entry.build = 0;
            row.changed = true;
        }
        Ok(())
    }

    /// Writes what was changed, in the order of the table. Entries of segments that are no more go.
    pub(super) fn write(self) -> Result<()> {
        let mut segments: Vec<u32> = Vec::new();
        {
            let mut query =
                self.connection.prepare_cached("SELECT segment_no FROM segments").map_err(driver)?;
            let mut rows = query.query([]).map_err(driver)?;
            while let Some(row) = rows.next().map_err(driver)? {
                segments.push(row.get(0).map_err(driver)?);
            }
        }
        let mut statement = self
            .connection
            .prepare_cached(
                "INSERT INTO segment_kept (contact_id, entries) VALUES (?1, ?2)
                 ON CONFLICT (contact_id) DO UPDATE SET entries = excluded.entries",
            )
            .map_err(driver)?;
        for (contact, mut row) in self.rows.into_iter().filter(|(_, row)| row.changed) {
            row.entries.retain(|entry| segments.contains(&entry.no));
            statement.execute((contact.0, row.to_bytes())).map_err(driver)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows() -> impl Strategy<Value = Row> {
        let entry = (any::<u32>(), any::<u32>(), any::<u32>(), any::<i64>(), any::<Vec<u8>>());
        let entry = entry.prop_map(|(no, changed_in, build, flip, state)| Entry {
            no,
            changed_in,
            build,
            flip,
            state,
        });
        prop::collection::vec(entry, 0..4).prop_map(|entries| Row { entries, changed: false })
    }

    proptest! {
        #[test]
        fn rows_read_back_and_damaged_ones_never_panic(row in rows(), cut in any::<prop::sample::Index>()) {
            let bytes = row.to_bytes();
            prop_assert_eq!(Row::from_bytes(&bytes), Some(row));
            if !bytes.is_empty() {
                let _ = Row::from_bytes(&bytes[..cut.index(bytes.len())]);
            }
        }
    }
}
