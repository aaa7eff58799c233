//! A run: begin, load, commit.

use model::{ContactId, Problem};
use rusqlite::{Connection, Transaction};
use storage::{
    Result, StoreError,
    rfm::{NO_GROUP, NewRun, RunCommit, RunLoad, RunRecord, RunTicket, Window, chunk},
};

use super::{Model, chunk_end, chunk_id, clock, find_model, live, runs, sums};
use crate::{
    pool::driver,
    rows::{blob, from_json, last_number, to_json},
};

/// When more than one contact in so many is dirty, everything is summed anew: one pass over an index is then cheaper than
/// a search per contact.
const DIRTY_SHARE: u64 = 16;

/// Takes the run's number, lifts the watermark, and gives numbers to new groups.
pub(super) fn begin(tx: &Transaction<'_>, run: NewRun) -> Result<RunTicket> {
    let known = find_model(tx, run.model.as_str())?;
    let mut groups = match &known {
        Some(model) => model.groups.clone(),
        None => vec![String::new(), NO_GROUP.to_owned()],
    };
    for group in &run.groups {
        if !groups.contains(group) {
            groups.push(group.clone());
        }
    }
    if groups.len() > chunk::GROUPS_MAX {
        return Err(StoreError::Refused(
            Problem::new(
                "rfm.too_many_groups",
                format!("model `{}` has had more than {} groups over time", run.model, chunk::GROUPS_MAX - 2),
            )
            .cure("give the model a new name"),
        ));
    }
    let model_no: i64 = tx
        .prepare_cached(
            "INSERT INTO rfm_models (slug, groups) VALUES (?1, ?2)
             ON CONFLICT (slug) DO UPDATE SET groups = excluded.groups RETURNING model_no",
        )
        .and_then(|mut statement| {
            let json = serde_json::Value::from(groups.clone()).to_string();
            statement.query_row((run.model.as_str(), json), |row| row.get(0))
        })
        .map_err(driver)?;
    let run_no: i64 = tx
        .prepare_cached(
            "UPDATE rfm_clock SET runs = runs + 1, watermark = max(watermark, ?1) WHERE one = 1 RETURNING runs",
        )
        .and_then(|mut statement| statement.query_row([run.window.until.0], |row| row.get(0)))
        .map_err(driver)?;
    Ok(RunTicket { run, model_no, run_no, groups })
}

/// All chunks of a model, ascending.
pub(super) fn chunks(connection: &Connection, model_no: i64) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut statement = connection
        .prepare_cached("SELECT chunk_id, state FROM rfm_chunks WHERE chunk_id BETWEEN ?1 AND ?2 ORDER BY 1")
        .map_err(driver)?;
    let mut rows = statement.query((chunk_id(model_no, 0), chunk_end(model_no))).map_err(driver)?;
    let mut chunks = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let id: i64 = row.get(0).map_err(driver)?;
        chunks.push(((id - chunk_id(model_no, 0)) as u64, blob(row, 1).map_err(driver)?.to_vec()));
    }
    Ok(chunks)
}

/// What the run needs. All is read in one snapshot.
pub(super) fn load(connection: &Connection, ticket: &RunTicket) -> Result<RunLoad> {
    let window = ticket.run.window;
    let mut load = RunLoad {
        chunks: chunks(connection, ticket.model_no)?,
        live: live::of_model(connection, ticket.model_no)?,
        ..RunLoad::default()
    };
    let model = find_model(connection, ticket.run.model.as_str())?;
    let Some(before) =
        model.as_ref().map(|model| continues(connection, model, ticket)).transpose()?.flatten()
    else {
        load.rebuilt = true;
        load.sums = sums::of_all(connection, window)?;
        return Ok(load);
    };
    let dirty = dirty(connection, before.run_no)?;
    let contacts = last_number(connection, "contact")?.unsigned_abs();
    if dirty.len() as u64 * DIRTY_SHARE > contacts {
        load.rebuilt = true;
        load.sums = sums::of_all(connection, window)?;
        return Ok(load);
    }
    let between = |since, until| Window { since, until, ..window };
    let flow = &mut load.flow;
    sums::flow(connection, between(before.since, window.since), false, &dirty, flow)?;
    // A window of months can begin earlier than the day before: the end of a shorter month.
    sums::flow(connection, between(window.since, before.since), true, &dirty, flow)?;
    sums::flow(connection, between(before.at, window.until), true, &dirty, flow)?;
    let found = sums::of_contacts(connection, &dirty, window)?;
    load.sums = dirty.into_iter().zip(found).collect();
    Ok(load)
}

/// The run before, when this one can go on from it: the same definition, a window that overlaps and does not go back.
fn continues(connection: &Connection, model: &Model, ticket: &RunTicket) -> Result<Option<RunRecord>> {
    let (Some(definition), Some(last_run)) = (&model.definition, model.last_run) else { return Ok(None) };
    if ticket.run.anew {
        return Ok(None);
    }
    let definition: serde_json::Value = from_json("rfm_models", model.no, definition)?;
    let Some(before) = runs(connection, model.no, last_run, 1)?.into_iter().next() else { return Ok(None) };
    let window = ticket.run.window;
    let overlaps = window.until >= before.at && window.since <= before.at;
    Ok((definition == ticket.run.definition && overlaps).then_some(before))
}

/// Contacts whose orders before the watermark changed since a run, ascending.
fn dirty(connection: &Connection, since_run: i64) -> Result<Vec<ContactId>> {
    let mut statement = connection
        .prepare_cached("SELECT contact_id FROM rfm_dirty WHERE stamp >= ?1 ORDER BY contact_id")
        .map_err(driver)?;
    let rows = statement.query_map([since_run], |row| row.get(0).map(ContactId)).map_err(driver)?;
    rows.collect::<rusqlite::Result<_>>().map_err(driver)
}

/// Writes the run.
pub(super) fn commit(tx: &Transaction<'_>, commit: &RunCommit) -> Result<Vec<ContactId>> {
    let ticket = &commit.ticket;
    let model = find_model(tx, ticket.run.model.as_str())?;
    let stands = |model: &Model| model.no == ticket.model_no && model.groups.starts_with(&ticket.groups);
    if !model.as_ref().is_some_and(stands) {
        return Err(StoreError::Refused(
            Problem::new("rfm.gone", format!("the model `{}` was deleted meanwhile", ticket.run.model))
                .cure("if there is one of that name again, score it again"),
        ));
    }
    if model.and_then(|model| model.last_run).is_some_and(|last| last > ticket.run_no) {
        return Err(StoreError::Refused(
            Problem::new(
                "rfm.overtaken",
                format!("a younger run of `{}` has finished first", ticket.run.model),
            )
            .cure("nothing is lost: the younger run's scores are in force"),
        ));
    }
    write_chunks(tx, commit)?;
    crate::live::add_waves(tx, &commit.waves)?;
    storage::fault::point("rfm.between_chunks_and_run");
    let at = ticket.run.window.until;
    tx.prepare_cached("INSERT INTO rfm_runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
        .and_then(|mut statement| {
            statement.execute((
                ticket.model_no,
                ticket.run_no,
                at.0,
                ticket.run.window.since.0,
                commit.changed as i64,
                commit.cuts.to_string(),
                commit.summary.to_string(),
            ))
        })
        .map_err(driver)?;
    let definition = to_json(&ticket.run.definition)?;
    tx.prepare_cached("UPDATE rfm_models SET definition = ?2, last_run = ?3 WHERE model_no = ?1")
        .and_then(|mut statement| statement.execute((ticket.model_no, definition, ticket.run_no)))
        .map_err(driver)?;
    // What every model has taken in is done with; a model that is under its first run will sum everything anyway.
    tx.prepare_cached(
        "DELETE FROM rfm_dirty WHERE stamp < (SELECT min(last_run) FROM rfm_models WHERE last_run IS NOT NULL)",
    )
    .and_then(|mut statement| statement.execute([]))
    .map_err(driver)?;
    tx.prepare_cached("DELETE FROM rfm_live WHERE model_no = ?1 AND stamp < ?2")
        .and_then(|mut statement| statement.execute((ticket.model_no, ticket.run_no)))
        .map_err(driver)?;
    debug_assert!(clock(tx)? >= ticket.run_no, "a run's number comes from the clock");
    Ok(live::of_model(tx, ticket.model_no)?.into_iter().map(|one| one.contact).collect())
}

fn write_chunks(tx: &Transaction<'_>, commit: &RunCommit) -> Result<()> {
    let ticket = &commit.ticket;
    let mut statement = tx
        .prepare_cached(
            "INSERT INTO rfm_chunks VALUES (?1, ?2) ON CONFLICT (chunk_id) DO UPDATE SET state = excluded.state",
        )
        .map_err(driver)?;
    for (number, bytes) in &commit.chunks {
        statement.execute((chunk_id(ticket.model_no, *number), bytes)).map_err(driver)?;
    }
    for (number, moves) in &commit.moves {
        live::add_moves(tx, *number, ticket.model_no, ticket.run.window.until, moves)?;
    }
    Ok(())
}
