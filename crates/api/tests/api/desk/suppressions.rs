//! Addresses that must not be written to.

use serde_json::{Value, json};
use storage::outbox::MessageState;
use testkit::block_on;

use super::{Desk, hello};

#[test]
fn suppressed_addresses_get_nothing_and_only_their_hashes_are_shown() {
    block_on(async {
        let mut desk = Desk::new().await;
        let body = json!({"addresses": ["A@Example.test ", "b@example.test"], "note": "by phone"});
        let added = desk.post("/api/v1/suppressions", body).await.json();
        assert_eq!(added["suppressions"].as_array().unwrap().len(), 2, "{added}");
        let page = desk.get("/api/v1/suppressions?limit=1").await;
        assert!(!page.text().to_lowercase().contains("example"), "{}", page.text());
        let next = page.json()["next"].as_str().unwrap().to_owned();
        let rest = desk.get(&format!("/api/v1/suppressions?limit=1&cursor={next}")).await.json();
        assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
        let found = desk.get("/api/v1/suppressions?address=a@example.test").await.json();
        assert_eq!(found["items"][0]["reason"], "manual", "{found}");
        assert_eq!(desk.get("/api/v1/suppressions?reason=complaint").await.json()["items"], json!([]));

        desk.publish("hello", &hello()).await;
        desk.post("/api/v1/journeys/hello/enter", json!({"contacts": ["a", "b", "c"]})).await;
        desk.settle().await;
        let (states, to) = desk.deliver().await;
        assert_eq!((states.get(&MessageState::Sent), to), (Some(&1), vec!["c@example.test".to_owned()]));

        let hash = found["items"][0]["hash"].clone();
        let body = json!({"addresses": ["b@example.test"], "hashes": [hash]});
        let removed = desk.post("/api/v1/suppressions/remove", body).await.json();
        assert_eq!(removed["removed"], 2);
        for (path, body, code) in [
            ("", json!({"addresses": []}), "suppression.number"),
            ("", json!({"addresses": ["nobody"]}), "suppression.address"),
            ("", json!({"addresses": ["a@b.test"], "until": "2020-01-01T00:00:00Z"}), "suppression.until"),
            ("", json!({"addresses": ["a@b.test"], "note": "n".repeat(201)}), "suppression.note"),
            ("/remove", json!({"hashes": ["zz"]}), "suppression.hash"),
        ] {
            let answer = desk.post(&format!("/api/v1/suppressions{path}"), body).await;
            assert_eq!(answer.code(), code);
        }
    });
}
