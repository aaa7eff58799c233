//! Keys by the API.

use axum::http::{Method, StatusCode};
use serde_json::json;
use storage::{
    access::KeyScope,
    audit::{AuditFilter, AuditStore},
};
use testkit::block_on;

use crate::support::Server;

#[test]
fn a_key_is_shown_once_opens_what_its_scope_says_and_is_revoked() {
    block_on(async {
        let server = Server::new();
        let owner = server.key(KeyScope::Admin).await;
        let answer = server.post(&owner, "/api/v1/keys", json!({"scope": "write", "name": " shop "})).await;
        assert_eq!(answer.status(), StatusCode::CREATED, "{}", answer.text());
        let made = answer.json();
        let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
        assert_eq!((&made["scope"], &made["name"]), (&json!("write"), &json!("shop")));
        let list = server.get(&owner, "/api/v1/keys").await.text();
        assert!(list.contains(id) && !list.contains(key) && !list.contains("hash"), "{list}");
        assert_eq!(server.get(key, "/api/v1/session").await.json()["role"], "editor");
        assert_eq!(server.get(key, "/api/v1/keys").await.status(), StatusCode::FORBIDDEN);
        let path = format!("/api/v1/keys/{id}");
        assert_eq!(server.ask(Method::DELETE, key, &path, None).await.status(), StatusCode::FORBIDDEN);
        assert_eq!(server.ask(Method::DELETE, &owner, &path, None).await.status(), StatusCode::NO_CONTENT);
        assert_eq!(server.get(key, "/api/v1/session").await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(server.ask(Method::DELETE, &owner, &path, None).await.status(), StatusCode::NOT_FOUND);
        let filter = AuditFilter { object: Some(format!("key:{id}")), ..AuditFilter::default() };
        let log = server.store.db.list_audit(filter, None, 10).await.unwrap();
        let actions: Vec<&str> = log.iter().map(|entry| entry.deed.action.as_str()).collect();
        assert_eq!(actions, ["key.revoke", "key.create"]);
    });
}

#[test]
fn scopes_and_names_are_checked() {
    block_on(async {
        let server = Server::new();
        let owner = server.key(KeyScope::Admin).await;
        for (body, code) in [
            (json!({"scope": "all", "name": "x"}), "key.scope"),
            (json!({"scope": "read", "name": "  "}), "key.name"),
            (json!({"scope": "read", "name": "x".repeat(201)}), "key.name"),
        ] {
            assert_eq!(server.post(&owner, "/api/v1/keys", body).await.code(), code);
        }
        let long = json!({"scope": "read", "name": "x".repeat(200)});
        assert_eq!(server.post(&owner, "/api/v1/keys", long).await.status(), StatusCode::CREATED);
    });
}
