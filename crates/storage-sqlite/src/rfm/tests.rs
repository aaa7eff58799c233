//! Limits, order of runs, and what marks a contact as dirty.

use model::{Amount, ContactId, Slug, Timestamp};
use rusqlite::Connection;
use storage::{
    StoreError,
    rfm::{
        GroupFlow, LiveScore, NewRun, RfmStore, RunCommit, RunTicket, Window,
        chunk::{self, Chunk},
    },
};
use tempfile::TempDir;

use crate::{Options, Sqlite};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(future)
}

fn open() -> (TempDir, Sqlite, Connection) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("relance.db");
    let store = Sqlite::open(&path, Options::default()).unwrap();
    let other = Connection::open(&path).unwrap();
    (folder, store, other)
}

fn new_run(model: &str, groups: usize, until: i64) -> NewRun {
    NewRun {
        model: Slug::parse(model).unwrap(),
        definition: serde_json::json!({}),
        groups: (0..groups).map(|n| format!("g{n}")).collect(),
        window: Window { since: Timestamp::MIN, until: Timestamp(until), positive_only: false },
        anew: false,
    }
}

fn commit(ticket: RunTicket, chunks: Vec<(u64, Vec<u8>)>) -> RunCommit {
    RunCommit {
        ticket,
        cuts: serde_json::json!({}),
        summary: serde_json::json!([]),
        changed: 0,
        chunks,
        moves: Vec::new(),
        waves: Vec::new(),
    }
}

fn code(error: &StoreError) -> &str {
    match error {
        StoreError::Refused(problem) => &problem.code,
        _ => "another error",
    }
}

/// One order row, past all other tables: the triggers see whoever writes.
fn insert(connection: &Connection, contact: i64, at: i64, no: i64, total: i64) {
    connection
        .execute(
            "INSERT INTO orders VALUES (?1, ?2, ?3, 0, ?4, 0, 'EUR', ?3, NULL, x'')",
            (contact, at, no, total),
        )
        .unwrap();
}

fn dirty(connection: &Connection) -> Vec<i64> {
    let mut statement = connection.prepare("SELECT contact_id FROM rfm_dirty ORDER BY 1").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn groups_are_limited_at_the_edge() {
    let (_folder, store, _) = open();
    block_on(async {
        let most = chunk::GROUPS_MAX - 2;
        assert_eq!(store.begin_rfm_run(new_run("a", most, 1)).await.unwrap().groups.len(), chunk::GROUPS_MAX);
        // Groups that were there once count, the same ones do not count twice.
        assert!(store.begin_rfm_run(new_run("a", 3, 1)).await.is_ok());
        let error = store.begin_rfm_run(new_run("b", most + 1, 1)).await.unwrap_err();
        assert_eq!(code(&error), "rfm.too_many_groups");
        assert!(store.load_rfm_models().await.unwrap().is_empty(), "none was committed");
    });
}

#[test]
fn sums_are_limited_at_the_edge() {
    let (_folder, store, other) = open();
    insert(&other, 1, 10, 1, i64::MAX - 1);
    insert(&other, 1, 11, 2, 1);
    let window = new_run("a", 1, 100).window;
    block_on(async {
        let sums = store.load_window_sums(vec![ContactId(1)], window).await.unwrap();
        assert_eq!((sums[0].spent, sums[0].orders, sums[0].last_at), (i64::MAX, 2, Timestamp(11)));
        insert(&other, 1, 12, 3, 1);
        let error = store.load_window_sums(vec![ContactId(1)], window).await.unwrap_err();
        assert_eq!(code(&error), "rfm.sum_too_large");
    });
    const { assert!(Amount::UNITS_MAX < i64::MAX / Amount::SCALE / 900, "hundreds of the largest orders fit") };
}

#[test]
fn only_changes_before_the_watermark_make_a_contact_dirty() {
    let (_folder, store, other) = open();
    insert(&other, 1, 10, 1, 100);
    insert(&other, 2, 20, 2, 100);
    insert(&other, 3, 30, 3, 100);
    assert!(dirty(&other).is_empty(), "nobody was scored yet");
    block_on(async {
        let ticket = store.begin_rfm_run(new_run("a", 1, 25)).await.unwrap();
        insert(&other, 4, 24, 4, 100);
        insert(&other, 5, 25, 5, 100);
        insert(&other, 0, 5, 6, 100);
        assert_eq!(dirty(&other), [4], "late, not in time, without a contact");
        other.execute("UPDATE orders SET refunded = 1 WHERE contact_id IN (1, 3)", []).unwrap();
        other.execute("UPDATE orders SET lines = x'00' WHERE contact_id = 2", []).unwrap();
        assert_eq!(dirty(&other), [1, 4], "a refund within the time of the run");
        other.execute("UPDATE orders SET contact_id = 9 WHERE contact_id = 2", []).unwrap();
        assert_eq!(dirty(&other), [1, 2, 4, 9], "a merge changes both");
        other.execute("DELETE FROM rfm_dirty", []).unwrap();
        other.execute("DELETE FROM orders WHERE contact_id IN (1, 5)", []).unwrap();
        assert_eq!(dirty(&other), [1], "an erasure");
        // What came after the run began stays for the next one; that one takes it away with it.
        store.commit_rfm_run(commit(ticket, Vec::new())).await.unwrap();
        assert_eq!(dirty(&other), [1]);
        let next = store.begin_rfm_run(new_run("a", 1, 26)).await.unwrap();
        store.commit_rfm_run(commit(next, Vec::new())).await.unwrap();
        assert!(dirty(&other).is_empty());
    });
}

#[test]
fn a_model_that_lags_keeps_what_it_has_not_seen() {
    let (_folder, store, other) = open();
    block_on(async {
        for model in ["a", "b"] {
            let ticket = store.begin_rfm_run(new_run(model, 1, 100)).await.unwrap();
            store.commit_rfm_run(commit(ticket, Vec::new())).await.unwrap();
        }
        insert(&other, 1, 50, 1, 100);
        let ticket = store.begin_rfm_run(new_run("b", 1, 101)).await.unwrap();
        store.commit_rfm_run(commit(ticket, Vec::new())).await.unwrap();
        assert_eq!(dirty(&other), [1], "model a has not seen it");
        let ticket = store.begin_rfm_run(new_run("a", 1, 101)).await.unwrap();
        store.commit_rfm_run(commit(ticket, Vec::new())).await.unwrap();
        let ticket = store.begin_rfm_run(new_run("b", 1, 101)).await.unwrap();
        store.commit_rfm_run(commit(ticket, Vec::new())).await.unwrap();
        assert!(dirty(&other).is_empty());
    });
}

#[test]
fn a_run_that_was_overtaken_is_refused() {
    let (_folder, store, _) = open();
    block_on(async {
        let slow = store.begin_rfm_run(new_run("a", 1, 1)).await.unwrap();
        let fast = store.begin_rfm_run(new_run("a", 1, 2)).await.unwrap();
        store.commit_rfm_run(commit(fast, Vec::new())).await.unwrap();
        let error = store.commit_rfm_run(commit(slow, Vec::new())).await.unwrap_err();
        assert_eq!(code(&error), "rfm.overtaken");
        assert_eq!(store.load_rfm_models().await.unwrap()[0].last_run.at, Timestamp(2));
    });
}

#[test]
fn placements_are_found_in_any_order_and_live_ones_first() {
    let (_folder, store, _) = open();
    block_on(async {
        let ticket = store.begin_rfm_run(new_run("a", 2, 1)).await.unwrap();
        let mut one = Chunk::default();
        for i in [1, 5, 1_000] {
            (one.group[i], one.code[i], one.since[i]) = (2, 111, 7);
        }
        let chunks = vec![(0, one.encode()), (40, one.encode())];
        store.commit_rfm_run(commit(ticket, chunks)).await.unwrap();
        let live = LiveScore {
            model: Slug::parse("a").unwrap(),
            contact: ContactId(5),
            code: 222,
            group: "g1".into(),
        };
        let unknown = LiveScore { model: Slug::parse("b").unwrap(), ..live.clone() };
        let moves = store.save_live_scores(vec![live.clone(), unknown], Timestamp(9)).await.unwrap();
        assert_eq!((moves.len(), moves[0].from.as_deref()), (1, Some("g0")));
        assert!(store.save_live_scores(vec![live], Timestamp(9)).await.unwrap().is_empty());

        let far = 40 * chunk::CHUNK_LEN as i64;
        let ids = [far + 5, 5, 2, 1, far + 5, 3_000_000, 1_000];
        let found = store.load_placements(ids.map(ContactId).to_vec()).await.unwrap();
        let groups: Vec<Option<&str>> =
            found.iter().map(|all| all.first().map(|one| one.group.as_str())).collect();
        assert_eq!(groups, [Some("g0"), Some("g1"), None, Some("g0"), Some("g0"), None, Some("g0")]);
        assert_eq!((found[1][0].since, found[1][0].previous_group.as_deref()), (Timestamp(9), Some("g0")));

        let members = |groups: &[&str]| {
            store.contacts_in_groups("a".into(), groups.iter().map(|group| (*group).to_owned()).collect())
        };
        let list = members(&["g0"]).await.unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(list, [1, 1_000, far as u64 + 1, far as u64 + 5, far as u64 + 1_000]);
        assert_eq!(members(&["g1"]).await.unwrap().into_iter().collect::<Vec<_>>(), [5]);
        assert_eq!(members(&["g1", "g0", "what"]).await.unwrap().len(), 6);
        assert!(members(&["", "what"]).await.unwrap().is_empty());
        assert!(store.contacts_in_groups("b".into(), vec!["g0".into()]).await.unwrap().is_empty());
    });
}

#[test]
fn flows_are_told_from_where_everybody_stands_now() {
    let (_folder, store, _) = open();
    block_on(async {
        let slug = Slug::parse("a").unwrap();
        let ticket = store.begin_rfm_run(new_run("a", 3, 1)).await.unwrap();
        store.commit_rfm_run(commit(ticket, Vec::new())).await.unwrap();
        let score = async |contact: i64, group: &str, at: i64| {
            let one = LiveScore {
                model: slug.clone(),
                contact: ContactId(contact),
                code: 111,
                group: group.into(),
            };
            store.save_live_scores(vec![one], Timestamp(at)).await.unwrap();
        };
        // One goes through three groups, one stays, one far away comes late.
        for (contact, group, at) in
            [(1, "g0", 10), (2, "g0", 10), (1, "g1", 20), (9_000, "g2", 25), (1, "g2", 30)]
        {
            score(contact, group, at).await;
        }
        let flows = async |from: i64, to: i64| -> Vec<String> {
            let found = store.count_group_flows(slug.clone(), Timestamp(from), Timestamp(to)).await.unwrap();
            let text = |flow: &GroupFlow| {
                format!("{}>{} {}", flow.from.as_deref().unwrap_or("-"), flow.to, flow.contacts)
            };
            found.iter().map(text).collect()
        };
        assert_eq!(flows(5, 9).await, [""; 0], "nobody was placed yet");
        assert_eq!(flows(5, 10).await, ["->g0 2"]);
        assert_eq!(flows(10, 19).await, ["g0>g0 2"]);
        assert_eq!(flows(19, 20).await, ["g0>g0 1", "g0>g1 1"]);
        assert_eq!(flows(9, 29).await, ["->g0 1", "->g1 1", "->g2 1"]);
        assert_eq!(flows(10, 30).await, ["->g2 1", "g0>g0 1", "g0>g2 1"]);
        assert_eq!(flows(30, 99).await, ["g0>g0 1", "g2>g2 2"]);
        let nobody = Slug::parse("b").unwrap();
        assert_eq!(store.count_group_flows(nobody, Timestamp(0), Timestamp(9)).await.unwrap(), []);
    });
}

#[test]
fn a_run_of_a_model_that_is_forgotten_is_refused() {
    let (_folder, store, other) = open();
    block_on(async {
        let ticket = store.begin_rfm_run(new_run("a", 3, 1)).await.unwrap();
        let slug = Slug::parse("a").unwrap();
        super::forget_model(&other, &slug).unwrap();
        let refused = store.commit_rfm_run(commit(ticket, Vec::new())).await.unwrap_err();
        assert_eq!(code(&refused), "rfm.gone");
        let again = store.begin_rfm_run(new_run("a", 3, 2)).await.unwrap();
        store.commit_rfm_run(commit(again, vec![(0, Chunk::default().encode())])).await.unwrap();
        super::forget_model(&other, &slug).unwrap();
        for table in ["rfm_models", "rfm_runs", "rfm_chunks", "rfm_live", "rfm_moves"] {
            let rows: i64 =
                other.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
            assert_eq!(rows, 0, "{table}");
        }
    });
}
