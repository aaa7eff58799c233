//! Lives of published versions.

use model::{Slug, Timestamp};
use rusqlite::{Connection, Row};
use storage::{
    Result,
    live::{Life, LifeRecord},
};

use crate::{
    pool::driver,
    rows::{from_json, inconsistent, text, to_json},
};

/// The lives of versions that are not over, or of all.
pub(crate) fn load(connection: &Connection, all: bool) -> Result<Vec<LifeRecord>> {
    let mut query = connection
        .prepare_cached(
            "SELECT run_id, journey, version, life, since, starts_at, seed, pinned, memo FROM lives
             WHERE ?1 OR life NOT IN (?2, ?3) ORDER BY run_id",
        )
        .map_err(driver)?;
    let mut rows = query.query((all, Life::Finished as u8, Life::Stopped as u8)).map_err(driver)?;
    let mut lives = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        lives.push(read(row)?);
    }
    Ok(lives)
}

/// The life of a run.
pub(crate) fn load_one(connection: &Connection, run: i64) -> Result<Option<LifeRecord>> {
    let mut query = connection
        .prepare_cached(
            "SELECT run_id, journey, version, life, since, starts_at, seed, pinned, memo FROM lives WHERE run_id = ?1",
        )
        .map_err(driver)?;
    let mut rows = query.query([run]).map_err(driver)?;
    rows.next().map_err(driver)?.map(read).transpose()
}

fn read(row: &Row<'_>) -> Result<LifeRecord> {
    let run: i64 = row.get(0).map_err(driver)?;
    let journey = text(row, 1).map_err(driver)?;
    let life: u8 = row.get(3).map_err(driver)?;
    Ok(LifeRecord {
        run,
        journey: Slug::parse(journey).map_err(|problem| inconsistent("lives", run, problem.message))?,
        version: row.get(2).map_err(driver)?,
        life: Life::ALL
            .into_iter()
            .find(|known| *known as u8 == life)
            .ok_or_else(|| inconsistent("lives", run, format!("unknown life {life}")))?,
        since: Timestamp(row.get(4).map_err(driver)?),
        starts_at: row.get::<_, Option<i64>>(5).map_err(driver)?.map(Timestamp),
        seed: row.get::<_, i64>(6).map_err(driver)?.cast_unsigned(),
        pinned: from_json("lives", run, text(row, 7).map_err(driver)?)?,
        memo: from_json("lives", run, text(row, 8).map_err(driver)?)?,
    })
}

/// Writes lives: new ones and changed ones.
pub(crate) fn save(connection: &Connection, lives: &[LifeRecord]) -> Result<()> {
    let mut upsert = connection
        .prepare_cached(
            "INSERT INTO lives (run_id, journey, version, life, since, starts_at, seed, pinned, memo)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (run_id) DO UPDATE SET journey = excluded.journey, version = excluded.version,
               life = excluded.life, since = excluded.since, starts_at = excluded.starts_at, seed = excluded.seed,
               pinned = excluded.pinned, memo = excluded.memo",
        )
        .map_err(driver)?;
    for life in lives {
        upsert
            .execute((
                life.run,
                life.journey.as_str(),
                life.version,
                life.life as u8,
                life.since.0,
                life.starts_at.map(|at| at.0),
                life.seed.cast_signed(),
                to_json(&life.pinned)?,
                to_json(&life.memo)?,
            ))
            .map_err(driver)?;
    }
    Ok(())
}
