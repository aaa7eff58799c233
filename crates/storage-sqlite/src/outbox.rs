//! See `storage::outbox`.

mod handover;
mod happenings;
mod open;

use std::{collections::HashMap, sync::Arc};

use model::{ContactId, Slug, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, named_params, params};
use storage::{
    Result, StoreError, Urgency,
    outbox::{
        AddressHash, Channel, ClaimedMessage, MessageCount, MessageFilter, MessageId, MessageRow,
        MessageState, OpenMessages, OutboxMessage, OutboxStore, Outcome, Recipient, Recorded, SendPoint,
        SentMark, Settled, Suppression, SuppressionReason,
    },
};

pub(crate) use self::happenings::{Happenings, Known, interaction, known, properties_of};
use crate::{Sqlite, pool::driver};

/// Inserts messages in the caller's transaction: the journey's commit. Those whose id is known are left as they are.
/// Returns how many are new.
pub(crate) fn insert(tx: &Connection, messages: &[OutboxMessage], broadcast: bool) -> Result<u64> {
    let mut state = tx
        .prepare_cached(
            "INSERT INTO outbox (message_id, contact_id, send_id, at, due, rank) VALUES (?1, ?2, ?3, ?4, ?4, ?5)
             ON CONFLICT (message_id) DO NOTHING",
        )
        .map_err(driver)?;
    let mut body = tx
        .prepare_cached(
            "INSERT INTO outbox_bodies (seq, decided_at, to_address, locale, variables, expires_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .map_err(driver)?;
    let mut sends: Vec<(Arc<SendPoint>, i64)> = Vec::new();
    let mut new = 0;
    for message in messages {
        // A batch has a handful of send points, nearly always shared by pointer.
        let known = sends.iter().find(|(send, _)| Arc::ptr_eq(send, &message.send));
        let send = match known {
            Some((_, id)) => *id,
            None => {
                let id = send_id(tx, &message.send)?;
                sends.push((Arc::clone(&message.send), id));
                id
            }
        };
        let at = message.not_before.max(message.decided_at).0;
        let rank = if message.send.transactional { 0 } else { 1 + u8::from(broadcast) };
        let inserted =
            state.execute(params![&message.id.0[..], message.contact.0, send, at, rank]).map_err(driver)?;
        if inserted == 1 {
            body.execute(params![
                tx.last_insert_rowid(),
                message.decided_at.0,
                message.to,
                message.locale,
                message.variables,
                message.expires_at.map(|end| end.0)
            ])
            .map_err(driver)?;
            new += 1;
        }
    }
    Ok(new)
}

fn send_id(tx: &Connection, send: &SendPoint) -> Result<i64> {
    let columns = named_params! {
        ":journey": send.journey.as_str(), ":journey_version": send.journey_version, ":run": send.run,
        ":node": send.node, ":channel": send.channel as u8, ":purpose": send.purpose.as_str(),
        ":transactional": send.transactional, ":template": send.template.as_str(),
        ":template_version": send.template_version,
    };
    let known = tx
        .prepare_cached(
            "SELECT send_id FROM send_points WHERE run = :run AND node = :node AND journey = :journey
             AND journey_version = :journey_version AND channel = :channel AND purpose = :purpose
             AND transactional = :transactional AND template = :template AND template_version = :template_version",
        )
        .and_then(|mut query| query.query_row(columns, |row| row.get(0)).optional())
        .map_err(driver)?;
    if let Some(id) = known {
        return Ok(id);
    }
    tx.prepare_cached(
        "INSERT INTO send_points (journey, journey_version, run, node, channel, purpose, transactional, template,
         template_version) VALUES (:journey, :journey_version, :run, :node, :channel, :purpose, :transactional,
         :template, :template_version)",
    )
    .and_then(|mut change| change.execute(columns))
    .map_err(driver)?;
    Ok(tx.last_insert_rowid())
}

/// Send points by id, read once each.
#[derive(Default)]
pub(crate) struct SendPoints(HashMap<i64, Arc<SendPoint>>);

impl SendPoints {
    fn get(&mut self, connection: &Connection, id: i64) -> Result<Arc<SendPoint>> {
        if let Some(send) = self.0.get(&id) {
            return Ok(Arc::clone(send));
        }
        let send = Arc::new(load_send(connection, id)?);
        self.0.insert(id, Arc::clone(&send));
        Ok(send)
    }
}

pub(crate) fn load_send(connection: &Connection, id: i64) -> Result<SendPoint> {
    let bad =
        |why: &str| StoreError::Inconsistent { table: "send_points", row: id.to_string(), why: why.into() };
    let slug = |text: String| Slug::purpose(&text).map_err(|_| bad("not a slug"));
    let mut query = connection
        .prepare_cached(
            "SELECT journey, journey_version, run, node, channel, purpose, transactional, template, template_version
             FROM send_points WHERE send_id = ?1",
        )
        .map_err(driver)?;
    let mut rows = query.query([id]).map_err(driver)?;
    let row = rows.next().map_err(driver)?.ok_or_else(|| bad("missing"))?;
    Ok(SendPoint {
        journey: slug(column(row, 0)?)?,
        journey_version: column(row, 1)?,
        run: column(row, 2)?,
        node: column(row, 3)?,
        channel: Channel::from_number(column(row, 4)?).ok_or_else(|| bad("unknown channel"))?,
        purpose: slug(column(row, 5)?)?,
        transactional: column(row, 6)?,
        template: slug(column(row, 7)?)?,
        template_version: column(row, 8)?,
    })
}

fn column<T: rusqlite::types::FromSql>(row: &Row<'_>, i: usize) -> Result<T> {
    row.get(i).map_err(driver)
}

/// Reads a message from `seq, message_id, contact_id, send_id, decided_at, to_address, locale, variables, at,
/// expires_at`.
fn message(row: &Row<'_>, connection: &Connection, sends: &mut SendPoints) -> Result<(i64, OutboxMessage)> {
    let seq: i64 = column(row, 0)?;
    let id: [u8; 16] = column(row, 1)?;
    Ok((
        seq,
        OutboxMessage {
            id: MessageId(id),
            contact: ContactId(column(row, 2)?),
            send: sends.get(connection, column(row, 3)?)?,
            decided_at: Timestamp(column(row, 4)?),
            to: column(row, 5)?,
            locale: column(row, 6)?,
            variables: column(row, 7)?,
            not_before: Timestamp(column(row, 8)?),
            expires_at: column::<Option<i64>>(row, 9)?.map(Timestamp),
        },
    ))
}

/// Settles claims whose lease is over at `machine_now`.
fn settle(tx: &Transaction<'_>, machine_now: Timestamp) -> Result<Settled> {
    // `state IN (2, 3)` repeats what the other terms say: it lets SQLite use the partial index.
    let mut settled = Settled::default();
    settled.waiting += tx
        .prepare_cached(
            "UPDATE outbox SET state = 1, at = due
             WHERE state IN (2, 3) AND state = 2 AND at <= ?1",
        )
        .and_then(|mut change| change.execute([machine_now.0]))
        .map_err(driver)? as u64;
    settled.uncertain += tx
        .prepare_cached(
            "UPDATE outbox SET state = 7, reason = 'worker.lost',
               detail = 'the worker stopped between handing the message over and recording the answer'
             WHERE state IN (2, 3) AND state = 3 AND at <= ?1
               AND NOT (SELECT transactional FROM send_points s WHERE s.send_id = outbox.send_id)",
        )
        .and_then(|mut change| change.execute([machine_now.0]))
        .map_err(driver)? as u64;
    settled.waiting += tx
        .prepare_cached(
            "UPDATE outbox SET state = 1, at = due
             WHERE state IN (2, 3) AND state = 3 AND at <= ?1",
        )
        .and_then(|mut change| change.execute([machine_now.0]))
        .map_err(driver)? as u64;
    Ok(settled)
}

/// Ranks of messages, the urgent first.
const RANKS: [u8; 3] = [0, 1, 2];

fn claim(
    tx: &Transaction<'_>,
    now: Timestamp,
    lease_until: Timestamp,
    limit: usize,
) -> Result<Vec<ClaimedMessage>> {
    let mut sends = SendPoints::default();
    let mut claimed = Vec::new();
    for rank in RANKS {
        let mut query = tx
            .prepare_cached(
                "SELECT o.seq, o.message_id, o.contact_id, o.send_id, b.decided_at, b.to_address, b.locale,
                   b.variables, o.at, b.expires_at, o.attempt, o.failures
                 FROM outbox o JOIN outbox_bodies b ON b.seq = o.seq
                 WHERE o.state = 1 AND o.rank = ?3 AND o.at <= ?1 ORDER BY o.at, o.seq LIMIT ?2",
            )
            .map_err(driver)?;
        let mut rows = query.query(params![now.0, (limit - claimed.len()) as i64, rank]).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let (seq, message) = message(row, tx, &mut sends)?;
            let attempt: u32 = column(row, 10)?;
            claimed.push(ClaimedMessage { seq, attempt: attempt + 1, failures: column(row, 11)?, message });
        }
    }
    let mut change = tx
        .prepare_cached("UPDATE outbox SET state = 2, attempt = ?2, at = ?3 WHERE seq = ?1")
        .map_err(driver)?;
    for one in &claimed {
        change.execute(params![one.seq, one.attempt, lease_until.0]).map_err(driver)?;
    }
    Ok(claimed)
}

fn record(tx: &Transaction<'_>, now: Timestamp, outcomes: &[Recorded]) -> Result<Vec<i64>> {
    let mut change = tx
        .prepare_cached(
            "UPDATE outbox SET state = ?3, at = ?4, failures = failures + ?5, reason = ?6, detail = ?7
             WHERE seq = ?1 AND attempt = ?2 AND state IN (2, 3)",
        )
        .map_err(driver)?;
    let mut happenings = Happenings::default();
    let mut put_off = tx.prepare_cached("UPDATE outbox SET due = ?2 WHERE seq = ?1").map_err(driver)?;
    let mut lost = Vec::new();
    for Recorded { seq, attempt, outcome } in outcomes {
        use MessageState::{Failed, Sent, Skipped, Uncertain, Waiting};
        let (state, at, failures, reason, detail) = match outcome {
            Outcome::HandingOver { witness, lease_until } => {
                if !handover::mark(tx, now, (*seq, *attempt), witness.as_deref(), *lease_until)? {
                    lost.push(*seq);
                }
                continue;
            }
            Outcome::Bounced { reason, detail, .. } => (Failed, now, 1, Some(*reason), Some(detail)),
            Outcome::Held { until, reason } => (Waiting, *until, 0, Some(*reason), None),
            Outcome::Sent { detail } => (Sent, now, 0, None, Some(detail)),
            Outcome::Deferred { until, reason, detail } => (Waiting, *until, 1, Some(*reason), Some(detail)),
            Outcome::Failed { reason, detail } => (Failed, now, 1, Some(*reason), Some(detail)),
            Outcome::Skipped { reason, detail } => (Skipped, now, 0, Some(*reason), Some(detail)),
            Outcome::Uncertain { detail } => (Uncertain, now, 0, Some("worker.unsure"), Some(detail)),
            Outcome::Released => (Waiting, now, 0, None, None),
        };
        let counted = change
            .execute(params![seq, attempt, state as u8, at.0, failures, reason, detail])
            .map_err(driver)?;
        if counted == 0 {
            lost.push(*seq);
            continue;
        }
        match outcome {
            Outcome::Deferred { until, .. } | Outcome::Held { until, .. } => {
                put_off.execute((seq, until.0)).map_err(driver)?;
            }
            Outcome::Sent { .. } => happenings.sent(tx, *seq, now)?,
            Outcome::Bounced { address, hard, detail, .. } => {
                happenings.bounced(tx, (*seq, now), (*address, *hard), detail)?;
            }
            _ => {}
        }
    }
    happenings.write(tx)?;
    Ok(lost)
}

/// How long before it left a message may have been due: a message that is due and does not leave within this time (the
/// server is down, the queue is long) is seen by caps as of the time when it was due.
const BACKLOG: i64 = 2 * Timestamp::DAY;

/// The messages decided for these contacts that left, or are to leave, since an instant: those that were refused for good
/// or stopped by a rule reached nobody.
pub(crate) fn sends(
    connection: &Connection,
    contacts: &[ContactId],
    since: Timestamp,
) -> Result<Vec<(ContactId, SentMark)>> {
    let mut points = SendPoints::default();
    // While a worker holds a message, `at` is the end of its lease; when nobody knows, that of its doubt.
    let mut query = connection
        .prepare_cached(
            "SELECT send_id, CASE WHEN state IN (1, 4) THEN at ELSE due END AS leaves FROM outbox
             WHERE contact_id = ?1 AND due >= ?2 AND state IN (1, 2, 3, 4, 7) AND leaves >= ?3 ORDER BY leaves, seq",
        )
        .map_err(driver)?;
    let mut sends = Vec::new();
    for contact in contacts {
        let due = since.0.saturating_sub(BACKLOG);
        let mut rows = query.query((contact.0, due, since.0)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let send = points.get(connection, column(row, 0)?)?;
            sends.push((
                *contact,
                SentMark {
                    channel: send.channel,
                    purpose: send.purpose.clone(),
                    transactional: send.transactional,
                    at: Timestamp(column(row, 1)?),
                },
            ));
        }
    }
    Ok(sends)
}

/// The terms of a filter over `outbox o`; each parameter is bound, null when it is not asked for.
const FILTER: &str = "(:contact IS NULL OR o.contact_id = :contact) AND (:state IS NULL OR o.state = :state)
     AND ((:run IS NULL AND :journey IS NULL) OR o.send_id IN (SELECT send_id FROM send_points
       WHERE (:run IS NULL OR run = :run) AND (:journey IS NULL OR journey = :journey)))";

fn count(connection: &Connection, filter: &MessageFilter) -> Result<Vec<MessageCount>> {
    let mut sends = SendPoints::default();
    let mut query = connection
        .prepare_cached(&format!(
            "SELECT o.send_id, o.state, CASE WHEN o.state IN (1, 4, 5, 6, 7) THEN o.reason END AS why, count(*)
             FROM outbox o WHERE {FILTER} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ))
        .map_err(driver)?;
    let mut rows = query
        .query(named_params! {
            ":contact": filter.contact.map(|c| c.0), ":state": filter.state.map(|s| s as u8),
            ":run": filter.run, ":journey": filter.journey.as_ref().map(Slug::as_str),
        })
        .map_err(driver)?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let count: i64 = column(row, 3)?;
        counts.push(MessageCount {
            send: sends.get(connection, column(row, 0)?)?,
            state: state(column(row, 1)?)?,
            reason: column(row, 2)?,
            count: count as u64,
        });
    }
    Ok(counts)
}

fn state(number: u8) -> Result<MessageState> {
    MessageState::from_number(number).ok_or_else(|| StoreError::Inconsistent {
        table: "outbox",
        row: String::new(),
        why: format!("unknown state {number}"),
    })
}

pub(crate) fn list(
    connection: &Connection,
    filter: &MessageFilter,
    after: i64,
    limit: usize,
) -> Result<Vec<MessageRow>> {
    // One statement for the messages of a contact, which has an index, and one for the rest.
    let source =
        if filter.contact.is_some() { "outbox o INDEXED BY outbox_contact" } else { "outbox o NOT INDEXED" };
    let by_contact = if filter.contact.is_some() { "o.contact_id = :contact AND" } else { "" };
    let terms = format!("{by_contact} o.seq > :after AND {FILTER}");
    let bound = named_params! {
        ":contact": filter.contact.map(|c| c.0), ":state": filter.state.map(|s| s as u8),
        ":run": filter.run, ":journey": filter.journey.as_ref().map(Slug::as_str),
        ":after": after, ":limit": limit as i64,
    };
    select(connection, source, &terms, "o.seq LIMIT :limit", bound)
}

/// Messages of `source`, which says `outbox o`.
pub(crate) fn select(
    connection: &Connection,
    source: &str,
    terms: &str,
    order: &str,
    bound: &[(&str, &dyn rusqlite::ToSql)],
) -> Result<Vec<MessageRow>> {
    let mut sends = SendPoints::default();
    let mut query = connection
        .prepare_cached(&format!(
            "SELECT o.seq, o.message_id, o.contact_id, o.send_id, b.decided_at, b.to_address, b.locale, b.variables,
               o.at, b.expires_at, o.state, o.attempt, o.reason, o.detail
             FROM {source} JOIN outbox_bodies b ON b.seq = o.seq WHERE {terms} ORDER BY {order}"
        ))
        .map_err(driver)?;
    let mut rows = query.query(bound).map_err(driver)?;
    let mut list = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        list.push(listed(row, connection, &mut sends)?);
    }
    Ok(list)
}

/// A message by its place.
pub(crate) fn one(connection: &Connection, seq: i64) -> Result<Option<MessageRow>> {
    let mut query = connection
        .prepare_cached(
            "SELECT o.seq, o.message_id, o.contact_id, o.send_id, b.decided_at, b.to_address, b.locale, b.variables,
               o.at, b.expires_at, o.state, o.attempt, o.reason, o.detail
             FROM outbox o JOIN outbox_bodies b ON b.seq = o.seq WHERE o.seq = ?1",
        )
        .map_err(driver)?;
    let mut rows = query.query([seq]).map_err(driver)?;
    rows.next().map_err(driver)?.map(|row| listed(row, connection, &mut SendPoints::default())).transpose()
}

/// A message by its id.
pub(crate) fn find(connection: &Connection, message: MessageId) -> Result<Option<MessageRow>> {
    let mut query = connection
        .prepare_cached(
            "SELECT o.seq, o.message_id, o.contact_id, o.send_id, b.decided_at, b.to_address, b.locale, b.variables,
               o.at, b.expires_at, o.state, o.attempt, o.reason, o.detail
             FROM outbox o JOIN outbox_bodies b ON b.seq = o.seq WHERE o.message_id = ?1",
        )
        .map_err(driver)?;
    let mut rows = query.query([&message.0[..]]).map_err(driver)?;
    rows.next().map_err(driver)?.map(|row| listed(row, connection, &mut SendPoints::default())).transpose()
}

/// Reads a row of a list: what [`message`] reads, then `state, attempt, reason, detail`.
fn listed(row: &Row<'_>, connection: &Connection, sends: &mut SendPoints) -> Result<MessageRow> {
    let (seq, message) = message(row, connection, sends)?;
    Ok(MessageRow {
        seq,
        message,
        state: state(column(row, 10)?)?,
        attempt: column(row, 11)?,
        at: Timestamp(column(row, 8)?),
        reason: column(row, 12)?,
        detail: column(row, 13)?,
    })
}

fn retry(tx: &Transaction<'_>, filter: &MessageFilter, at: Timestamp) -> Result<u64> {
    let state = filter.state.unwrap_or(MessageState::Failed);
    if !matches!(state, MessageState::Failed | MessageState::Skipped | MessageState::Uncertain) {
        return Ok(0);
    }
    let changed = tx
        .prepare_cached(&format!(
            "UPDATE outbox AS o SET state = 1, at = :at, due = :at, failures = 0, reason = NULL, detail = NULL WHERE {FILTER}"
        ))
        .and_then(|mut change| {
            change.execute(named_params! {
                ":contact": filter.contact.map(|c| c.0), ":state": state as u8,
                ":run": filter.run, ":journey": filter.journey.as_ref().map(Slug::as_str), ":at": at.0,
            })
        })
        .map_err(driver)?;
    Ok(changed as u64)
}

pub(crate) fn suppression(
    connection: &Connection,
    address: AddressHash,
    now: Timestamp,
) -> Result<Option<Suppression>> {
    let mut query = connection
        .prepare_cached(
            "SELECT reason, since, until, detail FROM suppressions
             WHERE address = ?1 AND since <= ?2 AND (until IS NULL OR until > ?2)",
        )
        .map_err(driver)?;
    let mut rows = query.query(params![&address.0[..], now.0]).map_err(driver)?;
    let Some(row) = rows.next().map_err(driver)? else { return Ok(None) };
    let reason: u8 = column(row, 0)?;
    Ok(Some(Suppression {
        address,
        reason: SuppressionReason::from_number(reason).ok_or_else(|| StoreError::Inconsistent {
            table: "suppressions",
            row: String::new(),
            why: format!("unknown reason {reason}"),
        })?,
        since: Timestamp(column(row, 1)?),
        until: column::<Option<i64>>(row, 2)?.map(Timestamp),
        detail: column(row, 3)?,
    }))
}

/// Puts addresses on the list, in the caller's transaction.
pub(crate) fn suppress(connection: &Connection, suppressions: &[Suppression]) -> Result<()> {
    let mut change = connection
        .prepare_cached(
            "INSERT INTO suppressions (address, reason, since, until, detail) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (address) DO UPDATE SET
               reason = excluded.reason, detail = excluded.detail,
               since = min(since, excluded.since), until = excluded.until
             WHERE suppressions.until IS NOT NULL
               AND (excluded.until IS NULL OR excluded.until > suppressions.until)",
        )
        .map_err(driver)?;
    for one in suppressions {
        change
            .execute(params![
                &one.address.0[..],
                one.reason as u8,
                one.since.0,
                one.until.map(|until| until.0),
                one.detail
            ])
            .map_err(driver)?;
    }
    Ok(())
}

impl OutboxStore for Sqlite {
    async fn renew_claims(&self, claims: Vec<(i64, u32)>, lease_until: Timestamp) -> Result<Vec<i64>> {
        self.write(Urgency::Normal, move |tx| handover::renew(tx, &claims, lease_until)).await
    }

    async fn load_recipients(
        &self,
        contacts: Vec<ContactId>,
        since: Option<Timestamp>,
    ) -> Result<Vec<Recipient>> {
        self.read(move |connection| handover::recipients(connection, &contacts, since)).await
    }

    async fn load_handed_over(&self, since: i64) -> Result<Vec<(i64, Slug, u64)>> {
        self.read(move |connection| handover::handed_over(connection, since)).await
    }

    async fn record_interaction(
        &self,
        message: MessageId,
        kind: String,
        at: Timestamp,
        properties: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Option<ContactId>> {
        self.write(Urgency::Urgent, move |tx| interaction(tx, message, &kind, at, properties)).await
    }

    async fn insert_messages(&self, messages: Vec<OutboxMessage>) -> Result<u64> {
        self.write(Urgency::Normal, move |tx| insert(tx, &messages, false)).await
    }

    async fn claim_messages(
        &self,
        now: Timestamp,
        machine_now: Timestamp,
        lease_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<ClaimedMessage>> {
        self.write(Urgency::Transactional, move |tx| {
            settle(tx, machine_now)?;
            claim(tx, now, lease_until, limit)
        })
        .await
    }

    async fn settle_claims(&self, machine_now: Timestamp) -> Result<Settled> {
        self.write(Urgency::Transactional, move |tx| settle(tx, machine_now)).await
    }

    async fn record_outcomes(&self, at: Timestamp, outcomes: Vec<Recorded>) -> Result<Vec<i64>> {
        self.write(Urgency::Transactional, move |tx| record(tx, at, &outcomes)).await
    }

    async fn retry_messages(&self, filter: MessageFilter, at: Timestamp) -> Result<u64> {
        self.write(Urgency::Normal, move |tx| retry(tx, &filter, at)).await
    }

    async fn next_due(&self) -> Result<Option<(Timestamp, u64)>> {
        self.read(|connection| {
            let mut query = connection
                .prepare_cached("SELECT min(at), count(*) FROM outbox WHERE state = 1")
                .map_err(driver)?;
            let (at, waiting): (Option<i64>, i64) =
                query.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(driver)?;
            Ok(at.map(|at| (Timestamp(at), waiting as u64)))
        })
        .await
    }

    async fn count_open(&self, now: Timestamp) -> Result<OpenMessages> {
        self.read(move |connection| open::count(connection, now)).await
    }

    async fn count_messages(&self, filter: MessageFilter) -> Result<Vec<MessageCount>> {
        self.read(move |connection| count(connection, &filter)).await
    }

    async fn list_messages(
        &self,
        filter: MessageFilter,
        after: i64,
        limit: usize,
    ) -> Result<Vec<MessageRow>> {
        self.read(move |connection| list(connection, &filter, after, limit)).await
    }

    async fn suppress(&self, suppressions: Vec<Suppression>) -> Result<()> {
        self.write(Urgency::Normal, move |tx| suppress(tx, &suppressions)).await
    }

    async fn unsuppress(&self, addresses: Vec<AddressHash>) -> Result<u64> {
        self.write(Urgency::Normal, move |tx| {
            let mut change =
                tx.prepare_cached("DELETE FROM suppressions WHERE address = ?1").map_err(driver)?;
            let mut removed = 0;
            for address in &addresses {
                removed += change.execute([&address.0[..]]).map_err(driver)? as u64;
            }
            Ok(removed)
        })
        .await
    }

    async fn suppressions(
        &self,
        addresses: Vec<AddressHash>,
        now: Timestamp,
    ) -> Result<Vec<Option<Suppression>>> {
        self.read(move |connection| {
            addresses.iter().map(|address| suppression(connection, *address, now)).collect()
        })
        .await
    }
}
