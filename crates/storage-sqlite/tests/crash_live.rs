//! A process that is killed at any point of the living engine's commit has lost no input and done nothing twice. The test
//! starts itself again as the process to be killed.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use model::{Amount, ContactId, Slug, Value};
use storage::{
    contacts::ContactStore,
    events::EventStore,
    imports::{ImportBatch, ImportStore},
    journeys::{CountDelta, FieldChange, JourneyStore, NewJourneyRun},
    live::{Alarm, Done, EnrolmentStep, LiveStore, NewInput, StepCommit, StepOutcome},
    outbox::{Channel, MessageFilter, MessageId, OutboxMessage, OutboxStore, SendPoint},
};
use storage_sqlite::{Options, Sqlite};
use testkit::{block_on, contact, dated, event};

/// Tells the child which file to work on.
const CHILD: &str = "RELANCE_TEST_FILE";
/// Tells the child to let events arrive instead of working on them.
const ARRIVING: &str = "RELANCE_TEST_ARRIVING";
/// Contacts, each with one event.
const CONTACTS: i64 = 60;
/// Inputs taken at once.
const TAKEN: usize = 20;

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

/// Events come in, and are acknowledged.
async fn fill(path: &Path) {
    let db = Sqlite::open(path, Options::default()).unwrap();
    let mut batch = ImportBatch::new(dated(0));
    batch.contacts = (1..=CONTACTS).map(|n| contact(&format!("c{n}"))).collect();
    db.import(batch).await.unwrap();
    let mut batch = ImportBatch::new(dated(1));
    batch.live = true;
    batch.events = (1..=CONTACTS)
        .map(|n| {
            let mut event = event(&format!("c{n}"), "Asked", dated(1), "", "");
            event.message_id = Some(format!("m{n}"));
            event
        })
        .collect();
    // Twice: the second time nothing of it is new.
    db.import(batch.clone()).await.unwrap();
    db.import(batch).await.unwrap();
    let run = NewJourneyRun {
        journey: slug("j"),
        version: 1,
        hash: "h".into(),
        ordinal: 1,
        audience: roaring::RoaringTreemap::new(),
        seed: 1,
        started_at: dated(1),
    };
    db.begin_journey_run(run).await.unwrap();
}

/// What an `Asked` causes: the contact enters, is written to, its counter grows, and an `Answered` follows, which ends it.
fn decide(contact: ContactId, asked: bool, step: &mut StepCommit, send: &Arc<SendPoint>) {
    let entering = asked.then(String::new);
    step.enrolments.push(EnrolmentStep {
        contact,
        run: 1,
        ordinal: 1,
        key: entering,
        trace: vec![u8::from(asked)],
        state: asked.then(|| vec![1]),
        goal_at: None,
        stays: vec!["wait".into()],
    });
    let count = |before: Option<i64>, after: i64| FieldChange {
        field: "n".into(),
        before: before.map(|n| Value::Decimal(Amount(n))),
        after: Some(Value::Decimal(Amount(after))),
    };
    let change = if asked { count(None, 1) } else { count(Some(1), 2) };
    step.changes.push((contact, vec![change]));
    step.alarms.push((contact, Alarm { due: asked.then(|| dated(5)), timers: Vec::new() }));
    step.passages.push((contact, slug("j"), "wait".into(), 1));
    step.counts.push((1, CountDelta { node: "wait".into(), measure: "in".into(), n: 1 }));
    if asked {
        step.messages.push(OutboxMessage {
            id: MessageId::derive(1, contact.0.unsigned_abs(), 1, "mail", 1),
            contact,
            send: Arc::clone(send),
            to: None,
            locale: None,
            variables: "{}".into(),
            decided_at: dated(1),
            not_before: dated(1),
            expires_at: None,
        });
        let event = model::Event {
            contact,
            at: dated(1),
            received_at: dated(1),
            kind: "Answered".into(),
            message_id: Some(format!("answer-{contact}")),
            properties: serde_json::Map::new(),
        };
        step.inputs.push(NewInput { event, causes: 1, stored: true });
    }
}

/// Works on what waits until nothing does.
async fn work(path: &Path) {
    let db = Sqlite::open(path, Options::default()).unwrap();
    let send = Arc::new(SendPoint {
        journey: slug("j"),
        journey_version: 1,
        run: 1,
        node: "mail".into(),
        channel: Channel::Email,
        purpose: slug("newsletter"),
        transactional: false,
        template: slug("hello"),
        template_version: 1,
    });
    loop {
        let inputs = db.take_inputs(i64::MAX, TAKEN).await.unwrap();
        if inputs.is_empty() {
            break;
        }
        let done = Done::Inputs(inputs.iter().map(|input| input.no).collect());
        let mut step = StepCommit::new(dated(2), done);
        for input in &inputs {
            decide(input.event.contact, input.event.kind == "Asked", &mut step, &send);
        }
        let outcome = db.commit_step(step).await.unwrap();
        assert!(matches!(outcome, StepOutcome::Committed { .. }), "{outcome:?}");
    }
}

/// No test of its own: the process that is killed.
#[test]
fn child() {
    if let Some(path) = std::env::var_os(CHILD) {
        let path = Path::new(&path);
        match std::env::var_os(ARRIVING) {
            Some(_) => block_on(arrive(path)),
            None => block_on(work(path)),
        }
    }
}

/// Everything that was asked was done once.
async fn check(path: &Path) {
    let db = Sqlite::open(path, Options::default()).unwrap();
    let ids: Vec<ContactId> = (1..=CONTACTS).map(ContactId).collect();
    let n = CONTACTS.unsigned_abs();
    for contact in db.load_contacts(ids.clone()).await.unwrap() {
        assert_eq!(contact.fields.get("n"), Some(&Value::Decimal(Amount(2))), "{}", contact.id);
    }
    assert_eq!(db.load_inside(ids.clone()).await.unwrap(), []);
    let past = db.load_past(slug("j"), ids.clone()).await.unwrap();
    assert_eq!(past.len(), ids.len());
    for contact in &ids {
        assert_eq!(db.load_enrolments(*contact).await.unwrap()[0].trace, [1, 0]);
    }
    let messages = db.list_messages(MessageFilter::default(), 0, 1_000).await.unwrap();
    assert_eq!(messages.len(), ids.len());
    let (own, all) = db.load_passages(slug("j"), "wait".into(), ids).await.unwrap();
    assert!(own.iter().all(|passages| *passages == 2));
    assert_eq!(all, 2 * n);
    assert_eq!(db.load_journey_counts(1).await.unwrap()[0].n, 2 * n);
    assert_eq!(db.count_stays(1).await.unwrap(), []);
    assert_eq!(db.next_alarm().await.unwrap(), None);
    assert_eq!(db.last_input().await.unwrap().unsigned_abs(), 2 * n);
}

#[test]
fn a_killed_engine_loses_no_input_and_does_nothing_twice() {
    let points = [
        "step.before_commit",
        "step.in_transaction",
        "sqlite.before_commit",
        "sqlite.after_commit",
        "step.after_commit",
    ];
    for point in points {
        for passage in [1, 4] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("relance.db");
            block_on(fill(&path));
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child", "--nocapture"])
                .env(CHILD, &path)
                .env("RELANCE_CRASH_AT", format!("{point}:{passage}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert!(!status.success(), "{point}:{passage} was not reached");
            block_on(async {
                work(&path).await;
                check(&path).await;
            });
        }
    }
}

/// Events come in by small batches, which move those before them into histories and under products.
async fn arrive(path: &Path) {
    let db = Sqlite::open(path, Options { recent_events: 12, ..Options::default() }).unwrap();
    for first in (0..BATCHES * 5).step_by(5) {
        let mut batch = ImportBatch::new(dated(1));
        batch.live = true;
        batch.events = (first..first + 5)
            .map(|n| {
                let (who, product) = (format!("c{}", n % 7), format!("p{}", n % 3));
                let mut event = event(&who, "Product Viewed", dated(n * 11 % 30), "product_id", &product);
                event.message_id = Some(format!("m{n}"));
                event
            })
            .collect();
        db.import(batch).await.unwrap();
    }
}

/// Batches of [`arrive`]: enough for several rounds of each phase.
const BATCHES: i64 = 24;

/// What there is of the events, asked in every way: histories, inputs, who cared for a product.
async fn arrived(path: &Path) -> Vec<String> {
    let db = Sqlite::open(path, Options::default()).unwrap();
    let (since, until) = (model::Timestamp::MIN, model::Timestamp::MAX);
    let ids: Vec<ContactId> = (1..=7).map(ContactId).collect();
    let events = db.load_events(ids, Vec::new(), since, until).await.unwrap();
    let mut told: Vec<String> =
        events.iter().map(|one| format!("{} {} {:?}", one.contact, one.at, one.message_id)).collect();
    for product in 0..3 {
        let found = db.find_by_product(format!("p{product}"), vec!["Product Viewed".into()], since, until);
        told.push(format!("{:?}", found.await.unwrap()));
    }
    let inputs = db.take_inputs(i64::MAX, 1_000).await.unwrap();
    told.extend(inputs.iter().map(|input| format!("{:?}", input.event.message_id)));
    told
}

#[test]
fn a_process_that_is_killed_while_it_moves_events_has_each_of_them_once() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.db");
    let expected = block_on(async {
        arrive(&whole).await;
        arrived(&whole).await
    });
    let events = (BATCHES * 5) as usize;
    assert_eq!(expected.len(), events + 3 + events + 7, "the seven contacts are news, too");
    let moved: i64 = rusqlite::Connection::open(&whole)
        .and_then(|db| db.query_row("SELECT count(*) FROM events", [], |row| row.get(0)))
        .unwrap();
    assert!(moved >= 24, "several batches were moved: {moved}");
    // Each phase more than once: sealing, histories, products, rows that go.
    for passage in 2..=BATCHES {
        let path = folder.path().join(format!("killed-{passage}.db"));
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, &path)
            .env(ARRIVING, "1")
            .env("RELANCE_CRASH_AT", format!("recent.moved:{passage}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), None, "passage {passage} was not reached");
        block_on(arrive(&path));
        assert_eq!(block_on(arrived(&path)), expected, "passage {passage}");
    }
}
