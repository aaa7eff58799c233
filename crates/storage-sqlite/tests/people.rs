//! Merges and erasure, table by table: nothing of the former number is left, whatever table is added one day; a process
//! that is killed on the way leaves all or nothing; and what was erased is not in the file any more.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use model::{Consent, ConsentState, ContactId, Slug, Timestamp};
use rusqlite::Connection;
use storage::{
    contacts::{ContactStore, IdentifierKind},
    events::EventStore,
    imports::{ImportBatch, ImportRefund, ImportStore, RefundOf},
    live::LiveStore,
    orders::OrderStore,
    people::{FindBy, Merged, PeopleStore},
};
use storage_sqlite::{Options, Sqlite};
use testkit::{block_on, cart, contact, dated, event, order};

/// Tells the child which file to work on, and what to do there.
const CHILD: &str = "RELANCE_TEST_FILE";

/// Where the number of somebody who is gone may stand: by design, and nothing but the number.
const MAY_STAY: &[&str] = &[
    // Where it went.
    "departures",
    // The next run of a model sums it anew, and finds nothing.
    "rfm_dirty",
    // Which numbers of events were moved before their turn, and how far the mover has come.
    "recent_taken",
    "recent_moving",
];

/// What nobody but the person has; to be looked for in the file.
const SECRETS: &[&str] = &[
    "zebulon",
    "zebulonette",
    "quincampoix",
    "+33612345678",
    "ext-zebulon",
    "browser-zebulon",
    "cart-zebulon",
    "msg-zebulon",
    "seen-by-zebulon",
    "vars-zebulon",
    "reply-zebulon",
    "proof-zebulon",
    "push.zebulon.example",
];

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

/// Two people who have something in every table.
async fn fill(path: &Path) -> (ContactId, ContactId) {
    let db = Sqlite::open(path, Options::default()).unwrap();
    let mut batch = ImportBatch::new(dated(1));
    batch.live = true;
    let mut other = contact("ext-zebulon");
    other.email = Some("zebulon@quincampoix.test".into());
    other.first_name = Some("Zebulonette".into());
    other.phone = Some("+33612345678".into());
    other.anonymous_ids = vec!["browser-zebulon".into()];
    other.lists = vec![slug("vip")];
    other.push = vec![model::PushSubscription {
        endpoint: "https://push.zebulon.example/1".into(),
        ..Default::default()
    }];
    other.consents = vec![Consent {
        purpose: slug("newsletter"),
        state: ConsentState::Subscribed,
        at: dated(1),
        source: "form".into(),
        proof: "proof-zebulon".into(),
    }];
    batch.contacts = vec![contact("anna"), other];
    order(&mut batch, "o1", "anna", dated(1), &[("mug", 1, 5)]);
    order(&mut batch, "o2", "ext-zebulon", dated(2), &[("cup", 2, 5)]);
    cart(&mut batch, "cart-zebulon", "ext-zebulon", dated(1), &[("mug", 1, 5)]);
    let mut seen = event("ext-zebulon", "Product Viewed", dated(1), "page", "seen-by-zebulon");
    seen.message_id = Some("msg-zebulon".into());
    batch.events = vec![seen];
    batch.refunds = vec![ImportRefund {
        external_id: "r1".into(),
        of: RefundOf::Order("o2".into()),
        at: dated(3),
        amount: Some(model::Amount::units(1)),
        lines: Vec::new(),
    }];
    db.import(batch).await.unwrap();
    let id = |name: &str| db.resolve(vec![(IdentifierKind::ExternalId, name.to_owned())]);
    let (anna, other) = (id("anna").await.unwrap()[0].unwrap(), id("ext-zebulon").await.unwrap()[0].unwrap());
    drop(db);
    let sql = Connection::open(path).unwrap();
    // The rest is written by the engine and by delivery; its form is of no matter here.
    let mut waves = Vec::new();
    roaring::RoaringTreemap::from_iter([other.0.unsigned_abs()]).serialize_into(&mut waves).unwrap();
    sql.execute(
        "INSERT INTO waves VALUES (1, 0, ?1, 0, ?2, ?3)",
        (other.0, r#"{"contact":0,"at":1,"received_at":1,"kind":"Scheduled"}"#, &waves),
    )
    .unwrap();
    sql.execute(
        "INSERT INTO journey_runs (run_id, journey, version, hash, ordinal, seed, started_at, audience_size, audience)
         VALUES (7, 'j', 1, 'h', 1, 1, 1, 1, ?1)",
        [&waves],
    )
    .unwrap();
    for who in [anna.0, other.0] {
        sql.execute_batch(&format!(
            "INSERT INTO rfm_live VALUES ({who}, 1, 1, 2, 0, 555, 1);
             INSERT OR REPLACE INTO rfm_dirty VALUES ({who}, 1);
             INSERT INTO segment_flips VALUES ({who}, 1, 99);
             INSERT INTO segment_kept VALUES ({who}, x'');
             INSERT INTO enrolments VALUES ({who}, 7, 1, 0, '', 1, 1, NULL, '[\"wait\"]', x'01', x'02');
             INSERT INTO stays VALUES (7, 'wait', 1) ON CONFLICT DO UPDATE SET n = n + 1;
             INSERT INTO alarms VALUES ({who}, 99, x'');
             INSERT INTO node_passages VALUES ({who}, 'j', 'limit', 2);
             INSERT INTO trial_passages VALUES ({who}, 7, 'test', 'a', {who}, 99, NULL);
             INSERT INTO trial_tallies VALUES (7, 'test', 'a', 1, 0, 9)
               ON CONFLICT DO UPDATE SET entered = entered + 1;
             INSERT OR IGNORE INTO coupon_sets (set_id, slug) VALUES (1, 'set');
             INSERT INTO coupon_uses VALUES ({who}, 1, {who}, 'C{who}', 1, NULL, 7, 1, 'give', 5, {who}, 'o{who}', 10);
             INSERT OR IGNORE INTO send_points VALUES (1, 'j', 1, 7, 'mail', 1, 'newsletter', 0, 't', 1);
             INSERT INTO outbox (seq, message_id, contact_id, send_id, state, at, detail, due)
               VALUES ({who}, CAST(printf('m%015d', {who}) AS BLOB), {who}, 1, 4, 5, 'reply-zebulon', 5);
             INSERT INTO outbox_bodies VALUES ({who}, 5, 'zebulon@quincampoix.test', 'fr', '{{\"v\":\"vars-zebulon\"}}', NULL);
             INSERT INTO outbox (seq, message_id, contact_id, send_id, state, at, due)
               VALUES ({who} + 10, CAST(printf('w%015d', {who}) AS BLOB), {who}, 1, 1, 50, 50);
             INSERT INTO outbox_bodies VALUES ({who} + 10, 5, NULL, 'fr', '{{\"v\":\"vars-zebulon\"}}', NULL);
             INSERT INTO addressed VALUES ('j', 'mail', x'{who:04}', {who});
             INSERT INTO consent_log VALUES ({who}, {who} + 1000, 1, 'newsletter', 1, 'form', 'proof-zebulon');
             INSERT INTO pending_consents VALUES ({who}, 'news', x'00', {who}, 9, 1, 1, NULL);
             INSERT INTO short_links SELECT 'l{who}', message_id, 1, 'https://shop.example/seen-by-zebulon' FROM outbox WHERE seq = {who};
             INSERT INTO clicks (message_id, kind, link, url, at)
               SELECT message_id, 'click', 'l', 'https://shop.example/seen-by-zebulon', 1 FROM outbox WHERE seq = {who};
             INSERT OR IGNORE INTO hooks (hook_id, url, kinds, note, active, secrets, created_at, updated_at, waiting)
               VALUES (1, 'https://hook.example', '[]', '', 1, '[]', 1, 1, 0);
             UPDATE hooks SET waiting = waiting + 1;
             INSERT INTO hook_deliveries (hook_id, event_id, kind, contact_id, at, properties, state, due)
               VALUES (1, 'e{who}', 'Asked', {who}, 1, '{{\"page\":\"seen-by-zebulon\"}}', 1, 1);
             INSERT INTO answers (who, key, request, begun_at, status, body)
               VALUES ('key:1', 'k{who}', x'00', 1, 200, CAST('{{\"email\":\"zebulon@quincampoix.test\"}}' AS BLOB));
             INSERT INTO held_triggers VALUES ('j', {who}, 0, 0, '{{\"contact\":{who},\"page\":\"seen-by-zebulon\"}}');
             INSERT INTO held_counts VALUES ('j', 1, 1, 0) ON CONFLICT DO UPDATE SET held = held + 1;"
        ))
        .unwrap();
    }
    (anna, other)
}

/// Tables with a column for contacts, with that column.
fn tables(sql: &Connection) -> Vec<String> {
    sql.prepare(
        "SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c
         WHERE m.type = 'table' AND c.name = 'contact_id' ORDER BY 1",
    )
    .unwrap()
    .query_map([], |row| row.get(0))
    .unwrap()
    .map(Result::unwrap)
    .collect()
}

fn rows_of(sql: &Connection, table: &str, contact: ContactId) -> i64 {
    sql.query_row(&format!("SELECT count(*) FROM {table} WHERE contact_id = ?1"), [contact.0], |row| {
        row.get(0)
    })
    .unwrap()
}

fn one<T: rusqlite::types::FromSql>(sql: &Connection, query: &str) -> T {
    sql.query_row(query, [], |row| row.get(0)).unwrap()
}

#[test]
fn no_table_keeps_the_number_of_somebody_who_is_gone() {
    for erase in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relance.db");
        let (anna, other) = block_on(fill(&path));
        let sql = Connection::open(&path).unwrap();
        // Some of what happened lies in the histories already; which row is in which place is the mover's matter.
        sql.execute_batch(
            "INSERT INTO events (contact_id, at, event_no, kind_id, received_at, properties)
               SELECT contact_id, at, event_no + 5000, kind_id, received_at, '' FROM recent_events;",
        )
        .unwrap();
        let tables = tables(&sql);
        let told = |table: &&String| !MAY_STAY.contains(&table.as_str()) && *table != "interests";
        for table in tables.iter().filter(told) {
            assert!(
                rows_of(&sql, table, other) > 0,
                "{table}: this test must put something of the contact there"
            );
        }
        block_on(async {
            let db = Sqlite::open(&path, Options::default()).unwrap();
            if erase {
                assert!(db.erase_contact(other, dated(4)).await.unwrap());
                assert!(!db.erase_contact(other, dated(4)).await.unwrap());
                assert_eq!(db.successors(vec![other, anna]).await.unwrap(), [ContactId(0), anna]);
            } else {
                assert_eq!(db.merge_contacts(anna, other, dated(4)).await.unwrap(), Merged::Done);
                let inputs = db.take_inputs(i64::MAX, 1_000).await.unwrap();
                assert!(inputs.iter().all(|input| input.event.contact != other));
            }
        });
        for table in tables.iter().filter(|table| !MAY_STAY.contains(&table.as_str())) {
            // Inputs are forwarded as they are taken: looking for them would cost every merge.
            if table != "inputs" || erase {
                assert_eq!(rows_of(&sql, table, other), 0, "{table} (erase: {erase})");
            }
        }
        let of = |query: &str| -> i64 { one(&sql, &query.replace("ANNA", &anna.to_string())) };
        if erase {
            assert_eq!(of("SELECT n FROM stays WHERE node = 'wait'"), 1);
            assert_eq!(of("SELECT waiting FROM hooks"), 1);
            assert_eq!(of("SELECT held FROM held_counts"), 1);
            assert_eq!(of("SELECT entered FROM trial_tallies"), 2, "what was counted stays");
            assert_eq!(of("SELECT count(*) FROM orders WHERE contact_id = 0"), 1);
            assert_eq!(of("SELECT total FROM orders WHERE external_id = 'o2'"), 100_000);
            assert_eq!(of("SELECT count(*) FROM outbox WHERE contact_id = 0"), 1, "that it was sent stays");
        } else {
            assert_eq!(of("SELECT count(*) FROM enrolments WHERE contact_id = ANNA AND run_id = 7"), 2);
            assert_eq!(of("SELECT ordinal FROM coupon_uses WHERE contact_id = ANNA AND code = 'C2'"), 2);
            assert_eq!(of("SELECT redeemed_by FROM coupon_uses WHERE code = 'C2'"), anna.0);
            assert_eq!(of("SELECT n FROM stays WHERE node = 'wait'"), 2);
            assert_eq!(of("SELECT n FROM node_passages WHERE contact_id = ANNA"), 4);
            assert_eq!(of("SELECT entered FROM trial_tallies"), 1, "one person is counted once");
            assert_eq!(of("SELECT at FROM trial_passages"), 1, "under what it took first");
            assert_eq!(of("SELECT count(*) FROM outbox WHERE contact_id = ANNA"), 4);
            assert_eq!(of("SELECT min(last_contact) FROM waves"), anna.0);
            assert_eq!(of("SELECT asked_at FROM pending_consents"), other.0, "the newest question");
            assert_eq!(of("SELECT count(*) FROM list_members WHERE contact_id = ANNA AND list = 'vip'"), 1);
        }
    }
}

/// Everything that stands in any table, as text.
fn everything(sql: &Connection) -> String {
    let tables: Vec<String> = sql
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut all = String::new();
    for table in tables {
        let mut query = sql.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = query.column_count();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                let value: rusqlite::types::Value = row.get(column).unwrap();
                let text = match value {
                    rusqlite::types::Value::Blob(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    other => format!("{other:?}"),
                };
                all.push_str(&format!("{table}: {text}\n").to_lowercase());
            }
        }
    }
    all
}

fn found_in(bytes: &[u8]) -> BTreeSet<&'static str> {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    SECRETS.iter().copied().filter(|secret| text.contains(secret)).collect()
}

#[test]
fn what_was_erased_is_not_in_the_file_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relance.db");
    let (anna, other) = block_on(fill(&path));
    // Anna has none of it herself: what she was sent is hers.
    let sql = Connection::open(&path).unwrap();
    sql.execute_batch(&format!(
        "UPDATE outbox SET detail = NULL WHERE contact_id = {anna};
         UPDATE outbox_bodies SET variables = '{{}}', to_address = NULL WHERE seq IN ({anna}, {anna} + 10);
         UPDATE hook_deliveries SET properties = '' WHERE contact_id = {anna};
         DELETE FROM consent_log WHERE contact_id = {anna};
         DELETE FROM short_links WHERE code = 'l{anna}';
         DELETE FROM clicks WHERE message_id = (SELECT message_id FROM outbox WHERE seq = {anna});
         UPDATE held_triggers SET event = '{{\"contact\":{anna}}}' WHERE held_no = {anna};"
    ))
    .unwrap();
    let before = found_in(everything(&sql).as_bytes());
    assert_eq!(before.len(), SECRETS.len(), "{before:?}");
    let address =
        storage::outbox::AddressHash::of(storage::outbox::Channel::Email, "zebulon@quincampoix.test");
    block_on(async {
        use storage::outbox::{OutboxStore, Suppression, SuppressionReason};
        let db = Sqlite::open(&path, Options::default()).unwrap();
        let suppression = Suppression {
            address,
            reason: SuppressionReason::Complaint,
            since: dated(1),
            until: None,
            detail: "said so".into(),
        };
        db.suppress(vec![suppression]).await.unwrap();
        // Former copies: a profile that was changed, an input that is done.
        let mut batch = ImportBatch::new(dated(2));
        batch.live = true;
        let mut patch = contact("ext-zebulon");
        patch.email = None;
        patch.country = Some("France".into());
        batch.contacts = vec![patch];
        db.import(batch).await.unwrap();
        assert!(db.erase_contact(other, dated(4)).await.unwrap());
        let left = everything(&Connection::open(&path).unwrap());
        let of: Vec<&str> =
            left.lines().filter(|line| SECRETS.iter().any(|secret| line.contains(secret))).collect();
        assert_eq!(of, Vec::<&str>::new(), "at once, in every table");
        db.scrub().await.unwrap();
        let found = db.suppressions(vec![address], dated(9)).await.unwrap();
        assert!(found[0].is_some(), "who complained is not written to under another number either");
    });
    drop(sql);
    for name in ["relance.db", "relance.db-wal"] {
        if let Ok(bytes) = std::fs::read(folder.path().join(name)) {
            assert_eq!(found_in(&bytes), BTreeSet::new(), "{name}");
        }
    }
}

async fn child_work(path: &Path, what: &str) {
    let db = Sqlite::open(path, Options::default()).unwrap();
    if what == "merge" {
        db.merge_contacts(ContactId(1), ContactId(2), dated(4)).await.unwrap();
    } else {
        db.erase_contact(ContactId(2), dated(4)).await.unwrap();
    }
}

/// No test of its own: the process that is killed.
#[test]
fn child() {
    if let Ok(told) = std::env::var(CHILD) {
        let (what, path) = told.split_once(':').unwrap();
        block_on(child_work(Path::new(path), what));
    }
}

#[test]
fn a_killed_merge_or_erasure_is_whole_or_nothing_and_goes_on() {
    for (what, point) in [
        ("merge", "merge.before"),
        ("merge", "merge.in_history"),
        ("merge", "merge.before_commit"),
        ("merge", "sqlite.before_commit"),
        ("merge", "sqlite.after_commit"),
        ("merge", "merge.after"),
        ("erase", "erase.before"),
        ("erase", "erase.in_history"),
        ("erase", "erase.before_commit"),
        ("erase", "sqlite.after_commit"),
        ("erase", "erase.after"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relance.db");
        let (anna, other) = block_on(fill(&path));
        assert_eq!((anna.0, other.0), (1, 2));
        let whole = {
            let copy = folder.path().join("whole.db");
            Connection::open(&path).unwrap().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
            block_on(child_work(&copy, what));
            everything(&Connection::open(&copy).unwrap())
        };
        let untouched = everything(&Connection::open(&path).unwrap());
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, format!("{what}:{}", path.display()))
            .env("RELANCE_CRASH_AT", point)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success(), "{point} was not reached");
        let left = everything(&Connection::open(&path).unwrap());
        assert!(left == whole || left == untouched, "{what} at {point}: half done");
        block_on(child_work(&path, what));
        assert!(everything(&Connection::open(&path).unwrap()) == whole, "{what} at {point}: again");
        block_on(child_work(&path, what));
        assert!(everything(&Connection::open(&path).unwrap()) == whole, "{what} at {point}: twice");
    }
}

#[test]
fn searches_are_ranges_of_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("relance.db");
    block_on(fill(&path));
    let sql = Connection::open(&path).unwrap();
    for (query, index) in [
        (
            "SELECT value, contact_id FROM identifiers WHERE kind = 2 AND value >= 'a' AND value < 'b' ORDER BY value LIMIT 9",
            "PRIMARY KEY",
        ),
        (
            "SELECT json_extract(profile, '$.last_name'), contact_id FROM contacts
             WHERE json_extract(profile, '$.last_name') COLLATE NOCASE >= ?1
               AND json_extract(profile, '$.last_name') COLLATE NOCASE < ?2
               AND (json_extract(profile, '$.last_name') COLLATE NOCASE > ?1 OR contact_id > ?3)
             ORDER BY json_extract(profile, '$.last_name') COLLATE NOCASE, contact_id LIMIT ?4",
            "contacts_by_last_name",
        ),
        (
            "SELECT contact_id FROM list_members WHERE list = 'vip' AND contact_id > 3 ORDER BY contact_id LIMIT 9",
            "PRIMARY KEY",
        ),
        ("SELECT kind, value FROM identifiers WHERE contact_id = 1 AND beside = 1", "identifiers_beside"),
        (
            "SELECT at FROM events WHERE contact_id = 1 AND (at, event_no) < (9, 9) ORDER BY at DESC, event_no DESC LIMIT 9",
            "PRIMARY KEY",
        ),
        (
            "SELECT due, seq FROM outbox INDEXED BY outbox_contact WHERE contact_id = 1 AND (due, seq) < (9, 9) ORDER BY due DESC, seq DESC LIMIT 9",
            "outbox_contact",
        ),
    ] {
        // Values as they may be: parameters have none in a plan.
        let query = ["?1", "?2"].iter().fold(query.to_owned(), |query, name| query.replace(name, "'m'"));
        let query = query.replace("?3", "0").replace("?4", "9");
        let plan: Vec<String> = sql
            .prepare(&format!("EXPLAIN QUERY PLAN {query}"))
            .unwrap()
            .query_map([], |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let plan = plan.join("; ");
        assert!(plan.contains("SEARCH") && plan.contains(index), "{query}: {plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{query}: {plan}");
    }
}

#[test]
fn a_search_tells_each_contact_once_in_pages() {
    block_on(async {
        let store = testkit::store();
        let mut batch = ImportBatch::new(dated(1));
        for n in 0..9 {
            let mut patch = contact(&format!("mar{n}"));
            patch.last_name = Some(format!("{} {n}", ["Marchand", "marin", "Éluard"][n % 3]));
            patch.first_name = Some("Marie".into());
            if n > 5 {
                patch.email = Some(format!("x{n}@example.test"));
            }
            batch.contacts.push(patch);
        }
        store.import(batch).await.unwrap();
        for size in [1, 2, 50] {
            let (mut place, mut seen) = (None, Vec::new());
            loop {
                let found =
                    store.find_contacts("mar".into(), FindBy::ALL.to_vec(), place, size).await.unwrap();
                let Some((last, _)) = found.last() else { break };
                place = Some(last.clone());
                assert!(found.len() <= size);
                seen.extend(found.into_iter().map(|(_, contact)| contact.external_id.unwrap()));
            }
            let all: Vec<String> = (0..9).map(|n| format!("mar{n}")).collect();
            assert_eq!(seen, all, "pages of {size}");
        }
        let by = |text: &str, by: FindBy| {
            let (text, store) = (text.to_owned(), store.db.clone());
            async move { store.find_contacts(text, vec![by], None, 50).await.unwrap().len() }
        };
        assert_eq!(by("MARI", FindBy::LastName).await, 3);
        assert_eq!(by("Élu", FindBy::LastName).await, 3);
        assert_eq!(by("X6@EX", FindBy::Email).await, 1);
        assert_eq!(by("MAR", FindBy::ExternalId).await, 0);
        assert_eq!(by("%", FindBy::LastName).await, 0);
    });
}

#[test]
fn a_timeline_is_the_newest_first_in_pages() {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relance.db");
        let (_, other) = fill(&path).await;
        let db = Sqlite::open(&path, Options::default()).unwrap();
        let all = db.load_timeline(other, None, 100).await.unwrap();
        assert_eq!(all.len(), 5, "{all:?}");
        assert!(all.windows(2).all(|pair| pair[0].0 > pair[1].0));
        for size in 1..5 {
            let (mut place, mut seen) = (None, Vec::new());
            loop {
                let page = db.load_timeline(other, place, size).await.unwrap();
                let Some((last, _)) = page.last() else { break };
                place = Some(*last);
                seen.extend(page);
            }
            assert_eq!(seen, all, "pages of {size}");
        }
        assert_eq!(db.load_timeline(ContactId(99), None, 9).await.unwrap(), []);
        let events = db.load_events(vec![other], Vec::new(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
        let orders = db.load_orders(vec![other], Timestamp::MIN, Timestamp::MAX).await.unwrap();
        assert_eq!((events.len(), orders.len()), (1, 1));
        let person = db.load_person(other, dated(9)).await.unwrap().unwrap();
        assert_eq!((person.events, person.orders), (events, orders));
        assert_eq!((person.messages.len(), person.enrolments.len(), person.coupons.len()), (2, 1, 1));
        assert_eq!(person.also, [(IdentifierKind::Anonymous, "browser-zebulon".to_owned())]);
        assert_eq!(person.products.len(), 2);
        assert_eq!(db.load_person(ContactId(99), dated(9)).await.unwrap(), None);
    });
}

#[test]
fn lists_follow_profiles() {
    block_on(async {
        let store = testkit::store();
        let mut batch = ImportBatch::new(dated(1));
        batch.contacts = ["a", "b", "c"].map(contact).to_vec();
        batch.contacts[0].lists = vec![slug("vip"), slug("press")];
        store.import(batch).await.unwrap();
        let on = |list: &str| store.load_list_members(slug(list), ContactId(0), 9);
        assert_eq!(on("vip").await.unwrap(), [ContactId(1)]);
        store.save_list(slug("vip"), "Very important".into(), dated(2)).await.unwrap();
        let ids = vec![ContactId(1), ContactId(2), ContactId(3), ContactId(99)];
        assert_eq!(store.set_on_list(slug("vip"), ids, true, dated(3)).await.unwrap(), 2);
        assert_eq!(on("vip").await.unwrap(), [ContactId(1), ContactId(2), ContactId(3)]);
        let inputs = store.take_inputs(i64::MAX, 9).await.unwrap();
        assert_eq!(inputs.len(), 2, "a change is told, and only that");
        assert_eq!(inputs[0].event.properties["fields"], serde_json::json!(["list.vip"]));
        store.merge_contacts(ContactId(2), ContactId(1), dated(4)).await.unwrap();
        assert_eq!(on("press").await.unwrap(), [ContactId(2)]);
        let lists = store.load_lists().await.unwrap();
        let told: Vec<_> =
            lists.iter().map(|list| (list.slug.as_str(), list.name.as_str(), list.members)).collect();
        assert_eq!(told, [("press", "", 1), ("vip", "Very important", 2)]);
        assert!(!store.drop_list(slug("vip")).await.unwrap(), "somebody is on it");
        let ids = vec![ContactId(2), ContactId(3)];
        assert_eq!(store.set_on_list(slug("vip"), ids, false, dated(5)).await.unwrap(), 2);
        assert!(store.drop_list(slug("vip")).await.unwrap());
        assert_eq!(store.load_lists().await.unwrap().len(), 1);
    });
}

#[test]
fn retention_takes_what_is_old_and_nothing_else() {
    use storage::people::{Retention, SweepPlace};
    block_on(async {
        let store = testkit::store();
        let now = dated(1_000);
        let mut batch = ImportBatch::new(dated(1));
        batch.contacts = vec![contact("anna")];
        let anonymous = |id: &str| storage::imports::ContactKey::Anonymous(id.into());
        let kept = Retention {
            events: Some(100),
            carts: Some(50),
            anonymous_contacts: Some(30),
            ..Retention::default()
        };
        for (who, days) in [("old", 400), ("busy", 20), ("buyer", 400)] {
            let mut one = event("", "Product Viewed", now.plus_days(-days), "product_id", "mug");
            one.contact = anonymous(who);
            batch.events.push(one);
        }
        order(&mut batch, "o1", "", now.plus_days(-400), &[("mug", 1, 5)]);
        batch.orders[0].contact = Some(anonymous("buyer"));
        for days in [101, 100, 99] {
            let mut one = event("anna", "Product Viewed", now.plus_days(-days), "product_id", "mug");
            one.message_id = Some(format!("m{days}"));
            batch.events.push(one);
        }
        cart(&mut batch, "k51", "anna", now.plus_days(-51), &[("mug", 1, 5)]);
        cart(&mut batch, "k49", "anna", now.plus_days(-49), &[("mug", 1, 5)]);
        store.import(batch).await.unwrap();
        let (mut place, mut all) = (SweepPlace::default(), [0; 3]);
        loop {
            let swept = store.sweep(kept, place, now).await.unwrap();
            all = [all[0] + swept.events, all[1] + swept.carts, all[2] + swept.contacts];
            let Some(next) = swept.next else { break };
            place = next;
        }
        assert_eq!(all, [3, 1, 1], "events, carts, anonymous contacts");
        let id = |name: &str| (IdentifierKind::Anonymous, name.to_owned());
        let left = store.resolve(vec![id("old"), id("busy"), id("buyer")]).await.unwrap();
        assert_eq!(left.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
        let anna =
            store.resolve(vec![(IdentifierKind::ExternalId, "anna".into())]).await.unwrap()[0].unwrap();
        let events = store.load_events(vec![anna], Vec::new(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
        assert_eq!(events.len(), 2, "the edge is kept");
        let inputs = store.take_inputs(i64::MAX, 10).await.unwrap();
        let told: Vec<(i64, &str)> =
            inputs.iter().map(|input| (input.event.contact.0, input.event.kind.as_str())).collect();
        assert!(
            told.contains(&(anna.0, "History Trimmed")) && told.contains(&(0, "Contact Erased")),
            "{told:?}"
        );
        // Nothing is old any more.
        let swept = store.sweep(kept, SweepPlace::default(), now).await.unwrap();
        assert_eq!((swept.events, swept.carts, swept.contacts), (0, 0, 0));
    });
}
