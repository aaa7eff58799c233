//! A process that is killed at any point of an import loses nothing that it acknowledged and leaves nothing half-written;
//! running again completes it. The test starts itself again as the process to be killed.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use model::{Amount, Channel, ConsentState, ContactId, MessageId, Slug, Timestamp};
use storage::{
    catalogue::CatalogueStore,
    consents::{Answers, Confirmed, ConsentStep, ConsentStore, Proof, Subscription},
    contacts::ContactStore,
    imports::{Checkpoint, ImportBatch, ImportStore},
    live::LiveStore,
    orders::OrderStore,
    outbox::{OutboxMessage, SendPoint},
};
use storage_sqlite::{Options, Sqlite};
use testkit::{block_on, dated, order};

/// Tells the child which file to fill.
const CHILD: &str = "RELANCE_TEST_FILE";
const BATCHES: u64 = 8;
const ORDERS: u64 = 25;

fn batch(number: u64) -> ImportBatch {
    let mut batch = ImportBatch::new(dated(100));
    for index in 0..ORDERS {
        let id = number * ORDERS + index;
        let contact = format!("c{}", id % 30);
        order(
            &mut batch,
            &format!("o{id}"),
            &contact,
            dated(id.cast_signed() % 90),
            &[("mug", 1, 5), ("cup", 2, 1)],
        );
    }
    batch.checkpoint = Some(Checkpoint {
        key: "file".into(),
        rows_done: (number + 1) * ORDERS,
        finished: number + 1 == BATCHES,
        state: serde_json::Value::Null,
    });
    batch
}

/// Imports what is left, and says on standard output what is acknowledged.
async fn import_rest(path: &Path) {
    let db = Sqlite::open(path, Options::default()).unwrap();
    let done = db.load_checkpoint("file".into()).await.unwrap().map_or(0, |checkpoint| checkpoint.rows_done);
    for number in done / ORDERS..BATCHES {
        db.import(batch(number)).await.unwrap();
        println!("acknowledged {}", (number + 1) * ORDERS);
    }
}

/// No test of its own: the process that is killed.
#[test]
fn child() {
    if let Some(path) = std::env::var_os(CHILD) {
        block_on(import_rest(Path::new(&path)));
    }
}

/// Orders, what they come to by their contacts' totals, units of their days, and rows of the checkpoint.
async fn found(path: &Path) -> (u64, i64, i64, u64) {
    let db = Sqlite::open(path, Options::default()).unwrap();
    let ids: Vec<ContactId> =
        db.scan_contacts(ContactId(0), 1_000).await.unwrap().iter().map(|contact| contact.id).collect();
    let orders = db.load_orders(ids.clone(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    let totals = db.load_totals(ids).await.unwrap();
    let units = db.load_product_days(0, 100_000).await.unwrap().iter().map(|day| day.units).sum();
    let rows = db.load_checkpoint("file".into()).await.unwrap().map_or(0, |checkpoint| checkpoint.rows_done);
    assert_eq!(totals.iter().map(|totals| u64::from(totals.orders)).sum::<u64>(), orders.len() as u64);
    (orders.len() as u64, totals.iter().map(|totals| totals.spent).sum(), units, rows)
}

fn whole(orders: u64) -> (u64, i64, i64, u64) {
    (orders, Amount::units(7).0 * orders.cast_signed(), 3 * orders.cast_signed(), orders)
}

#[test]
fn a_killed_import_is_whole_and_goes_on() {
    for point in ["import.before_commit", "sqlite.before_commit", "sqlite.after_commit"] {
        for passage in [1, 4] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("relance.db");
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "child", "--nocapture"])
                .env(CHILD, &path)
                .env("RELANCE_CRASH_AT", format!("{point}:{passage}"))
                .stderr(Stdio::null())
                .output()
                .unwrap();
            assert!(!output.status.success(), "{point}:{passage} was not reached");
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let acknowledged = said
                .lines()
                .filter_map(|line| line.split_once("acknowledged ")?.1.parse::<u64>().ok())
                .max()
                .unwrap_or_default();
            assert_eq!(acknowledged, (passage - 1) * ORDERS);
            block_on(async {
                let kept = if point == "sqlite.after_commit" { acknowledged + ORDERS } else { acknowledged };
                assert_eq!(found(&path).await, whole(kept), "{point}:{passage}");
                import_rest(&path).await;
                assert_eq!(found(&path).await, whole(BATCHES * ORDERS), "{point}:{passage}");
            });
        }
    }
}

/// Tells the child in which file to answer, and how: `answer:PATH` or `confirm:PATH`.
const ANSWERS: &str = "RELANCE_TEST_ANSWERS";
const ANN: ContactId = ContactId(1);
const QUESTION: MessageId = MessageId([7; 16]);

fn news() -> Slug {
    Slug::parse("news").unwrap()
}

/// A yes to what a mail asked, or a no: the same each time.
async fn answer(how: &str, db: &Sqlite) {
    let proof = Proof { place: "page".into(), ..Proof::default() };
    if how == "confirm" {
        let standing = db.confirm(QUESTION, dated(3), proof).await.unwrap();
        assert_eq!(standing, Confirmed::Now(ANN, vec![news()]));
        return;
    }
    let answers = vec![(news(), ConsentState::Unsubscribed, proof)];
    let answers = Answers { contact: ANN, message: None, at: dated(3), source: "page".into(), answers };
    assert_eq!(db.answer(answers).await.unwrap(), Some((ANN, 1)));
}

/// No test of its own: the process that is killed while it answers.
#[test]
fn child_that_answers() {
    if let Ok(told) = std::env::var(ANSWERS) {
        let (how, path) = told.split_once(':').unwrap();
        block_on(async { answer(how, &Sqlite::open(Path::new(path), Options::default()).unwrap()).await });
    }
}

/// Somebody whom a mail asks whether to write to her.
async fn asked(db: &Sqlite) {
    let send = SendPoint {
        journey: news(),
        journey_version: 0,
        run: 0,
        node: "question".into(),
        channel: Channel::Email,
        purpose: Slug::parse("transactional").unwrap(),
        transactional: true,
        template: news(),
        template_version: 0,
    };
    let mail = OutboxMessage {
        id: QUESTION,
        contact: ContactId(0),
        send: std::sync::Arc::new(send),
        to: None,
        locale: None,
        variables: "{}".into(),
        decided_at: dated(2),
        not_before: dated(2),
        expires_at: None,
    };
    let patch = storage::imports::ContactPatch { external_id: None, ..testkit::contact("ann") };
    let subscription = Subscription {
        patch,
        at: dated(2),
        source: "form".into(),
        at_once: Vec::new(),
        to_confirm: vec![(news(), Proof::default())],
        mail: Some(mail),
        expires_at: dated(9),
    };
    assert!(db.subscribe(subscription).await.unwrap());
}

#[test]
fn an_answer_is_whole_or_not_there() {
    for (how, state, step) in [
        ("answer", ConsentState::Unsubscribed, ConsentStep::Unsubscribed),
        ("confirm", ConsentState::Subscribed, ConsentStep::Subscribed),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relance.db");
        // Consent, steps of the history, inputs of the engine.
        let found = async |db: &Sqlite| {
            let consent = db.linked_contact(ANN).await.unwrap().unwrap().consent("news");
            let log = db.load_consent_log(ANN).await.unwrap();
            let steps: Vec<ConsentStep> = log.into_iter().map(|entry| entry.step).collect();
            (consent, steps, db.take_inputs(i64::MAX, 100).await.unwrap().len())
        };
        let before = block_on(async {
            let db = Sqlite::open(&path, Options::default()).unwrap();
            asked(&db).await;
            found(&db).await
        });
        assert_eq!((before.0, before.1.as_slice()), (ConsentState::NotSubscribed, &[ConsentStep::Asked][..]));
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_answers", "--nocapture"])
            .env(ANSWERS, format!("{how}:{}", path.display()))
            .env("RELANCE_CRASH_AT", "consents.before_commit")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success(), "{how}: the point was not reached");
        block_on(async {
            let db = Sqlite::open(&path, Options::default()).unwrap();
            assert_eq!(found(&db).await, before, "{how}: nothing is half there");
            answer(how, &db).await;
            let (consent, steps, inputs) = found(&db).await;
            assert_eq!((consent, steps), (state, vec![ConsentStep::Asked, step]), "{how}");
            assert!(inputs > before.2, "{how}");
        });
    }
}
