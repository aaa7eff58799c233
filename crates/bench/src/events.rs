//! `relance bench events`: events from their arrival to committed consequences. Each is of a kind that three segments
//! read and that a journey waits for; one contact in a hundred is inside that journey. The same for bases of growing
//! size: an event costs what it touches, not what lies beside it.

use model::{Dice, Timestamp, event::kind};
use serde_json::json;
use storage::{
    imports::{ContactKey, ImportBatch, ImportEvent, ImportStore},
    segments::SegmentStore,
};

use crate::{
    Plan, Report, Stopwatch,
    living::{self, said},
    synthetic::{self, END, Shape},
};

/// Contacts of the greatest base unless told otherwise.
pub const CONTACTS: u64 = 1_000_000;
/// Events that are measured on each base.
pub const EVENTS: u64 = 200_000;
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
    let mut now = END;
    let mut engine = living::publish(db, JOURNEY, now).await?;
    let mut dice = Dice::of(&[plan.seed, contacts]);
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

    let watch = Stopwatch::start();
    let (tell, mut told) = tokio::sync::mpsc::channel::<()>(4);
    let (store, total) = (db.clone(), EVENTS);
    let arriving = tokio::spawn(async move {
        let mut at = now;
        for part in 0..total / BATCH {
            at = at.plus(BATCH.cast_signed() * 50);
            let mut batch = ImportBatch::new(at);
            batch.live = true;
            for number in 0..BATCH {
                let contact = 1 + dice.below(contacts);
                let product = format!("p{:06}", dice.below(5_000));
                batch.events.push(event(
                    contact,
                    kind::PRODUCT_VIEWED,
                    at,
                    format!("m{part}-{number}"),
                    &product,
                ));
            }
            store.import(batch).await.map_err(said)?;
            if tell.send(()).await.is_err() {
                break;
            }
        }
        Ok::<Timestamp, String>(at)
    });
    let mut worked = engine::live::work::Worked::default();
    while told.recv().await.is_some() {
        now = now.plus(BATCH.cast_signed() * 50);
        worked += engine.turn(now, false).await.map_err(said)?;
    }
    let end = arriving.await.map_err(|error| error.to_string())??;
    while worked.inputs < EVENTS {
        let more = engine.turn(end, false).await.map_err(said)?;
        if !more.any() {
            return Err(format!("{} of {EVENTS} events were worked on", worked.inputs));
        }
        worked += more;
    }
    let mut report = watch.report("events", EVENTS);
    report.more.insert("contacts".into(), json!(contacts));
    report.more.insert("inside".into(), json!(inside.len()));
    report.more.insert("steps".into(), json!(worked.steps));
    let mut members = serde_json::Map::new();
    for record in db.load_segments().await.map_err(said)? {
        members.insert(record.slug.to_string(), json!(record.members));
    }
    report.more.insert("members".into(), members.into());
    Ok(report)
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
