//! The one transaction that commits what a batch decided.

use std::collections::BTreeMap;

use model::{Contact, ContactId, Slug, Timestamp, Value};
use rusqlite::{Connection, OptionalExtension, Transaction};
use storage::{
    Result,
    journeys::{CountDelta, FieldChange},
    live::{Alarm, Done, StepCommit, StepOutcome},
};

use super::{enrolments, inputs, trials};
use crate::{contacts, coupons, outbox, pool::driver, rfm, segments};

/// Commits a batch. Everything that could refuse it is looked at before anything is written.
pub(super) fn step(transaction: &Transaction<'_>, step: &StepCommit) -> Result<StepOutcome> {
    if !is_to_be_done(transaction, &step.done)? {
        return Ok(StepOutcome::Moved);
    }
    let mut stale = Vec::new();
    let stays = enrolments::check(transaction, &step.enrolments, &mut stale)?;
    let profiles = Profiles::read(transaction, step, &mut stale)?;
    stale.extend(coupons::conflicts(transaction, &step.coupons)?);
    if !stale.is_empty() {
        stale.sort_unstable();
        stale.dedup();
        return Ok(StepOutcome::Conflict(stale));
    }
    mark_done(transaction, &step.done)?;
    profiles.write(transaction, step.at)?;
    enrolments::write(transaction, &step.enrolments, step.at)?;
    stays.write(transaction)?;
    write_alarms(transaction, &step.alarms)?;
    segments::update_members(transaction, &step.members, step.at)?;
    rfm::save_scores(transaction, &step.scores, step.at)?;
    coupons::assign(transaction, &step.coupons, step.at)?;
    write_passages(transaction, &step.passages)?;
    add_counts(transaction, step.counts.iter().map(|(run, delta)| (*run, delta)))?;
    trials::mark(transaction, &step.trials)?;
    trials::reach(transaction, &step.goals)?;
    let messages = outbox::insert(transaction, &step.messages, is_broadcast(&step.done))?;
    inputs::add(transaction, &step.inputs)?;
    crate::lives::hold(transaction, &step.held)?;
    inputs::add_waves(transaction, &step.waves)?;
    for (key, value) in &step.settings {
        crate::settings::save_setting(transaction, key, value)?;
    }
    storage::fault::point("step.in_transaction");
    Ok(StepOutcome::Committed { messages })
}

/// Whether what a batch sends goes to many at once: such messages leave after those of single contacts.
const fn is_broadcast(done: &Done) -> bool {
    matches!(done, Done::Wave { .. } | Done::Audience { .. })
}

fn is_to_be_done(connection: &Connection, done: &Done) -> Result<bool> {
    match done {
        Done::Inputs(numbers) => inputs::are_waiting(connection, numbers),
        Done::Wave { no, from, .. } => Ok(inputs::wave_stands(connection, *no)? == Some(*from)),
        Done::Audience { run, from, .. } => Ok(run_stands(connection, *run)? == Some(*from)),
        Done::Alarms => Ok(true),
    }
}

fn mark_done(connection: &Connection, done: &Done) -> Result<()> {
    match done {
        Done::Inputs(numbers) => inputs::remove(connection, numbers),
        Done::Wave { no, to, .. } => inputs::move_wave(connection, *no, *to),
        Done::Audience { run, to, .. } => move_run(connection, *run, *to),
        Done::Alarms => Ok(()),
    }
}

/// The contact that a run's audience is done with; none when it is completed.
fn run_stands(connection: &Connection, run: i64) -> Result<Option<ContactId>> {
    connection
        .prepare_cached("SELECT checkpoint FROM journey_runs WHERE run_id = ?1 AND finished_at IS NULL")
        .and_then(|mut query| query.query_row([run], |row| row.get(0).map(ContactId)).optional())
        .map_err(driver)
}

/// Moves a run on in its audience.
fn move_run(connection: &Connection, run: i64, to: ContactId) -> Result<()> {
    connection
        .prepare_cached("UPDATE journey_runs SET checkpoint = ?2 WHERE run_id = ?1")
        .and_then(|mut update| update.execute((run, to.0)))
        .map_err(driver)?;
    Ok(())
}

/// What a batch does to a profile: fields in order, and lists to be on (true) or off.
type Wanted<'s> = (Vec<&'s FieldChange>, Vec<(&'s Slug, bool)>);

/// Profiles that a batch changes, each read once and written once.
struct Profiles {
    changed: Vec<Contact>,
}

impl Profiles {
    /// Reads the profiles and makes the changes in memory. A field that is not what was read makes its contact stale;
    /// somebody who is not known any more is left out.
    fn read(connection: &Connection, step: &StepCommit, stale: &mut Vec<ContactId>) -> Result<Self> {
        let mut wanted: BTreeMap<ContactId, Wanted<'_>> = BTreeMap::new();
        for (contact, changes) in &step.changes {
            wanted.entry(*contact).or_default().0.extend(changes);
        }
        for (contact, list, member) in &step.lists {
            wanted.entry(*contact).or_default().1.push((list, *member));
        }
        let mut changed = Vec::new();
        for (id, (fields, lists)) in wanted {
            let Some(before) = contacts::load_one(connection, id)? else { continue };
            let mut after = before.clone();
            if !set_fields(&mut after, fields) {
                stale.push(id);
                continue;
            }
            for (list, member) in lists {
                set_list(&mut after.lists, list, member);
            }
            if after != before {
                changed.push(after);
            }
        }
        Ok(Self { changed })
    }

    fn write(self, connection: &Connection, at: Timestamp) -> Result<()> {
        for mut contact in self.changed {
            contact.updated_at = contact.updated_at.max(at);
            contacts::update(connection, &contact)?;
        }
        Ok(())
    }
}

/// Writes fields one after the other; false when one does not hold what was read before it was written.
fn set_fields<'a>(contact: &mut Contact, changes: impl IntoIterator<Item = &'a FieldChange>) -> bool {
    for FieldChange { field, before, after } in changes {
        if contact.fields.get(field) != before.as_ref() {
            return false;
        }
        match after {
            Some(value) => contact.fields.insert(field.clone(), Value::clone(value)),
            None => contact.fields.remove(field),
        };
    }
    true
}

fn set_list(lists: &mut Vec<Slug>, list: &Slug, member: bool) {
    match (lists.binary_search(list), member) {
        (Err(place), true) => lists.insert(place, list.clone()),
        (Ok(place), false) => drop(lists.remove(place)),
        _ => {}
    }
}

fn write_alarms(connection: &Connection, alarms: &[(ContactId, Alarm)]) -> Result<()> {
    let mut set = connection
        .prepare_cached(
            "INSERT INTO alarms (contact_id, due, timers) VALUES (?1, ?2, ?3)
             ON CONFLICT (contact_id) DO UPDATE SET due = excluded.due, timers = excluded.timers
             WHERE due IS NOT excluded.due OR timers <> excluded.timers",
        )
        .map_err(driver)?;
    let mut clear = connection.prepare_cached("DELETE FROM alarms WHERE contact_id = ?1").map_err(driver)?;
    for (contact, Alarm { due, timers }) in alarms {
        if due.is_none() && timers.is_empty() {
            clear.execute([contact.0]).map_err(driver)?;
        } else {
            set.execute((contact.0, due.map(|at| at.0), timers)).map_err(driver)?;
        }
    }
    Ok(())
}

/// Passages of each contact, and of all together under contact 0.
fn write_passages(connection: &Connection, passages: &[(ContactId, Slug, String, u32)]) -> Result<()> {
    if passages.is_empty() {
        return Ok(());
    }
    let mut add = connection
        .prepare_cached(
            "INSERT INTO node_passages (contact_id, journey, node, n) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (contact_id, journey, node) DO UPDATE SET n = n + excluded.n",
        )
        .map_err(driver)?;
    let mut all: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for (contact, journey, node, n) in passages {
        add.execute((contact.0, journey.as_str(), node, n)).map_err(driver)?;
        *all.entry((journey.as_str(), node)).or_default() += i64::from(*n);
    }
    for ((journey, node), n) in all {
        add.execute((0, journey, node, n)).map_err(driver)?;
    }
    Ok(())
}

/// Adds to the counters of runs.
fn add_counts<'a>(
    connection: &Connection,
    counts: impl IntoIterator<Item = (i64, &'a CountDelta)>,
) -> Result<()> {
    let mut sums: BTreeMap<(i64, &str, &str), i64> = BTreeMap::new();
    for (run, delta) in counts {
        *sums.entry((run, &delta.node, &delta.measure)).or_default() += delta.n.cast_signed();
    }
    let mut add = connection
        .prepare_cached(
            "INSERT INTO journey_counts (run_id, node, measure, n) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (run_id, node, measure) DO UPDATE SET n = n + excluded.n",
        )
        .map_err(driver)?;
    for ((run, node, measure), n) in sums {
        add.execute((run, node, measure, n)).map_err(driver)?;
    }
    Ok(())
}
