//! Retention: what is kept too long goes, a piece at a time.

use model::{ContactId, Timestamp, event::kind};
use rusqlite::Connection;
use storage::{
    Result,
    live::NewInput,
    people::{Retention, SweepPlace, Swept},
};

use super::{erase::erase, happening};
use crate::{live::add_inputs, pool::driver, rows::last_number};

/// Contacts that are looked at in one piece.
const CONTACTS: i64 = 2_000;
/// Messages that are looked at in one piece.
const MESSAGES: i64 = 10_000;
/// Days for which the number of an erased contact is kept: batches that were taken before must be over by then.
const DEPARTURES_DAYS: i64 = 7;

/// The next piece.
pub(super) fn sweep(
    connection: &Connection,
    kept: Retention,
    from: SweepPlace,
    now: Timestamp,
) -> Result<Swept> {
    let last = last_number(connection, "contact")?;
    let mut swept = Swept::default();
    if from.contact.0 < last {
        let to = from.contact.0.saturating_add(CONTACTS);
        let piece = Piece { connection, from: from.contact.0, to, now };
        let (mut shorter, events) = piece.events(kept.events)?;
        let (without_cart, carts) = piece.carts(kept.carts)?;
        shorter.extend(without_cart);
        swept.traces = piece.traces(kept.traces)?;
        swept.contacts = piece.anonymous(kept.anonymous_contacts)?;
        (swept.events, swept.carts) = (events, carts);
        tell(connection, shorter, now)?;
        swept.next = Some(SweepPlace { contact: ContactId(to), ..from });
    } else {
        let (to, last) = bodies(connection, kept.message_bodies, from.message, now, &mut swept)?;
        swept.next = (to < last).then_some(SweepPlace { message: to, ..from });
        if swept.next.is_none() {
            connection
                .prepare_cached("DELETE FROM departures WHERE became = 0 AND at < ?1")
                .and_then(|mut delete| delete.execute([now.plus_days(-DEPARTURES_DAYS).0]))
                .map_err(driver)?;
        }
    }
    storage::fault::point("sweep.before_commit");
    Ok(swept)
}

/// Lets the engine look at those whose history is shorter now.
fn tell(connection: &Connection, mut contacts: Vec<i64>, now: Timestamp) -> Result<()> {
    contacts.sort_unstable();
    contacts.dedup();
    crate::segments::forget_states(connection, contacts.iter().map(|id| ContactId(*id)))?;
    let inputs: Vec<NewInput> = contacts
        .into_iter()
        .map(|id| NewInput {
            event: happening(ContactId(id), kind::HISTORY_TRIMMED, None::<(&str, _)>, now),
            causes: 0,
            stored: false,
        })
        .collect();
    add_inputs(connection, &inputs)
}

struct Piece<'c> {
    connection: &'c Connection,
    /// Behind this contact.
    from: i64,
    /// Up to this one.
    to: i64,
    now: Timestamp,
}

impl Piece<'_> {
    fn before(&self, days: u32) -> i64 {
        self.now.plus_days(-i64::from(days)).0
    }

    /// Runs a deletion that answers whose rows went: `?1` and `?2` the contacts, `?3` the instant.
    fn delete(&self, sql: &str, days: u32) -> Result<Vec<i64>> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut delete| {
                delete.query_map((self.from, self.to, self.before(days)), |row| row.get(0))?.collect()
            })
            .map_err(driver)
    }

    fn events(&self, days: Option<u32>) -> Result<(Vec<i64>, u64)> {
        let Some(days) = days else { return Ok(Default::default()) };
        // What arrived lately may have happened long ago.
        let late: Vec<i64> = self
            .connection
            .prepare_cached(
                "SELECT DISTINCT contact_id FROM recent_events WHERE contact_id > ?1 AND contact_id <= ?2 AND at < ?3",
            )
            .and_then(|mut query| {
                query.query_map((self.from, self.to, self.before(days)), |row| row.get(0))?.collect()
            })
            .map_err(driver)?;
        for contact in late {
            crate::recent::settle(self.connection, None, ContactId(contact))?;
        }
        self.connection
            .prepare_cached(
                "DELETE FROM message_ids WHERE message_id IN (SELECT message_id FROM events
                   WHERE contact_id > ?1 AND contact_id <= ?2 AND at < ?3 AND message_id IS NOT NULL)",
            )
            .and_then(|mut delete| delete.execute((self.from, self.to, self.before(days))))
            .map_err(driver)?;
        let whose = self.delete(
            "DELETE FROM events WHERE contact_id > ?1 AND contact_id <= ?2 AND at < ?3 RETURNING contact_id",
            days,
        )?;
        let n = whose.len() as u64;
        Ok((whose, n))
    }

    fn carts(&self, days: Option<u32>) -> Result<(Vec<i64>, u64)> {
        let Some(days) = days else { return Ok(Default::default()) };
        self.connection
            .prepare_cached(
                "DELETE FROM cart_ids WHERE external_id IN (SELECT external_id FROM carts
                   WHERE contact_id > ?1 AND contact_id <= ?2 AND updated_at < ?3)",
            )
            .and_then(|mut delete| delete.execute((self.from, self.to, self.before(days))))
            .map_err(driver)?;
        let whose = self.delete(
            "DELETE FROM carts WHERE contact_id > ?1 AND contact_id <= ?2 AND updated_at < ?3 RETURNING contact_id",
            days,
        )?;
        let n = whose.len() as u64;
        Ok((whose, n))
    }

    fn traces(&self, days: Option<u32>) -> Result<u64> {
        let Some(days) = days else { return Ok(0) };
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE enrolments SET trace = x'' WHERE contact_id > ?1 AND contact_id <= ?2 AND over = 1
                   AND changed_at < ?3 AND trace <> x''",
            )
            .and_then(|mut update| update.execute((self.from, self.to, self.before(days))))
            .map_err(driver)?;
        Ok(changed as u64)
    }

    /// Anonymous contacts that did nothing since, have bought nothing and wait for nothing.
    fn anonymous(&self, days: Option<u32>) -> Result<u64> {
        let Some(days) = days else { return Ok(0) };
        let ids = self.delete(
            "SELECT contact_id FROM contacts c
             WHERE contact_id > ?1 AND contact_id <= ?2 AND updated_at < ?3
               AND json_extract(profile, '$.external_id') IS NULL AND json_extract(profile, '$.email') IS NULL
               AND NOT EXISTS (SELECT 1 FROM events e WHERE e.contact_id = c.contact_id AND e.at >= ?3)
               AND contact_id NOT IN (SELECT contact_id FROM recent_events)
               AND NOT EXISTS (SELECT 1 FROM carts k WHERE k.contact_id = c.contact_id AND k.updated_at >= ?3)
               AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.contact_id = c.contact_id)
               AND NOT EXISTS (SELECT 1 FROM enrolments n WHERE n.contact_id = c.contact_id AND n.over = 0)",
            days,
        )?;
        let mut ids: Vec<ContactId> = ids.into_iter().map(ContactId).collect();
        // What arrived lately does not lie in the histories yet.
        let mut busy = Vec::new();
        for id in &ids {
            crate::recent::settle(self.connection, None, *id)?;
            let since: bool = self
                .connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE contact_id = ?1 AND at >= ?2)")
                .and_then(|mut query| query.query_row((id.0, self.before(days)), |row| row.get(0)))
                .map_err(driver)?;
            if since {
                busy.push(*id);
            }
        }
        ids.retain(|id| !busy.contains(id));
        erase(self.connection, &ids, self.now)
    }
}

/// Empties what messages were rendered from; answers with how far it came, and the last there is.
fn bodies(
    connection: &Connection,
    days: Option<u32>,
    from: i64,
    now: Timestamp,
    swept: &mut Swept,
) -> Result<(i64, i64)> {
    let Some(days) = days else { return Ok((0, 0)) };
    let before = now.plus_days(-i64::from(days)).0;
    let to = from.saturating_add(MESSAGES);
    let changed = connection
        .prepare_cached(
            "UPDATE outbox_bodies SET to_address = NULL, variables = '{}'
             WHERE seq > ?1 AND seq <= ?2 AND variables <> '{}'
               AND (SELECT state > 3 AND at < ?3 FROM outbox WHERE outbox.seq = outbox_bodies.seq)",
        )
        .and_then(|mut update| update.execute((from, to, before)))
        .map_err(driver)?;
    connection
        .prepare_cached(
            "UPDATE outbox SET detail = NULL
             WHERE seq > ?1 AND seq <= ?2 AND state > 3 AND at < ?3 AND detail IS NOT NULL",
        )
        .and_then(|mut update| update.execute((from, to, before)))
        .map_err(driver)?;
    swept.bodies = changed as u64;
    let last: Option<i64> =
        connection.query_row("SELECT max(seq) FROM outbox", [], |row| row.get(0)).map_err(driver)?;
    Ok((to, last.unwrap_or_default()))
}
