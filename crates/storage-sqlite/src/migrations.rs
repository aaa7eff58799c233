//! Schema steps, forward only. A step that has been released is never changed; a new one is added.

use rusqlite::Connection;
use storage::{Result, StoreError};

use crate::pool::driver;

/// Marks the file as ours (`PRAGMA application_id`): "Rlnc".
const APPLICATION_ID: i32 = 0x526c_6e63;

/// Steps in order; a step's number is its place, from 1.
const STEPS: &[&str] = &[
    include_str!("../migrations/0001_base.sql"),
    include_str!("../migrations/0002_rfm.sql"),
    include_str!("../migrations/0003_segments.sql"),
    include_str!("../migrations/0004_recommend.sql"),
    include_str!("../migrations/0005_journeys.sql"),
    include_str!("../migrations/0006_outbox.sql"),
    include_str!("../migrations/0007_live.sql"),
    include_str!("../migrations/0008_coupons.sql"),
    include_str!("../migrations/0009_sending.sql"),
    include_str!("../migrations/0010_lives.sql"),
    include_str!("../migrations/0011_interest.sql"),
    include_str!("../migrations/0012_trials.sql"),
    include_str!("../migrations/0013_events.sql"),
    include_str!("../migrations/0014_access.sql"),
    include_str!("../migrations/0015_people.sql"),
    include_str!("../migrations/0016_links.sql"),
    include_str!("../migrations/0017_post.sql"),
    include_str!("../migrations/0018_desk.sql"),
    include_str!("../migrations/0019_track.sql"),
    include_str!("../migrations/0020_kept.sql"),
];

/// Brings the schema up to date in one transaction; takes no lock when it is.
pub(crate) fn run(connection: &mut Connection) -> Result<()> {
    let number = |name: &str| -> Result<i32> {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).map_err(driver)
    };
    if (number("application_id")?, number("user_version")?) == (APPLICATION_ID, STEPS.len() as i32) {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(driver)?;
    let pragma = |name: &str| -> Result<i32> {
        transaction.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).map_err(driver)
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i32 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(driver)?;
    if application != APPLICATION_ID && tables > 0 {
        return Err(StoreError::Unusable("the file is a SQLite database, but not one of Relance".into()));
    }
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if done > STEPS.len() {
        return Err(StoreError::Unusable(format!(
            "the database has schema {version}, this program knows up to {}: use a newer version of Relance",
            STEPS.len()
        )));
    }
    for step in &STEPS[done..] {
        transaction.execute_batch(step).map_err(driver)?;
    }
    transaction
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {};",
            STEPS.len()
        ))
        .map_err(driver)?;
    transaction.commit().map_err(driver)
}
