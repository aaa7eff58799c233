//! The audit log.

use api::{access::Principal, audit};
use axum::http::StatusCode;
use serde_json::json;
use storage::access::KeyScope;
use testkit::block_on;

use crate::support::Server;

#[test]
fn what_was_done_is_listed_newest_first_in_pages_and_by_filter() {
    block_on(async {
        let server = Server::new();
        let owner = server.key(KeyScope::Admin).await;
        let by = |who: &str| Principal {
            who: who.into(),
            role: api::access::Role::Editor,
            client: Some("192.0.2.7".parse().unwrap()),
        };
        for (n, (who, action)) in [
            ("user:a@shop.example", "journey.publish"),
            ("key:k", "journey.pause"),
            ("key:k", "journeys.other"),
        ]
        .into_iter()
        .cycle()
        .take(7)
        .enumerate()
        {
            server.clock.forward(1_000_000);
            audit::note(&server.app, &by(who), action, format!("journey:j{n}"), json!({"n": n}))
                .await
                .unwrap();
        }
        let (mut path, mut seen) = ("/api/v1/audit?limit=3".to_owned(), Vec::new());
        loop {
            let page = server.get(&owner, &path).await.json();
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["details"]["n"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/audit?limit=3&cursor={next}");
        }
        assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0]);
        let first = &server.get(&owner, "/api/v1/audit?object=journey:j0").await.json()["items"][0];
        assert_eq!(
            *first,
            json!({
                "id": 1,
                "at": "2026-11-02T10:00:01Z",
                "who": "user:a@shop.example",
                "action": "journey.publish",
                "object": "journey:j0",
                "details": {"n": 0},
                "client": "192.0.2.7",
            })
        );
        for (query, found) in [
            ("who=key:k", 4),
            ("action=journey.", 5),
            ("action=journey.pause", 2),
            ("action=journey", 0),
            ("from=2026-11-02T10:00:02Z&to=2026-11-02T10:00:04Z", 2),
        ] {
            let page = server.get(&owner, &format!("/api/v1/audit?{query}")).await.json();
            assert_eq!(page["items"].as_array().unwrap().len(), found, "{query}");
        }
        let answer = server.get(&owner, "/api/v1/audit?from=yesterday").await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text());
    });
}

#[test]
fn only_owners_read_it() {
    block_on(async {
        let server = Server::new();
        for scope in [KeyScope::Read, KeyScope::Write] {
            let key = server.key(scope).await;
            let answer = server.get(&key, "/api/v1/audit").await;
            assert_eq!(
                (answer.status(), answer.code().as_str()),
                (StatusCode::FORBIDDEN, "access.forbidden")
            );
        }
        assert_eq!(server.get("", "/api/v1/audit").await.status(), StatusCode::UNAUTHORIZED);
    });
}
