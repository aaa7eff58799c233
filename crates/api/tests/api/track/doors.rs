//! Who may send, from where, and in which dress.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use model::Timestamp;
use serde_json::json;
use storage::access::{AccessStore, KeyScope};
use testkit::block_on;

use super::*;

const VIEW: &str = r#"{"userId":"u1","event":"Product Viewed","properties":{"product_id":"mug"}}"#;

#[test]
fn keys_are_taken_as_libraries_and_browsers_send_them() {
    block_on(async {
        let (server, key) = ready().await;
        let basic = format!("Basic {}", STANDARD.encode(format!("{key}:")));
        let answer = raw(&server, "/v1/track", &[("authorization", &basic)], VIEW).await;
        assert_eq!((answer.status(), answer.text().as_str()), (StatusCode::OK, r#"{"success":true}"#));
        let mut message: Value = serde_json::from_str(VIEW).unwrap();
        message["writeKey"] = key.clone().into();
        // As `sendBeacon` does it: a text, and no header of its own.
        let text = ("content-type", "text/plain;charset=UTF-8");
        for path in ["/v1/track", "/v1/t"] {
            let answer = raw(&server, path, &[text], message.to_string()).await;
            assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
        }
        let batch = json!({ "writeKey": key, "batch": [{ "type": "track", "userId": "u1", "event": "A" }] });
        for path in ["/v1/batch", "/v1/b", "/v1/import"] {
            assert_eq!(
                raw(&server, path, &[text], batch.to_string()).await.status(),
                StatusCode::OK,
                "{path}"
            );
        }
        let admin = server.key(KeyScope::Admin).await;
        let message = serde_json::from_str(VIEW).unwrap();
        assert_eq!(server.post(&admin, "/v1/track", message).await.status(), StatusCode::OK);
        let contact = contact(&server, "u1").await;
        assert_eq!(events(&server, contact.id).await.len(), 7);
    });
}

#[test]
fn who_has_no_key_is_not_let_in_and_a_key_that_is_revoked_closes_soon() {
    block_on(async {
        let (server, key) = ready().await;
        let other = format!("{}x", &key[..key.len() - 1]);
        for bad in ["", "nonsense", other.as_str()] {
            let answer = server.post(bad, "/v1/track", serde_json::from_str(VIEW).unwrap()).await;
            assert_eq!(
                (answer.status(), answer.code().as_str()),
                (StatusCode::UNAUTHORIZED, "access.unauthorized")
            );
        }
        let bad = json!({ "writeKey": other, "batch": [] });
        assert_eq!(track(&server, "", bad).await.status(), StatusCode::UNAUTHORIZED);
        // Known, and looked up a moment ago.
        taken(&server, &key, json!([{ "type": "track", "userId": "u1", "event": "A" }])).await;
        let id = api::access::key::id_of(&key).unwrap().to_owned();
        assert!(server.store.revoke_key(id, server.app.now()).await.unwrap());
        server.clock.forward(2 * Timestamp::SECOND);
        assert_eq!(track(&server, &key, json!({ "batch": [] })).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(who(&server, IdentifierKind::ExternalId, "u1").await.map(|id| id.0), Some(1));
    });
}

#[test]
fn pages_of_any_origin_may_send_unless_the_server_knows_which() {
    block_on(async {
        let preflight = |server: Server, origin: &'static str| async move {
            let request = Request::builder()
                .method(Method::OPTIONS)
                .uri("/v1/track")
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,content-type");
            let answer = server.send(request.body(Body::empty()).unwrap()).await;
            assert!(answer.status().is_success(), "{}", answer.status());
            let allowed = answer.head.headers.get("access-control-allow-origin").cloned();
            (allowed.map(|value| value.to_str().unwrap().to_owned()), answer)
        };
        let (allowed, answer) = preflight(Server::new(), "https://shop.example").await;
        assert_eq!(allowed.as_deref(), Some("*"));
        let names = answer.head.headers["access-control-allow-headers"].to_str().unwrap().to_lowercase();
        assert!(names.contains("authorization") && names.contains("content-type"), "{names}");

        let mut config = api::Config::default();
        config.track.origins = Some(vec!["https://shop.example".into()]);
        let (allowed, _) = preflight(Server::with(config.clone()), "https://shop.example").await;
        assert_eq!(allowed.as_deref(), Some("https://shop.example"));
        let (allowed, _) = preflight(Server::with(config), "https://elsewhere.example").await;
        assert_eq!(allowed, None);

        // The answer itself can be read by the page, a refusal too.
        let (server, key) = ready().await;
        let headers = [("origin", "https://shop.example"), ("authorization", &format!("Bearer {key}"))];
        for (body, status) in
            [(VIEW, StatusCode::OK), ("{}", StatusCode::BAD_REQUEST), ("[", StatusCode::BAD_REQUEST)]
        {
            let answer = raw(&server, "/v1/track", &headers, body).await;
            assert_eq!(answer.status(), status, "{body}");
            assert_eq!(answer.head.headers["access-control-allow-origin"], "*");
        }
    });
}

#[test]
fn calls_that_do_not_exist_are_named() {
    block_on(async {
        let (server, key) = ready().await;
        let answer = server.post(&key, "/v1/trakc", json!({})).await;
        assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::NOT_FOUND, "path.unknown"));
        assert_eq!(answer.json()["problems"][0]["cure"], "did you mean `track`?");
        assert_eq!(server.get(&key, "/v1/track").await.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(server.post("", "/v1/m", json!({ "series": [] })).await.status(), StatusCode::OK);
    });
}

#[test]
fn the_snippet_is_small_and_is_not_sent_twice() {
    block_on(async {
        let server = Server::new();
        let ask = |path: &'static str, name: &'static str, value: String| {
            let request = Request::builder().uri(path).header(name, value).body(Body::empty()).unwrap();
            server.send(request)
        };
        for (path, most) in [("/sdk/relance.js", 5_000), ("/sdk/relance-sw.js", 1_000)] {
            let packed = ask(path, "accept-encoding", "br, gzip".into()).await;
            assert_eq!(
                (packed.status(), &packed.head.headers["content-encoding"] == "gzip"),
                (StatusCode::OK, true)
            );
            assert!(packed.bytes.len() < most, "{path} has {} bytes", packed.bytes.len());
            let plain = server.get("", path).await;
            assert_eq!(plain.head.headers["content-type"], "text/javascript; charset=utf-8");
            assert_eq!(plain.head.headers["cross-origin-resource-policy"], "cross-origin");
            let mut unpacked = String::new();
            std::io::Read::read_to_string(
                &mut flate2::read::GzDecoder::new(&packed.bytes[..]),
                &mut unpacked,
            )
            .unwrap();
            assert_eq!(unpacked, plain.text());
            let tag = plain.head.headers["etag"].to_str().unwrap().to_owned();
            let again = ask(path, "if-none-match", tag).await;
            assert_eq!((again.status(), again.bytes.len()), (StatusCode::NOT_MODIFIED, 0));
        }
    });
}

#[test]
fn segments_library_for_browsers_is_told_to_send_here_and_to_load_nothing() {
    block_on(async {
        let (server, key) = ready().await;
        let path = format!("/v1/projects/{key}/settings");
        let request = Request::builder().uri(&path).header("origin", "https://shop.example");
        let answer = server.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.head.headers["access-control-allow-origin"], "*");
        let settings = answer.json();
        let here = json!({"apiKey": key, "apiHost": "mail.shop.example/v1", "protocol": "https"});
        assert_eq!(settings["integrations"], json!({"Segment.io": here}), "no destination of anybody else");
        assert_eq!(
            (&settings["metrics"], &settings["remotePlugins"]),
            (&json!({"sampleRate": 0}), &json!([]))
        );
        for bad in ["nonsense", "a/../b"] {
            let answer = server.get("", &format!("/v1/projects/{bad}/settings")).await;
            assert!(matches!(answer.status().as_u16(), 401 | 404), "{bad}: {}", answer.status());
        }
    });
}

#[test]
fn webhooks_are_woken_by_what_comes_in() {
    block_on(async {
        let (server, key) = ready().await;
        let woken = server.app.inbound.hook_bell.notified();
        taken(&server, &key, json!([{ "type": "track", "userId": "u1", "event": "A" }])).await;
        tokio::time::timeout(std::time::Duration::from_secs(60), woken).await.expect("the bell rings");
    });
}
