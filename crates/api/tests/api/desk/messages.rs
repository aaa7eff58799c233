//! The log of messages, previews, retries, taking back.

use axum::http::StatusCode;
use serde_json::{Value, json};
use storage::{
    browse::MESSAGES_LOOKED_AT,
    outbox::{MessageState, OutboxStore, Outcome, Recorded},
};
use testkit::block_on;

use super::{Desk, hello};

async fn sent(desk: &mut Desk) {
    desk.publish("hello", &hello()).await;
    desk.post("/api/v1/journeys/hello/enter", json!({"contacts": ["a", "b", "c"]})).await;
    desk.settle().await;
}

async fn log(desk: &Desk, query: &str) -> Vec<Value> {
    let answer = desk.get(&format!("/api/v1/messages?{query}")).await;
    assert!(answer.status().is_success(), "{query}: {}", answer.text());
    answer.json()["items"].as_array().unwrap().clone()
}

#[test]
fn messages_are_listed_by_filter_in_pages_and_shown() {
    block_on(async {
        let mut desk = Desk::new().await;
        sent(&mut desk).await;
        for (query, n) in [
            ("", 3),
            ("journey=hello", 3),
            ("journey=other", 0),
            ("state=waiting", 3),
            ("state=sent", 0),
            ("channel=email", 3),
            ("channel=sms", 0),
            ("contact=b", 1),
            ("run=1", 3),
            ("since=2026-11-02T10:00:00Z", 3),
            ("until=2026-11-02T10:00:00Z", 0),
            ("reason=smtp.5xx", 0),
        ] {
            assert_eq!(log(&desk, query).await.len(), n, "{query}");
        }
        let page = desk.get("/api/v1/messages?limit=2").await.json();
        let next = page["next"].as_str().unwrap();
        let rest = log(&desk, &format!("limit=2&cursor={next}")).await;
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0]["contact"]["name"], "a");
        for bad in ["state=gone", "since=yesterday", "limit=501"] {
            let answer = desk.get(&format!("/api/v1/messages?{bad}")).await;
            assert!(answer.status().is_client_error(), "{bad}");
        }
        assert_eq!(desk.get("/api/v1/messages?contact=zz").await.code(), "contact.unknown");

        let id = rest[0]["id"].as_str().unwrap();
        let one = desk.get(&format!("/api/v1/messages/{id}")).await.json();
        assert_eq!(one["variables"]["name"], "First a", "{one}");
        let page = desk.get(&format!("/api/v1/messages/{id}/preview")).await;
        assert_eq!(page.status(), StatusCode::OK, "{}", page.text());
        assert!(page.text().contains("Hello First a"), "{}", page.text());
        let policy = page.head.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("sandbox;") && policy.contains("default-src 'none'"), "{policy}");
        assert_eq!(desk.get(&format!("/api/v1/messages/{}", "0".repeat(32))).await.code(), "not_found");
        assert_eq!(desk.get("/api/v1/messages/x").await.status(), StatusCode::NOT_FOUND);
    });
}

#[test]
fn a_rare_message_among_millions_is_looked_for_in_several_requests() {
    block_on(async {
        let mut desk = Desk::new().await;
        sent(&mut desk).await;
        // What is looked through is a span of places: the millions between the first message and the last need not be there.
        let base = rusqlite::Connection::open(desk.server.store.file()).unwrap();
        let last = 3_000_000;
        let moved = |from: i64, to: i64| {
            for table in ["outbox", "outbox_bodies"] {
                base.execute(&format!("UPDATE {table} SET seq = ?2 WHERE seq = ?1"), [from, to]).unwrap();
            }
        };
        moved(3, last);
        moved(2, last - 1);
        base.execute("UPDATE outbox SET reason = 'rare' WHERE seq = 1", []).unwrap();
        let page = async |query: &str| desk.get(&format!("/api/v1/messages?{query}")).await.json();

        // The lowest place of the two million that one request looks through, and the one below it.
        let edge = last + 1 - 4 * MESSAGES_LOOKED_AT;
        moved(1, edge);
        let first = page("reason=rare").await;
        assert_eq!(first["items"].as_array().unwrap().len(), 1, "{first}");
        assert!(first["next"].is_string(), "what lies below was not looked at: {first}");
        moved(edge, edge - 1);
        let first = page("reason=rare").await;
        assert_eq!(first["items"], json!([]));
        let second = page(&format!("reason=rare&cursor={}", first["next"].as_str().unwrap())).await;
        assert_eq!(second["items"][0]["contact"]["name"], "a", "{second}");
        assert_eq!(second["next"], Value::Null, "{second}");

        // Three on two pages: the second holds what is left, however far below it stands.
        let first = page("limit=2").await;
        assert_eq!(first["items"].as_array().unwrap().len(), 2);
        let second = page(&format!("limit=2&cursor={}", first["next"].as_str().unwrap())).await;
        assert_eq!(second["items"][0]["contact"]["name"], "a", "{second}");
    });
}

#[test]
fn waiting_messages_are_taken_back_and_failed_ones_tried_again() {
    block_on(async {
        let mut desk = Desk::new().await;
        sent(&mut desk).await;
        let ids: Vec<String> =
            log(&desk, "").await.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
        let body = json!({"messages": [ids[0], ids[0], "0".repeat(32)]});
        let done = desk.post("/api/v1/messages/cancel", body).await.json();
        assert_eq!((&done["changed"], &done["left"]), (&json!(1), &json!(["0".repeat(32)])), "{done}");
        let one = log(&desk, "state=skipped").await;
        assert_eq!((one.len(), &one[0]["reason"]), (1, &json!("message.cancelled")));

        // One fails, as a worker records it.
        let db = &desk.server.store.db;
        let now = desk.server.app.now();
        let claimed = db.claim_messages(now, now, now.plus(1), 1).await.unwrap().remove(0);
        let failed = Outcome::Failed { reason: "smtp.5xx", detail: "no".into() };
        db.record_outcomes(now, vec![Recorded { seq: claimed.seq, attempt: 1, outcome: failed }])
            .await
            .unwrap();
        let id = log(&desk, "state=failed&reason=smtp.5xx").await[0]["id"].clone();
        let done = desk.post("/api/v1/messages/retry", json!({"messages": [id, ids[0]]})).await.json();
        assert_eq!((&done["changed"], &done["left"]), (&json!(1), &json!([ids[0]])), "{done}");
        let (states, to) = desk.deliver().await;
        assert_eq!(states.get(&MessageState::Sent), Some(&2), "{states:?}");
        assert_eq!(to.len(), 2);
        // What was sent is never repeated.
        let done = desk.post("/api/v1/messages/retry", json!({"messages": [id], "uncertain": true})).await;
        assert_eq!(done.json()["changed"], 0);
        let done = desk.post("/api/v1/journeys/hello/retry", json!({})).await;
        assert_eq!(done.json()["messages"], 0);
        for (body, code) in [
            (json!({"messages": []}), "messages.number"),
            (json!({"messages": ["zz"]}), "messages.id"),
            (json!({"messages": vec!["0".repeat(32); 1001]}), "messages.number"),
        ] {
            assert_eq!(desk.post("/api/v1/messages/cancel", body).await.code(), code);
        }
    });
}

#[test]
fn figures_tell_where_messages_stand_that_have_not_come_to_an_end() {
    block_on(async {
        let mut desk = Desk::new().await;
        sent(&mut desk).await;
        let db = &desk.server.store.db;
        let stands = async || {
            let text = desk.get("/metrics").await.text();
            let count = |state: &str| -> u64 {
                let begin = format!("relance_outbox{{state=\"{state}\"}} ");
                let line = text.lines().find_map(|line| line.strip_prefix(&begin));
                line.unwrap_or_else(|| panic!("{state} is not in {text}")).parse().unwrap()
            };
            ["due", "later", "claimed", "handing_over"].map(count)
        };
        assert_eq!(stands().await, [3, 0, 0, 0]);
        let now = desk.server.app.now();
        let due = db.next_due().await.unwrap().unwrap().0;
        desk.server.clock.set(due);
        assert_eq!(stands().await, [3, 0, 0, 0], "due at this instant");
        desk.server.clock.set(due.plus(-1));
        assert_eq!(stands().await, [0, 3, 0, 0], "a moment before");
        desk.server.clock.set(now);

        let claimed = db.claim_messages(now, now, now.plus_days(1), 2).await.unwrap();
        assert_eq!(stands().await, [1, 0, 2, 0]);
        let record = async |outcome: Outcome| {
            let recorded = Recorded { seq: claimed[0].seq, attempt: claimed[0].attempt, outcome };
            assert!(db.record_outcomes(now, vec![recorded]).await.unwrap().is_empty());
        };
        record(Outcome::HandingOver { witness: None, lease_until: None }).await;
        assert_eq!(stands().await, [1, 0, 1, 1]);
        record(Outcome::Sent { detail: "250 ok".into() }).await;
        assert_eq!(stands().await, [1, 0, 1, 0], "what is settled is not among them");
    });
}
