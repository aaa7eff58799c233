//! See `storage::browse`.

use model::{MessageId, Slug, Timestamp};
use rusqlite::{Connection, Transaction, named_params, params};
use storage::{
    Result, Urgency,
    browse::{BrowseStore, MESSAGES_LOOKED_AT, MessagePage, MessageQuery, RunCount, TAKEN_BACK},
    outbox::{AddressHash, MessageRow, MessageState, Suppression, SuppressionReason},
};

use crate::{
    Sqlite, outbox,
    pool::driver,
    rows::{blob, inconsistent},
};

impl BrowseStore for Sqlite {
    async fn browse_messages(&self, query: MessageQuery, before: i64, limit: usize) -> Result<MessagePage> {
        self.read(move |connection| messages(connection, &query, before, limit, MESSAGES_LOOKED_AT)).await
    }

    async fn load_message(&self, id: MessageId) -> Result<Option<MessageRow>> {
        self.read(move |connection| outbox::find(connection, id)).await
    }

    async fn load_messages(&self, ids: Vec<MessageId>) -> Result<Vec<MessageRow>> {
        self.read(move |connection| {
            let found = ids.into_iter().map(|id| outbox::find(connection, id));
            found.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn take_back_messages(&self, ids: Vec<MessageId>, at: Timestamp) -> Result<Vec<MessageId>> {
        self.write(Urgency::Urgent, move |transaction| {
            let mut update = transaction
                .prepare_cached(
                    "UPDATE outbox SET state = ?2, at = ?3, reason = ?4, detail = 'it was taken back'
                     WHERE message_id = ?1 AND state = 1",
                )
                .map_err(driver)?;
            let mut left = Vec::new();
            for id in ids {
                let row = params![&id.0[..], MessageState::Skipped as u8, at.0, TAKEN_BACK];
                if update.execute(row).map_err(driver)? == 0 {
                    left.push(id);
                }
            }
            Ok(left)
        })
        .await
    }

    async fn retry_these(
        &self,
        ids: Vec<MessageId>,
        uncertain: bool,
        at: Timestamp,
    ) -> Result<Vec<MessageId>> {
        self.write(Urgency::Normal, move |transaction| retry(transaction, ids, uncertain, at)).await
    }

    async fn browse_suppressions(
        &self,
        after: Option<AddressHash>,
        reason: Option<SuppressionReason>,
        limit: usize,
    ) -> Result<Vec<Suppression>> {
        self.read(move |connection| suppressions(connection, after, reason, limit)).await
    }

    async fn count_runs(&self, runs: Vec<i64>) -> Result<Vec<RunCount>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT count(*), ifnull(sum(over = 0), 0) FROM enrolments INDEXED BY enrolments_by_run
                     WHERE run_id = ?1",
                )
                .map_err(driver)?;
            let mut counts = Vec::with_capacity(runs.len());
            for run in runs {
                let (entered, inside): (i64, i64) =
                    query.query_row([run], |row| Ok((row.get(0)?, row.get(1)?))).map_err(driver)?;
                if entered > 0 {
                    counts.push(RunCount {
                        run,
                        entered: entered.cast_unsigned(),
                        inside: inside.cast_unsigned(),
                    });
                }
            }
            Ok(counts)
        })
        .await
    }
}

/// Looks at `span` places at most.
fn messages(
    connection: &Connection,
    query: &MessageQuery,
    before: i64,
    limit: usize,
    span: i64,
) -> Result<MessagePage> {
    let last: i64 = connection
        .prepare_cached("SELECT ifnull(max(seq), 0) FROM outbox")
        .and_then(|mut query| query.query_row([], |row| row.get(0)))
        .map_err(driver)?;
    let before = before.min(last + 1);
    // Those of one contact are few and have an index.
    let floor = if query.contact.is_some() { 0 } else { before.saturating_sub(span).max(0) };
    let source =
        if query.contact.is_some() { "outbox o INDEXED BY outbox_contact" } else { "outbox o NOT INDEXED" };
    let by_contact = if query.contact.is_some() { "o.contact_id = :contact AND" } else { "" };
    let terms = format!(
        "{by_contact} o.seq < :before AND o.seq >= :floor
         AND (:contact IS NULL OR o.contact_id = :contact)
         AND (:state IS NULL OR o.state = :state) AND (:reason IS NULL OR o.reason = :reason)
         AND (:since IS NULL OR b.decided_at >= :since) AND (:until IS NULL OR b.decided_at < :until)
         AND ((:run IS NULL AND :journey IS NULL AND :channel IS NULL) OR o.send_id IN (
           SELECT send_id FROM send_points WHERE (:run IS NULL OR run = :run)
           AND (:journey IS NULL OR journey = :journey) AND (:channel IS NULL OR channel = :channel)))"
    );
    let bound = named_params! {
        ":before": before, ":floor": floor, ":contact": query.contact.map(|id| id.0),
        ":state": query.state.map(|state| state as u8), ":reason": query.reason,
        ":since": query.since.map(|at| at.0), ":until": query.until.map(|at| at.0), ":run": query.run,
        ":journey": query.journey.as_ref().map(Slug::as_str),
        ":channel": query.channel.map(|channel| channel as u8), ":limit": limit as i64,
    };
    let messages = outbox::select(connection, source, &terms, "o.seq DESC LIMIT :limit", bound)?;
    let next = match messages.last() {
        Some(last) if messages.len() >= limit => Some(last.seq).filter(|seq| *seq > 1),
        _ => Some(floor).filter(|floor| *floor > 0),
    };
    Ok(MessagePage { messages, next })
}

fn retry(
    transaction: &Transaction<'_>,
    ids: Vec<MessageId>,
    uncertain: bool,
    at: Timestamp,
) -> Result<Vec<MessageId>> {
    let mut update = transaction
        .prepare_cached(
            "UPDATE outbox SET state = 1, at = ?2, due = ?2, failures = 0, reason = NULL, detail = NULL
             WHERE message_id = ?1 AND (state = 5 OR (?3 AND state = 7))",
        )
        .map_err(driver)?;
    let mut left = Vec::new();
    for id in ids {
        if update.execute(params![&id.0[..], at.0, uncertain]).map_err(driver)? == 0 {
            left.push(id);
        }
    }
    Ok(left)
}

fn suppressions(
    connection: &Connection,
    after: Option<AddressHash>,
    reason: Option<SuppressionReason>,
    limit: usize,
) -> Result<Vec<Suppression>> {
    let mut query = connection
        .prepare_cached(
            "SELECT address, reason, since, until, detail FROM suppressions
             WHERE address > ?1 AND (?2 IS NULL OR reason = ?2) ORDER BY address LIMIT ?3",
        )
        .map_err(driver)?;
    let after = after.map(|hash| hash.0.to_vec()).unwrap_or_default();
    let mut rows =
        query.query(params![after, reason.map(|reason| reason as u8), limit as i64]).map_err(driver)?;
    let mut list = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let address: [u8; 16] = blob(row, 0)
            .map_err(driver)?
            .try_into()
            .map_err(|_| inconsistent("suppressions", "", "an address's hash is not 16 bytes long"))?;
        let number: u8 = row.get(1).map_err(driver)?;
        list.push(Suppression {
            address: AddressHash(address),
            reason: SuppressionReason::from_number(number)
                .ok_or_else(|| inconsistent("suppressions", "", format!("unknown reason {number}")))?,
            since: Timestamp(row.get(2).map_err(driver)?),
            until: row.get::<_, Option<i64>>(3).map_err(driver)?.map(Timestamp),
            detail: row.get(4).map_err(driver)?,
        });
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_looks_at_so_many_messages_and_says_where_to_go_on() {
        let folder = tempfile::tempdir().unwrap();
        drop(Sqlite::open(folder.path().join("a.db"), crate::Options::default()).unwrap());
        let connection = Connection::open(folder.path().join("a.db")).unwrap();
        connection
            .execute_batch(
                "INSERT INTO send_points (send_id, journey, journey_version, run, node, channel, purpose, transactional,
                   template, template_version) VALUES (1, 'a', 1, 1, 'mail', 1, 'newsletter', 0, 't', 1);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10)
                 INSERT INTO outbox (seq, message_id, contact_id, send_id, state, at)
                 SELECT i, unhex(printf('%032x', i)), i, 1, iif(i = 2, 5, 4), 0 FROM n;
                 INSERT INTO outbox_bodies (seq, decided_at, variables) SELECT seq, seq, '{}' FROM outbox;",
            )
            .unwrap();
        let failed = MessageQuery { state: Some(MessageState::Failed), ..MessageQuery::default() };
        let page = messages(&connection, &failed, i64::MAX, 5, 4).unwrap();
        assert_eq!((page.messages.len(), page.next), (0, Some(7)));
        let page = messages(&connection, &failed, 7, 5, 4).unwrap();
        assert_eq!((page.messages.len(), page.next), (0, Some(3)));
        let page = messages(&connection, &failed, 3, 5, 4).unwrap();
        assert_eq!((page.messages.len(), page.next), (1, None));
        let all = messages(&connection, &MessageQuery::default(), i64::MAX, 4, 100).unwrap();
        assert_eq!(all.messages.iter().map(|row| row.seq).collect::<Vec<_>>(), [10, 9, 8, 7]);
        assert_eq!(all.next, Some(7));
        let time =
            MessageQuery { since: Some(Timestamp(3)), until: Some(Timestamp(5)), ..MessageQuery::default() };
        assert_eq!(messages(&connection, &time, i64::MAX, 10, 100).unwrap().messages.len(), 2);
    }
}
