//! Small helpers that the aggregates share: counters, JSON columns, rows that do not read back.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Serialize, de::DeserializeOwned};
use storage::{Result, StoreError};

use crate::pool::driver;

/// Takes `count` fresh numbers of a sequence and answers with the first; they are never given again.
pub(crate) fn take_numbers(connection: &Connection, name: &str, count: i64) -> Result<i64> {
    let last: i64 = connection
        .prepare_cached(
            "INSERT INTO counters (name, last) VALUES (?1, ?2)
             ON CONFLICT (name) DO UPDATE SET last = last + excluded.last RETURNING last",
        )
        .map_err(driver)?
        .query_row((name, count), |row| row.get(0))
        .map_err(driver)?;
    Ok(last - count + 1)
}

/// The last number given of a sequence; 0 when none was.
pub(crate) fn last_number(connection: &Connection, name: &str) -> Result<i64> {
    let last = connection
        .prepare_cached("SELECT last FROM counters WHERE name = ?1")
        .map_err(driver)?
        .query_row([name], |row| row.get(0))
        .optional()
        .map_err(driver)?;
    Ok(last.unwrap_or_default())
}

/// A row that does not read back.
#[expect(clippy::needless_pass_by_value, reason = "short to write where it is made")]
pub(crate) fn inconsistent(table: &'static str, row: impl ToString, why: impl ToString) -> StoreError {
    StoreError::Inconsistent { table, row: row.to_string(), why: why.to_string() }
}

/// A JSON column.
pub(crate) fn from_json<T: DeserializeOwned>(
    table: &'static str,
    row: impl ToString,
    json: &str,
) -> Result<T> {
    serde_json::from_str(json).map_err(|error| inconsistent(table, row, error))
}

/// For a JSON column.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Driver(format!("cannot be written as JSON: {error}")))
}

/// A text of a row without copying it.
pub(crate) fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(column)?.as_str()?)
}

/// Bytes of a row without copying them.
pub(crate) fn blob<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a [u8]> {
    Ok(row.get_ref(column)?.as_blob()?)
}
