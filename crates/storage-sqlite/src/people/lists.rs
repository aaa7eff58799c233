//! Static lists. Who is on one stands in the profile; triggers keep the table that answers "who is on this list?".

use model::{ContactId, Slug, Timestamp, event::kind};
use rusqlite::Connection;
use serde_json::json;
use storage::{Result, live::NewInput, people::ListRecord};

use crate::{
    contacts::{load_one, update},
    live::add_inputs,
    pool::driver,
};

pub(super) fn save(connection: &Connection, slug: &Slug, name: &str, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO lists (slug, name, created_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (slug) DO UPDATE SET name = excluded.name",
        )
        .and_then(|mut save| save.execute((slug.as_str(), name, now.0)))
        .map_err(driver)?;
    Ok(())
}

pub(super) fn all(connection: &Connection) -> Result<Vec<ListRecord>> {
    let mut query = connection
        .prepare_cached(
            "SELECT slug, max(name), max(created_at), sum(members) FROM (
               SELECT slug, name, created_at, 0 AS members FROM lists
               UNION ALL SELECT list, '', NULL, count(*) FROM list_members GROUP BY list)
             GROUP BY slug ORDER BY slug",
        )
        .map_err(driver)?;
    let mut rows = query.query([]).map_err(driver)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        found.push(ListRecord {
            slug: Slug::parse(crate::rows::text(row, 0).map_err(driver)?)?,
            name: row.get(1).map_err(driver)?,
            created_at: row.get::<_, Option<i64>>(2).map_err(driver)?.map(Timestamp),
            members: row.get::<_, i64>(3).map_err(driver)?.unsigned_abs(),
        });
    }
    Ok(found)
}

pub(super) fn members(
    connection: &Connection,
    slug: &Slug,
    after: ContactId,
    limit: usize,
) -> Result<Vec<ContactId>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = connection
        .prepare_cached(
            "SELECT contact_id FROM list_members WHERE list = ?1 AND contact_id > ?2 ORDER BY contact_id LIMIT ?3",
        )
        .map_err(driver)?;
    let rows =
        query.query_map((slug.as_str(), after.0, limit), |row| row.get(0).map(ContactId)).map_err(driver)?;
    rows.collect::<rusqlite::Result<_>>().map_err(driver)
}

pub(super) fn set(
    connection: &Connection,
    slug: &Slug,
    contacts: &[ContactId],
    member: bool,
    now: Timestamp,
) -> Result<u64> {
    let mut inputs = Vec::new();
    for id in contacts {
        let Some(mut contact) = load_one(connection, *id)? else { continue };
        match (contact.lists.binary_search(slug), member) {
            (Err(place), true) => contact.lists.insert(place, slug.clone()),
            (Ok(place), false) => drop(contact.lists.remove(place)),
            _ => continue,
        }
        contact.updated_at = contact.updated_at.max(now);
        update(connection, &contact)?;
        let fields = json!([format!("list.{slug}")]);
        inputs.push(NewInput {
            event: super::happening(*id, kind::CONTACT_UPDATED, [("fields", fields)], now),
            causes: 0,
            stored: false,
        });
    }
    add_inputs(connection, &inputs)?;
    Ok(inputs.len() as u64)
}

pub(super) fn forget(connection: &Connection, slug: &Slug) -> Result<bool> {
    let gone = connection
        .prepare_cached(
            "DELETE FROM lists WHERE slug = ?1 AND NOT EXISTS (SELECT 1 FROM list_members WHERE list = ?1)",
        )
        .and_then(|mut delete| delete.execute([slug.as_str()]))
        .map_err(driver)?;
    Ok(gone > 0)
}
