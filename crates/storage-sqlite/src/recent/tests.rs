use model::{ContactId, Timestamp};
use storage::Urgency;

use super::*;
use crate::{Options, Sqlite, rows::take_numbers};

const ALWAYS: (Timestamp, Timestamp) = (Timestamp::MIN, Timestamp::MAX);

async fn arrive(db: &Sqlite, number: i64) {
    db.write(Urgency::Normal, move |transaction| {
        let no = take_numbers(transaction, "event", 1)?;
        add(
            transaction,
            &EventRow {
                contact: ContactId(number % 4),
                at: Timestamp(number),
                no,
                kind: 1,
                received_at: Timestamp(number),
                message_id: None,
                product: Some("mug"),
                properties: "",
            },
        )
    })
    .await
    .unwrap();
}

/// Instants in histories and apart from them; and those of interests.
fn seen(recent: &Recent, connection: &Connection) -> (Vec<i64>, Vec<i64>) {
    let column = |sql: &str| -> Vec<i64> {
        let mut query = connection.prepare(sql).unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    };
    let view = recent.look(connection).unwrap();
    let apart = view.of_contacts(&(i64::MIN..=i64::MAX), ALWAYS, |_| true);
    let mut histories: Vec<i64> = apart.iter().map(|mark| mark.at).collect();
    histories.extend(column("SELECT at FROM events"));
    let mut interests: Vec<i64> = view.of_product("mug", 1, ALWAYS).map(|mark| mark.at).collect();
    interests.extend(column("SELECT at FROM interests"));
    histories.sort_unstable();
    interests.sort_unstable();
    (histories, interests)
}

/// Readers that began at any moment see all that was there then, though the index has gone on long since.
#[tokio::test]
async fn a_snapshot_of_the_past_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { recent_events: 10, ..Options::default() };
    let db = Sqlite::open(folder.path().join("relance.db"), options).unwrap();
    let caches = db.caches();
    let mut readers = Vec::new();
    for number in 0..60 {
        arrive(&db, number).await;
        if number % 7 == 6 {
            // With and without the index.
            let caches = db.caches();
            db.write(Urgency::Normal, move |transaction| {
                let recent = (number % 2 == 0).then_some(&caches.recent);
                settle(transaction, recent, ContactId(number % 4))?;
                let left: i64 = transaction
                    .query_row(
                        "SELECT count(*) FROM recent_events WHERE contact_id = ?1",
                        [number % 4],
                        |row| row.get(0),
                    )
                    .map_err(driver)?;
                assert_eq!(left, 0, "no row of it stays, moved or not");
                Ok(())
            })
            .await
            .unwrap();
        }
        let reader = Connection::open(db.path()).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM counters").unwrap();
        readers.push((number, reader));
    }
    let mut phases = Vec::new();
    for (number, reader) in &readers {
        let expected: Vec<i64> = (0..=*number).collect();
        assert_eq!(seen(&caches.recent, reader), (expected.clone(), expected), "after {number}");
        phases.push(State::read(reader).unwrap().phase);
    }
    phases.sort_unstable();
    phases.dedup();
    assert_eq!(phases.len(), 4, "moments of every phase were kept: {phases:?}");
}

/// What was written and undone leaves nothing in the index, and its numbers are given again.
#[tokio::test]
async fn what_is_undone_is_never_seen() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { recent_events: 4, ..Options::default() };
    let db = Sqlite::open(folder.path().join("relance.db"), options).unwrap();
    let caches = db.caches();
    for number in 0..40 {
        let undone: Result<()> = db
            .write(Urgency::Normal, move |transaction| {
                let no = take_numbers(transaction, "event", 1)?;
                transaction
                    .execute("INSERT INTO recent_events VALUES (?1, 9, 1000, 1, 0, 'mug', NULL, '')", [no])
                    .map_err(driver)?;
                Err(storage::StoreError::Driver("no".into()))
            })
            .await;
        assert!(undone.is_err());
        arrive(&db, number).await;
        let expected: Vec<i64> = (0..=number).collect();
        let caches = std::sync::Arc::clone(&caches);
        let found = db.read(move |connection| Ok(seen(&caches.recent, connection))).await.unwrap();
        assert_eq!(found, (expected.clone(), expected));
    }
}
