//! See `storage::jobs`.

use model::{Problem, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};
use storage::{
    Result, Urgency,
    jobs::{Job, JobEnd, JobFilter, JobProgress, JobState, JobStore, NewJob},
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{from_json, inconsistent, text, to_json},
};

const COLUMNS: &str = "job_no, kind, state, request, asked_at, asked_by, started_at, ended_at, attempts, cancel, \
     phase, done, total, result, problems";

impl JobStore for Sqlite {
    async fn add_job(&self, job: NewJob) -> Result<Job> {
        self.write(Urgency::Urgent, move |transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO jobs (kind, state, request, asked_at, asked_by) VALUES (?1, ?2, ?3, ?4, ?5)",
                )
                .map_err(driver)?
                .execute((&job.kind, JobState::Waiting as u8, to_json(&job.request)?, job.at.0, &job.by))
                .map_err(driver)?;
            let no = transaction.last_insert_rowid();
            load(transaction, no)?.ok_or_else(|| inconsistent("jobs", no, "missing"))
        })
        .await
    }

    async fn load_job(&self, no: i64) -> Result<Option<Job>> {
        self.read(move |connection| load(connection, no)).await
    }

    async fn list_jobs(&self, filter: JobFilter, before: i64, limit: usize) -> Result<Vec<Job>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM jobs WHERE job_no < :before AND (:kind IS NULL OR kind = :kind)
                     AND (:state IS NULL OR state = :state) ORDER BY job_no DESC LIMIT :limit"
                ))
                .map_err(driver)?;
            let mut rows = query
                .query(named_params! {
                    ":before": before, ":kind": filter.kind, ":state": filter.state.map(|state| state as u8),
                    ":limit": limit as i64,
                })
                .map_err(driver)?;
            let mut jobs = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                jobs.push(read(row)?);
            }
            Ok(jobs)
        })
        .await
    }

    async fn claim_job(&self, at: Timestamp) -> Result<Option<Job>> {
        self.write(Urgency::Normal, move |transaction| {
            let no: Option<i64> = transaction
                .prepare_cached(
                    "UPDATE jobs SET state = 2, started_at = ?1, attempts = attempts + 1
                     WHERE job_no = (SELECT job_no FROM jobs WHERE state <= 2 AND state = 1 ORDER BY job_no LIMIT 1)
                     RETURNING job_no",
                )
                .and_then(|mut update| update.query_row([at.0], |row| row.get(0)).optional())
                .map_err(driver)?;
            no.map_or(Ok(None), |no| load(transaction, no))
        })
        .await
    }

    async fn note_job(&self, no: i64, progress: JobProgress) -> Result<bool> {
        self.write(Urgency::Normal, move |transaction| {
            let cancel: Option<bool> = transaction
                .prepare_cached(
                    "UPDATE jobs SET phase = ?2, done = ?3, total = ?4 WHERE job_no = ?1 AND state = 2
                     RETURNING cancel",
                )
                .and_then(|mut update| {
                    let JobProgress { phase, done, total } = &progress;
                    update
                        .query_row(params![no, phase, done.cast_signed(), total.cast_signed()], |row| {
                            row.get(0)
                        })
                        .optional()
                })
                .map_err(driver)?;
            Ok(cancel == Some(false))
        })
        .await
    }

    async fn end_job(&self, no: i64, end: JobEnd) -> Result<()> {
        self.write(Urgency::Normal, move |transaction| finish(transaction, no, &end)).await
    }

    async fn cancel_job(&self, no: i64, at: Timestamp) -> Result<Option<Job>> {
        self.write(Urgency::Urgent, move |transaction| {
            transaction
                .prepare_cached(
                    "UPDATE jobs SET cancel = 1, ended_at = iif(state = 1, ?2, ended_at),
                       state = iif(state = 1, 5, state) WHERE job_no = ?1 AND state <= 2",
                )
                .and_then(|mut update| update.execute((no, at.0)))
                .map_err(driver)?;
            load(transaction, no)
        })
        .await
    }

    async fn settle_jobs(&self, most: u32, why: Problem, at: Timestamp) -> Result<u64> {
        self.write(Urgency::Normal, move |transaction| {
            let problems = to_json(&[&why])?;
            transaction
                .prepare_cached(
                    "UPDATE jobs SET state = 4, ended_at = ?2, problems = ?3 WHERE state <= 2 AND state = 2
                     AND attempts >= ?1 AND cancel = 0",
                )
                .and_then(|mut update| update.execute((most, at.0, problems)))
                .map_err(driver)?;
            transaction
                .prepare_cached(
                    "UPDATE jobs SET state = 5, ended_at = ?1 WHERE state <= 2 AND state = 2 AND cancel = 1",
                )
                .and_then(|mut update| update.execute([at.0]))
                .map_err(driver)?;
            let waiting = transaction
                .prepare_cached("UPDATE jobs SET state = 1 WHERE state <= 2 AND state = 2")
                .and_then(|mut update| update.execute([]))
                .map_err(driver)?;
            Ok(waiting as u64)
        })
        .await
    }

    async fn forget_jobs(&self, before: Timestamp) -> Result<Vec<i64>> {
        self.write(Urgency::Bulk, move |transaction| {
            let mut delete = transaction
                .prepare_cached("DELETE FROM jobs WHERE state >= 3 AND ended_at < ?1 RETURNING job_no")
                .map_err(driver)?;
            let numbers = delete.query_map([before.0], |row| row.get(0)).map_err(driver)?;
            numbers.collect::<rusqlite::Result<Vec<i64>>>().map_err(driver)
        })
        .await
    }
}

fn finish(connection: &Connection, no: i64, end: &JobEnd) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE jobs SET state = ?2, phase = ?3, done = ?4, total = ?5, result = ?6, problems = ?7,
               ended_at = ?8 WHERE job_no = ?1 AND state = 2",
        )
        .map_err(driver)?
        .execute(params![
            no,
            end.state as u8,
            end.progress.phase,
            end.progress.done.cast_signed(),
            end.progress.total.cast_signed(),
            to_json(&end.result)?,
            to_json(&end.problems)?,
            end.at.0
        ])
        .map_err(driver)?;
    Ok(())
}

fn load(connection: &Connection, no: i64) -> Result<Option<Job>> {
    let mut query = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM jobs WHERE job_no = ?1"))
        .map_err(driver)?;
    let mut rows = query.query([no]).map_err(driver)?;
    rows.next().map_err(driver)?.map(read).transpose()
}

fn read(row: &Row<'_>) -> Result<Job> {
    let no: i64 = row.get(0).map_err(driver)?;
    let state: u8 = row.get(2).map_err(driver)?;
    let instant = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp)).map_err(driver);
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned).map_err(driver);
    Ok(Job {
        no,
        kind: row.get(1).map_err(driver)?,
        state: JobState::from_number(state)
            .ok_or_else(|| inconsistent("jobs", no, format!("unknown state {state}")))?,
        request: from_json("jobs", no, text(row, 3).map_err(driver)?)?,
        asked_at: Timestamp(row.get(4).map_err(driver)?),
        asked_by: row.get(5).map_err(driver)?,
        started_at: instant(6)?,
        ended_at: instant(7)?,
        attempts: row.get(8).map_err(driver)?,
        cancel: row.get(9).map_err(driver)?,
        progress: JobProgress { phase: row.get(10).map_err(driver)?, done: number(11)?, total: number(12)? },
        result: from_json("jobs", no, text(row, 13).map_err(driver)?)?,
        problems: from_json("jobs", no, text(row, 14).map_err(driver)?)?,
    })
}
