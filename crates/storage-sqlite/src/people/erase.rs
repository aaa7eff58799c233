//! Erasure: what is a person's goes, what was counted stays counted, and hashes of addresses stay on the suppression list.

use std::collections::BTreeSet;

use model::{Contact, ContactId, Timestamp, event::kind};
use roaring::RoaringTreemap;
use rusqlite::{Connection, Params};
use serde_json::json;
use storage::{Result, contacts::IdentifierKind, live::NewInput};

use super::{
    merge::{SEQUENCE, bytes, treemap},
    person,
};
use crate::{
    contacts::load_one,
    live::add_inputs,
    pool::driver,
    rows::{blob, take_numbers},
};

/// Erases contacts that are there, and tells the engine. What was erased is overwritten in the file.
pub(super) fn erase(connection: &Connection, contacts: &[ContactId], now: Timestamp) -> Result<u64> {
    let known: Vec<Contact> = contacts
        .iter()
        .map(|id| load_one(connection, *id))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    if known.is_empty() {
        return Ok(0);
    }
    overwrite(connection, "ON")?;
    let done = erase_known(connection, &known, now);
    overwrite(connection, "FAST")?;
    done
}

/// Whether SQLite writes zeros over what is deleted: everywhere, or where it costs no further page.
fn overwrite(connection: &Connection, mode: &str) -> Result<()> {
    connection.query_row(&format!("PRAGMA secure_delete = {mode}"), [], |_| Ok(())).map_err(driver)
}

fn erase_known(connection: &Connection, known: &[Contact], now: Timestamp) -> Result<u64> {
    let mut waiting = BTreeSet::new();
    for contact in known {
        let one = Gone { connection, id: contact.id.0 };
        // What waits may name numbers of before.
        waiting.extend(one.former()?);
        waiting.insert(contact.id.0);
        one.addresses(contact)?;
        one.identifiers(contact)?;
        one.history()?;
        crate::rfm::forget(connection, contact.id)?;
        storage::fault::point("erase.in_history");
        one.journeys()?;
        one.consents()?;
        one.told(contact)?;
        one.messages()?;
        one.bitmaps()?;
        one.run("DELETE FROM segment_kept WHERE contact_id = ?1")?;
        one.run("DELETE FROM segment_flips WHERE contact_id = ?1")?;
        one.run("DELETE FROM contacts WHERE contact_id = ?1")?;
        one.depart(now)?;
    }
    forget_waiting(connection, &waiting)?;
    let ids: Vec<ContactId> = known.iter().map(|contact| contact.id).collect();
    let event = super::happening(ContactId(0), kind::CONTACT_ERASED, [("erased", json!(ids))], now);
    add_inputs(connection, &[NewInput { event, causes: 0, stored: false }])?;
    Ok(known.len() as u64)
}

struct Gone<'c> {
    connection: &'c Connection,
    id: i64,
}

impl Gone<'_> {
    fn run(&self, sql: &str) -> Result<usize> {
        self.run_on(sql, [self.id])
    }

    fn run_on(&self, sql: &str, parameters: impl Params) -> Result<usize> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(parameters))
            .map_err(driver)
    }

    /// Numbers of the contacts that were merged into it.
    fn former(&self) -> Result<Vec<i64>> {
        self.connection
            .prepare_cached("SELECT contact_id FROM departures WHERE became = ?1")
            .and_then(|mut query| query.query_map([self.id], |row| row.get(0))?.collect())
            .map_err(driver)
    }

    /// How often its addresses bounced goes; that they must not be written to stays.
    fn addresses(&self, contact: &Contact) -> Result<()> {
        let also = person::beside(self.connection, contact.id)?;
        for address in person::addresses(contact, &also) {
            self.run_on("DELETE FROM bounces WHERE address = ?1", [&address.0[..]])?;
        }
        self.run("DELETE FROM addressed WHERE contact_id = ?1")?;
        Ok(())
    }

    fn identifiers(&self, contact: &Contact) -> Result<()> {
        let named = [
            (IdentifierKind::ExternalId, contact.external_id.clone()),
            (IdentifierKind::Email, contact.email.as_deref().map(model::text::folded)),
            (IdentifierKind::Phone, contact.phone.clone()),
        ];
        for (kind, value) in named {
            if let Some(value) = value {
                self.run_on(
                    "DELETE FROM identifiers WHERE kind = ?1 AND value = ?2 AND contact_id = ?3",
                    (kind as u8, value, self.id),
                )?;
            }
        }
        self.run("DELETE FROM identifiers WHERE contact_id = ?1 AND beside = 1")?;
        Ok(())
    }

    /// Orders stay without a name: revenue and best sellers are made of them, and a file that is imported again must know
    /// them. Everything else of the history goes.
    fn history(&self) -> Result<()> {
        crate::recent::settle(self.connection, None, ContactId(self.id))?;
        self.run(
            "DELETE FROM message_ids WHERE message_id IN
               (SELECT message_id FROM events WHERE contact_id = ?1 AND message_id IS NOT NULL)",
        )?;
        self.run("DELETE FROM events WHERE contact_id = ?1")?;
        self.run(
            "DELETE FROM cart_ids WHERE external_id IN (SELECT external_id FROM carts WHERE contact_id = ?1)",
        )?;
        self.run("DELETE FROM carts WHERE contact_id = ?1")?;
        self.run(
            "UPDATE cart_ids SET contact_id = 0 WHERE external_id IN
               (SELECT ifnull(cart_id, external_id) FROM orders WHERE contact_id = ?1)",
        )?;
        self.run(
            "UPDATE order_ids SET contact_id = 0
             WHERE external_id IN (SELECT external_id FROM orders WHERE contact_id = ?1)",
        )?;
        self.run("UPDATE refund_ids SET contact_id = 0 WHERE contact_id = ?1")?;
        self.run("UPDATE orders SET contact_id = 0 WHERE contact_id = ?1")?;
        self.run("DELETE FROM contact_totals WHERE contact_id = ?1")?;
        Ok(())
    }

    /// Counts of nodes, of variants and of coupon sets stay. Nobody stays at a node any more.
    fn journeys(&self) -> Result<()> {
        self.run(
            "UPDATE stays SET n = n - (
               SELECT count(*) FROM enrolments e, json_each(e.stays) s
               WHERE e.contact_id = ?1 AND e.over = 0 AND e.stays <> '' AND e.run_id = stays.run_id AND s.value = stays.node)
             WHERE run_id IN (SELECT run_id FROM enrolments WHERE contact_id = ?1 AND over = 0)",
        )?;
        for table in ["enrolments", "node_passages", "trial_passages", "alarms"] {
            self.run(&format!("DELETE FROM {table} WHERE contact_id = ?1"))?;
        }
        self.run(
            "UPDATE coupon_uses SET contact_id = 0, run = NULL, ordinal = NULL, node = NULL,
               redeemed_by = CASE WHEN redeemed_by IS NULL THEN NULL ELSE 0 END WHERE contact_id = ?1",
        )?;
        Ok(())
    }

    /// What was agreed to, and what was done with the links of its messages.
    fn consents(&self) -> Result<()> {
        for table in ["consent_log", "pending_consents"] {
            self.run(&format!("DELETE FROM {table} WHERE contact_id = ?1"))?;
        }
        for table in ["short_links", "clicks", "forwards"] {
            self.run(&format!(
                "DELETE FROM {table} WHERE message_id IN (SELECT message_id FROM outbox WHERE contact_id = ?1)"
            ))?;
        }
        Ok(())
    }

    /// Answers that are kept for repeated requests of the API and name it.
    fn told(&self, contact: &Contact) -> Result<()> {
        let named = [&contact.external_id, &contact.email, &contact.phone];
        for value in named.into_iter().flatten() {
            self.run_on("DELETE FROM answers WHERE instr(body, CAST(?1 AS BLOB)) > 0", [value])?;
        }
        Ok(())
    }

    /// That a message was sent stays counted, without what it said and to whom. One that waits is not sent.
    fn messages(&self) -> Result<()> {
        self.run("DELETE FROM outbox_bodies WHERE seq IN (SELECT seq FROM outbox WHERE contact_id = ?1 AND state <= 3)")?;
        self.run("DELETE FROM outbox WHERE contact_id = ?1 AND state <= 3")?;
        self.run(
            "UPDATE outbox_bodies SET to_address = NULL, locale = NULL, variables = '{}'
             WHERE seq IN (SELECT seq FROM outbox WHERE contact_id = ?1)",
        )?;
        self.run(
            "UPDATE reports SET detail = '' WHERE message_id IN (SELECT message_id FROM outbox WHERE contact_id = ?1)",
        )?;
        self.run("UPDATE outbox SET contact_id = 0, detail = NULL, address = NULL WHERE contact_id = ?1")?;
        // What others were told is theirs; what waits is not told any more.
        self.run(
            "UPDATE hooks SET waiting = waiting - (SELECT count(*) FROM hook_deliveries d
               WHERE d.contact_id = ?1 AND d.hook_id = hooks.hook_id AND d.state = 1)",
        )?;
        self.run("DELETE FROM hook_deliveries WHERE contact_id = ?1")?;
        Ok(())
    }

    /// Waves and audiences that have not come to it yet pass it by.
    fn bitmaps(&self) -> Result<()> {
        for (table, key, column, which) in [
            ("waves", "wave_no", "contacts", "last_contact >= ?1 AND checkpoint < ?1"),
            ("journey_runs", "run_id", "audience", "finished_at IS NULL AND checkpoint < ?1"),
        ] {
            let found: Vec<(i64, RoaringTreemap)> = {
                let mut query = self
                    .connection
                    .prepare_cached(&format!("SELECT {key}, {column} FROM {table} WHERE {which}"))
                    .map_err(driver)?;
                let mut rows = query.query([self.id]).map_err(driver)?;
                let mut found = Vec::new();
                while let Some(row) = rows.next().map_err(driver)? {
                    let no: i64 = row.get(0).map_err(driver)?;
                    let mut map = treemap(table, no, blob(row, 1).map_err(driver)?)?;
                    if map.remove(self.id.cast_unsigned()) {
                        found.push((no, map));
                    }
                }
                found
            };
            for (no, map) in found {
                self.run_on(
                    &format!("UPDATE {table} SET {column} = ?2 WHERE {key} = ?1"),
                    (no, bytes(&map)?),
                )?;
            }
        }
        Ok(())
    }

    /// Its number, and those that led to it, lead to nobody.
    fn depart(&self, now: Timestamp) -> Result<()> {
        self.run("UPDATE departures SET became = 0 WHERE became = ?1")?;
        let no = take_numbers(self.connection, SEQUENCE, 1)?;
        self.run_on(
            "INSERT INTO departures (contact_id, became, at, departure_no) VALUES (?1, 0, ?2, ?3)",
            (self.id, now.0, no),
        )?;
        Ok(())
    }
}

/// What waits to be worked on, and triggers that paused journeys hold: few, and without an index by contact.
fn forget_waiting(connection: &Connection, contacts: &BTreeSet<i64>) -> Result<()> {
    let ids = json!(contacts).to_string();
    let run = |sql: &str| {
        connection.prepare_cached(sql).and_then(|mut statement| statement.execute([&ids])).map_err(driver)
    };
    run("DELETE FROM inputs WHERE contact_id IN (SELECT value FROM json_each(?1))")?;
    run("UPDATE held_counts SET held = held - (SELECT count(*) FROM held_triggers t
           WHERE t.journey = held_counts.journey
             AND json_extract(event, '$.contact') IN (SELECT value FROM json_each(?1)))")?;
    run(
        "DELETE FROM held_triggers WHERE json_extract(event, '$.contact') IN (SELECT value FROM json_each(?1))",
    )?;
    Ok(())
}
