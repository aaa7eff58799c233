//! See `storage::people`.

mod merge;
mod profile;

use model::{ContactId, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use storage::{
    Result, Urgency,
    people::{Merged, PeopleStore},
};

pub(crate) use merge::{departed_since, merge, tell};

use crate::{Sqlite, contacts::load_one, pool::driver, rows::last_number};

impl PeopleStore for Sqlite {
    async fn merge_contacts(&self, winner: ContactId, loser: ContactId, now: Timestamp) -> Result<Merged> {
        storage::fault::point("merge.before");
        let merged = self
            .write(Urgency::Urgent, move |transaction| merge_named(transaction, winner, loser, now))
            .await?;
        storage::fault::point("merge.after");
        Ok(merged)
    }

    async fn forward(&self, contacts: Vec<ContactId>) -> Result<Vec<ContactId>> {
        self.read(move |connection| contacts.into_iter().map(|id| forwarded(connection, id)).collect()).await
    }

    async fn last_departure(&self) -> Result<i64> {
        self.read(|connection| last_number(connection, merge::SEQUENCE)).await
    }
}

/// Who a contact is today; 0 when it was erased.
pub(crate) fn forwarded(connection: &Connection, id: ContactId) -> Result<ContactId> {
    let into: Option<i64> = connection
        .prepare_cached("SELECT became FROM departures WHERE contact_id = ?1")
        .and_then(|mut query| query.query_row([id.0], |row| row.get(0)).optional())
        .map_err(driver)?;
    Ok(into.map_or(id, ContactId))
}

/// A merge that somebody asked for, with its input.
fn merge_named(
    connection: &Connection,
    winner: ContactId,
    loser: ContactId,
    now: Timestamp,
) -> Result<Merged> {
    let (into, of) = (forwarded(connection, winner)?, forwarded(connection, loser)?);
    if into == of {
        return Ok(if winner == loser { Merged::Same } else { Merged::Already });
    }
    for id in [into, of] {
        if load_one(connection, id)?.is_none() {
            return Ok(Merged::Unknown(if id == into { winner } else { loser }));
        }
    }
    let passed = merge(connection, into, of, now)?;
    tell(connection, &[(into, of)], passed, now)?;
    storage::fault::point("merge.before_commit");
    Ok(Merged::Done)
}
