//! What became of each enrolment of a run.

use model::{ContactId, MessageId, Timestamp};
use rusqlite::{Connection, Row};
use storage::{
    Result,
    journeys::{Recipient, RecipientMessage},
    outbox::{Channel, MessageState},
};

use super::{enrolments::nodes, limit_rows};
use crate::{
    pool::driver,
    rows::{blob, inconsistent, text},
};

/// How many visits of a node are tried to find out which of several enrolments sent a message: a message's id tells its
/// enrolment, but only to those who ask for the right visit.
const VISITS_TRIED: u32 = 64;

/// What became of the enrolments of a run, by contact and ordinal. Those inside and those that are over come from their
/// parts of the index, and are merged.
pub(crate) fn recipients(
    connection: &Connection,
    run: i64,
    (after, after_ordinal): (ContactId, u32),
    limit: usize,
) -> Result<Vec<Recipient>> {
    let mut query = connection
        .prepare_cached(
            "SELECT e.contact_id, e.ordinal, e.over, key, entered_at, changed_at, goal_at, stays, trace
             FROM (
               SELECT contact_id, ordinal FROM (
                 SELECT contact_id, ordinal FROM enrolments WHERE run_id = ?1 AND over = 0 AND contact_id >= ?2
                   AND (contact_id > ?2 OR ordinal > ?3) ORDER BY contact_id, ordinal LIMIT ?4)
               UNION ALL
               SELECT contact_id, ordinal FROM (
                 SELECT contact_id, ordinal FROM enrolments WHERE run_id = ?1 AND over = 1 AND contact_id >= ?2
                   AND (contact_id > ?2 OR ordinal > ?3) ORDER BY contact_id, ordinal LIMIT ?4)
               ORDER BY 1, 2 LIMIT ?4) AS listed
             JOIN enrolments e
               ON e.contact_id = listed.contact_id AND e.run_id = ?1 AND e.ordinal = listed.ordinal
             ORDER BY e.contact_id, e.ordinal",
        )
        .map_err(driver)?;
    let mut rows = query.query((run, after.0, after_ordinal, limit_rows(limit))).map_err(driver)?;
    let mut found: Vec<Recipient> = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        found.push(read(row)?);
    }
    let mut of: Option<Messages> = None;
    for recipient in &mut found {
        let messages = match of.take() {
            Some(known) if known.contact == recipient.contact => known,
            _ => Messages::load(connection, run, recipient.contact)?,
        };
        recipient.messages = messages.of(run, recipient);
        of = Some(messages);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Recipient> {
    let contact = ContactId(row.get(0).map_err(driver)?);
    Ok(Recipient {
        contact,
        ordinal: row.get(1).map_err(driver)?,
        over: row.get(2).map_err(driver)?,
        key: row.get(3).map_err(driver)?,
        entered_at: Timestamp(row.get(4).map_err(driver)?),
        changed_at: Timestamp(row.get(5).map_err(driver)?),
        goal_at: row.get::<_, Option<i64>>(6).map_err(driver)?.map(Timestamp),
        stays: nodes(contact, text(row, 7).map_err(driver)?)?,
        trace: blob(row, 8).map_err(driver)?.to_vec(),
        messages: Vec::new(),
    })
}

/// A contact's messages of a run.
struct Messages {
    contact: ContactId,
    /// Whether the contact has one enrolment in the run, which sent them all.
    single: bool,
    messages: Vec<RecipientMessage>,
}

impl Messages {
    fn load(connection: &Connection, run: i64, contact: ContactId) -> Result<Self> {
        let enrolments: i64 = connection
            .prepare_cached("SELECT count(*) FROM enrolments WHERE contact_id = ?1 AND run_id = ?2")
            .and_then(|mut query| query.query_row((contact.0, run), |row| row.get(0)))
            .map_err(driver)?;
        let mut query = connection
            .prepare_cached(
                "SELECT message_id, node, channel, state, reason, at FROM outbox JOIN send_points USING (send_id)
                 WHERE contact_id = ?1 AND run = ?2 ORDER BY seq",
            )
            .map_err(driver)?;
        let mut rows = query.query((contact.0, run)).map_err(driver)?;
        let mut messages = Vec::new();
        while let Some(row) = rows.next().map_err(driver)? {
            let (channel, state): (u8, u8) = (row.get(2).map_err(driver)?, row.get(3).map_err(driver)?);
            let bad = |what| inconsistent("outbox", contact, what);
            messages.push(RecipientMessage {
                id: MessageId(row.get(0).map_err(driver)?),
                node: row.get(1).map_err(driver)?,
                channel: Channel::from_number(channel).ok_or_else(|| bad("unknown channel"))?,
                state: MessageState::from_number(state).ok_or_else(|| bad("unknown state"))?,
                reason: row.get(4).map_err(driver)?,
                at: Timestamp(row.get(5).map_err(driver)?),
            });
        }
        Ok(Self { contact, single: enrolments == 1, messages })
    }

    /// Those that an enrolment sent.
    fn of(&self, run: i64, recipient: &Recipient) -> Vec<RecipientMessage> {
        let contact = recipient.contact.0.unsigned_abs();
        let sent = |message: &&RecipientMessage| {
            self.single
                || (1..=VISITS_TRIED).any(|visit| {
                    let id = MessageId::derive(run as u32, contact, recipient.ordinal, &message.node, visit);
                    id == message.id
                })
        };
        self.messages.iter().filter(sent).cloned().collect()
    }
}
