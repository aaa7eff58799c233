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
    recent::{self, Mark, Recent},
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
        let caches = self.caches();
        self.read(move |connection| of_kinds(connection, &caches.recent, &contacts, &kinds, (since, until)))
            .await
    }

    async fn find_by_product(
        &self,
        product: String,
        kinds: Vec<String>,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Interested>> {
        let caches = self.caches();
        self.read(move |connection| interested(connection, &caches.recent, &product, &kinds, (since, until)))
            .await
    }
}

/// Who had an event of one of these kinds with a product inside a span.
fn interested(
    connection: &Connection,
    recent: &Recent,
    product: &str,
    kinds: &[String],
    span: (Timestamp, Timestamp),
) -> Result<Vec<Interested>> {
    let names = kind_names(connection)?;
    let mut found: BTreeMap<ContactId, (Timestamp, Timestamp)> = BTreeMap::new();
    let mut add = |contact: i64, first: i64, last: i64| {
        let (first, last) = (Timestamp(first), Timestamp(last));
        let known = found.entry(ContactId(contact)).or_insert((first, last));
        *known = (known.0.min(first), known.1.max(last));
    };
    let mut statement = connection
        .prepare_cached(
            "SELECT contact_id, min(at), max(at) FROM interests
             WHERE product = ?1 AND kind_id = ?2 AND at >= ?3 AND at < ?4 GROUP BY contact_id",
        )
        .map_err(driver)?;
    let view = recent.look(connection)?;
    for (kind, _) in names.iter().filter(|(_, name)| kinds.contains(name)) {
        for mark in view.of_product(product, *kind, span) {
            add(mark.contact, mark.at, mark.at);
        }
        let mut rows = statement.query((product, kind, span.0.0, span.1.0)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let get = |column| row.get::<_, i64>(column).map_err(driver);
            add(get(0)?, get(1)?, get(2)?);
        }
    }
    Ok(found.into_iter().map(|(contact, (first, last))| Interested { contact, first, last }).collect())
}

/// The events of these contacts of these kinds (all when empty) inside a span.
pub(crate) fn of_kinds(
    connection: &Connection,
    recent: &Recent,
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
    let view = recent.look(connection)?;
    let is_wanted = |kind| wanted.as_ref().is_none_or(|wanted| wanted.contains(&kind));
    let apart = contacts.iter().map(|id| view.of_contacts(&(id.0..=id.0), span, is_wanted)).collect();
    drop(view);
    load(connection, contacts, apart, wanted.as_deref(), span, &names)
}

const ALL_KINDS: &str = "SELECT at, kind_id, received_at, message_id, properties, event_no FROM events
    WHERE contact_id = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, event_no";
const ONE_KIND: &str =
    "SELECT at, kind_id, received_at, message_id, properties, event_no FROM events INDEXED BY events_by_kind
    WHERE kind_id = ?4 AND contact_id = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, event_no";

/// Those of the histories, and those of each contact that are apart from them.
fn load(
    connection: &Connection,
    contacts: &[ContactId],
    apart: Vec<Vec<Mark>>,
    wanted: Option<&[i64]>,
    (since, until): (Timestamp, Timestamp),
    names: &HashMap<i64, String>,
) -> Result<Vec<Event>> {
    // One kind, which is what conditions ask, is found by its index however much else a contact has done.
    let one = if let Some([one]) = wanted { Some(*one) } else { None };
    let mut statement =
        connection.prepare_cached(if one.is_some() { ONE_KIND } else { ALL_KINDS }).map_err(driver)?;
    let mut events = Vec::new();
    let name_of = |contact: i64, at: i64, kind: i64| {
        names
            .get(&kind)
            .ok_or_else(|| inconsistent("events", format!("{contact}, {at}"), "its kind is unknown"))
    };
    let whole = |mark: Mark| recent::load(connection, mark, name_of(mark.contact, mark.at, mark.kind)?);
    for (contact, apart) in contacts.iter().zip(apart) {
        let mut apart = apart.into_iter().peekable();
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
            if apart.peek().is_some() {
                let place = (contact.0, at, row.get(5).map_err(driver)?);
                while let Some(mark) = apart.next_if(|mark| mark.place() < place) {
                    events.push(whole(mark)?);
                }
            }
            events.push(Event {
                contact: *contact,
                at: Timestamp(at),
                received_at: Timestamp(row.get(2).map_err(driver)?),
                kind: name_of(contact.0, at, kind)?.clone(),
                message_id: row.get(3).map_err(driver)?,
                properties: parse_properties(
                    "events",
                    format_args!("{contact}, {at}"),
                    text(row, 4).map_err(driver)?,
                )?,
            });
        }
        for mark in apart {
            events.push(whole(mark)?);
        }
    }
    Ok(events)
}

/// A column of properties: empty text when there are none.
pub(crate) fn parse_properties(
    table: &'static str,
    row: impl ToString,
    json: &str,
) -> Result<serde_json::Map<String, serde_json::Value>> {
    if json.is_empty() { Ok(serde_json::Map::new()) } else { from_json(table, row, json) }
}

/// The product that an event's properties name: what `interests` are kept by.
pub(crate) fn product_of(properties: &serde_json::Map<String, serde_json::Value>) -> Option<&str> {
    properties.get("product_id").and_then(serde_json::Value::as_str)
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
    /// See [`product_of`].
    pub(crate) product: Option<&'a str>,
    /// JSON object; empty when there are none.
    pub(crate) properties: &'a str,
}

/// Writes an event into its contact's history at once, for bases that are filled in one go; see [`recent::add`].
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
