//! See `storage::audit`.

use model::Timestamp;
use rusqlite::{Connection, Row, ToSql};
use storage::{
    Result, Urgency,
    audit::{AuditEntry, AuditFilter, AuditStore, Deed},
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{from_json, text, to_json},
};

impl AuditStore for Sqlite {
    async fn append_audit(&self, deeds: Vec<Deed>) -> Result<()> {
        self.write(Urgency::Urgent, move |transaction| {
            deeds.iter().try_for_each(|deed| append(transaction, deed))
        })
        .await
    }

    async fn list_audit(
        &self,
        filter: AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>> {
        self.read(move |connection| list(connection, &filter, before, limit)).await
    }
}

/// Writes a deed down inside the transaction that does it.
pub(crate) fn append(connection: &Connection, deed: &Deed) -> Result<()> {
    let details = to_json(&deed.details)?;
    connection
        .prepare_cached(
            "INSERT INTO audit (at, who, action, object, details, client) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .and_then(|mut insert| {
            insert.execute((deed.at.0, &deed.who, &deed.action, &deed.object, details, &deed.client))
        })
        .map_err(driver)?;
    Ok(())
}

fn list(
    connection: &Connection,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<AuditEntry>> {
    let (from, to) = (filter.from.map(|at| at.0), filter.to.map(|at| at.0));
    // A kind of action is the range of all texts that begin with it.
    let kind = filter.action.as_deref().filter(|action| action.ends_with('.'));
    let kind_end = kind.map(|kind| format!("{}/", kind.trim_end_matches('.')));
    let action = filter.action.as_deref().filter(|_| kind.is_none());
    let parts: [(&str, Option<&dyn ToSql>); 8] = [
        ("entry_id <", before.as_ref().map(|value| value as _)),
        ("who =", filter.who.as_ref().map(|value| value as _)),
        ("action =", action.as_ref().map(|value| value as _)),
        ("action >=", kind.as_ref().map(|value| value as _)),
        ("action <", kind_end.as_ref().map(|value| value as _)),
        ("object =", filter.object.as_ref().map(|value| value as _)),
        ("at >=", from.as_ref().map(|value| value as _)),
        ("at <", to.as_ref().map(|value| value as _)),
    ];
    let mut conditions = Vec::new();
    let mut values: Vec<&dyn ToSql> = Vec::new();
    for (column, value) in parts {
        if let Some(value) = value {
            values.push(value);
            conditions.push(format!("{column} ?{}", values.len()));
        }
    }
    let conditions = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
    let sql = format!(
        "SELECT entry_id, at, who, action, object, details, client FROM audit WHERE {conditions}
         ORDER BY entry_id DESC LIMIT {limit}"
    );
    let mut query = connection.prepare_cached(&sql).map_err(driver)?;
    let mut rows = query.query(&values[..]).map_err(driver)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        entries.push(read(row)?);
    }
    Ok(entries)
}

fn read(row: &Row<'_>) -> Result<AuditEntry> {
    let id = row.get(0).map_err(driver)?;
    let deed = Deed {
        at: Timestamp(row.get(1).map_err(driver)?),
        who: row.get(2).map_err(driver)?,
        action: row.get(3).map_err(driver)?,
        object: row.get(4).map_err(driver)?,
        details: from_json("audit", id, text(row, 5).map_err(driver)?)?,
        client: row.get(6).map_err(driver)?,
    };
    Ok(AuditEntry { id, deed })
}
