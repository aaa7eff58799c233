//! Enrolments: who is where in which run.

use std::collections::{BTreeMap, HashSet};

use model::{ContactId, Slug, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use storage::{
    Result,
    live::{EnrolmentStep, LiveEnrolment},
};

use super::limit_rows;
use crate::{
    pool::driver,
    rows::{blob, from_json, to_json},
};

/// The enrolments of these contacts that are inside.
pub(super) fn inside(connection: &Connection, contacts: &[ContactId]) -> Result<Vec<LiveEnrolment>> {
    let mut query = connection
        .prepare_cached(
            "SELECT run_id, ordinal, key, entered_at, state FROM enrolments
             WHERE contact_id = ?1 AND over = 0 ORDER BY run_id, ordinal",
        )
        .map_err(driver)?;
    let mut found = Vec::new();
    for contact in contacts {
        let mut rows = query.query([contact.0]).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            found.push(LiveEnrolment {
                contact: *contact,
                run: row.get(0).map_err(driver)?,
                ordinal: row.get(1).map_err(driver)?,
                key: row.get(2).map_err(driver)?,
                entered_at: Timestamp(row.get(3).map_err(driver)?),
                state: Some(blob(row, 4).map_err(driver)?.to_vec()),
            });
        }
    }
    Ok(found)
}

/// All enrolments of these contacts in runs of a journey, without state.
pub(super) fn past(
    connection: &Connection,
    journey: &Slug,
    contacts: &[ContactId],
) -> Result<Vec<LiveEnrolment>> {
    let runs: HashSet<i64> = connection
        .prepare_cached("SELECT run_id FROM journey_runs WHERE journey = ?1")
        .and_then(|mut query| query.query_map([journey.as_str()], |row| row.get(0))?.collect())
        .map_err(driver)?;
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = connection
        .prepare_cached(
            "SELECT run_id, ordinal, key, entered_at FROM enrolments
             WHERE contact_id = ?1 ORDER BY run_id, ordinal",
        )
        .map_err(driver)?;
    let mut found = Vec::new();
    for contact in contacts {
        let mut rows = query.query([contact.0]).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let run: i64 = row.get(0).map_err(driver)?;
            if runs.contains(&run) {
                found.push(LiveEnrolment {
                    contact: *contact,
                    run,
                    ordinal: row.get(1).map_err(driver)?,
                    key: row.get(2).map_err(driver)?,
                    entered_at: Timestamp(row.get(3).map_err(driver)?),
                    state: None,
                });
            }
        }
    }
    Ok(found)
}

/// The contacts who are inside a run, behind one.
pub(super) fn scan_inside(
    connection: &Connection,
    run: i64,
    after: ContactId,
    limit: usize,
) -> Result<Vec<ContactId>> {
    let mut query = connection
        .prepare_cached(
            "SELECT DISTINCT contact_id FROM enrolments
             WHERE run_id = ?1 AND over = 0 AND contact_id > ?2 ORDER BY contact_id LIMIT ?3",
        )
        .map_err(driver)?;
    let rows = query
        .query_map((run, after.0, limit_rows(limit)), |row| row.get(0).map(ContactId))
        .map_err(driver)?;
    rows.collect::<rusqlite::Result<_>>().map_err(driver)
}

/// What enrolments change in how many stay where.
#[derive(Default)]
pub(super) struct Stays(BTreeMap<(i64, String), i64>);

impl Stays {
    fn add(&mut self, run: i64, nodes: &[String], n: i64) {
        for node in nodes {
            *self.0.entry((run, node.clone())).or_default() += n;
        }
    }

    /// Writes what changed.
    pub(super) fn write(&self, connection: &Connection) -> Result<()> {
        let mut upsert = connection
            .prepare_cached(
                "INSERT INTO stays (run_id, node, n) VALUES (?1, ?2, ?3)
                 ON CONFLICT (run_id, node) DO UPDATE SET n = n + excluded.n",
            )
            .map_err(driver)?;
        for ((run, node), n) in &self.0 {
            if *n != 0 {
                upsert.execute((run, node, n)).map_err(driver)?;
            }
        }
        Ok(())
    }
}

/// Looks at what enrolments are to become, without writing: adds to `stale` the contacts whose enrolment does not stand
/// where the batch took it up, and answers with how many stay where afterwards.
pub(super) fn check(
    connection: &Connection,
    steps: &[EnrolmentStep],
    stale: &mut Vec<ContactId>,
) -> Result<Stays> {
    let mut stands = connection
        .prepare_cached(
            "SELECT over, stays FROM enrolments WHERE contact_id = ?1 AND run_id = ?2 AND ordinal = ?3",
        )
        .map_err(driver)?;
    let mut stays = Stays::default();
    for step in steps {
        let found: Option<(bool, String)> = stands
            .query_row((step.contact.0, step.run, step.ordinal), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(driver)?;
        match (&step.key, found) {
            (Some(_), None) => {}
            (None, Some((false, before))) => {
                stays.add(step.run, &nodes(step.contact, &before)?, -1);
            }
            _ => {
                stale.push(step.contact);
                continue;
            }
        }
        if step.state.is_some() {
            stays.add(step.run, &step.stays, 1);
        }
    }
    Ok(stays)
}

/// Writes what enrolments became.
pub(super) fn write(connection: &Connection, steps: &[EnrolmentStep], at: Timestamp) -> Result<()> {
    let prepare = |sql: &str| connection.prepare_cached(sql).map_err(driver);
    let mut begin = prepare(
        "INSERT INTO enrolments
           (contact_id, run_id, ordinal, over, key, entered_at, changed_at, goal_at, stays, state, trace)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10)",
    )?;
    // `||` makes text of bytes without changing them.
    let mut go_on = prepare(
        "UPDATE enrolments SET changed_at = ?4, goal_at = ifnull(?5, goal_at), stays = ?6, state = ?7,
           trace = CAST(trace || ?8 AS BLOB)
         WHERE contact_id = ?1 AND run_id = ?2 AND ordinal = ?3",
    )?;
    // Only an end touches the index by run.
    let mut end = prepare(
        "UPDATE enrolments SET over = 1, changed_at = ?4, goal_at = ifnull(?5, goal_at), stays = '', state = NULL,
           trace = CAST(trace || ?6 AS BLOB)
         WHERE contact_id = ?1 AND run_id = ?2 AND ordinal = ?3",
    )?;
    for step in steps {
        let goal_at = step.goal_at.map(|at| at.0);
        let stays = match &step.state {
            Some(_) if !step.stays.is_empty() => to_json(&step.stays)?,
            _ => String::new(),
        };
        let (contact, run, ordinal) = (step.contact.0, step.run, step.ordinal);
        match (&step.key, &step.state) {
            (Some(key), state) => begin.execute(params![
                contact,
                run,
                ordinal,
                state.is_none(),
                key,
                at.0,
                goal_at,
                stays,
                state,
                step.trace
            ]),
            (None, Some(state)) => {
                go_on.execute(params![contact, run, ordinal, at.0, goal_at, stays, state, step.trace])
            }
            (None, None) => end.execute(params![contact, run, ordinal, at.0, goal_at, step.trace]),
        }
        .map_err(driver)?;
    }
    Ok(())
}

/// The nodes of a `stays` column.
pub(super) fn nodes(contact: ContactId, json: &str) -> Result<Vec<String>> {
    if json.is_empty() { Ok(Vec::new()) } else { from_json("enrolments", contact, json) }
}
