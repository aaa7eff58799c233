//! How many messages have not come to an end.

use model::Timestamp;
use rusqlite::Connection;
use storage::{Result, outbox::OpenMessages};

use crate::pool::driver;

/// Counts in the partial indexes of messages that wait and of those that are claimed. They are named: a plan that would
/// look at the table of all messages is an error, not a slow answer.
pub(super) fn count(connection: &Connection, now: Timestamp) -> Result<OpenMessages> {
    let number = |count: i64| count.cast_unsigned();
    let mut open = connection
        .prepare_cached(
            "SELECT count(*), count(*) FILTER (WHERE at > ?1), min(at) FROM outbox INDEXED BY outbox_due
             WHERE state = 1",
        )
        .and_then(|mut query| {
            query.query_row([now.0], |row| {
                let (all, later): (i64, i64) = (row.get(0)?, row.get(1)?);
                let next: Option<i64> = row.get(2)?;
                let (due, later) = (number(all - later), number(later));
                Ok(OpenMessages { due, later, next: next.map(Timestamp), ..OpenMessages::default() })
            })
        })
        .map_err(driver)?;
    (open.claimed, open.handing_over) = connection
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3)
             FROM outbox INDEXED BY outbox_leases WHERE state IN (2, 3)",
        )
        .and_then(|mut query| query.query_row([], |row| Ok((number(row.get(0)?), number(row.get(1)?)))))
        .map_err(driver)?;
    Ok(open)
}
