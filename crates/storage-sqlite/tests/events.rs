//! Events are moved from where they arrive into their contacts' histories while others read and write: whoever asks, and
//! whenever, each event is there exactly once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use model::{ContactId, Event, Timestamp};
use proptest::prelude::*;
use rusqlite::Connection;
use storage::{
    events::{EventStore, Interested},
    imports::{ContactKey, ImportBatch, ImportEvent, ImportStore},
    live::{LiveStore, NewInput},
    segments::SegmentStore,
};
use storage_sqlite::{Options, Sqlite};
use testkit::{block_on, dated};

const KINDS: [&str; 3] = ["Page Viewed", "Product Viewed", "Product Added"];
const PRODUCTS: u8 = 4;

/// Small batches, so that a few events go all the way.
fn open(path: &Path, recent_events: u32) -> Sqlite {
    Sqlite::open(path, Options { recent_events, ..Options::default() }).unwrap()
}

/// An event: contact, second, kind, product (none when past the last).
type One = (u8, u8, u8, u8);

fn import_event(number: usize, one: One) -> ImportEvent {
    let (contact, second, kind, product) = one;
    let mut properties = serde_json::Map::from_iter([("number".to_owned(), number.into())]);
    if product < PRODUCTS {
        properties.insert("product_id".into(), format!("p{product}").into());
    }
    ImportEvent {
        contact: ContactKey::ExternalId(format!("c{contact}")),
        at: instant(second),
        kind: KINDS[usize::from(kind)].to_owned(),
        message_id: Some(format!("m{number}")),
        properties,
    }
}

fn instant(second: u8) -> Timestamp {
    Timestamp(dated(0).0 + i64::from(second) * Timestamp::SECOND)
}

/// What the base must hold: events by their numbers in the order of arrival.
#[derive(Default)]
struct Known {
    events: Vec<One>,
    ids: BTreeMap<u8, ContactId>,
}

impl Known {
    /// Numbers of events that are wanted, by contact, time and arrival.
    fn numbers(&self, is_wanted: impl Fn(&One) -> bool) -> Vec<u64> {
        let mut wanted: Vec<(ContactId, u8, u64)> = Vec::new();
        for (number, one) in self.events.iter().enumerate() {
            if is_wanted(one) {
                wanted.push((self.ids[&one.0], one.1, number as u64));
            }
        }
        wanted.sort_unstable();
        wanted.into_iter().map(|(_, _, number)| number).collect()
    }
}

fn number_of(event: &Event) -> u64 {
    event.properties["number"].as_u64().unwrap()
}

/// Asks in every way, and compares.
async fn compare(db: &Sqlite, known: &Known) {
    let mut ids: Vec<ContactId> = known.ids.values().copied().collect();
    ids.sort_unstable();
    let (since, until) = (instant(2), instant(9));
    let inside = |one: &One| (2..9).contains(&one.1);
    let all = db.load_events(ids.clone(), Vec::new(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    assert_eq!(all.iter().map(number_of).collect::<Vec<_>>(), known.numbers(|_| true), "all");
    let range = i64::MIN..=i64::MAX;
    for (kind, name) in KINDS.iter().enumerate() {
        let is_wanted = |one: &One| usize::from(one.2) == kind && inside(one);
        let wanted = known.numbers(is_wanted);
        let loaded = db.load_events(ids.clone(), vec![(*name).into()], since, until).await.unwrap();
        assert_eq!(loaded.iter().map(number_of).collect::<Vec<_>>(), wanted, "{name}");
        let scanned = db
            .fold_events((*name).into(), range.clone(), since, until, Vec::new(), |all, event: &Event| {
                all.push(number_of(event));
            })
            .await
            .unwrap();
        assert_eq!(scanned, wanted, "{name} as a scan");
        let marks = db
            .fold_event_marks((*name).into(), range.clone(), since, until, Vec::new(), |all, mark| {
                all.push((mark.contact, mark.at));
            })
            .await
            .unwrap();
        let expected: Vec<(ContactId, Timestamp)> = loaded.iter().map(|e| (e.contact, e.at)).collect();
        assert_eq!(marks, expected, "{name} as marks");
        for product in 0..PRODUCTS {
            let mut expected: BTreeMap<ContactId, (Timestamp, Timestamp)> = BTreeMap::new();
            for one in known.events.iter().filter(|one| is_wanted(one) && one.3 == product) {
                let at = instant(one.1);
                let span = expected.entry(known.ids[&one.0]).or_insert((at, at));
                *span = (span.0.min(at), span.1.max(at));
            }
            let expected: Vec<Interested> = expected
                .into_iter()
                .map(|(contact, (first, last))| Interested { contact, first, last })
                .collect();
            let names = vec![(*name).to_owned()];
            let found = db.find_by_product(format!("p{product}"), names, since, until).await.unwrap();
            assert_eq!(found, expected, "{name} of p{product}");
        }
    }
}

/// What happens to the base.
#[derive(Clone, Debug)]
enum Act {
    /// A batch arrives by import, live or not, through one of two openings of the file.
    Import { events: Vec<One>, live: bool, second: bool },
    /// The engine stores events of its own.
    Raise { events: Vec<One> },
    /// The program is started again.
    Reopen,
    /// Somebody asks, through one of two openings.
    Ask { second: bool },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let events = |n| proptest::collection::vec((0..6_u8, 0..12_u8, 0..3_u8, 0..6_u8), 1..n);
    let act = prop_oneof![
        6 => (events(12), any::<bool>(), any::<bool>())
            .prop_map(|(events, live, second)| Act::Import { events, live, second }),
        2 => events(4).prop_map(|events| Act::Raise { events }),
        1 => Just(Act::Reopen),
        4 => any::<bool>().prop_map(|second| Act::Ask { second }),
    ];
    proptest::collection::vec(act, 1..40)
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relance.db");
    (folder, path)
}

/// Makes the contacts, so that their ids are known.
async fn contacts(db: &Sqlite) -> Known {
    let mut known = Known::default();
    for contact in 0..6_u8 {
        let mut batch = ImportBatch::new(dated(0));
        batch.contacts.push(testkit::contact(&format!("c{contact}")));
        db.import(batch).await.unwrap();
        known.ids.insert(contact, ContactId(i64::from(contact) + 1));
    }
    known
}

async fn import(db: &Sqlite, known: &mut Known, events: &[One], live: bool) {
    let mut batch = ImportBatch::new(dated(1));
    batch.live = live;
    for one in events {
        batch.events.push(import_event(known.events.len(), *one));
        known.events.push(*one);
    }
    db.import(batch).await.unwrap();
}

async fn raise(db: &Sqlite, known: &mut Known, events: &[One]) {
    let mut inputs = Vec::new();
    for one in events {
        let given = import_event(known.events.len(), *one);
        known.events.push(*one);
        let event = Event {
            contact: known.ids[&one.0],
            at: given.at,
            received_at: given.at,
            kind: given.kind,
            message_id: given.message_id,
            properties: given.properties,
        };
        inputs.push(NewInput { event, causes: 0, stored: true });
    }
    db.add_inputs(inputs, Vec::new()).await.unwrap();
}

/// Phases of the moving that were seen in the file.
fn phase(path: &Path) -> (i64, i64) {
    let file = Connection::open(path).unwrap();
    file.query_row("SELECT phase, sealed FROM recent_moving", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn each_event_is_there_once_whoever_asks(acts in acts(), batch in 1..30_u32) {
        let (_folder, path) = folder();
        block_on(async {
            let (mut db, mut other) = (open(&path, batch), open(&path, batch));
            let mut known = contacts(&db).await;
            for act in acts {
                match act {
                    Act::Import { events, live, second } => {
                        import(if second { &other } else { &db }, &mut known, &events, live).await;
                    }
                    Act::Raise { events } => raise(&db, &mut known, &events).await,
                    Act::Reopen => {
                        drop((db, other));
                        (db, other) = (open(&path, batch), open(&path, batch));
                    }
                    Act::Ask { second } => compare(if second { &other } else { &db }, &known).await,
                }
            }
            compare(&db, &known).await;
            compare(&other, &known).await;
        });
    }
}

#[test]
fn a_batch_goes_through_every_phase_and_is_read_the_same_in_each() {
    let (_folder, path) = folder();
    block_on(async {
        let db = open(&path, 40);
        let mut known = contacts(&db).await;
        let mut seen = Vec::new();
        for n in 0..400_u32 {
            let n = n as u8;
            import(&db, &mut known, &[(n % 6, n.wrapping_mul(7) % 12, n % 3, n % 6)], n.is_multiple_of(2))
                .await;
            let (now, sealed) = phase(&path);
            if seen.last() != Some(&now) {
                compare(&db, &known).await;
                // Another opening knows nothing of what this one has in memory.
                compare(&open(&path, 40), &known).await;
                seen.push(now);
            }
            assert!(sealed <= i64::from(n) + 512);
        }
        assert_eq!(seen[..9], [3, 0, 1, 2, 3, 0, 1, 2, 3]);
        drop(db);
        let file = Connection::open(&path).unwrap();
        let count = |table: &str| -> i64 {
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        assert!(count("recent_events") < 100, "{} wait", count("recent_events"));
        assert!(count("events") > 300, "{} are moved", count("events"));
    });
}

#[test]
fn who_reads_an_old_moment_sees_it_whole() {
    let (_folder, path) = folder();
    block_on(async {
        let db = open(&path, 10);
        let mut known = contacts(&db).await;
        for n in 0..25_u8 {
            import(&db, &mut known, &[(n % 6, n % 12, 1, n % 4)], true).await;
        }
        let before = known.numbers(|one| (0..12).contains(&one.1) && one.2 == 1);
        // The first contact's events are read; then the rest arrive and are moved while the scan stands still.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (began, begins) = std::sync::mpsc::channel::<()>();
        let scan = db.fold_events(
            "Product Viewed".into(),
            i64::MIN..=i64::MAX,
            Timestamp::MIN,
            Timestamp::MAX,
            Vec::new(),
            {
                let (wait, mut first) = (Arc::new(Mutex::new(wait)), true);
                move |all, event: &Event| {
                    if std::mem::take(&mut first) {
                        began.send(()).unwrap();
                        wait.lock().unwrap().recv().unwrap();
                    }
                    all.push(number_of(event));
                }
            },
        );
        let scan = async { scan.await.unwrap() };
        let meanwhile = async {
            tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
            for n in 0..60_u8 {
                import(&db, &mut known, &[(n % 6, n % 12, 1, n % 4)], true).await;
            }
            compare(&db, &known).await;
            go.send(()).unwrap();
        };
        let (seen, ()) = tokio::join!(scan, meanwhile);
        assert_eq!(seen, before);
    });
}
