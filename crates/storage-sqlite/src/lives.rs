//! See `storage::lives`.

use std::collections::BTreeMap;

use model::{ContactId, Slug, Timestamp};
use roaring::RoaringTreemap;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use storage::{
    Result, StoreError, Urgency, fault,
    live::{LifeRecord, NewInput},
    lives::{
        CANCELLED, EnrolmentRow, Held, HeldTrigger, LifeChange, LifeCommit, LifeStore, NEW_RUN, NewLife,
        PAUSED_QUEUE_MAX, RULES_VERSION, RunTotals,
    },
    outbox::{MessageFilter, MessageRow, MessageState},
};

use crate::{
    Sqlite, journeys,
    live::{inputs, lives},
    outbox,
    pool::driver,
    rows::{blob, from_json, text, to_json},
    settings,
};

impl LifeStore for Sqlite {
    async fn publish_life(&self, new: NewLife) -> Result<Option<LifeRecord>> {
        fault::point("life.before_commit");
        let record = self.write(Urgency::Urgent, move |transaction| publish(transaction, new)).await?;
        fault::point("life.after_commit");
        Ok(record)
    }

    async fn change_lives(&self, commit: LifeCommit) -> Result<bool> {
        fault::point("life.before_commit");
        let done = self.write(Urgency::Urgent, move |transaction| change(transaction, &commit)).await?;
        fault::point("life.after_commit");
        Ok(done)
    }

    async fn hold_triggers(&self, held: Vec<HeldTrigger>) -> Result<()> {
        self.write(Urgency::Normal, move |transaction| hold(transaction, &held)).await
    }

    async fn count_held(&self, journey: Slug) -> Result<Held> {
        self.read(move |connection| {
            let found = connection
                .prepare_cached("SELECT held, dropped FROM held_counts WHERE journey = ?1")
                .and_then(|mut query| {
                    query
                        .query_row([journey.as_str()], |row| {
                            let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                            Ok(Held { held: number(0)?, dropped: number(1)? })
                        })
                        .optional()
                })
                .map_err(driver)?;
            Ok(found.unwrap_or_default())
        })
        .await
    }

    async fn list_enrolments(
        &self,
        run: i64,
        contact: Option<ContactId>,
        after: (ContactId, u32),
        limit: usize,
    ) -> Result<Vec<EnrolmentRow>> {
        self.read(move |connection| list(connection, run, contact, after, limit)).await
    }

    async fn messages_of_run(&self, run: i64, contacts: Vec<ContactId>) -> Result<Vec<MessageRow>> {
        self.read(move |connection| {
            let mut all = Vec::new();
            for contact in contacts {
                let filter =
                    MessageFilter { run: Some(run), contact: Some(contact), ..MessageFilter::default() };
                all.extend(outbox::list(connection, &filter, 0, i32::MAX as usize)?);
            }
            Ok(all)
        })
        .await
    }

    async fn cancel_messages(&self, run: i64, at: Timestamp, limit: usize) -> Result<u64> {
        self.write(Urgency::Normal, move |transaction| cancel(transaction, run, at, limit)).await
    }

    async fn has_open_messages(&self, run: i64) -> Result<bool> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT 1 FROM outbox INDEXED BY outbox_due
                     WHERE state = 1 AND send_id IN (SELECT send_id FROM send_points WHERE run = ?1)
                     UNION ALL
                     SELECT 1 FROM outbox INDEXED BY outbox_leases
                     WHERE state IN (2, 3) AND send_id IN (SELECT send_id FROM send_points WHERE run = ?1)
                     LIMIT 1",
                )
                .and_then(|mut query| query.exists([run]))
                .map_err(driver)
        })
        .await
    }

    async fn run_totals(&self, run: i64) -> Result<RunTotals> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT count(*), ifnull(sum(over = 0), 0), count(goal_at), count(DISTINCT contact_id),
                       count(DISTINCT iif(goal_at IS NULL, NULL, contact_id))
                     FROM enrolments WHERE run_id = ?1",
                )
                .and_then(|mut query| {
                    query.query_row([run], |row| {
                        let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                        Ok(RunTotals {
                            entered: number(0)?,
                            inside: number(1)?,
                            goals: number(2)?,
                            contacts: number(3)?,
                            goal_contacts: number(4)?,
                        })
                    })
                })
                .map_err(driver)
        })
        .await
    }
}

fn publish(transaction: &Transaction<'_>, new: NewLife) -> Result<Option<LifeRecord>> {
    // Looked at before anything is written: what was written is committed.
    if !all_stand(transaction, &new.others)? || !foreseen(transaction, &new)? {
        return Ok(None);
    }
    settings::save_definitions(transaction, &new.definitions, new.at)?;
    let run = journeys::begin(transaction, &new.run)?;
    if lives::load_one(transaction, run.id)?.is_some() {
        return Ok(None);
    }
    let record = LifeRecord { run: run.id, ..new.record };
    let mut records: Vec<LifeRecord> = new.others.into_iter().map(|change| change.after).collect();
    for other in &mut records {
        put_run(&mut other.memo, run.id);
    }
    records.push(record.clone());
    lives::save(transaction, &records)?;
    inputs::add(transaction, &new.inputs)?;
    let mut waves = new.waves;
    for wave in &mut waves {
        wave.event.properties.values_mut().for_each(|value| put_run(value, run.id));
    }
    inputs::add_waves(transaction, &waves)?;
    touch(transaction)?;
    Ok(Some(record))
}

/// Whether the definitions will get the versions that the record was made with.
fn foreseen(connection: &Connection, new: &NewLife) -> Result<bool> {
    for (definition, version) in new.definitions.iter().zip(&new.versions) {
        if settings::next_version(connection, definition)? != *version {
            return Ok(false);
        }
    }
    Ok(new.definitions.len() == new.versions.len())
}

fn put_run(memo: &mut serde_json::Value, run: i64) {
    match memo {
        serde_json::Value::String(text) if text == NEW_RUN => *memo = run.into(),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| put_run(item, run)),
        serde_json::Value::Object(map) => map.values_mut().for_each(|value| put_run(value, run)),
        _ => {}
    }
}

fn all_stand(connection: &Connection, changes: &[LifeChange]) -> Result<bool> {
    for change in changes {
        if lives::load_one(connection, change.before.run)?.as_ref() != Some(&change.before) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn change(transaction: &Transaction<'_>, commit: &LifeCommit) -> Result<bool> {
    if !all_stand(transaction, &commit.changes)? {
        return Ok(false);
    }
    let records: Vec<LifeRecord> = commit.changes.iter().map(|change| change.after.clone()).collect();
    lives::save(transaction, &records)?;
    for (run, audience, since) in &commit.audiences {
        freeze(transaction, *run, audience, *since)?;
    }
    for (run, at) in &commit.completed {
        journeys::complete(transaction, *run, *at)?;
    }
    inputs::add(transaction, &commit.inputs)?;
    inputs::add_waves(transaction, &commit.waves)?;
    for journey in &commit.release {
        inputs::add(transaction, &held(transaction, journey)?)?;
    }
    for journey in commit.release.iter().chain(&commit.forget) {
        for sql in
            ["DELETE FROM held_triggers WHERE journey = ?1", "DELETE FROM held_counts WHERE journey = ?1"]
        {
            transaction
                .prepare_cached(sql)
                .and_then(|mut delete| delete.execute([journey.as_str()]))
                .map_err(driver)?;
        }
    }
    touch(transaction)?;
    Ok(true)
}

/// Says that rules changed.
pub(crate) fn touch(connection: &Connection) -> Result<()> {
    let before = settings::load_setting(connection, RULES_VERSION)?;
    let next = before.and_then(|value| value.as_u64()).unwrap_or_default() + 1;
    settings::save_setting(connection, RULES_VERSION, &next.into())
}

fn freeze(connection: &Connection, run: i64, audience: &RoaringTreemap, since: Timestamp) -> Result<()> {
    let mut bytes = Vec::with_capacity(audience.serialized_size());
    audience.serialize_into(&mut bytes).map_err(|error| StoreError::Driver(error.to_string()))?;
    connection
        .prepare_cached(
            "UPDATE journey_runs SET audience = ?2, audience_size = ?3, started_at = ?4
             WHERE run_id = ?1 AND checkpoint = 0",
        )
        .and_then(|mut update| update.execute(params![run, bytes, audience.len().cast_signed(), since.0]))
        .map_err(driver)?;
    Ok(())
}

pub(crate) fn hold(transaction: &Connection, held: &[HeldTrigger]) -> Result<()> {
    let mut of_journey: BTreeMap<&Slug, Vec<&NewInput>> = BTreeMap::new();
    for trigger in held {
        of_journey.entry(&trigger.journey).or_default().push(&trigger.input);
    }
    let prepare = |sql: &str| transaction.prepare_cached(sql).map_err(driver);
    let mut counts = prepare("SELECT last_no, held, dropped FROM held_counts WHERE journey = ?1")?;
    let mut insert = prepare(
        "INSERT INTO held_triggers (journey, held_no, causes, stored, event) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut count = prepare(
        "INSERT INTO held_counts (journey, last_no, held, dropped) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (journey) DO UPDATE SET last_no = excluded.last_no, held = excluded.held,
           dropped = excluded.dropped",
    )?;
    for (journey, inputs) in of_journey {
        let (mut last, mut n, mut dropped) = counts
            .query_row([journey.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()
            .map_err(driver)?
            .unwrap_or((0_i64, 0_i64, 0_i64));
        for input in inputs {
            if n.unsigned_abs() >= PAUSED_QUEUE_MAX {
                dropped += 1;
                continue;
            }
            last += 1;
            n += 1;
            insert
                .execute((journey.as_str(), last, input.causes, input.stored, to_json(&input.event)?))
                .map_err(driver)?;
        }
        count.execute((journey.as_str(), last, n, dropped)).map_err(driver)?;
    }
    Ok(())
}

/// The triggers that a journey holds, in order.
fn held(connection: &Connection, journey: &Slug) -> Result<Vec<NewInput>> {
    let mut query = connection
        .prepare_cached("SELECT causes, stored, event FROM held_triggers WHERE journey = ?1 ORDER BY held_no")
        .map_err(driver)?;
    let mut rows = query.query([journey.as_str()]).map_err(driver)?;
    let mut held = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        held.push(NewInput {
            causes: row.get(0).map_err(driver)?,
            stored: row.get(1).map_err(driver)?,
            event: from_json("held_triggers", journey, text(row, 2).map_err(driver)?)?,
        });
    }
    Ok(held)
}

const ENROLMENT: &str =
    "contact_id, ordinal, key, entered_at, changed_at, over, goal_at, stays, trace FROM enrolments";

fn list(
    connection: &Connection,
    run: i64,
    contact: Option<ContactId>,
    after: (ContactId, u32),
    limit: usize,
) -> Result<Vec<EnrolmentRow>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    if let Some(contact) = contact {
        let sql = format!(
            "SELECT {ENROLMENT} WHERE contact_id = ?1 AND run_id = ?2 AND (?1, ordinal) > (?3, ?4)
             ORDER BY ordinal LIMIT ?5"
        );
        let mut query = connection.prepare_cached(&sql).map_err(driver)?;
        let mut rows = query.query((contact.0, run, after.0.0, after.1, limit)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            found.push(enrolment(run, row)?);
        }
        return Ok(found);
    }
    // The index by run holds those inside and those who are over, each in the order of contacts: a page of both, merged.
    for over in [0, 1] {
        let sql = format!(
            "SELECT {ENROLMENT} INDEXED BY enrolments_by_run
             WHERE run_id = ?1 AND over = ?2 AND contact_id >= ?3 AND (contact_id, ordinal) > (?3, ?4)
             ORDER BY contact_id, ordinal LIMIT ?5"
        );
        let mut query = connection.prepare_cached(&sql).map_err(driver)?;
        let mut rows = query.query((run, over, after.0.0, after.1, limit)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            found.push(enrolment(run, row)?);
        }
    }
    found.sort_unstable_by_key(|row| (row.contact, row.ordinal));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

fn enrolment(run: i64, row: &Row<'_>) -> Result<EnrolmentRow> {
    let contact = ContactId(row.get(0).map_err(driver)?);
    let stays = text(row, 7).map_err(driver)?;
    let instant = |column: usize| row.get(column).map(Timestamp).map_err(driver);
    Ok(EnrolmentRow {
        contact,
        run,
        ordinal: row.get(1).map_err(driver)?,
        key: row.get(2).map_err(driver)?,
        entered_at: instant(3)?,
        changed_at: instant(4)?,
        is_over: row.get(5).map_err(driver)?,
        goal_at: row.get::<_, Option<i64>>(6).map_err(driver)?.map(Timestamp),
        stays: if stays.is_empty() { Vec::new() } else { from_json("enrolments", contact, stays)? },
        trace: blob(row, 8).map_err(driver)?.to_vec(),
    })
}

fn cancel(transaction: &Transaction<'_>, run: i64, at: Timestamp, limit: usize) -> Result<u64> {
    let cancelled = transaction
        .prepare_cached(
            "UPDATE outbox SET state = ?2, at = ?3, reason = ?4, detail = 'the journey was stopped'
             WHERE seq IN (SELECT seq FROM outbox INDEXED BY outbox_due WHERE state = 1
               AND send_id IN (SELECT send_id FROM send_points WHERE run = ?1) LIMIT ?5)",
        )
        .and_then(|mut update| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            update.execute(params![run, MessageState::Skipped as u8, at.0, CANCELLED, limit])
        })
        .map_err(driver)?;
    Ok(cancelled as u64)
}
