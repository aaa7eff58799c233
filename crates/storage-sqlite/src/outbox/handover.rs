//! Hand-over: what a message is judged by, and that it is still so when it is marked.

use model::{ContactId, Slug, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use storage::{
    Result,
    outbox::{Recipient, SentMark, Witness},
};

use super::{BACKLOG, SendPoints, column, suppression};
use crate::{
    contacts::read_profile,
    pool::driver,
    rows::{inconsistent, text},
};

/// What left to a contact, or is on its way, since an instant: (contact, earliest due, since).
const LEFT: &str = "SELECT send_id, CASE WHEN state = 4 THEN at ELSE due END AS leaves FROM outbox
     WHERE contact_id = ?1 AND due >= ?2 AND state IN (3, 4, 7) AND leaves >= ?3";
/// Minutes for which counts of hand-overs are kept: a day and what windows by whole minutes need beside it.
const MINUTES_KEPT: i64 = 25 * 60;

fn left(connection: &Connection, contact: ContactId, since: Timestamp) -> Result<Vec<SentMark>> {
    let mut points = SendPoints::default();
    let mut query = connection.prepare_cached(LEFT).map_err(driver)?;
    let mut rows = query.query((contact.0, since.0.saturating_sub(BACKLOG), since.0)).map_err(driver)?;
    let mut left = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let send = points.get(connection, column(row, 0)?)?;
        left.push(SentMark {
            channel: send.channel,
            purpose: send.purpose.clone(),
            transactional: send.transactional,
            at: Timestamp(column(row, 1)?),
        });
    }
    Ok(left)
}

/// See [`storage::outbox::OutboxStore::load_recipients`].
pub(super) fn recipients(
    connection: &Connection,
    contacts: &[ContactId],
    since: Option<Timestamp>,
) -> Result<Vec<Recipient>> {
    let mut query = connection
        .prepare_cached("SELECT version, profile FROM contacts WHERE contact_id = ?1")
        .map_err(driver)?;
    let mut recipients = Vec::with_capacity(contacts.len());
    for id in contacts {
        let mut rows = query.query([id.0]).map_err(driver)?;
        let Some(row) = rows.next().map_err(driver)? else { continue };
        recipients.push(Recipient {
            contact: read_profile(*id, text(row, 1).map_err(driver)?)?,
            version: column(row, 0)?,
            left: since.map_or_else(|| Ok(Vec::new()), |since| left(connection, *id, since))?,
        });
    }
    Ok(recipients)
}

/// See [`storage::outbox::OutboxStore::load_handed_over`].
pub(super) fn handed_over(connection: &Connection, since: i64) -> Result<Vec<(i64, Slug, u64)>> {
    let mut query = connection
        .prepare_cached(
            "SELECT minute, journey, n FROM handed_over WHERE minute >= ?1 ORDER BY minute, journey",
        )
        .map_err(driver)?;
    let mut rows = query.query([since]).map_err(driver)?;
    let mut counts = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let journey = text(row, 1).map_err(driver)?;
        let slug = Slug::parse(journey).map_err(|problem| inconsistent("handed_over", journey, problem))?;
        counts.push((column(row, 0)?, slug, column::<i64>(row, 2)?.unsigned_abs()));
    }
    Ok(counts)
}

/// See [`storage::outbox::OutboxStore::renew_claims`].
pub(super) fn renew(tx: &Transaction<'_>, claims: &[(i64, u32)], lease_until: Timestamp) -> Result<Vec<i64>> {
    let mut change = tx
        .prepare_cached("UPDATE outbox SET at = ?3 WHERE seq = ?1 AND attempt = ?2 AND state IN (2, 3)")
        .map_err(driver)?;
    let mut lost = Vec::new();
    for (seq, attempt) in claims {
        if change.execute(params![seq, attempt, lease_until.0]).map_err(driver)? == 0 {
            lost.push(*seq);
        }
    }
    Ok(lost)
}

/// What a mark comes to.
enum Verdict {
    /// As it was judged.
    True,
    /// Something changed: judge it anew, at this instant.
    Stale(Timestamp),
    /// Another contact got this message at this address.
    Duplicate,
}

/// Marks a message as being handed over, while what it was judged by is true; else it waits again, or is skipped as a
/// duplicate. Whether it is marked.
pub(super) fn mark(
    tx: &Transaction<'_>,
    now: Timestamp,
    (seq, attempt): (i64, u32),
    witness: Option<&Witness>,
    lease_until: Option<Timestamp>,
) -> Result<bool> {
    let found = tx
        .prepare_cached(
            "SELECT o.contact_id, s.journey, s.node FROM outbox o JOIN send_points s ON s.send_id = o.send_id
             WHERE o.seq = ?1 AND o.attempt = ?2 AND o.state IN (2, 3)",
        )
        .and_then(|mut query| {
            query
                .query_row(params![seq, attempt], |row| {
                    Ok((ContactId(row.get(0)?), row.get::<_, String>(1)?, row.get::<_, String>(2)?))
                })
                .optional()
        })
        .map_err(driver)?;
    let Some((contact, journey, node)) = found else { return Ok(false) };
    if let Some(witness) = witness {
        match verdict(tx, now, contact, (&journey, &node), witness)? {
            Verdict::True => {}
            Verdict::Stale(again) => {
                tx.prepare_cached("UPDATE outbox SET state = 1, at = ?2 WHERE seq = ?1")
                    .and_then(|mut change| change.execute((seq, again.0)))
                    .map_err(driver)?;
                return Ok(false);
            }
            Verdict::Duplicate => {
                tx.prepare_cached(
                    "UPDATE outbox SET state = 6, at = ?2, reason = 'duplicate',
                       detail = 'another contact got this message at this address' WHERE seq = ?1",
                )
                .and_then(|mut change| change.execute((seq, now.0)))
                .map_err(driver)?;
                return Ok(false);
            }
        }
        if witness.counts {
            count(tx, now, &journey)?;
        }
    }
    // The lease goes on while it is handed over: its end stays in `at`. One that waited longer than it was to, because no
    // server could be reached, leaves now: what caps count is when it leaves, not when it was due.
    let leaves = witness.and_then(|witness| witness.left).map(|_| now.0);
    let address = witness.map(|witness| &witness.address.0[..]);
    tx.prepare_cached(
        "UPDATE outbox SET state = 3, at = coalesce(?2, at), due = max(due, coalesce(?3, due)), address = ?4
         WHERE seq = ?1",
    )
    .and_then(|mut change| change.execute(params![seq, lease_until.map(|end| end.0), leaves, address]))
    .map_err(driver)?;
    Ok(true)
}

fn verdict(
    tx: &Transaction<'_>,
    now: Timestamp,
    contact: ContactId,
    (journey, node): (&str, &str),
    witness: &Witness,
) -> Result<Verdict> {
    let version: Option<i64> = tx
        .prepare_cached("SELECT version FROM contacts WHERE contact_id = ?1")
        .and_then(|mut query| query.query_row([contact.0], |row| row.get(0)).optional())
        .map_err(driver)?;
    if version != Some(witness.version) || suppression(tx, witness.address, now)?.is_some() {
        return Ok(Verdict::Stale(now));
    }
    if let Some((since, count)) = witness.left {
        let here = left(tx, contact, since)?.len();
        if here != count as usize {
            return Ok(Verdict::Stale(now));
        }
    }
    let minute = now.0.div_euclid(Timestamp::MINUTE);
    for (of, minutes, most) in &witness.limits {
        let sent: i64 = tx
            .prepare_cached(
                "SELECT coalesce(sum(n), 0) FROM handed_over WHERE minute >= ?1 AND (?2 IS NULL OR journey = ?2)",
            )
            .and_then(|mut query| {
                query.query_row((minute - minutes, of.as_ref().map(Slug::as_str)), |row| row.get(0))
            })
            .map_err(driver)?;
        if sent.unsigned_abs() >= *most {
            return Ok(Verdict::Stale(Timestamp((minute + 1) * Timestamp::MINUTE)));
        }
    }
    if witness.once {
        let holder: i64 = tx
            .prepare_cached(
                "INSERT INTO addressed (journey, node, address, contact_id) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (journey, node, address) DO UPDATE SET contact_id = contact_id RETURNING contact_id",
            )
            .and_then(|mut insert| {
                insert.query_row(params![journey, node, &witness.address.0[..], contact.0], |row| row.get(0))
            })
            .map_err(driver)?;
        if holder != contact.0 {
            return Ok(Verdict::Duplicate);
        }
    }
    Ok(Verdict::True)
}

/// Counts a marketing message for the send limits, and forgets what no window reaches any more.
fn count(tx: &Transaction<'_>, now: Timestamp, journey: &str) -> Result<()> {
    let minute = now.0.div_euclid(Timestamp::MINUTE);
    let n: i64 = tx
        .prepare_cached(
            "INSERT INTO handed_over (minute, journey, n) VALUES (?1, ?2, 1)
             ON CONFLICT (minute, journey) DO UPDATE SET n = n + 1 RETURNING n",
        )
        .and_then(|mut insert| insert.query_row((minute, journey), |row| row.get(0)))
        .map_err(driver)?;
    if n == 1 {
        tx.prepare_cached("DELETE FROM handed_over WHERE minute < ?1")
            .and_then(|mut delete| delete.execute([minute - MINUTES_KEPT]))
            .map_err(driver)?;
    }
    Ok(())
}
