//! See `storage::live`.

mod commit;
mod enrolments;
pub(crate) mod inputs;
pub(crate) mod lives;
mod trials;

use model::{ContactId, Slug, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use storage::{
    Result, Urgency, fault,
    journeys::CountDelta,
    live::{
        Alarm, Done, Ended, Input, LifeRecord, LiveEnrolment, LiveStore, NewInput, NewWave, StepCommit,
        StepOutcome, TrialTally, Wave,
    },
    outbox::SentMark,
};

pub(crate) use inputs::{
    InputRow, Kinds, Queue, add as add_inputs, add_waves, keep as keep_events, properties_text,
};

use crate::{
    Sqlite, outbox,
    pool::driver,
    rows::{blob, last_number},
};

/// Measure under which [`LiveStore::count_stays`] counts.
const WAITING: &str = "waiting";

impl LiveStore for Sqlite {
    async fn take_inputs(&self, until: i64, limit: usize) -> Result<Vec<Input>> {
        self.read(move |connection| inputs::take(connection, until, limit)).await
    }

    async fn last_input(&self) -> Result<i64> {
        self.read(|connection| last_number(connection, inputs::SEQUENCE)).await
    }

    async fn add_inputs(&self, inputs: Vec<NewInput>, waves: Vec<NewWave>) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            inputs::add(transaction, &inputs)?;
            add_waves(transaction, &waves)
        })
        .await
    }

    async fn load_waves(&self) -> Result<Vec<Wave>> {
        self.read(inputs::waves).await
    }

    async fn load_inside(&self, contacts: Vec<ContactId>) -> Result<Vec<LiveEnrolment>> {
        self.read(move |connection| enrolments::inside(connection, &contacts)).await
    }

    async fn load_past(&self, journey: Slug, contacts: Vec<ContactId>) -> Result<Vec<LiveEnrolment>> {
        self.read(move |connection| enrolments::past(connection, &journey, &contacts)).await
    }

    async fn scan_inside(&self, run: i64, after: ContactId, limit: usize) -> Result<Vec<ContactId>> {
        self.read(move |connection| enrolments::scan_inside(connection, run, after, limit)).await
    }

    async fn load_passages(
        &self,
        journey: Slug,
        node: String,
        contacts: Vec<ContactId>,
    ) -> Result<(Vec<u64>, u64)> {
        self.read(move |connection| passages(connection, &journey, &node, &contacts)).await
    }

    async fn load_alarms(&self, contacts: Vec<ContactId>) -> Result<Vec<Alarm>> {
        self.read(move |connection| alarms(connection, &contacts)).await
    }

    async fn due_alarms(&self, now: Timestamp, limit: usize) -> Result<Vec<ContactId>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT contact_id FROM alarms WHERE due IS NOT NULL AND due <= ?1
                     ORDER BY due, contact_id LIMIT ?2",
                )
                .map_err(driver)?;
            let rows = query
                .query_map((now.0, limit_rows(limit)), |row| row.get(0).map(ContactId))
                .map_err(driver)?;
            rows.collect::<rusqlite::Result<_>>().map_err(driver)
        })
        .await
    }

    async fn next_alarm(&self) -> Result<Option<Timestamp>> {
        self.read(|connection| {
            // Two look-ups at the beginning of an index.
            let first = |sql: &str| -> Result<Option<i64>> {
                connection
                    .prepare_cached(sql)
                    .and_then(|mut query| query.query_row([], |row| row.get(0)).optional())
                    .map_err(driver)
            };
            let alarm = first("SELECT due FROM alarms WHERE due IS NOT NULL ORDER BY due LIMIT 1")?;
            let flip = first("SELECT due FROM segment_flips ORDER BY due LIMIT 1")?;
            Ok(alarm.into_iter().chain(flip).min().map(Timestamp))
        })
        .await
    }

    async fn commit_step(&self, step: StepCommit) -> Result<StepOutcome> {
        fault::point("step.before_commit");
        let outcome = self.write(urgency(&step), move |transaction| commit::step(transaction, &step)).await?;
        fault::point("step.after_commit");
        Ok(outcome)
    }

    async fn load_lives(&self, all: bool) -> Result<Vec<LifeRecord>> {
        self.read(move |connection| lives::load(connection, all)).await
    }

    async fn save_lives(&self, lives: Vec<LifeRecord>) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| lives::save(transaction, &lives)).await
    }

    async fn count_stays(&self, run: i64) -> Result<Vec<CountDelta>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached("SELECT node, n FROM stays WHERE run_id = ?1 AND n > 0 ORDER BY node")
                .map_err(driver)?;
            let rows = query
                .query_map([run], |row| {
                    Ok(CountDelta {
                        node: row.get(0)?,
                        measure: WAITING.into(),
                        n: row.get::<_, i64>(1)?.unsigned_abs(),
                    })
                })
                .map_err(driver)?;
            rows.collect::<rusqlite::Result<_>>().map_err(driver)
        })
        .await
    }

    async fn load_tallies(&self, run: i64) -> Result<Vec<TrialTally>> {
        self.read(move |connection| trials::tallies(connection, run)).await
    }

    async fn load_ended(
        &self,
        runs: Vec<i64>,
        contacts: Vec<ContactId>,
        since: Timestamp,
    ) -> Result<Vec<Ended>> {
        self.read(move |connection| trials::ended(connection, &runs, &contacts, since)).await
    }

    async fn load_sends(
        &self,
        contacts: Vec<ContactId>,
        since: Timestamp,
    ) -> Result<Vec<(ContactId, SentMark)>> {
        self.read(move |connection| outbox::sends(connection, &contacts, since)).await
    }
}

/// Which lane a batch takes: a message that somebody waits for goes before everything else that journeys do, and what
/// happens to many at once lets single contacts pass.
fn urgency(step: &StepCommit) -> Urgency {
    if step.messages.iter().any(|message| message.send.transactional) {
        return Urgency::Transactional;
    }
    match step.done {
        Done::Inputs(_) | Done::Alarms => Urgency::Normal,
        Done::Wave { .. } | Done::Audience { .. } => Urgency::Broadcast,
    }
}

fn limit_rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn alarms(connection: &Connection, contacts: &[ContactId]) -> Result<Vec<Alarm>> {
    let mut query =
        connection.prepare_cached("SELECT due, timers FROM alarms WHERE contact_id = ?1").map_err(driver)?;
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Alarm { due: row.get::<_, Option<i64>>(0)?.map(Timestamp), timers: blob(row, 1)?.to_vec() })
    };
    contacts
        .iter()
        .map(|id| Ok(query.query_row([id.0], read).optional().map_err(driver)?.unwrap_or_default()))
        .collect()
}

fn passages(
    connection: &Connection,
    journey: &Slug,
    node: &str,
    contacts: &[ContactId],
) -> Result<(Vec<u64>, u64)> {
    let mut query = connection
        .prepare_cached("SELECT n FROM node_passages WHERE contact_id = ?1 AND journey = ?2 AND node = ?3")
        .map_err(driver)?;
    let mut of = |contact: i64| -> Result<u64> {
        let n: Option<i64> = query
            .query_row((contact, journey.as_str(), node), |row| row.get(0))
            .optional()
            .map_err(driver)?;
        Ok(n.unwrap_or_default().unsigned_abs())
    };
    let own = contacts.iter().map(|id| of(id.0)).collect::<Result<_>>()?;
    Ok((own, of(0)?))
}
