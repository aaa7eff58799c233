//! Placements that an order makes between two runs, and the book of moves.

use model::{ContactId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use storage::{
    Result,
    rfm::{
        GroupMove, LivePlacement, LiveScore,
        chunk::{self, Move, NEVER, NONE, Place},
    },
};

use super::{Model, clock, find_model, group_slug, place_now};
use crate::{pool::driver, rows::inconsistent};

pub(super) fn read_place(row: &Row<'_>, first: usize) -> rusqlite::Result<Place> {
    Ok(Place {
        group: row.get(first)?,
        previous: row.get(first + 1)?,
        code: row.get(first + 2)?,
        since: Timestamp(row.get(first + 3)?),
    })
}

/// The live placements of a model, ascending by contact.
pub(super) fn of_model(connection: &Connection, model_no: i64) -> Result<Vec<LivePlacement>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT contact_id, group_no, previous, code, since FROM rfm_live WHERE model_no = ?1
             ORDER BY contact_id",
        )
        .map_err(driver)?;
    let rows = statement
        .query_map([model_no], |row| {
            Ok(LivePlacement { contact: ContactId(row.get(0)?), place: read_place(row, 1)? })
        })
        .map_err(driver)?;
    rows.collect::<rusqlite::Result<_>>().map_err(driver)
}

/// The live placement of one contact.
pub(super) fn one(connection: &Connection, model_no: i64, contact: ContactId) -> Result<Option<Place>> {
    connection
        .prepare_cached(
            "SELECT group_no, previous, code, since FROM rfm_live WHERE contact_id = ?1 AND model_no = ?2",
        )
        .and_then(|mut statement| {
            statement.query_row((contact.0, model_no), |row| read_place(row, 0)).optional()
        })
        .map_err(driver)
}

/// Adds moves of a chunk at an instant to those that are there.
pub(super) fn add_moves(
    tx: &Transaction<'_>,
    number: u64,
    model_no: i64,
    at: Timestamp,
    moves: &[u8],
) -> Result<()> {
    let key = (number as i64, model_no, at.0);
    let known: Option<Vec<u8>> = tx
        .prepare_cached("SELECT moves FROM rfm_moves WHERE chunk = ?1 AND model_no = ?2 AND at = ?3")
        .and_then(|mut statement| statement.query_row(key, |row| row.get(0)).optional())
        .map_err(driver)?;
    let moves = match known {
        None => moves.to_vec(),
        Some(known) => {
            let mut all = chunk::decode_moves(&known)?;
            all.extend(chunk::decode_moves(moves)?);
            chunk::encode_moves(&all)
        }
    };
    tx.prepare_cached(
        "INSERT INTO rfm_moves VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (chunk, model_no, at) DO UPDATE SET moves = excluded.moves",
    )
    .and_then(|mut statement| statement.execute((key.0, key.1, key.2, moves)))
    .map_err(driver)?;
    Ok(())
}

/// Takes the moves of a contact out of the book.
pub(super) fn forget_moves(connection: &Connection, model_no: i64, contact: ContactId) -> Result<()> {
    let (number, place) = chunk::locate(contact);
    let mut query = connection
        .prepare_cached("SELECT at, moves FROM rfm_moves WHERE chunk = ?1 AND model_no = ?2")
        .map_err(driver)?;
    let mut rows = query.query((number as i64, model_no)).map_err(driver)?;
    let mut changed = Vec::new();
    while let Some(row) = rows.next().map_err(driver)? {
        let mut moves = chunk::decode_moves(crate::rows::blob(row, 1).map_err(driver)?)?;
        let all = moves.len();
        moves.retain(|one| usize::from(one.place) != place);
        if moves.len() < all {
            changed.push((row.get::<_, i64>(0).map_err(driver)?, moves));
        }
    }
    drop(rows);
    for (at, moves) in changed {
        let key = (number as i64, model_no, at);
        let done = if moves.is_empty() {
            connection
                .prepare_cached("DELETE FROM rfm_moves WHERE chunk = ?1 AND model_no = ?2 AND at = ?3")
                .and_then(|mut delete| delete.execute(key))
        } else {
            connection
                .prepare_cached(
                    "UPDATE rfm_moves SET moves = ?4 WHERE chunk = ?1 AND model_no = ?2 AND at = ?3",
                )
                .and_then(|mut update| update.execute((key.0, key.1, key.2, chunk::encode_moves(&moves))))
        };
        done.map_err(driver)?;
    }
    Ok(())
}

/// Writes live scores.
pub(crate) fn save(tx: &Transaction<'_>, scores: &[LiveScore], at: Timestamp) -> Result<Vec<GroupMove>> {
    let stamp = clock(tx)?;
    let mut models: Vec<Model> = Vec::new();
    let mut moved = Vec::new();
    for score in scores {
        let model = match models.iter().position(|model| model.slug == score.model.as_str()) {
            Some(known) => &models[known],
            None => match find_model(tx, score.model.as_str())? {
                None => continue,
                Some(model) => {
                    models.push(model);
                    &models[models.len() - 1]
                }
            },
        };
        moved.extend(save_one(tx, model, score, at, stamp)?);
    }
    Ok(moved)
}

fn save_one(
    tx: &Transaction<'_>,
    model: &Model,
    score: &LiveScore,
    at: Timestamp,
    stamp: i64,
) -> Result<Option<GroupMove>> {
    let group = model.groups.iter().position(|slug| *slug == score.group).ok_or_else(|| {
        inconsistent("rfm_models", &model.slug, format!("there is no group `{}`", score.group))
    })? as u8;
    let before = place_now(tx, model.no, score.contact)?;
    if before.group == NEVER && group == NONE || (before.group, before.code) == (group, score.code) {
        return Ok(None);
    }
    let moves = before.group != group;
    let place = if moves {
        Place { group, previous: before.group, code: score.code, since: at }
    } else {
        Place { code: score.code, ..before }
    };
    tx.prepare_cached(
        "INSERT INTO rfm_live VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (contact_id, model_no) DO UPDATE SET stamp = excluded.stamp, group_no = excluded.group_no,
           previous = excluded.previous, code = excluded.code, since = excluded.since",
    )
    .and_then(|mut statement| {
        statement.execute((
            score.contact.0,
            model.no,
            stamp,
            place.group,
            place.previous,
            place.code,
            place.since.0,
        ))
    })
    .map_err(driver)?;
    if !moves {
        return Ok(None);
    }
    let (number, within) = chunk::locate(score.contact);
    let one = Move { place: within as u16, from: before.group, to: group };
    add_moves(tx, number, model.no, at, &chunk::encode_moves(&[one]))?;
    let from = if before.group == NEVER { None } else { Some(group_slug(model, before.group)?) };
    Ok(Some(GroupMove {
        contact: score.contact,
        model: model.slug.clone(),
        at,
        from,
        to: score.group.clone(),
    }))
}
