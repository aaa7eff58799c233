//! See `storage::hooks`.

mod feed;

use model::{ContactId, Problem, Timestamp};
use rusqlite::{Connection, Row, Transaction, named_params, params};
use storage::{
    Result, Urgency,
    hooks::{
        DeliveryFilter, DeliveryState, HOOKS_MAX, Hook, HookDelivery, HookHealth, HookOutcome, HookPlan,
        HookSecret, HookStore, QUEUE_MAX,
    },
};

pub(crate) use feed::Feed;

use crate::{
    Sqlite,
    pool::driver,
    rows::{from_json, inconsistent, take_numbers, text, to_json},
};

impl HookStore for Sqlite {
    async fn add_hook(&self, plan: HookPlan, secret: HookSecret, now: Timestamp) -> Result<i64> {
        self.write(Urgency::Urgent, move |tx| {
            let known: i64 =
                tx.query_row("SELECT count(*) FROM hooks", [], |row| row.get(0)).map_err(driver)?;
            if known.unsigned_abs() as usize >= HOOKS_MAX {
                let problem =
                    Problem::new("hooks.too_many", format!("there are {HOOKS_MAX} webhooks already"));
                return Err(problem.cure("remove one that is not needed").into());
            }
            let id = take_numbers(tx, "hook", 1)?;
            tx.prepare_cached(
                "INSERT INTO hooks (hook_id, url, kinds, note, active, secrets, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
            )
            .and_then(|mut insert| {
                let (kinds, secrets) = (json(&plan.kinds), json(&[secret]));
                insert.execute(params![id, plan.url, kinds, plan.note, plan.active, secrets, now.0])
            })
            .map_err(driver)?;
            Ok(id)
        })
        .await
    }

    async fn change_hook(&self, id: i64, plan: HookPlan, now: Timestamp) -> Result<bool> {
        self.write(Urgency::Urgent, move |tx| {
            // Switched on, or brought back to life: healthy until the next call says otherwise.
            let changed = tx
                .prepare_cached(
                    "UPDATE hooks SET failures = CASE WHEN ?5 THEN 0 ELSE failures END,
                       failing_since = CASE WHEN ?5 THEN NULL ELSE failing_since END,
                       open_until = CASE WHEN ?5 THEN NULL ELSE open_until END,
                       disabled_at = CASE WHEN ?5 THEN NULL ELSE disabled_at END,
                       url = ?2, kinds = ?3, note = ?4, active = ?5, updated_at = ?6 WHERE hook_id = ?1",
                )
                .and_then(|mut change| {
                    change.execute(params![id, plan.url, json(&plan.kinds), plan.note, plan.active, now.0])
                })
                .map_err(driver)?;
            Ok(changed > 0)
        })
        .await
    }

    async fn save_hook_secrets(&self, id: i64, secrets: Vec<HookSecret>, now: Timestamp) -> Result<bool> {
        self.write(Urgency::Urgent, move |tx| {
            let changed = tx
                .prepare_cached("UPDATE hooks SET secrets = ?2, updated_at = ?3 WHERE hook_id = ?1")
                .and_then(|mut change| change.execute(params![id, json(&secrets), now.0]))
                .map_err(driver)?;
            Ok(changed > 0)
        })
        .await
    }

    async fn remove_hook(&self, id: i64) -> Result<bool> {
        self.write(Urgency::Urgent, move |tx| {
            tx.execute("DELETE FROM hook_deliveries WHERE hook_id = ?1", [id]).map_err(driver)?;
            Ok(tx.execute("DELETE FROM hooks WHERE hook_id = ?1", [id]).map_err(driver)? > 0)
        })
        .await
    }

    async fn load_hooks(&self) -> Result<Vec<Hook>> {
        self.read(|connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT hook_id, url, kinds, note, active, secrets, created_at, updated_at, failures,
                       failing_since, open_until, disabled_at, waiting, overflow, overflow_at
                     FROM hooks ORDER BY hook_id",
                )
                .map_err(driver)?;
            let mut rows = query.query([]).map_err(driver)?;
            let mut hooks = Vec::new();
            while let Some(row) = rows.next().map_err(driver)? {
                hooks.push(read_hook(row)?);
            }
            Ok(hooks)
        })
        .await
    }

    async fn add_test_delivery(&self, hook: i64, event: String, kind: String, now: Timestamp) -> Result<i64> {
        self.write(Urgency::Urgent, move |tx| {
            tx.prepare_cached(
                "INSERT INTO hook_deliveries (hook_id, event_id, kind, contact_id, at, properties, state, due)
                 VALUES (?1, ?2, ?3, 0, ?4, '', 1, ?4)",
            )
            .and_then(|mut insert| insert.execute(params![hook, event, kind, now.0]))
            .map_err(driver)?;
            let seq = tx.last_insert_rowid();
            feed::add(tx, hook, 1)?;
            Ok(seq)
        })
        .await
    }

    async fn claim_deliveries(
        &self,
        hook: i64,
        now: Timestamp,
        lease_until: Timestamp,
        limit: usize,
    ) -> Result<Vec<HookDelivery>> {
        self.write(Urgency::Normal, move |tx| claim(tx, hook, (now, lease_until), limit)).await
    }

    async fn record_deliveries(
        &self,
        hook: i64,
        health: HookHealth,
        outcomes: Vec<HookOutcome>,
    ) -> Result<()> {
        self.write(Urgency::Normal, move |tx| record(tx, hook, &health, &outcomes)).await
    }

    async fn list_deliveries(
        &self,
        hook: i64,
        filter: DeliveryFilter,
        after: i64,
        limit: usize,
    ) -> Result<Vec<HookDelivery>> {
        self.read(move |connection| {
            let mut query = connection
                .prepare_cached(&format!(
                    "SELECT {DELIVERY} FROM hook_deliveries d
                     WHERE d.hook_id = :hook AND d.seq > :after AND {FILTER} ORDER BY d.seq LIMIT :limit"
                ))
                .map_err(driver)?;
            let rows = query
                .query(named_params! {
                    ":hook": hook, ":after": after, ":limit": limit as i64,
                    ":state": filter.state.map(|state| state as u8), ":since": filter.since.map(|at| at.0),
                    ":until": filter.until.map(|at| at.0), ":seq": filter.seq,
                })
                .map_err(driver)?;
            read_deliveries(rows)
        })
        .await
    }

    async fn replay_deliveries(&self, hook: i64, filter: DeliveryFilter, now: Timestamp) -> Result<u64> {
        self.write(Urgency::Normal, move |tx| {
            let waiting: Vec<i64> = tx
                .prepare_cached("SELECT waiting FROM hooks WHERE hook_id = ?1")
                .and_then(|mut query| query.query_map([hook], |row| row.get(0))?.collect())
                .map_err(driver)?;
            let room = QUEUE_MAX.saturating_sub(waiting.first().copied().unwrap_or_default().unsigned_abs());
            let changed = tx
                .prepare_cached(&format!(
                    "UPDATE hook_deliveries SET state = 1, attempts = 0, due = :now, status = NULL, detail = ''
                     WHERE seq IN (SELECT d.seq FROM hook_deliveries d
                       WHERE d.hook_id = :hook AND d.state <> 1 AND {FILTER} ORDER BY d.seq LIMIT :room)"
                ))
                .and_then(|mut change| {
                    change.execute(named_params! {
                        ":hook": hook, ":now": now.0, ":room": room.cast_signed(),
                        ":state": filter.state.map(|state| state as u8),
                        ":since": filter.since.map(|at| at.0), ":until": filter.until.map(|at| at.0),
                        ":seq": filter.seq,
                    })
                })
                .map_err(driver)?;
            feed::add(tx, hook, changed as i64)?;
            Ok(changed as u64)
        })
        .await
    }

    async fn forget_deliveries(&self, before: Timestamp) -> Result<u64> {
        self.write(Urgency::Bulk, move |tx| {
            let gone = tx
                .prepare_cached("DELETE FROM hook_deliveries WHERE state <> 1 AND due < ?1")
                .and_then(|mut delete| delete.execute([before.0]))
                .map_err(driver)?;
            Ok(gone as u64)
        })
        .await
    }

    async fn next_deliveries(&self) -> Result<Vec<(i64, Timestamp)>> {
        self.read(|connection| {
            let mut query = connection
                .prepare_cached(
                    "SELECT h.hook_id, max(d.due, coalesce(h.open_until, d.due)) FROM hooks h
                     JOIN hook_deliveries d ON d.seq = (SELECT seq FROM hook_deliveries
                       WHERE hook_id = h.hook_id AND state = 1 ORDER BY due LIMIT 1)
                     WHERE h.active AND h.disabled_at IS NULL ORDER BY h.hook_id",
                )
                .map_err(driver)?;
            let rows =
                query.query_map([], |row| Ok((row.get(0)?, Timestamp(row.get(1)?)))).map_err(driver)?;
            rows.collect::<rusqlite::Result<_>>().map_err(driver)
        })
        .await
    }
}

/// The terms of a filter over `hook_deliveries d`.
const FILTER: &str = "(:state IS NULL OR d.state = :state) AND (:since IS NULL OR d.at >= :since)
     AND (:until IS NULL OR d.at < :until) AND (:seq IS NULL OR d.seq = :seq)";
const DELIVERY: &str =
    "d.seq, d.hook_id, d.event_id, d.kind, d.contact_id, d.at, d.properties, d.state, d.attempts,
     d.due, d.status, d.detail";

/// Small lists of texts and secrets: they always have a JSON form.
fn json(value: &impl serde::Serialize) -> String {
    to_json(value).unwrap_or_default()
}

fn read_hook(row: &Row<'_>) -> Result<Hook> {
    let get = |column| row.get::<_, Option<i64>>(column).map_err(driver);
    let number = |column| row.get::<_, i64>(column).map_err(driver);
    let id = number(0)?;
    Ok(Hook {
        id,
        plan: HookPlan {
            url: row.get(1).map_err(driver)?,
            kinds: from_json("hooks", id, text(row, 2).map_err(driver)?)?,
            note: row.get(3).map_err(driver)?,
            active: row.get(4).map_err(driver)?,
        },
        secrets: from_json("hooks", id, text(row, 5).map_err(driver)?)?,
        created_at: Timestamp(number(6)?),
        updated_at: Timestamp(number(7)?),
        health: HookHealth {
            failures: row.get(8).map_err(driver)?,
            failing_since: get(9)?.map(Timestamp),
            open_until: get(10)?.map(Timestamp),
            disabled_at: get(11)?.map(Timestamp),
        },
        waiting: number(12)?.unsigned_abs(),
        overflow: number(13)?.unsigned_abs(),
        overflow_at: get(14)?.map(Timestamp),
    })
}

fn read_deliveries(mut rows: rusqlite::Rows<'_>) -> Result<Vec<HookDelivery>> {
    let mut deliveries = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let seq: i64 = row.get(0).map_err(driver)?;
        let contact: i64 = row.get(4).map_err(driver)?;
        let properties = text(row, 6).map_err(driver)?;
        let state: u8 = row.get(7).map_err(driver)?;
        deliveries.push(HookDelivery {
            seq,
            hook: row.get(1).map_err(driver)?,
            event: row.get(2).map_err(driver)?,
            kind: row.get(3).map_err(driver)?,
            contact: (contact > 0).then_some(ContactId(contact)),
            at: Timestamp(row.get(5).map_err(driver)?),
            properties: if properties.is_empty() {
                serde_json::Map::new()
            } else {
                from_json("hook_deliveries", seq, properties)?
            },
            state: DeliveryState::from_number(state)
                .ok_or_else(|| inconsistent("hook_deliveries", seq, format!("no state {state}")))?,
            attempts: row.get(8).map_err(driver)?,
            due: Timestamp(row.get(9).map_err(driver)?),
            status: row.get(10).map_err(driver)?,
            detail: row.get(11).map_err(driver)?,
        });
    }
    Ok(deliveries)
}

fn claim(
    tx: &Connection,
    hook: i64,
    (now, lease_until): (Timestamp, Timestamp),
    limit: usize,
) -> Result<Vec<HookDelivery>> {
    let mut query = tx
        .prepare_cached(&format!(
            "SELECT {DELIVERY} FROM hook_deliveries d
             WHERE d.hook_id = ?1 AND d.state = 1 AND d.due <= ?2 ORDER BY d.due, d.seq LIMIT ?3"
        ))
        .map_err(driver)?;
    let mut claimed = read_deliveries(query.query((hook, now.0, limit as i64)).map_err(driver)?)?;
    let mut change = tx
        .prepare_cached("UPDATE hook_deliveries SET attempts = attempts + 1, due = ?2 WHERE seq = ?1")
        .map_err(driver)?;
    for one in &mut claimed {
        change.execute((one.seq, lease_until.0)).map_err(driver)?;
        one.attempts += 1;
    }
    Ok(claimed)
}

fn record(tx: &Transaction<'_>, hook: i64, health: &HookHealth, outcomes: &[HookOutcome]) -> Result<()> {
    let mut change = tx
        .prepare_cached(
            "UPDATE hook_deliveries SET state = ?3, due = ?4, status = ?5, detail = ?6, attempts = attempts - ?7
             WHERE seq = ?1 AND attempts = ?2 AND state = 1",
        )
        .map_err(driver)?;
    let mut settled = 0;
    for one in outcomes {
        let changed = change
            .execute(params![
                one.seq,
                one.attempt,
                one.state as u8,
                one.due.0,
                one.status,
                one.detail,
                i64::from(!one.counts)
            ])
            .map_err(driver)?;
        if changed > 0 && one.state != DeliveryState::Waiting {
            settled += 1;
        }
    }
    feed::add(tx, hook, -settled)?;
    // Health that a user restored meanwhile is not overwritten by a hook that was switched off.
    tx.prepare_cached(
        "UPDATE hooks SET failures = ?2, failing_since = ?3, open_until = ?4, disabled_at = ?5
         WHERE hook_id = ?1 AND active",
    )
    .and_then(|mut change| {
        change.execute(params![
            hook,
            health.failures,
            health.failing_since.map(|at| at.0),
            health.open_until.map(|at| at.0),
            health.disabled_at.map(|at| at.0)
        ])
    })
    .map_err(driver)?;
    Ok(())
}
