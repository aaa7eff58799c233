//! See `storage::events`.

use std::collections::{BTreeMap, HashMap};

use model::{ContactId, Event, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use storage::{
    Result,
    events::{EventStore, Interested},
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{from_json, inconsistent, take_numbers, text},
};

impl EventStore for Sqlite {
    async fn load_events(
        &self,
        contacts: Vec<ContactId>,
        kinds: Vec<String>,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Event>> {
        self.read(move |connection| of_kinds(connection, &contacts, &kinds, (since, until))).await
    }

    async fn find_by_product(
        &self,
        product: String,
        kinds: Vec<String>,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Interested>> {
        self.read(move |connection| {
            let names = kind_names(connection)?;
            let wanted = names.iter().filter(|(_, name)| kinds.contains(name)).map(|(id, _)| *id);
            let mut statement = connection
                .prepare_cached(
                    "SELECT contact_id, min(at), max(at) FROM events INDEXED BY events_by_product
                     WHERE instr(properties, '\"product_id\"') > 0 AND json_extract(properties, '$.product_id') = ?1
                       AND kind_id = ?2 AND at >= ?3 AND at < ?4 GROUP BY contact_id",
                )
                .map_err(driver)?;
            let mut found: BTreeMap<ContactId, (Timestamp, Timestamp)> = BTreeMap::new();
            for kind in wanted {
                let mut rows = statement.query((&product, kind, since.0, until.0)).map_err(driver)?;
                while let Some(row) = rows.next().map_err(driver)? {
                    let contact = ContactId(row.get(0).map_err(driver)?);
                    let (first, last) =
                        (Timestamp(row.get(1).map_err(driver)?), Timestamp(row.get(2).map_err(driver)?));
                    let known = found.entry(contact).or_insert((first, last));
                    *known = (known.0.min(first), known.1.max(last));
                }
            }
            Ok(found
                .into_iter()
                .map(|(contact, (first, last))| Interested { contact, first, last })
                .collect())
        })
        .await
    }
}

/// The events of these contacts of these kinds (all when empty) inside a span.
pub(crate) fn of_kinds(
    connection: &Connection,
    contacts: &[ContactId],
    kinds: &[String],
    span: (Timestamp, Timestamp),
) -> Result<Vec<Event>> {
    let names = kind_names(connection)?;
    let wanted: Option<Vec<i64>> = (!kinds.is_empty())
        .then(|| names.iter().filter(|(_, name)| kinds.contains(name)).map(|(id, _)| *id).collect());
    if wanted.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    load(connection, contacts, wanted.as_deref(), span, &names)
}

const ALL_KINDS: &str = "SELECT at, kind_id, received_at, message_id, properties FROM events
    WHERE contact_id = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, event_no";
const ONE_KIND: &str =
    "SELECT at, kind_id, received_at, message_id, properties FROM events INDEXED BY events_by_kind
    WHERE kind_id = ?4 AND contact_id = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, event_no";

fn load(
    connection: &Connection,
    contacts: &[ContactId],
    wanted: Option<&[i64]>,
    (since, until): (Timestamp, Timestamp),
    names: &HashMap<i64, String>,
) -> Result<Vec<Event>> {
    // One kind, which is what conditions ask, is found by its index however much else a contact has done.
    let one = if let Some([one]) = wanted { Some(*one) } else { None };
    let mut statement =
        connection.prepare_cached(if one.is_some() { ONE_KIND } else { ALL_KINDS }).map_err(driver)?;
    let mut events = Vec::new();
    for contact in contacts {
        let span = (contact.0, since.0, until.0);
        let rows = match one {
            Some(kind) => statement.query((span.0, span.1, span.2, kind)),
            None => statement.query(span),
        };
        let mut rows = rows.map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let kind: i64 = row.get(1).map_err(driver)?;
            if wanted.is_some_and(|wanted| !wanted.contains(&kind)) {
                continue;
            }
            let at: i64 = row.get(0).map_err(driver)?;
            let name = names
                .get(&kind)
                .ok_or_else(|| inconsistent("events", format!("{contact}, {at}"), "its kind is unknown"))?;
            let properties = text(row, 4).map_err(driver)?;
            events.push(Event {
                contact: *contact,
                at: Timestamp(at),
                received_at: Timestamp(row.get(2).map_err(driver)?),
                kind: name.clone(),
                message_id: row.get(3).map_err(driver)?,
                properties: if properties.is_empty() {
                    serde_json::Map::new()
                } else {
                    from_json("events", format!("{contact}, {at}"), properties)?
                },
            });
        }
    }
    Ok(events)
}

/// Names of all kinds of events by their number.
pub(crate) fn kind_names(connection: &Connection) -> Result<HashMap<i64, String>> {
    let mut statement = connection.prepare_cached("SELECT kind_id, name FROM event_kinds").map_err(driver)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(driver)?;
    rows.collect::<rusqlite::Result<_>>().map_err(driver)
}

/// The number of a kind; a new one when it is not known yet.
pub(crate) fn kind_id(connection: &Connection, name: &str) -> Result<u32> {
    let known = connection
        .prepare_cached("SELECT kind_id FROM event_kinds WHERE name = ?1")
        .map_err(driver)?
        .query_row([name], |row| row.get(0))
        .optional()
        .map_err(driver)?;
    if let Some(id) = known {
        return Ok(id);
    }
    let id = take_numbers(connection, "kind", 1)? as u32;
    connection
        .prepare_cached("INSERT INTO event_kinds (kind_id, name) VALUES (?1, ?2)")
        .map_err(driver)?
        .execute((id, name))
        .map_err(driver)?;
    Ok(id)
}

/// The columns of an event that are written as they are.
pub(crate) struct EventRow<'a> {
    pub(crate) contact: ContactId,
    pub(crate) at: Timestamp,
    pub(crate) no: i64,
    pub(crate) kind: u32,
    pub(crate) received_at: Timestamp,
    pub(crate) message_id: Option<&'a str>,
    /// JSON object; empty when there are none.
    pub(crate) properties: &'a str,
}

/// Writes an event. Its message id is claimed by the caller.
pub(crate) fn insert(connection: &Connection, event: &EventRow<'_>) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO events (contact_id, at, event_no, kind_id, received_at, message_id, properties)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .map_err(driver)?
        .execute((
            event.contact.0,
            event.at.0,
            event.no,
            event.kind,
            event.received_at.0,
            event.message_id,
            event.properties,
        ))
        .map_err(driver)?;
    Ok(())
}
