//! The writer thread: what is acknowledged is kept, what fails is undone alone, and a file that cannot be used says why.

use std::{fs, path::Path, sync::mpsc, time::Duration};

use rusqlite::Connection;
use storage::{StoreError, Urgency, settings::SettingsStore};
use storage_sqlite::{Options, Sqlite};
use testkit::{block_on, store};

fn impatient() -> Options {
    Options { busy_timeout: Duration::from_millis(20), ..Options::default() }
}

async fn put(db: &Sqlite, urgency: Urgency, key: &'static str) -> storage::Result<()> {
    db.write(urgency, move |transaction| {
        transaction
            .execute("INSERT INTO settings (key, value) VALUES (?1, 'true')", [key])
            .map(drop)
            .map_err(|error| StoreError::Driver(error.to_string()))
    })
    .await
}

async fn has(db: &Sqlite, key: &str) -> bool {
    db.load_setting(key.into()).await.unwrap().is_some()
}

/// Keeps the writer busy until the sender is used, so that what comes meanwhile forms a group behind it.
fn block(db: &Sqlite, urgency: Urgency) -> (mpsc::Sender<()>, tokio::task::JoinHandle<storage::Result<()>>) {
    let (go, wait) = mpsc::channel::<()>();
    let (begun, started) = mpsc::channel::<()>();
    let db = db.clone();
    let handle = tokio::spawn(async move {
        db.write(urgency, move |_| {
            begun.send(()).ok();
            wait.recv().ok();
            Ok(())
        })
        .await
    });
    tokio::task::block_in_place(|| started.recv().unwrap());
    (go, handle)
}

#[test]
fn a_change_that_fails_is_undone_alone() {
    let db = store();
    block_on(async {
        let (go, first) = block(&db, Urgency::Normal);
        let clone = db.clone();
        let bad = tokio::spawn(async move {
            clone
                .write(Urgency::Normal, |transaction| -> storage::Result<()> {
                    transaction
                        .execute("INSERT INTO settings (key, value) VALUES ('bad', 'true')", [])
                        .unwrap();
                    panic!("a mistake of ours");
                })
                .await
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let clone = db.clone();
        let good = tokio::spawn(async move { put(&clone, Urgency::Normal, "good").await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        go.send(()).unwrap();
        first.await.unwrap().unwrap();
        let error = bad.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("a mistake of ours"), "{error}");
        good.await.unwrap().unwrap();
        assert!(!has(&db, "bad").await);
        assert!(has(&db, "good").await);
    });
}

#[test]
fn a_lost_transaction_fails_all_its_changes_and_no_later_one() {
    let db = store();
    block_on(async {
        let (go, first) = block(&db, Urgency::Normal);
        let clone = db.clone();
        let mate = tokio::spawn(async move { put(&clone, Urgency::Normal, "mate").await });
        tokio::time::sleep(Duration::from_millis(20)).await;
        let clone = db.clone();
        // What SQLite does by itself when a disk fails.
        let ender = tokio::spawn(async move {
            clone
                .write(Urgency::Normal, |transaction| {
                    transaction
                        .execute_batch("ROLLBACK")
                        .map_err(|error| StoreError::Driver(error.to_string()))
                })
                .await
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        go.send(()).unwrap();
        assert!(first.await.unwrap().is_err());
        assert!(mate.await.unwrap().is_err());
        assert!(ender.await.unwrap().is_err());
        assert!(!has(&db, "mate").await);
        put(&db, Urgency::Normal, "later").await.unwrap();
        assert!(has(&db, "later").await);
    });
}

#[test]
fn the_most_urgent_goes_first() {
    let db = store();
    block_on(async {
        let (go, first) = block(&db, Urgency::Bulk);
        let (tell, told) = mpsc::channel();
        let mut waiting = Vec::new();
        for (urgency, name) in [
            (Urgency::Bulk, "import"),
            (Urgency::Bulk, "import 2"),
            (Urgency::Rebuild, "rebuild"),
            (Urgency::Normal, "journey"),
            (Urgency::Broadcast, "broadcast"),
            (Urgency::Urgent, "ingest"),
            (Urgency::Transactional, "transactional"),
            (Urgency::Normal, "journey 2"),
        ] {
            let (clone, tell) = (db.clone(), tell.clone());
            waiting.push(tokio::spawn(async move {
                clone
                    .write(urgency, move |_| {
                        tell.send(name).ok();
                        Ok(())
                    })
                    .await
            }));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        go.send(()).unwrap();
        first.await.unwrap().unwrap();
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        let order: Vec<&str> = told.try_iter().collect();
        assert_eq!(
            order,
            ["ingest", "transactional", "journey", "journey 2", "broadcast", "rebuild", "import", "import 2"]
        );
    });
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let db = store();
    block_on(async {
        put(&db, Urgency::Normal, "before").await.unwrap();
        let limit = |pages: i64| {
            db.write(Urgency::Normal, move |transaction| {
                transaction
                    .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))
                    .map_err(|error| StoreError::Driver(error.to_string()))
            })
        };
        limit(1).await.unwrap(); // SQLite takes it as the present size
        let big = serde_json::json!("x".repeat(1_000_000));
        let error = db.save_setting("big".into(), big.clone()).await.unwrap_err();
        assert!(matches!(error, StoreError::DiskFull), "{error}");
        assert!(error.to_string().contains("make room"), "{error}");
        assert!(has(&db, "before").await && !has(&db, "big").await);
        limit(1_000_000).await.unwrap();
        db.save_setting("big".into(), big).await.unwrap();
        assert!(has(&db, "big").await);
    });
}

#[test]
fn a_locked_file_is_said_and_can_be_used_afterwards() {
    let store = store();
    let file = store.file();
    let db = Sqlite::open(&file, impatient()).unwrap();
    block_on(async {
        let other = Connection::open(&file).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let error = put(&db, Urgency::Normal, "a").await.unwrap_err();
        assert!(matches!(error, StoreError::Locked), "{error}");
        assert!(!has(&db, "a").await, "reading goes on meanwhile");
        other.execute_batch("ROLLBACK").unwrap();
        put(&db, Urgency::Normal, "a").await.unwrap();
        assert!(has(&db, "a").await);
    });
}

#[test]
fn files_that_cannot_be_used_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| -> String {
        match Sqlite::open(folder.path().join(name), impatient()) {
            Ok(_) => panic!("{name} was opened"),
            Err(StoreError::Unusable(why)) => why,
            Err(other) => panic!("{name}: {other:?}"),
        }
    };
    fs::write(folder.path().join("text"), "This is a letter and no database.".repeat(100)).unwrap();
    assert!(open("text").contains("not a usable database"));
    let made = |name: &str, sql: &str| {
        Connection::open(folder.path().join(name)).unwrap().execute_batch(sql).unwrap();
    };
    made("foreign", "CREATE TABLE cats (name TEXT)");
    assert!(open("foreign").contains("not one of Relance"));
    drop(Sqlite::open(folder.path().join("newer"), impatient()).unwrap());
    made("newer", "PRAGMA user_version = 999");
    assert!(open("newer").contains("schema 999"));
    assert!(open("no/such/folder.db").contains("folder exists"));
    assert!(open("").contains("cannot be opened"));
}

fn log_of(path: &Path) -> std::path::PathBuf {
    path.with_extension("db-wal")
}

#[test]
fn closing_moves_the_log_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relance.db");
    block_on(async {
        let db = Sqlite::open(&path, Options::default()).unwrap();
        put(&db, Urgency::Bulk, "a").await.unwrap();
        assert!(has(&db, "a").await);
        assert!(log_of(&path).exists());
        // Handed over but not waited for: done all the same.
        let clone = db.clone();
        let later = tokio::spawn(async move { put(&clone, Urgency::Bulk, "b").await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        later.abort();
        drop(later.await);
        drop(db);
        assert!(!log_of(&path).exists(), "the last connection is closed");
        let db = Sqlite::open(&path, Options::default()).unwrap();
        assert!(has(&db, "a").await && has(&db, "b").await);
    });
}

#[test]
fn the_last_handle_may_go_inside_a_change() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let db = Sqlite::open(folder.path().join("relance.db"), Options::default()).unwrap();
        let inside = db.clone();
        let (go, wait) = mpsc::channel::<()>();
        let change = tokio::spawn(async move {
            let answer = db.write(Urgency::Normal, move |_| {
                wait.recv().ok();
                drop(inside);
                Ok(())
            });
            let answer = Box::pin(answer);
            answer.await
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        change.abort(); // the future, and with it the other handle, goes first
        drop(change.await);
        go.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    });
}
