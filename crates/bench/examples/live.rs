//! Measures the living engine's storage: `cargo run --release -p bench --example live -- WAITING`, with so many
//! contacts who wait in a journey.

use bench::Stopwatch;
use model::{ContactId, Slug, Timestamp};
use storage::{
    imports::{ContactKey, ContactPatch, ImportBatch, ImportEvent, ImportStore},
    journeys::{CountDelta, JourneyStore, NewJourneyRun},
    live::{Alarm, Done, EnrolmentStep, LiveStore, StepCommit},
    segments::{MemberAnswer, NewMembers, SegmentStore},
};
use storage_sqlite::{Options, Sqlite};

/// Inputs in a batch.
const BATCH: i64 = 1_000;
/// Batches measured.
const ROUNDS: i64 = 20;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn now(second: i64) -> Timestamp {
    Timestamp(1_800_000_000_000_000 + second * 1_000_000)
}

fn name(id: i64) -> String {
    format!("c{id}")
}

fn enrolment(contact: i64, run: i64, is_new: bool) -> EnrolmentStep {
    EnrolmentStep {
        contact: ContactId(contact),
        run,
        ordinal: 1,
        key: is_new.then(String::new),
        trace: vec![2; 30],
        state: Some(vec![1; 300]),
        goal_at: None,
        stays: vec!["wait".into()],
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let waiting: i64 = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let path = std::env::temp_dir().join(format!("relance-live-{}.db", std::process::id()));
    let measured = measure(&path, waiting).await;
    for end in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{end}", path.display())));
    }
    measured
}

async fn measure(path: &std::path::Path, waiting: i64) -> Outcome<()> {
    let db = Sqlite::open(path, Options::default())?;
    let run = fill(&db, waiting).await?;
    drop(db);
    let watch = Stopwatch::start();
    let db = Sqlite::open(path, Options::default())?;
    let (next, last) = (db.next_alarm().await?, db.last_input().await?);
    let (lives, waves) = (db.load_lives(false).await?.len(), db.load_waves().await?.len());
    println!(
        "opened again with {waiting} waiting: {:.4} s ({next:?}, {last}, {lives}, {waves})",
        watch.elapsed().0
    );

    let (mut taken_in, mut read, mut committed) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let contacts: Vec<i64> = (0..BATCH).map(|n| 1 + (n * 7_919 + round * 104_729) % waiting).collect();
        let watch = Stopwatch::start();
        db.import(events(&contacts, round)).await?;
        taken_in.push(watch.elapsed().0);
        let watch = Stopwatch::start();
        let inputs = db.take_inputs(i64::MAX, BATCH as usize).await?;
        let ids: Vec<ContactId> = contacts.iter().map(|id| ContactId(*id)).collect();
        let inside = db.load_inside(ids.clone()).await?;
        db.load_alarms(ids).await?;
        read.push(watch.elapsed().0);
        let mut step = decided(&contacts, round, run);
        step.done = Done::Inputs(inputs.iter().map(|input| input.no).collect());
        step.enrolments = inside.iter().step_by(3).map(|one| enrolment(one.contact.0, run, false)).collect();
        step.enrolments.dedup_by_key(|one| one.contact);
        let watch = Stopwatch::start();
        db.commit_step(step).await?;
        committed.push(watch.elapsed().0);
    }
    for (what, mut times) in [("import live", taken_in), ("read", read), ("commit_step", committed)] {
        times.sort_unstable_by(f64::total_cmp);
        println!(
            "{what:<12} of {BATCH}: median {:.1} ms, worst {:.1} ms",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
    Ok(())
}

/// Contacts, all of them inside a run, and three segments.
async fn fill(db: &Sqlite, waiting: i64) -> Outcome<i64> {
    for first in (1..=waiting).step_by(5_000) {
        let mut batch = ImportBatch::new(now(0));
        batch.contacts = (first..(first + 5_000).min(waiting + 1))
            .map(|id| ContactPatch { external_id: Some(name(id)), ..ContactPatch::default() })
            .collect();
        db.import(batch).await?;
    }
    let new = NewJourneyRun {
        journey: Slug::parse("j")?,
        version: 1,
        hash: "h".into(),
        ordinal: 1,
        audience: std::iter::empty::<u64>().collect(),
        seed: 1,
        started_at: now(0),
    };
    let run = db.begin_journey_run(new).await?.id;
    for first in (1..=waiting).step_by(5_000) {
        let mut step = StepCommit::new(now(0), Done::Alarms);
        for id in first..(first + 5_000).min(waiting + 1) {
            step.enrolments.push(enrolment(id, run, true));
            step.alarms.push((ContactId(id), Alarm { due: Some(now(86_400 + id)), timers: Vec::new() }));
        }
        db.commit_step(step).await?;
    }
    for n in 0..3_u64 {
        let new = NewMembers {
            slug: Slug::parse(&format!("s{n}"))?,
            fingerprint: "f".into(),
            members: (1..=waiting.unsigned_abs()).filter(|id| id % (n + 2) == 0).collect(),
            flips: Vec::new(),
            tell: Default::default(),
            at: now(0),
        };
        db.commit_members(new).await?;
    }
    Ok(run)
}

fn events(contacts: &[i64], round: i64) -> ImportBatch {
    let mut batch = ImportBatch::new(now(round));
    batch.live = true;
    batch.events = contacts
        .iter()
        .enumerate()
        .map(|(n, id)| ImportEvent {
            contact: ContactKey::ExternalId(name(*id)),
            at: now(round),
            kind: "Page Viewed".into(),
            message_id: Some(format!("m-{round}-{n}")),
            properties: serde_json::Map::from_iter([("path".to_owned(), "/a/page/of/the/shop".into())]),
        })
        .collect();
    batch
}

/// What a batch of events usually comes to: an answer of three segments for each, new alarms, counts.
fn decided(contacts: &[i64], round: i64, run: i64) -> StepCommit {
    let mut step = StepCommit::new(now(round), Done::Alarms);
    let answer = |id: &i64| MemberAnswer {
        contact: ContactId(*id),
        member: (id + round) % 3 == 0,
        flip: (id % 4 == 0).then(|| now(round + 3_600)),
        state: Some(vec![3; 40]),
    };
    for n in 0..3 {
        if let Ok(slug) = Slug::parse(&format!("s{n}")) {
            step.members.push((slug, "f".into(), contacts.iter().map(answer).collect()));
        }
    }
    let alarm =
        |id: &i64| (ContactId(*id), Alarm { due: Some(now(90_000 + id + round)), timers: Vec::new() });
    step.alarms = contacts.iter().map(alarm).collect();
    step.counts.push((run, CountDelta { node: "wait".into(), measure: "stays".into(), n: 1 }));
    step
}
