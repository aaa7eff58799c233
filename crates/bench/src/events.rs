//! `relance bench events`: events from their arrival to committed consequences. Each is of a kind that three segments
//! read and that a journey waits for; one contact in a hundred is inside that journey. The events come from visitors
//! spread over the whole base, as in a shop where some are there and most are not. The same for bases of growing size: an
//! event costs what it touches, not what lies beside it. Beside it: events of contacts picked from everybody, each for the
//! first time, when the histories of their conditions must be read from the disk.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use engine::live::work::{Engine, Worked};
use model::{Dice, Timestamp, event::kind};
use serde_json::json;
use storage::{
    imports::{ContactKey, ImportBatch, ImportEvent, ImportStore},
    segments::SegmentStore,
};
use storage_sqlite::Sqlite;

use crate::{
    Plan, Report, Stopwatch,
    living::{self, said},
    synthetic::{self, END, Shape},
};

/// Contacts of the greatest base unless told otherwise.
pub const CONTACTS: u64 = 1_000_000;
/// Events that are measured on each base.
pub const EVENTS: u64 = 200_000;
/// Events of contacts picked from everybody.
const FIRST: u64 = 20_000;
/// Contacts who visit.
const VISITORS: u64 = 20_000;
/// Events that arrive together.
const BATCH: u64 = 1_000;

const SEGMENTS: [(&str, &str); 3] = [
    ("often-looking", "{did: Product Viewed, count: {at_least: 3}, within: P7D}"),
    ("looked-at-few", "{did: Product Viewed, where: {property: product_id, starts_with: p00}, within: P30D}"),
    ("not-looking", "[{consent: newsletter, is: subscribed}, {did_not: Product Viewed, within: P14D}]"),
];

const JOURNEY: &str = "
format: 1
journey: looking-again
audience: {who: with_email, source: existing_and_new}
triggers:
  - {on: event, event: Checkout Started}
reentry: after_exit
nodes:
  looks: {kind: wait_for, event: Product Viewed, where: {ref: event.product_id, is: p000007}, limit: P2D}
  mail: {kind: send_email, template: reminder, purpose: newsletter}
links:
  - {from: start, to: looks}
  - {from: looks, to: mail, when: \"no\"}
";

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let greatest = plan.size.unwrap_or(CONTACTS);
    let mut sizes: Vec<u64> = [10_000, 100_000].into_iter().filter(|size| *size < greatest).collect();
    sizes.push(greatest);
    let mut curve = Vec::new();
    let mut last = None;
    for contacts in sizes {
        let report = measure(plan, contacts).await?;
        curve.push(json!({
            "contacts": contacts,
            "events_per_second": report.rate,
            "cpu_microseconds_per_event": report.cpu_seconds / report.size as f64 * 1e6,
        }));
        last = Some(report);
    }
    let mut report = last.ok_or("nothing was measured")?;
    report.more.insert("curve".into(), json!(curve));
    Ok(report)
}

async fn measure(plan: &Plan, contacts: u64) -> Result<Report, String> {
    let shape = Shape { seed: plan.seed, contacts, orders: contacts, events: contacts * 2, products: 5_000 };
    let mut base = synthetic::base(plan, &shape).await?;
    if !base.is_temporary() {
        base = synthetic::copy(&base)?;
    }
    let db = &base.db;
    living::build_segments(db, &SEGMENTS).await?;
    let now = END;
    let mut engine = living::publish(db, JOURNEY, now).await?;
    // One contact in a hundred waits.
    let inside: Vec<u64> = (1..=contacts).step_by(100).collect();
    for (part, chunk) in inside.chunks(BATCH as usize).enumerate() {
        let mut batch = ImportBatch::new(now);
        batch.live = true;
        for contact in chunk {
            batch.events.push(event(
                *contact,
                kind::CHECKOUT_STARTED,
                now,
                format!("in-{part}-{contact}"),
                "",
            ));
        }
        db.import(batch).await.map_err(said)?;
    }
    engine.settle(now).await.map_err(said)?;

    // Everybody who visits has been here before.
    let visitors = Visitors { contacts, number: contacts.min(VISITORS), seed: plan.seed };
    let warm = visitors.number.div_ceil(BATCH) * BATCH;
    arrive(db, &mut engine, &visitors, Pick::InTurn, warm, "warm").await?;
    let watch = Stopwatch::start();
    let worked = arrive(db, &mut engine, &visitors, Pick::Visitor, EVENTS, "m").await?;
    let mut report = watch.report("events", EVENTS);
    let first = Stopwatch::start();
    arrive(db, &mut engine, &visitors, Pick::Anybody, FIRST, "first").await?;
    let (first, _) = first.elapsed();
    report.more.insert("contacts".into(), json!(contacts));
    report.more.insert("visitors".into(), json!(visitors.number));
    report.more.insert("inside".into(), json!(inside.len()));
    report.more.insert("steps".into(), json!(worked.steps));
    report.more.insert("first_time_events_per_second".into(), json!(FIRST as f64 / first));
    let mut members = serde_json::Map::new();
    for record in db.load_segments().await.map_err(said)? {
        members.insert(record.slug.to_string(), json!(record.members));
    }
    report.more.insert("members".into(), members.into());
    Ok(report)
}

/// Who visits: so many, spread evenly over the base.
#[derive(Clone, Copy)]
struct Visitors {
    contacts: u64,
    number: u64,
    seed: u64,
}

/// Whose events arrive.
#[derive(Clone, Copy)]
enum Pick {
    /// Each visitor's, one after the other.
    InTurn,
    /// Some visitor's.
    Visitor,
    /// Anybody's.
    Anybody,
}

/// Lets events arrive while the engine works on them, until all are worked on.
async fn arrive(
    db: &Sqlite,
    engine: &mut Engine<Sqlite>,
    visitors: &Visitors,
    pick: Pick,
    total: u64,
    name: &'static str,
) -> Result<Worked, String> {
    let (tell, mut told) = tokio::sync::mpsc::channel::<()>(4);
    // The engine's clock is behind nothing that has arrived: what lies ahead of it would be looked at twice.
    let latest = Arc::new(AtomicI64::new(END.0));
    let clock = Arc::clone(&latest);
    let (store, visitors) = (db.clone(), *visitors);
    let mut dice = Dice::of(&[visitors.seed, visitors.contacts, total]);
    let arriving = tokio::spawn(async move {
        for part in 0..total / BATCH {
            let at = END.plus(part.cast_signed() * 50_000);
            clock.store(at.plus(1).0, Ordering::Relaxed);
            let mut batch = ImportBatch::new(at);
            batch.live = true;
            for number in 0..BATCH {
                let visitor = match pick {
                    Pick::InTurn => (part * BATCH + number) % visitors.number,
                    Pick::Visitor | Pick::Anybody => dice.below(visitors.number),
                };
                let contact = match pick {
                    Pick::Anybody => 1 + dice.below(visitors.contacts),
                    _ => 1 + visitor * (visitors.contacts / visitors.number),
                };
                let product = format!("p{:06}", dice.below(5_000));
                let id = format!("{name}{part}-{number}");
                batch.events.push(event(contact, kind::PRODUCT_VIEWED, at, id, &product));
            }
            store.import(batch).await.map_err(said)?;
            if tell.send(()).await.is_err() {
                break;
            }
        }
        Ok::<(), String>(())
    });
    let mut worked = Worked::default();
    let now = || Timestamp(latest.load(Ordering::Relaxed));
    while told.recv().await.is_some() {
        worked += engine.turn(now(), false).await.map_err(said)?;
    }
    arriving.await.map_err(|error| error.to_string())??;
    while worked.inputs < total / BATCH * BATCH {
        let more = engine.turn(now(), false).await.map_err(said)?;
        if !more.any() {
            return Err(format!("{} of {total} events were worked on", worked.inputs));
        }
        worked += more;
    }
    Ok(worked)
}

fn event(contact: u64, kind: &str, at: Timestamp, id: String, product: &str) -> ImportEvent {
    let mut properties = serde_json::Map::new();
    if !product.is_empty() {
        properties.insert("product_id".into(), json!(product));
        properties.insert("price".into(), json!(19.9));
    }
    ImportEvent {
        contact: ContactKey::ExternalId(synthetic::contact_name(contact)),
        at,
        kind: kind.to_owned(),
        message_id: Some(id),
        properties,
    }
}
