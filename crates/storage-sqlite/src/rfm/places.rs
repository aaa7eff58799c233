//! Where contacts stand: what segments, journeys and pages read.

use std::collections::{BTreeMap, HashMap};

use model::{ContactId, RfmPlacement, Timestamp};
use roaring::RoaringTreemap;
use rusqlite::Connection;
use storage::{
    Result,
    rfm::{
        GroupFlow, GroupMove,
        chunk::{self, NEVER, Place, View},
    },
};

use super::{Model, chunk_end, chunk_id, find_model, group_slug, live, models, run};
use crate::{pool::driver, rows::blob};

/// The live placements of some contacts by contact and model.
type Live = HashMap<(ContactId, i64), Place>;

/// See `RfmStore::load_placements`.
pub(super) fn load(connection: &Connection, contacts: &[ContactId]) -> Result<Vec<Vec<RfmPlacement>>> {
    let mut answers: Vec<Vec<RfmPlacement>> = vec![Vec::new(); contacts.len()];
    // In order of id, so that a chunk is read once for all its contacts.
    let mut order: Vec<usize> = (0..contacts.len()).collect();
    if !contacts.is_sorted() {
        order.sort_unstable_by_key(|i| contacts[*i]);
    }
    let live = live_of(connection, contacts, &order)?;
    for model in models(connection)?.iter().filter(|model| model.last_run.is_some()) {
        load_model(connection, model, contacts, &order, &live, &mut answers)?;
    }
    Ok(answers)
}

fn load_model(
    connection: &Connection,
    model: &Model,
    contacts: &[ContactId],
    order: &[usize],
    live: &Live,
    answers: &mut [Vec<RfmPlacement>],
) -> Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT state FROM rfm_chunks WHERE chunk_id = ?1").map_err(driver)?;
    let mut rest = order;
    while let Some(first) = rest.first() {
        let (number, _) = chunk::locate(contacts[*first]);
        let mine = rest.iter().take_while(|i| chunk::locate(contacts[**i]).0 == number).count();
        let (these, others) = rest.split_at(mine);
        rest = others;
        let mut rows = statement.query([chunk_id(model.no, number)]).map_err(driver)?;
        let row = rows.next().map_err(driver)?;
        let bytes = row.map(|row| blob(row, 0)).transpose().map_err(driver)?;
        let view = bytes.map(View::new).transpose()?;
        for i in these {
            let contact = contacts[*i];
            let place = match (live.get(&(contact, model.no)), &view) {
                (Some(place), _) => *place,
                (None, Some(view)) => view.place(chunk::locate(contact).1)?,
                (None, None) => continue,
            };
            if place.group != NEVER {
                answers[*i].push(placement(model, place)?);
            }
        }
    }
    Ok(())
}

fn placement(model: &Model, place: Place) -> Result<RfmPlacement> {
    let (recency, frequency, monetary) = place.scores();
    let previous = (place.previous != NEVER).then(|| group_slug(model, place.previous)).transpose()?;
    Ok(RfmPlacement {
        model: model.slug.clone(),
        recency,
        frequency,
        monetary,
        group: group_slug(model, place.group)?,
        previous_group: previous,
        since: place.since,
    })
}

/// A range of ids at most this many times wider than the number of ids asked for is read at once.
const RANGE_WIDTH: i64 = 16;

fn live_of(connection: &Connection, contacts: &[ContactId], order: &[usize]) -> Result<Live> {
    let mut found = Live::new();
    let (Some(first), Some(last)) = (order.first(), order.last()) else { return Ok(found) };
    let (first, last) = (contacts[*first].0, contacts[*last].0);
    let mut statement = connection
        .prepare_cached(
            "SELECT contact_id, model_no, group_no, previous, code, since FROM rfm_live
             WHERE contact_id BETWEEN ?1 AND ?2",
        )
        .map_err(driver)?;
    let mut read = |from: i64, to: i64| -> Result<()> {
        let mut rows = statement.query((from, to)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let key = (ContactId(row.get(0).map_err(driver)?), row.get(1).map_err(driver)?);
            found.insert(key, live::read_place(row, 2).map_err(driver)?);
        }
        Ok(())
    };
    if last - first <= RANGE_WIDTH * contacts.len() as i64 {
        read(first, last)?;
    } else {
        for i in order {
            read(contacts[*i].0, contacts[*i].0)?;
        }
    }
    Ok(found)
}

/// See `RfmStore::contacts_in_groups`.
pub(super) fn in_groups(connection: &Connection, model: &str, groups: &[String]) -> Result<RoaringTreemap> {
    let mut members = RoaringTreemap::new();
    let Some(model) = find_model(connection, model)?.filter(|model| model.last_run.is_some()) else {
        return Ok(members);
    };
    let mut wanted = [false; 256];
    for (number, slug) in model.groups.iter().enumerate().skip(1).take(255) {
        wanted[number] = groups.contains(slug);
    }
    let mut statement = connection
        .prepare_cached("SELECT chunk_id, state FROM rfm_chunks WHERE chunk_id BETWEEN ?1 AND ?2 ORDER BY 1")
        .map_err(driver)?;
    let mut rows = statement.query((chunk_id(model.no, 0), chunk_end(model.no))).map_err(driver)?;
    let mut ids: Vec<u64> = Vec::with_capacity(chunk::CHUNK_LEN);
    while let Some(row) = rows.next().map_err(driver)? {
        let number = (row.get::<_, i64>(0).map_err(driver)? - chunk_id(model.no, 0)) as u64;
        let view = View::new(blob(row, 1).map_err(driver)?)?;
        let groups = view.groups().iter().enumerate();
        ids.clear();
        ids.extend(
            groups
                .filter(|(_, group)| wanted[usize::from(**group)])
                .map(|(at, _)| chunk::contact_at(number, at).0.unsigned_abs()),
        );
        members.append(ids.iter().copied()).map_err(|error| {
            crate::rows::inconsistent("rfm_chunks", number, format!("chunks are out of order: {error}"))
        })?;
    }
    for one in live::of_model(connection, model.no)? {
        let id = one.contact.0.unsigned_abs();
        if wanted[usize::from(one.place.group)] {
            members.insert(id);
        } else {
            members.remove(id);
        }
    }
    Ok(members)
}

/// See `RfmStore::load_group_moves`.
pub(super) fn moves_of(
    connection: &Connection,
    contacts: &storage::segments::IdRange,
) -> Result<Vec<GroupMove>> {
    if contacts.is_empty() || *contacts.end() < 0 {
        return Ok(Vec::new());
    }
    let first = chunk::locate(ContactId((*contacts.start()).max(0))).0 as i64;
    let last = chunk::locate(ContactId(*contacts.end())).0 as i64;
    let mut found = Vec::new();
    let mut statement = connection
        .prepare_cached(
            "SELECT chunk, at, moves FROM rfm_moves WHERE chunk BETWEEN ?1 AND ?2 AND model_no = ?3 ORDER BY chunk, at",
        )
        .map_err(driver)?;
    for model in models(connection)? {
        let mut rows = statement.query((first, last, model.no)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let chunk_no: i64 = row.get(0).map_err(driver)?;
            let at = Timestamp(row.get(1).map_err(driver)?);
            for one in chunk::decode_moves(blob(row, 2).map_err(driver)?)? {
                let contact = ContactId(chunk_no * chunk::CHUNK_LEN as i64 + i64::from(one.place));
                if !contacts.contains(&contact.0) {
                    continue;
                }
                let from = (one.from != NEVER).then(|| group_slug(&model, one.from)).transpose()?;
                let to = group_slug(&model, one.to)?;
                found.push(GroupMove { contact, model: model.slug.clone(), at, from, to });
            }
        }
    }
    found.sort_by_key(|one: &GroupMove| (one.contact, one.at));
    Ok(found)
}

/// See `RfmStore::count_group_flows`: from where everybody stands now, moves are taken back, the last first.
pub(super) fn flows(
    connection: &Connection,
    model: &str,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<GroupFlow>> {
    let Some(model) = find_model(connection, model)? else { return Ok(Vec::new()) };
    let mut chunks = groups_now(connection, &model)?;
    let mut query = connection
        .prepare_cached(
            "SELECT at, moves FROM rfm_moves WHERE chunk = ?1 AND model_no = ?2 AND at > ?3 ORDER BY at DESC",
        )
        .map_err(driver)?;
    let mut counts: BTreeMap<(u8, u8), u64> = BTreeMap::new();
    for (number, groups) in &mut chunks {
        let mut rows = query.query((*number as i64, model.no, from.0.min(to.0))).map_err(driver)?;
        let mut later = None;
        while let Some(row) = rows.next().map_err(driver)? {
            if row.get::<_, i64>(0).map_err(driver)? <= to.0 && later.is_none() {
                later = Some(groups.clone());
            }
            for one in chunk::decode_moves(blob(row, 1).map_err(driver)?)?.iter().rev() {
                if let Some(group) = groups.get_mut(usize::from(one.place)) {
                    *group = one.from;
                }
            }
        }
        let later = later.as_ref().unwrap_or(groups);
        for way in groups.iter().copied().zip(later.iter().copied()).filter(|(_, to)| *to != NEVER) {
            *counts.entry(way).or_default() += 1;
        }
    }
    let slug = |group: u8| (group != NEVER).then(|| group_slug(&model, group)).transpose();
    let mut flows = Vec::with_capacity(counts.len());
    for ((from, to), contacts) in counts {
        flows.push(GroupFlow { from: slug(from)?, to: group_slug(&model, to)?, contacts });
    }
    flows.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
    Ok(flows)
}

/// The groups of all contacts of a model now, by chunk.
fn groups_now(connection: &Connection, model: &Model) -> Result<BTreeMap<u64, Vec<u8>>> {
    let mut chunks = BTreeMap::new();
    for (number, bytes) in run::chunks(connection, model.no)? {
        chunks.insert(number, View::new(&bytes)?.groups().to_vec());
    }
    for one in live::of_model(connection, model.no)? {
        let (number, place) = chunk::locate(one.contact);
        let groups = chunks.entry(number).or_insert_with(|| vec![NEVER; chunk::CHUNK_LEN]);
        if let Some(group) = groups.get_mut(place) {
            *group = one.place.group;
        }
    }
    Ok(chunks)
}

/// See `RfmStore::load_moves`.
pub(super) fn moves(connection: &Connection, contact: ContactId) -> Result<Vec<GroupMove>> {
    let (number, within) = chunk::locate(contact);
    let mut found = Vec::new();
    let mut statement = connection
        .prepare_cached("SELECT at, moves FROM rfm_moves WHERE chunk = ?1 AND model_no = ?2 ORDER BY at")
        .map_err(driver)?;
    for model in models(connection)? {
        let mut rows = statement.query((number as i64, model.no)).map_err(driver)?;
        while let Some(row) = rows.next().map_err(driver)? {
            let at = Timestamp(row.get(0).map_err(driver)?);
            for one in chunk::decode_moves(blob(row, 1).map_err(driver)?)? {
                if usize::from(one.place) != within {
                    continue;
                }
                let from = (one.from != NEVER).then(|| group_slug(&model, one.from)).transpose()?;
                let to = group_slug(&model, one.to)?;
                found.push(GroupMove { contact, model: model.slug.clone(), at, from, to });
            }
        }
    }
    found.sort_by_key(|one: &GroupMove| one.at);
    Ok(found)
}
