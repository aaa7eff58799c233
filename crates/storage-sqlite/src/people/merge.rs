//! A merge: everything that is the loser's becomes the winner's, in the caller's transaction.
//!
//! What the engine holds in memory (members of segments) or writes in a form of its own (states of runs, timers, scores)
//! is not touched here: the input `Contact Merged` of the same transaction lets the engine do it.

use std::collections::{BTreeMap, BTreeSet};

use model::{Contact, ContactId, Event, Timestamp, event::kind, text::folded};
use roaring::RoaringTreemap;
use rusqlite::{Connection, OptionalExtension, Params};
use serde_json::json;
use storage::{Result, StoreError, contacts::IdentifierKind, live::NewInput};

use super::profile;
use crate::{
    contacts::{load_one, update},
    live::add_inputs,
    pool::driver,
    recent::Recent,
    rows::{blob, from_json, inconsistent, take_numbers, text},
};

/// Name of the sequence of merges and erasures.
pub(super) const SEQUENCE: &str = "departure";

/// What of a merge is to be told to the engine.
pub(crate) struct Moved {
    /// Who is both now.
    pub(crate) winner: ContactId,
    /// Who is no more.
    loser: ContactId,
    /// What the loser's alarm was to ring for: bytes of the engine.
    timers: Vec<u8>,
    /// What would have come to the loser and had passed the winner.
    passed: Vec<NewInput>,
}

/// Makes the loser part of the winner; both must be there. [`tell`] must follow in the same transaction.
pub(crate) fn merge(
    connection: &Connection,
    recent: &Recent,
    winner: ContactId,
    loser: ContactId,
    now: Timestamp,
) -> Result<Moved> {
    let load = |id| {
        load_one(connection, id)?.ok_or_else(|| inconsistent("identifiers", id, "the contact does not exist"))
    };
    let (own, other) = (load(winner)?, load(loser)?);
    let joined = profile::join(&own, &other, now);
    let pair = Pair { connection, recent, winner: winner.0, loser: loser.0 };
    pair.identifiers(&joined, &other)?;
    pair.history()?;
    storage::fault::point("merge.in_history");
    pair.scores()?;
    pair.segments()?;
    let ordinals = pair.enrolments()?;
    pair.coupons(&ordinals)?;
    pair.trials()?;
    pair.passages()?;
    let timers = pair.alarm()?;
    pair.run("UPDATE outbox SET contact_id = ?1 WHERE contact_id = ?2")?;
    pair.run("UPDATE addressed SET contact_id = ?1 WHERE contact_id = ?2")?;
    pair.consents()?;
    let passed = pair.waves()?;
    pair.audiences()?;
    pair.run_on("DELETE FROM contacts WHERE contact_id = ?1", [loser.0])?;
    update(connection, &joined)?;
    pair.forward(now)?;
    Ok(Moved { winner, loser, timers, passed })
}

/// Tells the engine of merges, behind what else is to happen. A winner may have been merged again since.
pub(crate) fn tell(connection: &Connection, moved: Vec<Moved>, now: Timestamp) -> Result<()> {
    let mut by_winner: BTreeMap<ContactId, (Vec<ContactId>, Vec<Vec<u8>>)> = BTreeMap::new();
    let mut inputs = Vec::new();
    for one in moved {
        let winner = super::forwarded(connection, one.winner)?;
        let told = by_winner.entry(winner).or_default();
        told.0.push(one.loser);
        told.1.extend(Some(one.timers).filter(|timers| !timers.is_empty()));
        inputs.extend(one.passed);
    }
    inputs.extend(by_winner.into_iter().map(|(winner, (merged, timers))| {
        let mut properties = serde_json::Map::from_iter([("merged".to_owned(), json!(merged))]);
        if !timers.is_empty() {
            properties.insert("timers".to_owned(), json!(timers));
        }
        let event = super::happening(winner, kind::CONTACT_MERGED, properties, now);
        NewInput { event, causes: 0, stored: false }
    }));
    add_inputs(connection, &inputs)
}

/// Who went after a departure.
pub(crate) fn departed_since(connection: &Connection, departure: i64) -> Result<BTreeSet<ContactId>> {
    let mut query = connection
        .prepare_cached("SELECT contact_id FROM departures WHERE departure_no > ?1")
        .map_err(driver)?;
    let rows = query.query_map([departure], |row| row.get(0).map(ContactId)).map_err(driver)?;
    rows.collect::<rusqlite::Result<_>>().map_err(driver)
}

/// How far the loser's enrolments were renumbered, by run.
type Ordinals = BTreeMap<i64, i64>;

struct Pair<'c> {
    connection: &'c Connection,
    recent: &'c Recent,
    winner: i64,
    loser: i64,
}

impl Pair<'_> {
    /// A statement about both: the winner is its first parameter, the loser its second.
    fn run(&self, sql: &str) -> Result<usize> {
        self.run_on(sql, (self.winner, self.loser))
    }

    fn run_on(&self, sql: &str, parameters: impl Params) -> Result<usize> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(parameters))
            .map_err(driver)
    }

    /// The loser's identifiers lead to the winner from now on; those that its profile does not hold stand beside it.
    fn identifiers(&self, joined: &Contact, other: &Contact) -> Result<()> {
        let same = |own: &Option<String>, value: &str| own.as_deref().is_some_and(|own| folded(own) == value);
        let email = other.email.as_deref().map(folded);
        let named = [
            (IdentifierKind::ExternalId, other.external_id.clone(), joined.external_id == other.external_id),
            (
                IdentifierKind::Email,
                email.clone(),
                email.as_deref().is_some_and(|email| same(&joined.email, email)),
            ),
            (IdentifierKind::Phone, other.phone.clone(), joined.phone == other.phone),
        ];
        for (kind, value, in_profile) in named {
            let Some(value) = value else { continue };
            self.run_on(
                "UPDATE identifiers SET contact_id = ?1, beside = ?3
                 WHERE kind = ?4 AND value = ?5 AND contact_id = ?2",
                (self.winner, self.loser, i64::from(!in_profile), kind as u8, value),
            )?;
        }
        self.run("UPDATE identifiers SET contact_id = ?1 WHERE contact_id = ?2 AND beside = 1")?;
        Ok(())
    }

    /// Orders, carts and events, with the maps that lead to them. The map tables follow first: they are found by what
    /// the loser still has.
    fn history(&self) -> Result<()> {
        self.run(
            "UPDATE cart_ids SET contact_id = ?1 WHERE contact_id = ?2 AND external_id IN
               (SELECT external_id FROM carts WHERE contact_id = ?2
                UNION SELECT ifnull(cart_id, external_id) FROM orders WHERE contact_id = ?2)",
        )?;
        self.run(
            "UPDATE order_ids SET contact_id = ?1
             WHERE external_id IN (SELECT external_id FROM orders WHERE contact_id = ?2)",
        )?;
        crate::recent::settle(self.connection, Some(self.recent), ContactId(self.loser))?;
        self.run(
            "UPDATE message_ids SET contact_id = ?1 WHERE message_id IN
               (SELECT message_id FROM events WHERE contact_id = ?2 AND message_id IS NOT NULL)",
        )?;
        self.run("UPDATE refund_ids SET contact_id = ?1 WHERE contact_id = ?2")?;
        self.run("UPDATE orders SET contact_id = ?1 WHERE contact_id = ?2")?;
        self.run("UPDATE carts SET contact_id = ?1 WHERE contact_id = ?2")?;
        self.run("UPDATE events SET contact_id = ?1 WHERE contact_id = ?2")?;
        self.run("UPDATE hook_deliveries SET contact_id = ?1 WHERE contact_id = ?2")?;
        self.run("DELETE FROM contact_totals WHERE contact_id IN (?1, ?2)")?;
        self.run_on(
            "INSERT INTO contact_totals (contact_id, first_order_at, last_order_at, orders, spent)
             SELECT contact_id, min(at), max(at), count(*), sum(total - refunded) FROM orders
             WHERE contact_id = ?1 AND status = 0 GROUP BY contact_id",
            [self.winner],
        )?;
        Ok(())
    }

    /// The loser stands in no group any more. The winner is scored by the engine; its orders of before the last run were
    /// marked as changed by the triggers of `orders`.
    fn scores(&self) -> Result<()> {
        crate::rfm::forget(self.connection, ContactId(self.loser))
    }

    /// What is kept of histories is built anew; memberships are the engine's, which holds them in memory.
    fn segments(&self) -> Result<()> {
        self.run("DELETE FROM segment_kept WHERE contact_id IN (?1, ?2)")?;
        self.run_on("DELETE FROM segment_flips WHERE contact_id = ?1", [self.loser])?;
        Ok(())
    }

    /// Enrolments follow behind the winner's own of the same run. Where both are inside with the same key, the engine
    /// ends the later one.
    fn enrolments(&self) -> Result<Ordinals> {
        let runs: Vec<(i64, i64)> = self
            .connection
            .prepare_cached(
                "SELECT DISTINCT run_id, ifnull((SELECT max(ordinal) FROM enrolments own
                   WHERE own.contact_id = ?1 AND own.run_id = other.run_id), 0)
                 FROM enrolments other WHERE contact_id = ?2",
            )
            .and_then(|mut query| {
                query.query_map((self.winner, self.loser), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(driver)?;
        for (run, behind) in &runs {
            self.run_on(
                "UPDATE enrolments SET contact_id = ?1, ordinal = ordinal + ?4
                 WHERE contact_id = ?2 AND run_id = ?3",
                (self.winner, self.loser, run, behind),
            )?;
        }
        Ok(runs.into_iter().collect())
    }

    fn coupons(&self, ordinals: &Ordinals) -> Result<()> {
        for (run, behind) in ordinals.iter().filter(|(_, behind)| **behind > 0) {
            self.run_on(
                "UPDATE coupon_uses SET ordinal = ordinal + ?3 WHERE contact_id = ?1 AND run = ?2",
                (self.loser, run, behind),
            )?;
        }
        self.run("UPDATE coupon_uses SET redeemed_by = ?1 WHERE contact_id = ?2 AND redeemed_by = ?2")?;
        // Numbers of uses are given once in the whole base.
        self.run("UPDATE coupon_uses SET contact_id = ?1 WHERE contact_id = ?2")?;
        Ok(())
    }

    /// One person is counted once in an A/B test: under the variant that it took first.
    fn trials(&self) -> Result<()> {
        let both: Vec<(i64, String)> = self
            .connection
            .prepare_cached(
                "SELECT other.run_id, other.node FROM trial_passages other JOIN trial_passages own
                   ON own.contact_id = ?1 AND own.run_id = other.run_id AND own.node = other.node
                 WHERE other.contact_id = ?2",
            )
            .and_then(|mut query| {
                query.query_map((self.winner, self.loser), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(driver)?;
        for (run, node) in both {
            let (variant, converted): (String, bool) = self
                .connection
                .prepare_cached(
                    "DELETE FROM trial_passages WHERE run_id = ?3 AND node = ?4 AND contact_id =
                       (SELECT contact_id FROM trial_passages WHERE contact_id IN (?1, ?2) AND run_id = ?3 AND node = ?4
                        ORDER BY at DESC, contact_id = ?2 DESC LIMIT 1)
                     RETURNING variant, converted_at IS NOT NULL",
                )
                .and_then(|mut delete| {
                    delete.query_row((self.winner, self.loser, run, &node), |row| Ok((row.get(0)?, row.get(1)?)))
                })
                .map_err(driver)?;
            self.run_on(
                "UPDATE trial_tallies SET entered = entered - 1, converted = converted - ?4
                 WHERE run_id = ?1 AND node = ?2 AND variant = ?3",
                (run, &node, variant, i64::from(converted)),
            )?;
        }
        self.run("UPDATE trial_passages SET contact_id = ?1 WHERE contact_id = ?2")?;
        Ok(())
    }

    fn passages(&self) -> Result<()> {
        self.run(
            "INSERT INTO node_passages (contact_id, journey, node, n)
             SELECT ?1, journey, node, n FROM node_passages WHERE contact_id = ?2
             ON CONFLICT (contact_id, journey, node) DO UPDATE SET n = n + excluded.n",
        )?;
        self.run_on("DELETE FROM node_passages WHERE contact_id = ?1", [self.loser])?;
        Ok(())
    }

    /// The history of consents is one; of two questions that wait for an answer the newest stays.
    fn consents(&self) -> Result<()> {
        self.run("UPDATE consent_log SET contact_id = ?1 WHERE contact_id = ?2")?;
        self.run(
            "DELETE FROM pending_consents WHERE contact_id IN (?1, ?2) AND EXISTS (SELECT 1 FROM pending_consents other
               WHERE other.contact_id IN (?1, ?2) AND other.contact_id <> pending_consents.contact_id
                 AND other.purpose = pending_consents.purpose
                 AND (other.asked_at, other.contact_id = ?1) > (pending_consents.asked_at, pending_consents.contact_id = ?1))",
        )?;
        self.run("UPDATE pending_consents SET contact_id = ?1 WHERE contact_id = ?2")?;
        Ok(())
    }

    /// The earliest rings. What the loser's is to ring for is bytes of the engine, which takes them over.
    fn alarm(&self) -> Result<Vec<u8>> {
        self.run(
            "INSERT INTO alarms (contact_id, due, timers)
             SELECT ?1, due, x'' FROM alarms WHERE contact_id = ?2 AND due IS NOT NULL
             ON CONFLICT (contact_id) DO UPDATE SET due = min(ifnull(due, excluded.due), excluded.due)",
        )?;
        let timers = self
            .connection
            .prepare_cached("DELETE FROM alarms WHERE contact_id = ?1 RETURNING timers")
            .and_then(|mut delete| delete.query_row([self.loser], |row| row.get(0)).optional())
            .map_err(driver)?;
        Ok(timers.unwrap_or_default())
    }

    /// Waves that have not come to the loser yet come to the winner; where they have passed it already, it happens to the
    /// winner by itself.
    fn waves(&self) -> Result<Vec<NewInput>> {
        let mut query = self
            .connection
            .prepare_cached(
                "SELECT wave_no, checkpoint, causes, event, contacts FROM waves
                 WHERE last_contact >= ?1 AND checkpoint < ?1",
            )
            .map_err(driver)?;
        let mut rows = query.query([self.loser]).map_err(driver)?;
        let (mut changed, mut passed) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next().map_err(driver)? {
            let no: i64 = row.get(0).map_err(driver)?;
            let checkpoint: i64 = row.get(1).map_err(driver)?;
            let mut contacts = treemap("waves", no, blob(row, 4).map_err(driver)?)?;
            if !contacts.remove(self.loser.cast_unsigned()) {
                continue;
            }
            if self.winner > checkpoint {
                contacts.insert(self.winner.cast_unsigned());
            } else if !contacts.contains(self.winner.cast_unsigned()) {
                let mut event: Event = from_json("waves", no, text(row, 3).map_err(driver)?)?;
                event.contact = ContactId(self.winner);
                passed.push(NewInput { event, causes: row.get(2).map_err(driver)?, stored: false });
            }
            changed.push((no, checkpoint, contacts));
        }
        drop(rows);
        for (no, checkpoint, contacts) in changed {
            match contacts.max().filter(|last| last.cast_signed() > checkpoint) {
                Some(last) => self.run_on(
                    "UPDATE waves SET last_contact = ?2, contacts = ?3 WHERE wave_no = ?1",
                    (no, last.cast_signed(), bytes(&contacts)?),
                )?,
                None => self.run_on("DELETE FROM waves WHERE wave_no = ?1", [no])?,
            };
        }
        Ok(passed)
    }

    /// Audiences of runs that have not come to the loser yet. Where they have passed the winner, who was not in them, it
    /// does not enter.
    fn audiences(&self) -> Result<()> {
        let mut query = self
            .connection
            .prepare_cached(
                "SELECT run_id, checkpoint, audience FROM journey_runs WHERE finished_at IS NULL AND checkpoint < ?1",
            )
            .map_err(driver)?;
        let mut rows = query.query([self.loser]).map_err(driver)?;
        let mut changed = Vec::new();
        while let Some(row) = rows.next().map_err(driver)? {
            let run: i64 = row.get(0).map_err(driver)?;
            let checkpoint: i64 = row.get(1).map_err(driver)?;
            let mut audience = treemap("journey_runs", run, blob(row, 2).map_err(driver)?)?;
            if !audience.remove(self.loser.cast_unsigned()) {
                continue;
            }
            if self.winner > checkpoint {
                audience.insert(self.winner.cast_unsigned());
            }
            changed.push((run, audience));
        }
        drop(rows);
        for (run, audience) in changed {
            let size = i64::try_from(audience.len()).unwrap_or(i64::MAX);
            self.run_on(
                "UPDATE journey_runs SET audience = ?2, audience_size = ?3 WHERE run_id = ?1",
                (run, bytes(&audience)?, size),
            )?;
        }
        Ok(())
    }

    /// The former number, and those that led to it, lead to the winner.
    fn forward(&self, now: Timestamp) -> Result<()> {
        let no = take_numbers(self.connection, SEQUENCE, 1)?;
        self.run("UPDATE departures SET became = ?1 WHERE became = ?2")?;
        self.run_on(
            "INSERT INTO departures (contact_id, became, at, departure_no) VALUES (?1, ?2, ?3, ?4)",
            (self.loser, self.winner, now.0, no),
        )?;
        Ok(())
    }
}

pub(super) fn treemap(table: &'static str, row: i64, bytes: &[u8]) -> Result<RoaringTreemap> {
    RoaringTreemap::deserialize_from(bytes).map_err(|error| inconsistent(table, row, error))
}

pub(super) fn bytes(map: &RoaringTreemap) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(map.serialized_size());
    map.serialize_into(&mut bytes).map_err(|error| StoreError::Driver(error.to_string()))?;
    Ok(bytes)
}
