//! See `storage::contacts`.

use model::{AddressStatus, Contact, ContactId, Timestamp, Totals, text::folded};
use rusqlite::{CachedStatement, Connection, OptionalExtension};
use storage::{
    Result,
    contacts::{ContactStore, IdentifierKind},
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{from_json, inconsistent, last_number, text, to_json},
};

/// Bit of `contacts.reach`: has an active email address.
pub(crate) const REACH_EMAIL: i64 = 1;
/// Bit of `contacts.reach`: has a phone number.
pub(crate) const REACH_PHONE: i64 = 2;
/// Bit of `contacts.reach`: has a browser that takes push messages.
pub(crate) const REACH_PUSH: i64 = 4;

impl ContactStore for Sqlite {
    async fn load_contacts(&self, ids: Vec<ContactId>) -> Result<Vec<Contact>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT profile FROM contacts WHERE contact_id = ?1")
                .map_err(driver)?;
            let mut contacts = Vec::with_capacity(ids.len());
            for id in ids {
                contacts.extend(load(&mut statement, id)?);
            }
            Ok(contacts)
        })
        .await
    }

    async fn load_totals(&self, ids: Vec<ContactId>) -> Result<Vec<Totals>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(LOAD_TOTALS).map_err(driver)?;
            ids.into_iter().map(|id| totals(&mut statement, id)).collect()
        })
        .await
    }

    async fn resolve(&self, identifiers: Vec<(IdentifierKind, String)>) -> Result<Vec<Option<ContactId>>> {
        self.read(move |connection| {
            identifiers.into_iter().map(|(kind, value)| owner(connection, kind, &value)).collect()
        })
        .await
    }

    async fn scan_contacts(&self, after: ContactId, limit: usize) -> Result<Vec<Contact>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached(
                    "SELECT contact_id, profile FROM contacts WHERE contact_id > ?1 ORDER BY contact_id LIMIT ?2",
                )
                .map_err(driver)?;
            let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut rows = statement.query((after.0, limit_rows)).map_err(driver)?;
            let mut contacts = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                let id: i64 = row.get(0).map_err(driver)?;
                contacts.push(read_profile(ContactId(id), text(row, 1).map_err(driver)?)?);
            }
            Ok(contacts)
        })
        .await
    }

    async fn count_contacts(&self) -> Result<(u64, ContactId)> {
        self.read(|connection| {
            let count: i64 = connection
                .query_row("SELECT count(*) FROM contacts", [], |row| row.get(0))
                .map_err(driver)?;
            Ok((count.unsigned_abs(), ContactId(last_number(connection, "contact")?)))
        })
        .await
    }
}

const LOAD_TOTALS: &str =
    "SELECT first_order_at, last_order_at, orders, spent FROM contact_totals WHERE contact_id = ?1";

fn totals(statement: &mut CachedStatement<'_>, id: ContactId) -> Result<Totals> {
    let totals = statement
        .query_row([id.0], |row| {
            Ok(Totals {
                first_order_at: Some(Timestamp(row.get(0)?)),
                last_order_at: Some(Timestamp(row.get(1)?)),
                orders: row.get(2)?,
                spent: row.get(3)?,
            })
        })
        .optional()
        .map_err(driver)?;
    Ok(totals.unwrap_or_default())
}

fn load(statement: &mut CachedStatement<'_>, id: ContactId) -> Result<Option<Contact>> {
    let mut rows = statement.query([id.0]).map_err(driver)?;
    let Some(row) = rows.next().map_err(driver)? else { return Ok(None) };
    read_profile(id, text(row, 0).map_err(driver)?).map(Some)
}

pub(crate) fn read_profile(id: ContactId, json: &str) -> Result<Contact> {
    let contact: Contact = from_json("contacts", id, json)?;
    if contact.id != id {
        return Err(inconsistent("contacts", id, format!("the profile is that of contact {}", contact.id)));
    }
    Ok(contact)
}

/// A contact, as the writer sees it.
pub(crate) fn load_one(connection: &Connection, id: ContactId) -> Result<Option<Contact>> {
    let mut statement =
        connection.prepare_cached("SELECT profile FROM contacts WHERE contact_id = ?1").map_err(driver)?;
    load(&mut statement, id)
}

/// Whose an identifier is.
pub(crate) fn owner(connection: &Connection, kind: IdentifierKind, value: &str) -> Result<Option<ContactId>> {
    let mut statement = connection
        .prepare_cached("SELECT contact_id FROM identifiers WHERE kind = ?1 AND value = ?2")
        .map_err(driver)?;
    let find = |statement: &mut CachedStatement<'_>, value: &str| {
        statement.query_row((kind as u8, value), |row| row.get(0).map(ContactId)).optional().map_err(driver)
    };
    match kind {
        IdentifierKind::Email => find(&mut statement, &folded(value)),
        IdentifierKind::ExternalId | IdentifierKind::Phone | IdentifierKind::Anonymous => {
            find(&mut statement, value)
        }
    }
}

/// Gives an identifier of its profile to a contact; false when somebody else has it.
pub(crate) fn claim(
    connection: &Connection,
    kind: IdentifierKind,
    value: &str,
    id: ContactId,
) -> Result<bool> {
    let value = if kind == IdentifierKind::Email { folded(value) } else { value.to_owned() };
    let inserted = connection
        .prepare_cached(
            "INSERT INTO identifiers (kind, value, contact_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )
        .map_err(driver)?
        .execute((kind as u8, &value, id.0))
        .map_err(driver)?;
    if inserted > 0 {
        return Ok(true);
    }
    if owner(connection, kind, &value)? != Some(id) {
        return Ok(false);
    }
    // It may have been known by it before.
    connection
        .prepare_cached("UPDATE identifiers SET beside = 0 WHERE kind = ?1 AND value = ?2 AND beside = 1")
        .and_then(|mut update| update.execute((kind as u8, &value)))
        .map_err(driver)?;
    Ok(true)
}

/// Gives an identifier to a contact that does not stand in its profile (an anonymous id, an id of before), whoever had it.
pub(crate) fn claim_beside(
    connection: &Connection,
    kind: IdentifierKind,
    value: &str,
    id: ContactId,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO identifiers (kind, value, contact_id, beside) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT (kind, value) DO UPDATE SET contact_id = excluded.contact_id, beside = 1",
        )
        .and_then(|mut claim| claim.execute((kind as u8, value, id.0)))
        .map_err(driver)?;
    Ok(())
}

/// Takes an identifier away from a contact.
pub(crate) fn release(
    connection: &Connection,
    kind: IdentifierKind,
    value: &str,
    id: ContactId,
) -> Result<()> {
    let value = if kind == IdentifierKind::Email { folded(value) } else { value.to_owned() };
    connection
        .prepare_cached("DELETE FROM identifiers WHERE kind = ?1 AND value = ?2 AND contact_id = ?3")
        .map_err(driver)?
        .execute((kind as u8, &value, id.0))
        .map_err(driver)?;
    Ok(())
}

/// What `contacts.reach` holds for a profile.
#[must_use]
pub(crate) fn reach(contact: &Contact) -> i64 {
    let email = contact.email.is_some() && contact.email_status == AddressStatus::Active;
    let phone = contact.phone.is_some();
    let push = !contact.push.is_empty();
    (if email { REACH_EMAIL } else { 0 })
        | (if phone { REACH_PHONE } else { 0 })
        | (if push { REACH_PUSH } else { 0 })
}

/// Writes the profile of a new contact. Its identifiers are claimed by the caller.
pub(crate) fn insert(connection: &Connection, contact: &Contact) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO contacts (contact_id, reach, created_at, updated_at, profile) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .map_err(driver)?
        .execute((
            contact.id.0,
            reach(contact),
            contact.created_at.0,
            contact.updated_at.0,
            to_json(contact)?,
        ))
        .map_err(driver)?;
    Ok(())
}

/// Overwrites the profile of a known contact and raises its version. For journeys that set fields, too: inside the
/// transaction that commits the step.
pub(crate) fn update(connection: &Connection, contact: &Contact) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE contacts SET version = version + 1, reach = ?2, created_at = ?3, updated_at = ?4, profile = ?5
             WHERE contact_id = ?1",
        )
        .map_err(driver)?
        .execute((
            contact.id.0,
            reach(contact),
            contact.created_at.0,
            contact.updated_at.0,
            to_json(contact)?,
        ))
        .map_err(driver)?;
    Ok(())
}
