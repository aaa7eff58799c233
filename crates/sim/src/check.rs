//! What must be so, whatever happened.

use std::collections::{BTreeMap, BTreeSet};

use engine::{
    live::{lives, timers::Timers},
    segments::{bulk, silent},
};
use journey::{Counts, Person, Run, nodes::sending, trace};
use model::{ContactId, Slug, Timestamp};
use storage::{
    contacts::ContactStore,
    journeys::JourneyStore,
    live::LiveStore,
    lives::LifeStore,
    outbox::{MessageFilter, MessageRow, MessageState, OutboxStore},
    segments::SegmentStore,
};
use storage_sqlite::Sqlite;

use crate::{
    story::Story,
    world::{Life, World},
};

/// Whether nodes of a kind write messages that reach a contact.
fn carries(word: &str) -> bool {
    matches!(word, "send_email" | "send_sms" | "send_push")
}

type Checked = Result<(), String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What must be so whenever nothing is due; `deep`: what costs more too.
///
/// # Errors
/// What is not so.
pub fn at_rest(world: &mut World, deep: bool) -> Checked {
    let now = world.now;
    world.look(async |life: &mut Life| {
        let checked = async {
            queues(life, now).await?;
            alarms(life, now).await?;
            let rows = life.db.list_messages(MessageFilter::default(), 0, 100_000).await.map_err(text)?;
            counts(life, &rows).await?;
            if deep {
                segments(life, now).await?;
            }
            Ok::<(), String>(())
        };
        Ok(checked.await)
    })?
}

/// Nothing waits to be worked on.
async fn queues(life: &Life, now: Timestamp) -> Checked {
    let inputs = life.db.take_inputs(i64::MAX, 1).await.map_err(text)?;
    if !inputs.is_empty() {
        return Err(format!("an input waits at rest: {inputs:?}"));
    }
    let due = life.engine.next_due(now).await.map_err(text)?;
    if due.is_some_and(|due| due <= now) {
        return Err(format!("something is due at rest: {due:?}"));
    }
    Ok(())
}

/// Alarms ring when the earliest of what they are for is due, and never in the past.
async fn alarms(life: &Life, now: Timestamp) -> Checked {
    let contacts = life.db.scan_contacts(ContactId(0), 10_000).await.map_err(text)?;
    let ids: Vec<ContactId> = contacts.iter().map(|contact| contact.id).collect();
    let alarms = life.db.load_alarms(ids.clone()).await.map_err(text)?;
    let inside = life.db.load_inside(ids.clone()).await.map_err(text)?;
    for (contact, alarm) in ids.iter().zip(alarms) {
        let mut dues: Vec<Timestamp> = Timers::from_bytes(&alarm.timers).due().into_iter().collect();
        for enrolment in inside.iter().filter(|enrolment| enrolment.contact == *contact) {
            let state = enrolment.state.as_ref().ok_or("an enrolment inside has no state")?;
            let run = Run::resume(Person::default(), state).ok_or("a state does not read back")?;
            dues.extend(run.due());
        }
        let wanted = dues.iter().min().copied();
        if alarm.due != wanted {
            return Err(format!("alarm of {contact}: {:?}, but {wanted:?} is due", alarm.due));
        }
        if alarm.due.is_some_and(|due| due <= now) {
            return Err(format!("alarm of {contact} rang at {:?} and nobody heard", alarm.due));
        }
    }
    Ok(())
}

/// In = waiting + done + left, by node; and traces, stays and messages say the same.
async fn counts(life: &Life, rows: &[MessageRow]) -> Checked {
    let book = &life.engine.ground().book;
    if let Some(broken) = book.broken.first() {
        return Err(format!("a version does not compile any more: {broken:?}"));
    }
    for live in &book.journeys {
        let (journey, run, slug) = (&live.rules.journey, live.record.run, &live.rules.journey.slug);
        let what = format!("{slug} version {}", live.record.version);
        let runs = life.db.load_journey_runs(slug.clone()).await.map_err(text)?;
        let known = runs.iter().find(|known| known.id == run).ok_or("a run is missing")?;
        let report = engine::campaign::status(&life.db, journey, known).await.map_err(text)?;
        let staying = life.db.count_stays(run).await.map_err(text)?;
        let all = life.db.list_enrolments(run, None, (ContactId(0), 0), 100_000).await.map_err(text)?;
        let mut traced = Counts::default();
        let mut stays: BTreeMap<String, u64> = BTreeMap::new();
        let mut sent: BTreeMap<(ContactId, String), usize> = BTreeMap::new();
        for row in &all {
            let records = trace::decode(&row.trace).ok_or("a trace does not read back")?;
            for step in records.iter().flat_map(|record| &record.steps) {
                traced.add(std::slice::from_ref(step));
                let node = journey.node(step.node);
                let carries = carries(node.kind.word);
                if carries && step.outcome == sending::SENT {
                    *sent.entry((row.contact, node.id.clone())).or_default() += 1;
                }
            }
            if row.is_over != row.stays.is_empty() {
                return Err(format!(
                    "{what}: {} is over: {}, stays: {:?}",
                    row.contact, row.is_over, row.stays
                ));
            }
            for node in &row.stays {
                *stays.entry(node.clone()).or_default() += 1;
            }
        }
        if traced != report.counts {
            return Err(format!("{what}: counted {:?}, traced {:?}", report.counts, traced));
        }
        let waiting: BTreeMap<String, u64> =
            staying.iter().filter(|delta| delta.n > 0).map(|delta| (delta.node.clone(), delta.n)).collect();
        if stays != waiting {
            return Err(format!("{what}: stay {stays:?}, counted {waiting:?}"));
        }
        let mut moved: BTreeMap<String, u64> = BTreeMap::new();
        for delta in life.db.load_journey_counts(run).await.map_err(text)? {
            if delta.measure == "moved_in" {
                *moved.entry(delta.node).or_default() += delta.n;
            }
        }
        let mut came: BTreeMap<u16, u64> = BTreeMap::new();
        for (measure, n) in &traced.0 {
            let next = journey.node(measure.node).next.get(usize::from(measure.outcome));
            for to in next.map_or(&[][..], Vec::as_slice) {
                *came.entry(*to).or_default() += n;
            }
        }
        for number in 1..journey.nodes.len() as u16 {
            let id = &journey.node(number).id;
            let came =
                came.get(&number).copied().unwrap_or_default() + moved.get(id).copied().unwrap_or_default();
            let held = waiting.get(id).copied().unwrap_or_default();
            let went = traced.entered(number);
            if came != held + went {
                return Err(format!("{what}: at {id} {came} came in, {held} wait, {went} went"));
            }
        }
        for ((contact, node), n) in &sent {
            let own = |row: &&MessageRow| {
                row.message.send.run == run
                    && row.message.contact == *contact
                    && row.message.send.node == *node
            };
            let found = rows.iter().filter(own).count();
            if found != *n {
                return Err(format!(
                    "{what}: {contact} passed {node} as sent {n} times, the outbox has {found}"
                ));
            }
        }
        let of_nodes = |row: &&MessageRow| {
            let send = &row.message.send;
            send.run == run
                && journey.number(&send.node).is_some_and(|number| carries(journey.node(number).kind.word))
        };
        let found = rows.iter().filter(of_nodes).count();
        let decided: usize = sent.values().sum();
        if found != decided {
            return Err(format!("{what}: {decided} messages in traces, {found} in the outbox"));
        }
    }
    let ids: BTreeSet<_> = rows.iter().map(|row| row.message.id).collect();
    if ids.len() != rows.len() {
        return Err("a message stands twice in the outbox".into());
    }
    Ok(())
}

/// What is kept equals what the base says from scratch.
async fn segments(life: &Life, now: Timestamp) -> Checked {
    let workspace = std::sync::Arc::clone(&life.engine.ground().workspace);
    for (slug, file) in &workspace.segments {
        let scratch = bulk::find(&life.db, &workspace, &file.condition, now, silent()).await.map_err(text)?;
        let Some((_, kept)) = life.db.load_members(file.slug.clone()).await.map_err(text)? else { continue };
        if kept != scratch.members {
            let condition = file.condition.to_json();
            return Err(format!("{slug} {condition}: kept {kept:?}, from scratch {:?}", scratch.members));
        }
    }
    Ok(())
}

/// What must be so at the end of a story: nothing was lost, nothing was handed over that must not be.
///
/// # Errors
/// What is not so.
pub fn at_end(world: &mut World) -> Checked {
    let accepted = world.accepted.clone();
    let handed = world.post.handed();
    world.look(async |life: &mut Life| {
        let checked = async {
            history(&life.db, &accepted).await?;
            let rows = life.db.list_messages(MessageFilter::default(), 0, 100_000).await.map_err(text)?;
            hand_overs(&rows, &handed)
        };
        Ok(checked.await)
    })??;
    coupons(world)
}

async fn history(db: &Sqlite, accepted: &BTreeSet<String>) -> Checked {
    use storage::events::EventStore;
    let ids = db.load_contact_ids().await.map_err(text)?;
    let ids = ids.iter().map(|id| ContactId(id.cast_signed())).collect();
    let events = db.load_events(ids, Vec::new(), Timestamp::MIN, Timestamp::MAX).await.map_err(text)?;
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    for id in events.iter().filter_map(|event| event.message_id.as_deref()) {
        *found.entry(id).or_default() += 1;
    }
    for id in accepted {
        match found.get(id.as_str()).copied().unwrap_or_default() {
            1 => {}
            n => return Err(format!("the event {id} was accepted and is {n} times in history")),
        }
    }
    Ok(())
}

fn hand_overs(rows: &[MessageRow], handed: &[crate::post::HandOver]) -> Checked {
    for row in rows {
        let own: Vec<_> = handed.iter().filter(|one| one.id == row.message.id).collect();
        let taken = own.iter().filter(|one| one.taken).count();
        let transactional = row.message.send.transactional;
        let id = row.message.id;
        if !transactional && taken > 1 {
            return Err(format!("the marketing message {id} was handed over {taken} times"));
        }
        if row.state == MessageState::Sent && taken == 0 {
            return Err(format!("the message {id} is sent and nobody took it"));
        }
        if transactional && row.state == MessageState::Uncertain {
            return Err(format!("the transactional message {id} is uncertain"));
        }
        let headers: BTreeSet<_> = own.iter().filter_map(|one| one.header.as_ref()).collect();
        if headers.len() > 1 {
            return Err(format!("the message {id} left under several names: {headers:?}"));
        }
        if row.state <= MessageState::HandingOver {
            return Err(format!("the message {id} is {:?} when all is over", row.state));
        }
    }
    let known: BTreeSet<_> = rows.iter().map(|row| row.message.id).collect();
    match handed.iter().find(|one| !known.contains(&one.id)) {
        Some(stray) => Err(format!("handed over and never decided: {stray:?}")),
        None => Ok(()),
    }
}

/// Each code was given once, each run has one of a set.
fn coupons(world: &World) -> Checked {
    let base = rusqlite::Connection::open(&world.path).map_err(text)?;
    for (what, query) in [
        ("a code was given twice", "SELECT code FROM coupon_uses GROUP BY code HAVING count(*) > 1"),
        (
            "a run has two codes of a set",
            "SELECT contact_id || ' ' || run || ' ' || ordinal FROM coupon_uses WHERE run IS NOT NULL
             GROUP BY contact_id, run, ordinal, set_id HAVING count(*) > 1",
        ),
        (
            "the stock does not add up",
            "SELECT slug FROM coupon_sets s WHERE free <> (SELECT count(*) FROM coupon_codes c WHERE c.set_id = s.set_id AND given = 0)
             OR s.given <> (SELECT count(*) FROM coupon_uses u WHERE u.set_id = s.set_id)",
        ),
        (
            "a code is given and nobody has it, or the other way round",
            "SELECT code FROM coupon_codes c WHERE given <> EXISTS (SELECT 1 FROM coupon_uses u WHERE u.set_id = c.set_id AND u.code = c.code)",
        ),
    ] {
        let mut statement = base.prepare(query).map_err(text)?;
        let mut found = statement.query([]).map_err(text)?;
        if let Some(row) = found.next().map_err(text)? {
            let which: String = row.get(0).map_err(text)?;
            return Err(format!("{what}: {which}"));
        }
    }
    Ok(())
}

/// After a night the places of all contacts are those that scoring everything anew gives.
///
/// # Errors
/// What is not so.
pub fn after_a_night(world: &mut World) -> Checked {
    let copy = world.beside("copy.db");
    let (path, at) = (world.path.clone(), world.now);
    world.look(async |life: &mut Life| {
        let checked = async {
            let base = rusqlite::Connection::open(&path).map_err(text)?;
            // Nobody writes now: with its log in it, the file is the base.
            base.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(text)?;
            std::fs::copy(&path, &copy).map_err(text)?;
            let options = storage_sqlite::Options { threads: false, ..Default::default() };
            let other = Sqlite::open(&copy, options).map_err(text)?;
            use storage::rfm::RfmStore;
            let ids = life.db.load_contact_ids().await.map_err(text)?;
            let ids: Vec<ContactId> = ids.iter().map(|id| ContactId(id.cast_signed())).collect();
            let models = life.db.load_rfm_models().await.map_err(text)?;
            if models.is_empty() {
                return Err("no model was scored".into());
            }
            for record in models {
                let Some(model) = rfm::RfmModel::built_in(record.model.as_str()) else { continue };
                let runs = life.db.load_rfm_runs(record.model.clone(), 1).await.map_err(text)?;
                if runs.first().is_none_or(|run| run.at != at) {
                    return Err(format!("{} was not scored at {at}", record.model));
                }
                let kept = engine::rfm::standings(&life.db, &record.model).await.map_err(text)?;
                engine::rfm::score(&other, &model, at, true).await.map_err(text)?;
                let anew = engine::rfm::standings(&other, &record.model).await.map_err(text)?;
                if kept != anew {
                    return Err(format!("{}: kept {kept:?}, from scratch {anew:?}", record.model));
                }
                let placed = life.db.load_placements(ids.clone()).await.map_err(text)?;
                let again = other.load_placements(ids.clone()).await.map_err(text)?;
                let bare = |all: &[Vec<model::RfmPlacement>]| -> Vec<Vec<(String, String)>> {
                    let one = |p: &model::RfmPlacement| (p.model.to_string(), p.group.to_string());
                    all.iter().map(|each| each.iter().map(one).collect()).collect()
                };
                if bare(&placed) != bare(&again) {
                    return Err(format!("{}: placed {placed:?}, from scratch {again:?}", record.model));
                }
            }
            Ok::<(), String>(())
        };
        Ok(checked.await)
    })?
}

/// The lives of all journeys, for who reads a story.
///
/// # Errors
/// As [`World::look`].
pub fn tell_ways(world: &mut World, story: &Story) -> Result<Vec<String>, String> {
    let journeys = story.folders.len();
    world.look(async |life: &mut Life| {
        let mut lines = Vec::new();
        for n in 0..journeys {
            let slug = Slug::parse(&format!("j{n}"))?;
            for record in lives::of_journey(&life.db, &slug).await? {
                let journey = engine::rules::stored_journey(&life.db, slug.clone(), record.version).await?;
                for row in life.db.list_enrolments(record.run, None, (ContactId(0), 0), 10_000).await? {
                    let records = trace::decode(&row.trace).unwrap_or_default();
                    let way = trace::describe(&records, &journey);
                    lines.push(format!("{slug} v{} {} #{}: {way}", record.version, row.contact, row.ordinal));
                }
            }
        }
        Ok(lines)
    })
}
