//! See `storage::journeys`.

use model::{ContactId, Slug, Timestamp};
use roaring::RoaringTreemap;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use storage::{
    Result, StoreError, Urgency,
    journeys::{AudienceFilter, CountDelta, Enrolment, JourneyRun, JourneyStore, NewJourneyRun},
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{blob, inconsistent},
};

impl JourneyStore for Sqlite {
    async fn scan_audience(&self, filter: AudienceFilter) -> Result<RoaringTreemap> {
        self.read(move |connection| scan(connection, filter)).await
    }

    async fn load_journey_runs(&self, journey: Slug) -> Result<Vec<JourneyRun>> {
        self.read(move |connection| {
            let sql = format!("SELECT {RUN} FROM journey_runs WHERE journey = ?1 ORDER BY run_id");
            let mut query = connection.prepare_cached(&sql).map_err(driver)?;
            let mut rows = query.query([journey.as_str()]).map_err(driver)?;
            let mut runs = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                runs.push(read_run(row)?);
            }
            Ok(runs)
        })
        .await
    }

    async fn begin_journey_run(&self, run: NewJourneyRun) -> Result<JourneyRun> {
        self.write(Urgency::Normal, move |transaction| begin(transaction, &run)).await
    }

    async fn load_run_audience(&self, run: i64) -> Result<RoaringTreemap> {
        self.read(move |connection| {
            let bytes: Option<Vec<u8>> = connection
                .prepare_cached("SELECT audience FROM journey_runs WHERE run_id = ?1")
                .and_then(|mut query| query.query_row([run], |row| row.get(0)).optional())
                .map_err(driver)?;
            let bytes = bytes.ok_or_else(|| inconsistent("journey_runs", run, "missing"))?;
            RoaringTreemap::deserialize_from(&bytes[..])
                .map_err(|error| inconsistent("journey_runs", run, format!("the audience: {error}")))
        })
        .await
    }

    async fn complete_journey_run(&self, run: i64, at: Timestamp) -> Result<()> {
        self.write(Urgency::Normal, move |transaction| complete(transaction, run, at)).await
    }

    async fn load_journey_counts(&self, run: i64) -> Result<Vec<CountDelta>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT node, measure, n FROM journey_counts WHERE run_id = ?1 ORDER BY node, measure",
                )
                .map_err(driver)?;
            let counts = query.query_map([run], |row| {
                Ok(CountDelta {
                    node: row.get(0)?,
                    measure: row.get(1)?,
                    n: row.get::<_, i64>(2)?.unsigned_abs(),
                })
            });
            counts.and_then(Iterator::collect).map_err(driver)
        })
        .await
    }

    async fn load_enrolments(&self, contact: ContactId) -> Result<Vec<Enrolment>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT run_id, journey, version, entered_at, trace FROM enrolments JOIN journey_runs USING (run_id)
                     WHERE contact_id = ?1 ORDER BY run_id, enrolments.ordinal",
                )
                .map_err(driver)?;
            let mut rows = query.query([contact.0]).map_err(driver)?;
            let mut enrolments = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                enrolments.push(Enrolment {
                    run: row.get(0).map_err(driver)?,
                    journey: slug(row, 1)?,
                    version: row.get(2).map_err(driver)?,
                    at: Timestamp(row.get(3).map_err(driver)?),
                    trace: blob(row, 4).map_err(driver)?.to_vec(),
                });
            }
            Ok(enrolments)
        })
        .await
    }
}

/// The columns that [`read_run`] reads.
const RUN: &str =
    "run_id, journey, version, hash, ordinal, seed, started_at, finished_at, checkpoint, audience_size";

fn read_run(row: &Row<'_>) -> Result<JourneyRun> {
    let number = |column: usize| row.get::<_, i64>(column).map_err(driver);
    Ok(JourneyRun {
        id: number(0)?,
        journey: slug(row, 1)?,
        version: row.get(2).map_err(driver)?,
        hash: row.get(3).map_err(driver)?,
        ordinal: row.get(4).map_err(driver)?,
        seed: number(5)?.cast_unsigned(),
        started_at: Timestamp(number(6)?),
        finished_at: row.get::<_, Option<i64>>(7).map_err(driver)?.map(Timestamp),
        checkpoint: ContactId(number(8)?),
        audience: number(9)?.unsigned_abs(),
    })
}

fn slug(row: &Row<'_>, column: usize) -> Result<Slug> {
    let text: String = row.get(column).map_err(driver)?;
    Slug::parse(&text).map_err(|problem| inconsistent("journey_runs", &text, problem.message))
}

fn scan(connection: &Connection, filter: AudienceFilter) -> Result<RoaringTreemap> {
    let ids = |sql: &str| -> Result<RoaringTreemap> {
        let mut query = connection.prepare_cached(sql).map_err(driver)?;
        let mut rows = query.query([]).map_err(driver)?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next().map_err(driver)? {
            ids.push(row.get::<_, i64>(0).map_err(driver)?.unsigned_abs());
        }
        ids.sort_unstable();
        Ok(ids.into_iter().collect())
    };
    // The covering index spares the profiles; identifiers are by value, hence the sort.
    let all = || ids("SELECT contact_id FROM contacts INDEXED BY contacts_by_reach");
    let with_email = || ids("SELECT contact_id FROM identifiers WHERE kind = 2");
    match filter {
        AudienceFilter::All => all(),
        AudienceFilter::WithEmail => with_email(),
        AudienceFilter::WithoutEmail => Ok(all()? - with_email()?),
        AudienceFilter::WithPhone => ids("SELECT contact_id FROM identifiers WHERE kind = 3"),
        // The index is read whole, its rows are small.
        AudienceFilter::PushSubscribers => {
            ids("SELECT contact_id FROM contacts INDEXED BY contacts_by_reach WHERE reach & 4 <> 0")
        }
    }
}

pub(crate) fn begin(transaction: &Transaction<'_>, run: &NewJourneyRun) -> Result<JourneyRun> {
    let mut audience = Vec::with_capacity(run.audience.serialized_size());
    run.audience.serialize_into(&mut audience).map_err(|error| StoreError::Driver(error.to_string()))?;
    transaction
        .prepare_cached(
            "INSERT INTO journey_runs (journey, version, hash, ordinal, seed, started_at, audience_size, audience)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (journey, hash, ordinal) DO NOTHING",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                run.journey.as_str(),
                run.version,
                run.hash,
                run.ordinal,
                run.seed.cast_signed(),
                run.started_at.0,
                run.audience.len().cast_signed(),
                audience,
            ])
        })
        .map_err(driver)?;
    let sql = format!("SELECT {RUN} FROM journey_runs WHERE journey = ?1 AND hash = ?2 AND ordinal = ?3");
    let mut query = transaction.prepare_cached(&sql).map_err(driver)?;
    let mut rows = query.query(params![run.journey.as_str(), run.hash, run.ordinal]).map_err(driver)?;
    let row =
        rows.next().map_err(driver)?.ok_or_else(|| inconsistent("journey_runs", &run.hash, "missing"))?;
    read_run(row)
}

pub(crate) fn complete(transaction: &Transaction<'_>, run: i64, at: Timestamp) -> Result<()> {
    transaction
        .execute(
            "UPDATE journey_runs SET finished_at = ?2 WHERE run_id = ?1 AND finished_at IS NULL",
            (run, at.0),
        )
        .map_err(driver)?;
    Ok(())
}
