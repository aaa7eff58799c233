//! The document and what lies around every answer.

use axum::http::{Method, StatusCode};
use serde_json::Value;
use storage::{access::KeyScope, users::UserRole};
use testkit::block_on;

use crate::{
    access::browser::{Browser, user},
    support::Server,
};

#[test]
fn the_document_is_served_and_every_operation_has_an_id_of_its_own() {
    block_on(async {
        let server = Server::new();
        let answer = server.get("", "/api/openapi.json").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let document = answer.json();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
        let mut ids = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path}"));
                assert!(id != "handle", "{method} {path} needs an operation_id");
                ids.push(id.to_owned());
            }
        }
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all);
    });
}

#[test]
fn the_document_is_sent_once_to_who_keeps_it() {
    block_on(async {
        let server = Server::new();
        let first = server.get("", "/api/openapi.json").await;
        assert_eq!(first.head.headers["content-type"], "application/json");
        let tag = first.head.headers["etag"].to_str().unwrap();
        let path = "/api/openapi.json";
        for (known, status) in [(tag, StatusCode::NOT_MODIFIED), ("\"other\"", StatusCode::OK)] {
            let headers = [("if-none-match", known)];
            let answer = server.ask_with(Method::GET, "", path, None, &headers).await;
            assert_eq!((answer.status(), answer.bytes.is_empty()), (status, status != StatusCode::OK));
        }
    });
}

/// POSTs that are worked on each time: what only looks, what signs in, what strangers ask, and files, which change nothing
/// when they are imported again.
const EACH_TIME: [&str; 13] = [
    "/api/v1/imports",
    "/api/v1/journeys/check",
    "/api/v1/password",
    "/api/v1/password/choose",
    "/api/v1/password/forget",
    "/api/v1/recommendations/preview",
    "/api/v1/segments/preview",
    "/api/v1/session",
    "/api/v1/setup",
    "/api/v1/subscribe",
    "/api/v1/templates/preview",
    "/api/v1/totp",
    "/api/v1/totp/confirm",
];

#[test]
fn whatever_does_something_can_be_done_once() {
    let document = serde_json::to_value(api::openapi::<testkit::Sqlite>()).unwrap();
    let mut once = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(post) = item.get("post").filter(|_| path.starts_with("/api/v1/")) else { continue };
        let parameters = post["parameters"].as_array().cloned().unwrap_or_default();
        let takes = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(takes, !EACH_TIME.contains(&path.as_str()), "{path}");
        once += usize::from(takes);
    }
    assert!(once > 25, "{once}");
}

/// Bodies that only somebody with a session may send.
const SIGNED_IN: [&str; 4] = ["change_password", "enrol_totp", "remove_totp", "confirm_totp"];

/// The example of a body: beside it, or with its type.
fn example(document: &Value, content: &Value) -> Option<Value> {
    let of = |place: &Value| place.get("example").or_else(|| place.get("examples")?.get(0)).cloned();
    let schema = &content["schema"];
    let named = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    of(content).or_else(|| of(schema)).or_else(|| of(&document["components"]["schemas"][named?]))
}

#[test]
fn every_body_has_an_example_that_its_operation_reads() {
    block_on(async {
        let server = Server::new();
        let key = server.key(KeyScope::Admin).await;
        let document = serde_json::to_value(api::openapi::<testkit::Sqlite>()).unwrap();
        user(&server, "ann@shop.example", UserRole::Owner).await;
        let (mut tried, mut wrong) = (0, Vec::new());
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                let Some(content) = operation["requestBody"]["content"].get("application/json") else {
                    continue;
                };
                if path.starts_with("/inbound/") {
                    continue; // What providers send is theirs to describe.
                }
                let Some(body) = example(&document, content) else {
                    wrong.push(format!("{id} has no example"));
                    continue;
                };
                let asked =
                    path.replace("{call}", "identify").replace("{id}", "1").replace("{delivery}", "1");
                let asked = asked.replace(['{', '}'], "");
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                let answer = if SIGNED_IN.contains(&id) {
                    Browser::of(&server, "ann@shop.example").await.ask(method, &asked, Some(body)).await
                } else {
                    server.ask(method, &key, &asked, Some(body)).await
                };
                tried += 1;
                let status = answer.status().as_u16();
                let code = if status < 400 { String::new() } else { answer.code() };
                let unread = ["body.invalid", "path.unknown", "path.invalid", "access.unauthorized"];
                if unread.contains(&code.as_str()) || status == 415 || status >= 500 {
                    wrong.push(format!("{id}: {}", answer.text()));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(tried > 40, "{tried}");
    });
}

#[test]
fn what_does_not_exist_is_a_problem_and_every_answer_has_its_headers() {
    block_on(async {
        let server = Server::new();
        let answer = server.get("", "/nowhere").await;
        assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::NOT_FOUND, "path.unknown"));
        assert_eq!(answer.head.headers["content-type"], "application/problem+json");
        let answer = server.ask(Method::DELETE, "", "/healthz", None).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.code(), "method.not_allowed");
        for path in ["/healthz", "/readyz", "/nowhere"] {
            let answer = server.get("", path).await;
            assert_eq!(answer.head.headers["x-content-type-options"], "nosniff", "{path}");
        }
        let key = server.key(KeyScope::Read).await;
        assert!(key.starts_with("rlk_"));
    });
}

#[test]
fn the_document_in_the_repository_is_the_one_that_is_served() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(kept).unwrap()).unwrap();
    let served = serde_json::to_value(api::openapi::<testkit::Sqlite>()).unwrap();
    // Path by path: a difference in one is told without printing all of them.
    let paths = |document: &Value| document["paths"].as_object().unwrap().clone();
    for (path, item) in paths(&served) {
        assert!(
            kept["paths"].get(&path) == Some(&item),
            "{path} differs: relance openapi > docs/openapi.json"
        );
    }
    assert!(kept == served, "relance openapi > docs/openapi.json");
}
