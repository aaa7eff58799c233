//! See `storage::rfm`.

mod live;
mod places;
mod run;
mod sums;

use model::{ContactId, RfmPlacement, Slug, Timestamp};
use roaring::RoaringTreemap;
use rusqlite::{Connection, OptionalExtension};
use storage::{
    Result, Urgency,
    rfm::{
        GroupFlow, GroupMove, LiveScore, ModelRecord, NewRun, RfmStore, RunCommit, RunLoad, RunRecord,
        RunTicket, Window, WindowSums, chunk,
    },
};

use crate::{
    Sqlite,
    pool::driver,
    rows::{from_json, inconsistent},
};

impl RfmStore for Sqlite {
    async fn load_placements(&self, contacts: Vec<ContactId>) -> Result<Vec<Vec<RfmPlacement>>> {
        self.read(move |connection| places::load(connection, &contacts)).await
    }

    async fn contacts_in_groups(&self, model: String, groups: Vec<String>) -> Result<RoaringTreemap> {
        self.read(move |connection| places::in_groups(connection, &model, &groups)).await
    }

    async fn load_rfm_models(&self) -> Result<Vec<ModelRecord>> {
        self.read(|connection| {
            let mut records = Vec::new();
            for model in models(connection)? {
                let (Some(definition), Some(last_run)) = (&model.definition, model.last_run) else {
                    continue;
                };
                let run = runs(connection, model.no, last_run, 1)?;
                let last_run = run.into_iter().next().ok_or_else(|| {
                    inconsistent("rfm_runs", format!("{}, {last_run}", model.no), "the last run is missing")
                })?;
                let definition = from_json("rfm_models", model.no, definition)?;
                records.push(ModelRecord { model: Slug::parse(&model.slug)?, definition, last_run });
            }
            Ok(records)
        })
        .await
    }

    async fn begin_rfm_run(&self, run: NewRun) -> Result<RunTicket> {
        self.write(Urgency::Normal, move |tx| run::begin(tx, run)).await
    }

    async fn load_rfm_run(&self, ticket: RunTicket) -> Result<RunLoad> {
        self.read(move |connection| run::load(connection, &ticket)).await
    }

    async fn commit_rfm_run(&self, commit: RunCommit) -> Result<Vec<ContactId>> {
        self.write(Urgency::Rebuild, move |tx| run::commit(tx, &commit)).await
    }

    async fn load_window_sums(&self, contacts: Vec<ContactId>, window: Window) -> Result<Vec<WindowSums>> {
        self.read(move |connection| sums::of_contacts(connection, &contacts, window)).await
    }

    async fn save_live_scores(&self, scores: Vec<LiveScore>, at: Timestamp) -> Result<Vec<GroupMove>> {
        self.write(Urgency::Normal, move |tx| live::save(tx, &scores, at)).await
    }

    async fn load_rfm_state(&self, model: Slug) -> Result<RunLoad> {
        self.read(move |connection| match find_model(connection, model.as_str())? {
            None => Ok(RunLoad::default()),
            Some(model) => Ok(RunLoad {
                chunks: run::chunks(connection, model.no)?,
                live: live::of_model(connection, model.no)?,
                ..RunLoad::default()
            }),
        })
        .await
    }

    async fn load_rfm_groups(&self, model: Slug) -> Result<Vec<String>> {
        self.read(move |connection| {
            Ok(find_model(connection, model.as_str())?.map(|model| model.groups).unwrap_or_default())
        })
        .await
    }

    async fn load_rfm_runs(&self, model: Slug, limit: usize) -> Result<Vec<RunRecord>> {
        self.read(move |connection| match find_model(connection, model.as_str())? {
            None => Ok(Vec::new()),
            Some(model) => runs(connection, model.no, i64::MAX, limit),
        })
        .await
    }

    async fn count_group_flows(&self, model: Slug, from: Timestamp, to: Timestamp) -> Result<Vec<GroupFlow>> {
        self.read(move |connection| places::flows(connection, model.as_str(), from, to)).await
    }

    async fn load_group_moves(&self, contacts: storage::segments::IdRange) -> Result<Vec<GroupMove>> {
        self.read(move |connection| places::moves_of(connection, &contacts)).await
    }

    async fn load_moves(&self, contact: ContactId) -> Result<Vec<GroupMove>> {
        self.read(move |connection| places::moves(connection, contact)).await
    }
}

/// Forgets a model with all that was scored by it. A run that is under way is refused when it ends.
pub(crate) fn forget_model(connection: &Connection, slug: &Slug) -> Result<()> {
    let Some(model) = find_model(connection, slug.as_str())? else { return Ok(()) };
    let run = |sql: &str, parameters: &[i64]| {
        let parameters = rusqlite::params_from_iter(parameters);
        connection.prepare_cached(sql).and_then(|mut change| change.execute(parameters)).map_err(driver)
    };
    let chunks = [chunk_id(model.no, 0), chunk_end(model.no)];
    run("DELETE FROM rfm_chunks WHERE chunk_id BETWEEN ?1 AND ?2", &chunks)?;
    for table in ["rfm_moves", "rfm_live", "rfm_runs", "rfm_models"] {
        run(&format!("DELETE FROM {table} WHERE model_no = ?1"), &[model.no])?;
    }
    Ok(())
}

/// Takes a contact that is no more out of all models. A run that is under way may place it once more, in no group.
pub(crate) fn forget(connection: &Connection, contact: ContactId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM rfm_live WHERE contact_id = ?1")
        .and_then(|mut delete| delete.execute([contact.0]))
        .map_err(driver)?;
    let (number, place) = chunk::locate(contact);
    for model in models(connection)? {
        let id = chunk_id(model.no, number);
        let bytes: Option<Vec<u8>> = connection
            .prepare_cached("SELECT state FROM rfm_chunks WHERE chunk_id = ?1")
            .and_then(|mut query| query.query_row([id], |row| row.get(0)).optional())
            .map_err(driver)?;
        let Some(bytes) = bytes else { continue };
        if chunk::View::new(&bytes)?.place(place)?.group != chunk::NEVER {
            let mut state = chunk::Chunk::decode(&bytes)?;
            (state.group[place], state.previous[place], state.code[place]) = (chunk::NEVER, chunk::NEVER, 0);
            (state.since[place], state.orders[place]) = (0, 0);
            (state.last_at[place], state.spent[place]) = (0, 0);
            connection
                .prepare_cached("UPDATE rfm_chunks SET state = ?2 WHERE chunk_id = ?1")
                .and_then(|mut update| update.execute((id, state.encode())))
                .map_err(driver)?;
        }
        live::forget_moves(connection, model.no, contact)?;
    }
    Ok(())
}

/// Writes live scores, in the caller's transaction: see `RfmStore::save_live_scores`.
pub(crate) use live::save as save_scores;

/// A row of `rfm_models`.
struct Model {
    no: i64,
    slug: String,
    /// Group slugs by number.
    groups: Vec<String>,
    definition: Option<String>,
    last_run: Option<i64>,
}

/// All models by slug, those that were never scored too.
fn models(connection: &Connection) -> Result<Vec<Model>> {
    let mut statement = connection
        .prepare_cached("SELECT model_no, slug, groups, definition, last_run FROM rfm_models ORDER BY slug")
        .map_err(driver)?;
    let mut rows = statement.query([]).map_err(driver)?;
    let mut models = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        models.push(read_model(row)?);
    }
    Ok(models)
}

fn find_model(connection: &Connection, slug: &str) -> Result<Option<Model>> {
    let mut statement = connection
        .prepare_cached("SELECT model_no, slug, groups, definition, last_run FROM rfm_models WHERE slug = ?1")
        .map_err(driver)?;
    let mut rows = statement.query([slug]).map_err(driver)?;
    rows.next().map_err(driver)?.map(read_model).transpose()
}

fn read_model(row: &rusqlite::Row<'_>) -> Result<Model> {
    let no: i64 = row.get(0).map_err(driver)?;
    let groups: String = row.get(2).map_err(driver)?;
    Ok(Model {
        no,
        slug: row.get(1).map_err(driver)?,
        groups: from_json("rfm_models", no, &groups)?,
        definition: row.get(3).map_err(driver)?,
        last_run: row.get(4).map_err(driver)?,
    })
}

/// The runs of a model up to one, the youngest first.
fn runs(connection: &Connection, model_no: i64, up_to: i64, limit: usize) -> Result<Vec<RunRecord>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT run_no, at, since, changed, cuts, summary FROM rfm_runs
             WHERE model_no = ?1 AND run_no <= ?2 ORDER BY run_no DESC LIMIT ?3",
        )
        .map_err(driver)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((model_no, up_to, limit)).map_err(driver)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let run_no: i64 = row.get(0).map_err(driver)?;
        let (cuts, summary): (String, String) = (row.get(4).map_err(driver)?, row.get(5).map_err(driver)?);
        records.push(RunRecord {
            run_no,
            at: Timestamp(row.get(1).map_err(driver)?),
            since: Timestamp(row.get(2).map_err(driver)?),
            changed: row.get::<_, i64>(3).map_err(driver)?.unsigned_abs(),
            cuts: from_json("rfm_runs", run_no, &cuts)?,
            summary: from_json("rfm_runs", run_no, &summary)?,
        });
    }
    Ok(records)
}

/// The key of a chunk's row: 2⁴⁰ chunks of a model.
const fn chunk_id(model_no: i64, chunk: u64) -> i64 {
    (model_no << 40) | chunk as i64
}

/// The last key of a model's chunks.
const fn chunk_end(model_no: i64) -> i64 {
    chunk_id(model_no, (1 << 40) - 1)
}

/// The slug of a group number.
fn group_slug(model: &Model, number: u8) -> Result<String> {
    model
        .groups
        .get(usize::from(number))
        .cloned()
        .ok_or_else(|| inconsistent("rfm_models", &model.slug, format!("there is no group number {number}")))
}

/// Number of the run that began last.
fn clock(connection: &Connection) -> Result<i64> {
    connection
        .prepare_cached("SELECT runs FROM rfm_clock WHERE one = 1")
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)))
        .map_err(driver)
}

/// The placement in force of a contact in a model: the live one, else the chunk's.
fn place_now(connection: &Connection, model_no: i64, contact: ContactId) -> Result<chunk::Place> {
    if let Some(place) = live::one(connection, model_no, contact)? {
        return Ok(place);
    }
    let (number, at) = chunk::locate(contact);
    let bytes: Option<Vec<u8>> = connection
        .prepare_cached("SELECT state FROM rfm_chunks WHERE chunk_id = ?1")
        .and_then(|mut statement| {
            statement.query_row([chunk_id(model_no, number)], |row| row.get(0)).optional()
        })
        .map_err(driver)?;
    bytes.map_or(Ok(chunk::Place::default()), |bytes| chunk::View::new(&bytes)?.place(at))
}

#[cfg(test)]
mod tests;
