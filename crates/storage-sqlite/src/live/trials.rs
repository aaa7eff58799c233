//! A/B tests and goals that are reached late: what a batch counts for them.

use model::{ContactId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use storage::{
    Result,
    live::{Ended, LateGoal, TrialMark, TrialTally},
};

use crate::pool::driver;

/// Writes passages and conversions, each once, with the tallies.
pub(super) fn mark(connection: &Connection, marks: &[TrialMark]) -> Result<()> {
    if marks.is_empty() {
        return Ok(());
    }
    let prepare = |sql: &str| connection.prepare_cached(sql).map_err(driver);
    let mut take = prepare(
        "INSERT INTO trial_passages (contact_id, run_id, node, variant, at, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (contact_id, run_id, node) DO NOTHING",
    )?;
    let mut took = prepare(
        "INSERT INTO trial_tallies (run_id, node, variant, entered, converted, last_at) VALUES (?1, ?2, ?3, 1, 0, ?4)
         ON CONFLICT (run_id, node, variant)
         DO UPDATE SET entered = entered + 1, last_at = max(last_at, excluded.last_at)",
    )?;
    let mut convert = prepare(
        "UPDATE trial_passages SET converted_at = ?4
         WHERE contact_id = ?1 AND run_id = ?2 AND node = ?3 AND converted_at IS NULL AND at <= ?4 AND ?4 < until
         RETURNING variant",
    )?;
    let mut converted = prepare(
        "UPDATE trial_tallies SET converted = converted + 1 WHERE run_id = ?1 AND node = ?2 AND variant = ?3",
    )?;
    for mark in marks {
        match mark {
            TrialMark::Took { run, node, contact, variant, at, until } => {
                let new =
                    take.execute(params![contact.0, run, node, variant, at.0, until.0]).map_err(driver)?;
                if new > 0 {
                    took.execute(params![run, node, variant, at.0]).map_err(driver)?;
                }
            }
            TrialMark::Converted { run, node, contact, at } => {
                let variant: Option<String> = convert
                    .query_row(params![contact.0, run, node, at.0], |row| row.get(0))
                    .optional()
                    .map_err(driver)?;
                if let Some(variant) = variant {
                    converted.execute(params![run, node, variant]).map_err(driver)?;
                }
            }
        }
    }
    Ok(())
}

/// The tallies of a run.
pub(super) fn tallies(connection: &Connection, run: i64) -> Result<Vec<TrialTally>> {
    let mut query = connection
        .prepare_cached(
            "SELECT node, variant, entered, converted, last_at FROM trial_tallies WHERE run_id = ?1
             ORDER BY node, variant",
        )
        .map_err(driver)?;
    let rows = query
        .query_map([run], |row| {
            Ok(TrialTally {
                node: row.get(0)?,
                variant: row.get(1)?,
                entered: row.get::<_, i64>(2)?.unsigned_abs(),
                converted: row.get::<_, i64>(3)?.unsigned_abs(),
                last_at: Timestamp(row.get(4)?),
            })
        })
        .map_err(driver)?;
    rows.collect::<rusqlite::Result<_>>().map_err(driver)
}

/// Enrolments that are over.
pub(super) fn ended(
    connection: &Connection,
    runs: &[i64],
    contacts: &[ContactId],
    since: Timestamp,
) -> Result<Vec<Ended>> {
    let mut query = connection
        .prepare_cached(
            "SELECT run_id, ordinal, key, entered_at, changed_at, goal_at FROM enrolments
             WHERE contact_id = ?1 AND over = 1 AND changed_at >= ?2 ORDER BY run_id, ordinal",
        )
        .map_err(driver)?;
    let mut found = Vec::new();
    for contact in contacts {
        let mut rows = query.query((contact.0, since.0)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let run = row.get(0).map_err(driver)?;
            if !runs.contains(&run) {
                continue;
            }
            found.push(Ended {
                contact: *contact,
                run,
                ordinal: row.get(1).map_err(driver)?,
                key: row.get(2).map_err(driver)?,
                entered_at: Timestamp(row.get(3).map_err(driver)?),
                ended_at: Timestamp(row.get(4).map_err(driver)?),
                goal_at: row.get::<_, Option<i64>>(5).map_err(driver)?.map(Timestamp),
            });
        }
    }
    Ok(found)
}

/// Writes goals that were reached after the end; `changed_at` stays the end.
pub(super) fn reach(connection: &Connection, goals: &[LateGoal]) -> Result<()> {
    let mut reach = connection
        .prepare_cached(
            "UPDATE enrolments SET goal_at = ?4
             WHERE contact_id = ?1 AND run_id = ?2 AND ordinal = ?3 AND over = 1 AND goal_at IS NULL",
        )
        .map_err(driver)?;
    for goal in goals {
        reach.execute((goal.contact.0, goal.run, goal.ordinal, goal.at.0)).map_err(driver)?;
    }
    Ok(())
}
