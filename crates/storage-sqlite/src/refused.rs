//! See `storage::refused`.

use model::{Problem, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};
use storage::{
    Result, Urgency,
    refused::{NewRefused, REFUSED_BYTES_MAX, REFUSED_MAX, Refused, RefusedStore},
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{from_json, to_json},
};

const COLUMNS: &str = "refused_no, received_at, sent_at, key_id, call, problem, body";

impl RefusedStore for Sqlite {
    async fn save_refused(&self, messages: Vec<NewRefused>) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            for message in &messages {
                insert(transaction, message)?;
            }
            forget_oldest(transaction)?;
            storage::fault::point("refused.before_commit");
            Ok(())
        })
        .await
    }

    async fn list_refused(&self, before: Option<i64>, limit: usize) -> Result<Vec<Refused>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM refused_events WHERE refused_no < ?1 ORDER BY refused_no DESC LIMIT ?2"
            );
            let mut query = connection.prepare_cached(&sql).map_err(driver)?;
            let mut rows = query.query((before.unwrap_or(i64::MAX), limit as i64)).map_err(driver)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                found.push(read(row)?);
            }
            Ok(found)
        })
        .await
    }

    async fn load_refused(&self, numbers: Vec<i64>) -> Result<Vec<Refused>> {
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM refused_events WHERE refused_no = ?1");
            let mut query = connection.prepare_cached(&sql).map_err(driver)?;
            let mut found = Vec::new();
            for no in numbers {
                let one = query.query_row([no], |row| Ok(read(row))).optional().map_err(driver)?;
                found.extend(one.transpose()?);
            }
            Ok(found)
        })
        .await
    }

    async fn drop_refused(&self, numbers: Vec<i64>) -> Result<u64> {
        self.write(Urgency::Urgent, move |transaction| {
            let mut delete = transaction
                .prepare_cached("DELETE FROM refused_events WHERE refused_no = ?1")
                .map_err(driver)?;
            let mut gone = 0;
            for no in numbers {
                gone += delete.execute([no]).map_err(driver)? as u64;
            }
            Ok(gone)
        })
        .await
    }

    async fn update_refused(&self, no: i64, problem: Problem) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            transaction
                .prepare_cached("UPDATE refused_events SET problem = ?2 WHERE refused_no = ?1")
                .map_err(driver)?
                .execute((no, to_json(&problem)?))
                .map_err(driver)?;
            Ok(())
        })
        .await
    }
}

fn insert(connection: &Connection, message: &NewRefused) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO refused_events (received_at, sent_at, key_id, call, problem, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .map_err(driver)?
        .execute((
            message.received_at.0,
            message.sent_at.map(|at| at.0),
            &message.key,
            &message.call,
            to_json(&message.problem)?,
            &message.body,
        ))
        .map_err(driver)?;
    Ok(())
}

fn forget_oldest(connection: &Connection) -> Result<()> {
    let mut sums = connection.prepare_cached("SELECT n, bytes FROM refused_sums").map_err(driver)?;
    let mut oldest = connection
        .prepare_cached(
            "DELETE FROM refused_events WHERE refused_no = (SELECT min(refused_no) FROM refused_events)",
        )
        .map_err(driver)?;
    loop {
        let (n, bytes): (u64, u64) = sums
            .query_row([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)))
            .map_err(driver)?;
        if n <= REFUSED_MAX && bytes <= REFUSED_BYTES_MAX {
            return Ok(());
        }
        if oldest.execute([]).map_err(driver)? == 0 {
            return Ok(());
        }
    }
}

fn read(row: &Row<'_>) -> Result<Refused> {
    let no: i64 = row.get(0).map_err(driver)?;
    let problem: String = row.get(5).map_err(driver)?;
    Ok(Refused {
        no,
        message: NewRefused {
            received_at: Timestamp(row.get(1).map_err(driver)?),
            sent_at: row.get::<_, Option<i64>>(2).map_err(driver)?.map(Timestamp),
            key: row.get(3).map_err(driver)?,
            call: row.get(4).map_err(driver)?,
            problem: from_json("refused_events", no, &problem)?,
            body: row.get(6).map_err(driver)?,
        },
    })
}
