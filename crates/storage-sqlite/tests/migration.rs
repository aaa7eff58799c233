//! A database of an earlier schema, with data in it, is brought up to date and can be used.

use model::{ContactId, Event, Slug, Timestamp};
use rusqlite::Connection;
use storage::{
    events::EventStore,
    journeys::{CountDelta, JourneyStore},
    live::{LiveStore, NewInput},
    lives::LifeStore,
    outbox::{MessageFilter, MessageState, OutboxStore},
};
use storage_sqlite::{Options, Sqlite};
use testkit::block_on;

/// The steps up to the schema before journeys could wait.
const BEFORE_LIVE: [&str; 6] = [
    include_str!("../migrations/0001_base.sql"),
    include_str!("../migrations/0002_rfm.sql"),
    include_str!("../migrations/0003_segments.sql"),
    include_str!("../migrations/0004_recommend.sql"),
    include_str!("../migrations/0005_journeys.sql"),
    include_str!("../migrations/0006_outbox.sql"),
];

/// The steps behind those up to the schema before events arrived in a table of their own.
const BEFORE_EVENTS: [&str; 6] = [
    include_str!("../migrations/0007_live.sql"),
    include_str!("../migrations/0008_coupons.sql"),
    include_str!("../migrations/0009_sending.sql"),
    include_str!("../migrations/0010_lives.sql"),
    include_str!("../migrations/0011_interest.sql"),
    include_str!("../migrations/0012_trials.sql"),
];

/// Histories with and without products, and a product's id that is no text.
const HISTORIES: &str = r#"
  INSERT INTO counters VALUES ('event', 6), ('kind', 2), ('contact', 2);
  INSERT INTO event_kinds VALUES (1, 'Product Viewed'), (2, 'Page Viewed');
  INSERT INTO events (contact_id, at, event_no, kind_id, received_at, message_id, properties) VALUES
    (1, 300, 1, 1, 301, 'a', '{"product_id":"mug"}'), (1, 100, 2, 1, 301, 'b', '{"product_id":"mug"}'),
    (1, 200, 3, 2, 301, NULL, ''), (2, 500, 4, 1, 501, NULL, '{"product_id":"mug"}'),
    (2, 400, 5, 1, 501, NULL, '{"product_id":7}'), (2, 450, 6, 2, 501, NULL, '{"nested":{"product_id":"mug"}}');
  INSERT INTO message_ids VALUES ('a', 1, 300, 1), ('b', 1, 100, 2);
"#;

/// A run that is half done, its counters in parts, its messages in every state; and one that is completed.
const DATA: &str = "
  INSERT INTO journey_runs (run_id, journey, version, hash, ordinal, seed, started_at, checkpoint, audience_size, audience)
    VALUES (1, 'j', 1, 'h', 1, 5, 100, 2, 0, x'0000000000000000'), (2, 'j', 1, 'h', 2, 5, 100, 3, 0, x'0000000000000000');
  UPDATE journey_runs SET finished_at = 300 WHERE run_id = 2;
  INSERT INTO enrolments (contact_id, run_id, key, at, trace)
    VALUES (1, 1, '', 100, x'0100'), (2, 1, 'b', 200, x'0100'), (2, 1, 'a', 100, x'0100'), (1, 2, '', 300, x'0100');
  INSERT INTO journey_counts VALUES (1, 1, 'mail', 'sent', 3), (1, 2, 'mail', 'sent', 4), (2, 0, 'mail', 'sent', 9);
  INSERT INTO send_points VALUES (1, 'j', 1, 1, 'mail', 1, 'newsletter', 0, 'hello', 1);
  INSERT INTO outbox (seq, message_id, contact_id, send_id, state, at) VALUES
    (1, x'00000000000000000000000000000001', 1, 1, 1, 500), (2, x'00000000000000000000000000000002', 1, 1, 2, 900),
    (3, x'00000000000000000000000000000003', 1, 1, 3, 900), (4, x'00000000000000000000000000000004', 1, 1, 4, 600),
    (5, x'00000000000000000000000000000005', 1, 1, 5, 600), (6, x'00000000000000000000000000000006', 1, 1, 6, 600);
  INSERT INTO outbox_bodies SELECT seq, 100 + seq, NULL, NULL, '{}' FROM outbox;
";

#[test]
fn a_campaign_goes_on_after_the_schema_of_waiting_journeys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relance.db");
    let old = Connection::open(&path).unwrap();
    for step in BEFORE_LIVE {
        old.execute_batch(step).unwrap();
    }
    old.execute_batch(DATA).unwrap();
    old.execute_batch("PRAGMA application_id = 0x526c6e63; PRAGMA user_version = 6").unwrap();
    drop(old);
    block_on(async {
        let db = Sqlite::open(&path, Options::default()).unwrap();
        let both = vec![ContactId(1), ContactId(2)];
        let past = db.load_past(Slug::parse("j").unwrap(), both.clone()).await.unwrap();
        let seen: Vec<(i64, i64, u32, &str, i64)> =
            past.iter().map(|e| (e.contact.0, e.run, e.ordinal, e.key.as_str(), e.entered_at.0)).collect();
        assert_eq!(seen, [(1, 1, 1, "", 100), (1, 2, 1, "", 300), (2, 1, 1, "a", 100), (2, 1, 2, "b", 200)]);
        assert_eq!(db.load_inside(both.clone()).await.unwrap(), [], "all of them went through in one step");
        let listed = db.list_enrolments(1, None, (ContactId(0), 0), 10).await.unwrap();
        assert!(listed.iter().all(|recipient| recipient.is_over && recipient.trace.is_empty()));
        let count = |n| [CountDelta { node: "mail".into(), measure: "sent".into(), n }];
        assert_eq!(db.load_journey_counts(1).await.unwrap(), count(7), "parts are added up");
        assert_eq!(db.load_journey_counts(2).await.unwrap(), count(9));
        let runs = db.load_journey_runs(Slug::parse("j").unwrap()).await.unwrap();
        assert_eq!((runs[0].checkpoint, runs[1].finished_at), (ContactId(2), Some(Timestamp(300))));
        let sends = db.load_sends(both, Timestamp(0)).await.unwrap();
        let at: Vec<i64> = sends.iter().map(|(_, mark)| mark.at.0).collect();
        assert_eq!(at, [102, 103, 500, 600], "those that were refused are none");
        db.settle_claims(Timestamp::MAX).await.unwrap();
        let waiting = MessageFilter { state: Some(MessageState::Waiting), ..MessageFilter::default() };
        assert_eq!(db.list_messages(waiting, 0, 10).await.unwrap().len(), 2);
        assert_eq!((db.last_input().await.unwrap(), db.next_alarm().await.unwrap()), (0, None));
    });
}

#[test]
fn histories_are_kept_by_the_schema_of_recent_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relance.db");
    let old = Connection::open(&path).unwrap();
    for step in BEFORE_LIVE.iter().chain(&BEFORE_EVENTS) {
        old.execute_batch(step).unwrap();
    }
    old.execute_batch(HISTORIES).unwrap();
    old.execute_batch("PRAGMA application_id = 0x526c6e63; PRAGMA user_version = 12").unwrap();
    drop(old);
    block_on(async {
        let db = Sqlite::open(&path, Options::default()).unwrap();
        let both = vec![ContactId(1), ContactId(2)];
        let ats = async || -> Vec<i64> {
            let events =
                db.load_events(both.clone(), Vec::new(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
            events.iter().map(|event| event.at.0).collect()
        };
        assert_eq!(ats().await, [100, 200, 300, 400, 450, 500]);
        let viewed = || vec!["Product Viewed".to_owned()];
        let interested = async |name: &str| -> Vec<(i64, i64, i64)> {
            let (since, until) = (Timestamp::MIN, Timestamp::MAX);
            let found = db.find_by_product(name.into(), viewed(), since, until).await.unwrap();
            found.iter().map(|one| (one.contact.0, one.first.0, one.last.0)).collect()
        };
        assert_eq!(interested("mug").await, [(1, 100, 300), (2, 500, 500)]);
        assert_eq!(interested("7").await, []);
        // New ones go on behind, and a repeat of an old one is known.
        let event = |message_id: Option<&str>, at| Event {
            contact: ContactId(2),
            at: Timestamp(at),
            received_at: Timestamp(at),
            kind: "Product Viewed".into(),
            message_id: message_id.map(Into::into),
            properties: serde_json::Map::from_iter([("product_id".to_owned(), "mug".into())]),
        };
        let inputs = [event(Some("a"), 600), event(None, 90)];
        let inputs = inputs.map(|event| NewInput { event, causes: 0, stored: true });
        db.add_inputs(inputs.into(), Vec::new()).await.unwrap();
        assert_eq!(ats().await, [100, 200, 300, 90, 400, 450, 500]);
        assert_eq!(interested("mug").await, [(1, 100, 300), (2, 90, 500)]);
    });
    // Who changes histories by hand need not know of the interests.
    let file = Connection::open(&path).unwrap();
    file.execute_batch(
        "UPDATE events SET contact_id = 3 WHERE contact_id = 2; DELETE FROM events WHERE contact_id = 1",
    )
    .unwrap();
    let mut query = file.prepare("SELECT product, contact_id, at FROM interests ORDER BY 1, 2, 3").unwrap();
    let left: Vec<(String, i64, i64)> = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap();
    assert_eq!(left, [("mug".to_owned(), 3, 500)]);
}

#[test]
fn a_file_that_is_up_to_date_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relance.db");
    drop(Sqlite::open(&path, Options::default()).unwrap());
    let version = || -> (i64, i64) {
        let file = Connection::open(&path).unwrap();
        let number = |name: &str| file.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap();
        (number("user_version"), number("schema_version"))
    };
    let before = version();
    drop(Sqlite::open(&path, Options::default()).unwrap());
    assert_eq!(version(), before);
}
