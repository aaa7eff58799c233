//! What is refused: told with its place, kept, tried again; and the rest is taken.

use axum::http::StatusCode;
use model::Timestamp;
use serde_json::json;
use storage::{access::KeyScope, imports::ImportStore, settings::SettingsStore};
use testkit::block_on;

use super::*;

#[test]
fn bad_messages_are_told_by_their_place_and_good_ones_are_taken() {
    block_on(async {
        let (server, key) = ready().await;
        let messages = json!([
            { "type": "track", "userId": "u1", "event": "Good" },
            { "type": "track", "event": "Nobody's" },
            { "type": "trakc", "userId": "u1" },
            { "type": "track", "userId": "u1" },
            { "type": "track", "userId": "u1", "event": "Segment Entered", "properties": { "segment": "rich" } },
            { "type": "identify", "userId": "u2", "traits": { "email": "no address" } },
            { "type": "track", "userId": "u1", "event": "Order Completed", "properties": { "total": 5, "currency": "EUR" } },
            "no object",
            { "type": "page", "userId": "u1", "timestamp": "yesterday" },
            { "type": "track", "userId": "u1", "event": "Also good" },
            { "type": "track", "userId": "u1", "event": "Order Refunded", "properties": { "order_id": "nowhere" } },
        ]);
        let answer = track(&server, &key, json!({ "batch": messages })).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert_eq!(answer.head.headers["content-type"], "application/problem+json");
        let json = answer.json();
        assert_eq!((json["success"].as_bool(), json["accepted"].as_u64()), (Some(false), Some(2)));
        assert_eq!((json["code"].as_str(), json["message"].is_string()), (Some("track.refused"), true));
        let errors: Vec<(u64, &str)> = json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| (error["index"].as_u64().unwrap(), error["code"].as_str().unwrap()))
            .collect();
        let expected = [
            (1, "message.no_identity"),
            (2, "message.type"),
            (3, "event.kind"),
            (4, "event.reserved"),
            (5, "email.invalid"),
            (6, "value.missing"),
            (7, "message.invalid"),
            (8, "time.invalid"),
            (10, "refund.order_unknown"),
        ];
        assert_eq!(errors, expected);
        assert_eq!(json["errors"][5]["field"], "properties.order_id");
        let contact = contact(&server, "u1").await;
        let kinds: Vec<String> =
            events(&server, contact.id).await.into_iter().map(|event| event.kind).collect();
        assert_eq!(kinds.len(), 2, "{kinds:?}");

        let viewer = server.key(KeyScope::Read).await;
        assert_eq!(server.get(&key, "/api/v1/refused").await.status(), StatusCode::FORBIDDEN);
        let kept = server.get(&viewer, "/api/v1/refused?limit=2").await.json();
        assert_eq!(kept["items"][0]["problem"]["code"], "refund.order_unknown");
        assert_eq!(kept["items"][0]["message"]["event"], "Order Refunded");
        let next = kept["next"].as_str().unwrap();
        let page = server.get(&viewer, &format!("/api/v1/refused?limit=50&cursor={next}")).await.json();
        assert_eq!((page["items"].as_array().unwrap().len(), page["next"].is_null()), (7, true));
    });
}

#[test]
fn what_was_refused_is_tried_again_when_what_was_missing_is_there() {
    block_on(async {
        let (server, key) = ready().await;
        let order = json!({ "type": "track", "userId": "u1", "event": "Order Completed", "messageId": "m1",
            "timestamp": "2026-11-02T09:00:00Z", "properties": { "order_id": "o1", "total": 5 } });
        let bad = json!({ "type": "track", "userId": "u1", "event": "" });
        let answer = track(&server, &key, json!({ "batch": [order, bad] })).await;
        assert_eq!(answer.json()["errors"][0]["code"], "currency.missing");
        let editor = server.key(KeyScope::Write).await;
        let ids: Vec<i64> = server.get(&editor, "/api/v1/refused").await.json()["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["id"].as_i64().unwrap())
            .collect();
        server.store.save_setting("currency".into(), json!("EUR")).await.unwrap();
        server.clock.forward(Timestamp::MINUTE);
        let ids = json!({ "ids": ids });
        let answer = server.post(&editor, "/api/v1/refused/retry", ids.clone()).await.json();
        assert_eq!(answer["taken"].as_array().unwrap().len(), 1, "{answer}");
        assert_eq!(answer["refused"][0]["problem"]["code"], "event.kind");
        let contact = contact(&server, "u1").await;
        let orders = orders(&server, contact.id).await;
        assert_eq!((orders.len(), orders[0].at), (1, testkit::at("2026-11-02T09:00:00Z")));
        // Refused again, it is there once and not twice.
        let left = server.get(&editor, "/api/v1/refused").await.json();
        assert_eq!(left["items"].as_array().unwrap().len(), 1);
        let answer = server.post(&editor, "/api/v1/refused/forget", ids).await.json();
        assert_eq!(answer["forgotten"], 1);
        let many = json!({ "ids": vec![1; 501] });
        assert_eq!(server.post(&editor, "/api/v1/refused/retry", many).await.code(), "list.too_long");
    });
}

#[test]
fn one_message_that_the_base_refuses_does_not_take_the_others_with_it() {
    block_on(async {
        let (server, key) = ready().await;
        // Three contacts with addresses; then a message that says that two known ones are the same.
        let identify = |id: &str, email: &str| json!({ "type": "identify", "userId": id, "traits": { "email": format!("{email}@shop.example") } });
        taken(&server, &key, json!([identify("a", "a"), identify("b", "b")])).await;
        let messages = json!([identify("c", "c"), identify("a", "b"), identify("d", "d")]);
        let answer = track(&server, &key, json!({ "batch": messages })).await.json();
        assert_eq!((answer["accepted"].as_u64(), answer["errors"][0]["index"].as_u64()), (Some(2), Some(1)));
        assert_eq!(answer["errors"][0]["code"], "contact.identifier_taken");
        assert!(who(&server, IdentifierKind::ExternalId, "d").await.is_some());
        // A base that refuses all: each is told, nothing is lost on the way.
        server.store.save_setting("currency".into(), json!("nonsense")).await.unwrap();
        server.clock.forward(Timestamp::MINUTE);
        let answer = track(&server, &key, json!({ "batch": [identify("e", "e")] })).await;
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "currency.invalid")
        );
        let checkpoint = server.store.load_checkpoint("none".into()).await.unwrap();
        assert_eq!(checkpoint, None);
    });
}

#[test]
fn who_sends_what_can_be_neither_taken_nor_kept_is_told_to_send_it_again() {
    block_on(async {
        let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let breaks = std::sync::Arc::clone(&broken);
        storage::fault::hook(Some(std::sync::Arc::new(move |point| {
            if point == "refused.before_commit" && breaks.load(std::sync::atomic::Ordering::Relaxed) {
                std::panic::resume_unwind(Box::new("broken"));
            }
        })));
        let (server, key) = ready().await;
        let messages = json!([
            { "type": "track", "userId": "u1", "event": "Good", "messageId": "m1" },
            { "type": "track", "event": "Nobody's", "messageId": "m2" },
        ]);
        broken.store(true, std::sync::atomic::Ordering::Relaxed);
        let answer = track(&server, &key, json!({ "batch": messages })).await;
        assert_eq!((answer.status().as_u16(), answer.code().as_str()), (503, "track.not_kept"));
        assert_eq!(answer.head.headers["retry-after"], "1");
        let good = json!([{ "type": "track", "userId": "u2", "event": "Good" }]);
        taken(&server, &key, good).await;
        broken.store(false, std::sync::atomic::Ordering::Relaxed);
        let answer = track(&server, &key, json!({ "batch": messages })).await;
        assert_eq!((answer.status().as_u16(), answer.code().as_str()), (400, "track.refused"));
        let viewer = server.key(KeyScope::Read).await;
        let kept = server.get(&viewer, "/api/v1/refused").await.json();
        assert_eq!(kept["items"].as_array().map_or(0, Vec::len), 1, "{kept}");
        // What was taken at first is known by its id.
        let contact = contact(&server, "u1").await;
        assert_eq!(events(&server, contact.id).await.len(), 1);
        storage::fault::hook(None);
    });
}
