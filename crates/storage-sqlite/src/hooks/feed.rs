//! What happens, put into the queues of those who want to hear it, in the transaction that commits it.

use std::collections::{HashMap, hash_map::Entry};

use model::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use storage::{Result, hooks::QUEUE_MAX};

use crate::{
    live::InputRow,
    pool::driver,
    rows::{from_json, text},
};

/// A hook that is told something.
struct Listener {
    id: i64,
    /// None: all kinds.
    kinds: Option<Vec<String>>,
    waiting: u64,
    added: u64,
    left_out: u64,
    left_out_at: i64,
}

/// The hooks as they are in a transaction, and what is added to their queues.
pub(crate) struct Feed {
    listeners: Vec<Listener>,
    /// Kinds of events by number, as far as they were met.
    kinds: HashMap<u32, String>,
}

impl Feed {
    /// One look at a table that is nearly always empty.
    pub(crate) fn open(connection: &Connection) -> Result<Self> {
        let mut query = connection
            .prepare_cached("SELECT hook_id, kinds, waiting FROM hooks WHERE active AND disabled_at IS NULL")
            .map_err(driver)?;
        let mut rows = query.query([]).map_err(driver)?;
        let mut listeners = Vec::new();
        while let Some(row) = rows.next().map_err(driver)? {
            let id: i64 = row.get(0).map_err(driver)?;
            let kinds: Vec<String> = from_json("hooks", id, text(row, 1).map_err(driver)?)?;
            let waiting: i64 = row.get(2).map_err(driver)?;
            listeners.push(Listener {
                id,
                kinds: (!kinds.is_empty()).then_some(kinds),
                waiting: waiting.unsigned_abs(),
                added: 0,
                left_out: 0,
                left_out_at: 0,
            });
        }
        Ok(Self { listeners, kinds: HashMap::new() })
    }

    /// Tells those who want to hear it. What happens to products alone is told to nobody.
    pub(crate) fn tell(&mut self, connection: &Connection, row: &InputRow<'_>) -> Result<()> {
        if self.listeners.is_empty() || row.contact.0 <= 0 {
            return Ok(());
        }
        let kind = match self.kinds.entry(row.kind) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let name: Option<String> = connection
                    .prepare_cached("SELECT name FROM event_kinds WHERE kind_id = ?1")
                    .and_then(|mut query| query.query_row([row.kind], |row| row.get(0)).optional())
                    .map_err(driver)?;
                unknown.insert(name.unwrap_or_default())
            }
        };
        let kind = &*kind;
        let event = event_id(row, kind);
        for listener in &mut self.listeners {
            if listener.kinds.as_ref().is_some_and(|kinds| !kinds.contains(kind)) {
                continue;
            }
            if listener.waiting + listener.added >= QUEUE_MAX {
                listener.left_out += 1;
                listener.left_out_at = row.received_at.0;
                continue;
            }
            let new = connection
                .prepare_cached(
                    "INSERT INTO hook_deliveries (hook_id, event_id, kind, contact_id, at, properties, state, due)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7) ON CONFLICT (hook_id, event_id) DO NOTHING",
                )
                .and_then(|mut insert| {
                    insert.execute(params![
                        listener.id,
                        event,
                        kind,
                        row.contact.0,
                        row.at.0,
                        row.properties,
                        row.received_at.0
                    ])
                })
                .map_err(driver)?;
            listener.added += new as u64;
        }
        Ok(())
    }

    /// Writes down how much was added.
    pub(crate) fn close(self, connection: &Connection) -> Result<()> {
        for listener in self.listeners.iter().filter(|one| one.added + one.left_out > 0) {
            add(connection, listener.id, listener.added.cast_signed())?;
            if listener.left_out > 0 {
                connection
                    .prepare_cached(
                        "UPDATE hooks SET overflow = overflow + ?2, overflow_at = ?3 WHERE hook_id = ?1",
                    )
                    .and_then(|mut change| {
                        change.execute((listener.id, listener.left_out.cast_signed(), listener.left_out_at))
                    })
                    .map_err(driver)?;
            }
        }
        Ok(())
    }
}

/// Counts deliveries that came to wait, or wait no more.
pub(super) fn add(connection: &Connection, hook: i64, n: i64) -> Result<()> {
    connection
        .prepare_cached("UPDATE hooks SET waiting = waiting + ?2 WHERE hook_id = ?1")
        .and_then(|mut change| change.execute((hook, n)))
        .map_err(driver)?;
    Ok(())
}

/// The event's id: the same when it is heard of again, as a trigger that a paused journey held is.
fn event_id(row: &InputRow<'_>, kind: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(row.contact.0.to_be_bytes());
    hash.update(kind.as_bytes());
    hash.update([0]);
    match row.message_id {
        Some(id) => hash.update(id.as_bytes()),
        None => {
            let Timestamp(at) = row.at;
            hash.update(at.to_be_bytes());
            hash.update(row.properties.as_bytes());
        }
    }
    let mut id = String::from("evt_");
    id.extend(hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")));
    id
}

#[cfg(test)]
mod tests {
    use model::ContactId;

    use super::*;
    use crate::{Options, Sqlite};

    #[test]
    fn a_full_queue_leaves_out_and_counts_and_a_repeat_is_no_event() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.db");
        drop(Sqlite::open(&path, Options::default()).unwrap());
        let connection = Connection::open(&path).unwrap();
        let kind = crate::events::kind_id(&connection, "Product Viewed").unwrap();
        connection
            .execute(
                "INSERT INTO hooks (hook_id, url, kinds, note, active, secrets, created_at, updated_at, waiting)
                 VALUES (1, '', '[]', '', 1, '[]', 0, 0, ?1), (2, '', '[\"Email Sent\"]', '', 1, '[]', 0, 0, 0),
                   (3, '', '[]', '', 0, '[]', 0, 0, 0)",
                [QUEUE_MAX.cast_signed() - 1],
            )
            .unwrap();
        let row = |message_id| InputRow {
            contact: ContactId(1),
            at: Timestamp(5),
            received_at: Timestamp(7),
            kind,
            message_id,
            causes: 0,
            properties: "",
        };
        let mut feed = Feed::open(&connection).unwrap();
        for id in ["a", "a", "b", "c"] {
            feed.tell(&connection, &row(Some(id))).unwrap();
        }
        feed.tell(&connection, &InputRow { contact: ContactId(0), ..row(None) }).unwrap();
        feed.close(&connection).unwrap();
        let of = |hook: i64| -> (i64, i64, Option<i64>) {
            let sql = "SELECT waiting, overflow, overflow_at FROM hooks WHERE hook_id = ?1";
            connection.query_row(sql, [hook], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
        };
        // "a" fills the queue; its repeat, "b" and "c" are one too many each.
        assert_eq!(of(1), (QUEUE_MAX.cast_signed(), 3, Some(7)));
        assert_eq!((of(2), of(3)), ((0, 0, None), (0, 0, None)));
        connection.execute("UPDATE hooks SET waiting = 0", []).unwrap();
        let mut feed = Feed::open(&connection).unwrap();
        for id in ["a", "b"] {
            feed.tell(&connection, &row(Some(id))).unwrap();
        }
        feed.close(&connection).unwrap();
        assert_eq!(of(1).0, 1, "what was told is not told again");
    }
}
