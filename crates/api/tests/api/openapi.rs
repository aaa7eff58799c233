//! The document and what lies around every answer.

use axum::http::{Method, StatusCode};
use storage::access::KeyScope;
use testkit::block_on;

use crate::support::Server;

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
    let kept: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(kept).unwrap()).unwrap();
    let served = serde_json::to_value(api::openapi::<testkit::Sqlite>()).unwrap();
    // Path by path: a difference in one is told without printing all of them.
    let paths = |document: &serde_json::Value| document["paths"].as_object().unwrap().clone();
    for (path, item) in paths(&served) {
        assert!(
            kept["paths"].get(&path) == Some(&item),
            "{path} differs: relance openapi > docs/openapi.json"
        );
    }
    assert!(kept == served, "relance openapi > docs/openapi.json");
}
