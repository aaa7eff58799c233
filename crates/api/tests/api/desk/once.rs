//! Requests with an `Idempotency-Key`.

use axum::http::Method;
use serde_json::{Value, json};
use storage::{
    access::KeyScope,
    desk::{Begun, DeskStore, RequestMark},
};
use testkit::block_on;

use super::{Desk, hello};
use crate::support::Answer;

async fn ask(desk: &Desk, key: &str, once: &str, body: &Value) -> Answer {
    let headers = [("idempotency-key", once)];
    let path = "/api/v1/suppressions/remove";
    desk.server.ask_with(Method::POST, key, path, Some(body.clone()), &headers).await
}

#[test]
fn a_repeat_gets_the_first_answer_for_a_day_and_another_request_is_refused() {
    block_on(async {
        let desk = Desk::new().await;
        let body = json!({"addresses": ["x@example.test"]});
        desk.post("/api/v1/suppressions", body.clone()).await;
        let first = ask(&desk, &desk.key, "k1", &body).await;
        assert_eq!(first.json()["removed"], 1, "{}", first.text());
        assert!(!first.head.headers.contains_key("idempotent-replayed"));
        let again = ask(&desk, &desk.key, "k1", &body).await;
        assert_eq!((again.bytes.clone(), again.status()), (first.bytes.clone(), first.status()));
        assert_eq!(again.head.headers["idempotent-replayed"], "true");
        assert_eq!(again.head.headers["content-type"], first.head.headers["content-type"]);
        // Another body, another path: not the same request.
        let other = ask(&desk, &desk.key, "k1", &json!({"addresses": ["y@example.test"]})).await;
        assert_eq!((other.status().as_u16(), other.code().as_str()), (422, "idempotency.mismatch"));
        // Another user's key is another key.
        let user = desk.server.key(KeyScope::Write).await;
        assert_eq!(ask(&desk, &user, "k1", &body).await.json()["removed"], 0);
        // Refusals are answers, too.
        let bad = ask(&desk, &desk.key, "k2", &json!({"addresses": ["nobody"]})).await;
        let again = ask(&desk, &desk.key, "k2", &json!({"addresses": ["nobody"]})).await;
        assert_eq!((again.status().as_u16(), &again.bytes), (422, &bad.bytes));
        assert_eq!(again.head.headers["content-type"], "application/problem+json");
        // Who may not ask leaves nothing behind.
        let viewer = desk.server.key(KeyScope::Read).await;
        for _ in 0..2 {
            let answer = ask(&desk, &viewer, "k1", &body).await;
            assert_eq!(answer.code(), "access.forbidden");
            assert!(!answer.head.headers.contains_key("idempotent-replayed"));
        }
        for bad in ["", &"k".repeat(201)] {
            assert_eq!(ask(&desk, &desk.key, bad, &body).await.code(), "idempotency.key", "{bad}");
        }
        assert!(ask(&desk, &desk.key, &"k".repeat(200), &body).await.status().is_success());
        // After a day it is forgotten.
        desk.server.clock.forward(storage::desk::ANSWERS_KEPT + 1);
        assert_eq!(ask(&desk, &desk.key, "k1", &body).await.json()["removed"], 0);
    });
}

#[test]
fn a_repeat_waits_for_what_is_being_worked_on_and_goes_on_after_a_crash() {
    block_on(async {
        let desk = Desk::new().await;
        desk.publish("hello", &hello()).await;
        let body = json!({"contacts": ["a"]});
        let path = "/api/v1/journeys/hello/enter";
        let enter = async || {
            let headers = [("idempotency-key", "k")];
            desk.server.ask_with(Method::POST, &desk.key, path, Some(body.clone()), &headers).await
        };
        // Both at the same time: one is worked on, the other is told to come again or gets the answer.
        let (one, two) = tokio::join!(enter(), enter());
        let mut codes = [one.status().as_u16(), two.status().as_u16()];
        codes.sort_unstable();
        assert!(codes == [202, 202] || codes == [202, 409], "{codes:?}");
        let replayed = enter().await;
        assert_eq!(replayed.status().as_u16(), 202);
        assert_eq!(replayed.head.headers["idempotent-replayed"], "true");

        // One that the process died over is taken up again, after a while.
        let db = &desk.server.store.db;
        let mark = |at| RequestMark { who: "key:x".into(), key: "lost".into(), request: [1; 32], at };
        let now = desk.server.app.now();
        assert_eq!(db.begin_request(mark(now)).await.unwrap(), Begun::New);
        assert_eq!(db.begin_request(mark(now)).await.unwrap(), Begun::Running);
        let later = now.plus(storage::desk::ANSWER_LOST + 1);
        assert_eq!(db.begin_request(mark(later)).await.unwrap(), Begun::New);
    });
}

#[test]
fn what_is_asked_twice_with_one_key_happens_once_everywhere() {
    block_on(async {
        let desk = Desk::new().await;
        let owner = desk.server.key(KeyScope::Admin).await;
        let code = "format: 1\nkind: single_use\npattern: A-{8}\n";
        let headers = [("idempotency-key", "set")];
        let set = json!({ "source": code });
        let path = "/api/v1/coupons/set";
        assert!(
            desk.server.ask_with(Method::PUT, &owner, path, Some(set), &headers).await.status().is_success()
        );
        let hook = json!({"url": "https://hooks.shop.example/", "kinds": ["Email Bounced"]});
        let asked = [
            ("/api/v1/contacts", json!({"external_id": "new", "email": "new@example.test"})),
            ("/api/v1/contacts/a/merge", json!({"contact": "b"})),
            ("/api/v1/lists/press/contacts", json!({"add": ["c"]})),
            ("/api/v1/coupons/set/generate", json!({"count": 2})),
            ("/api/v1/rfm/classic-11/run", json!({})),
            ("/api/v1/users", json!({"email": "new@shop.example", "role": "viewer"})),
            ("/api/v1/webhooks", hook),
            ("/api/v1/refused/forget", json!({"ids": [1]})),
        ];
        for (path, body) in asked {
            let once = async |body: &Value| {
                let headers = [("idempotency-key", path)];
                desk.server.ask_with(Method::POST, &owner, path, Some(body.clone()), &headers).await
            };
            let first = once(&body).await;
            assert!(first.status().is_success(), "{path}: {}", first.text());
            let again = once(&body).await;
            assert_eq!((again.status(), &again.bytes), (first.status(), &first.bytes), "{path}");
            assert_eq!(again.head.headers["idempotent-replayed"], "true", "{path}");
            assert_eq!(once(&json!({"other": 1})).await.code(), "idempotency.mismatch", "{path}");
        }
        let hooks = desk.server.get(&owner, "/api/v1/webhooks").await.text();
        assert_eq!(hooks.matches("hooks.shop.example").count(), 1, "{hooks}");
        assert_eq!(desk.server.get(&owner, path).await.json()["free"], 2);

        // A key is shown once, and kept nowhere: a repeat is told that it was made.
        let make = async || {
            let headers = [("idempotency-key", "key")];
            let body = json!({"scope": "read", "name": "till"});
            desk.server.ask_with(Method::POST, &owner, "/api/v1/keys", Some(body), &headers).await
        };
        let made = make().await;
        let text = made.json()["key"].as_str().unwrap().to_owned();
        let again = make().await;
        assert_eq!((again.status().as_u16(), again.code().as_str()), (409, "idempotency.shown"));
        assert!(!again.text().contains(&text));
        let list = desk.server.get(&owner, "/api/v1/keys").await.text();
        assert_eq!(list.matches("\"till\"").count(), 1, "{list}");
    });
}
