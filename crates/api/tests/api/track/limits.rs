//! Bounds: of size, depth, number, time, memory; and bytes that are not what they say.

use std::time::Duration;

use api::{Config, track::config};
use axum::{body::Body, http::StatusCode};
use serde_json::json;
use storage::{access::KeyScope, settings::SettingsStore};
use testkit::block_on;

use super::*;

async fn with(change: impl FnOnce(&mut api::track::Config)) -> (Server, String) {
    let mut config = Config::default();
    change(&mut config.track);
    let server = Server::with(config);
    let key = server.key(KeyScope::Track).await;
    (server, key)
}

/// A message of exactly so many bytes.
fn message(bytes: usize) -> String {
    let frame = r#"{"type":"track","userId":"u1","event":"A","properties":{"p":""}}"#;
    frame.replace(r#""p":"""#, &format!(r#""p":"{}""#, "x".repeat(bytes - frame.len())))
}

#[test]
fn a_message_at_the_edge_and_one_byte_past_it() {
    block_on(async {
        let (server, key) = ready().await;
        let (name, value) = bearer(&key);
        for (size, status) in
            [(config::EVENT_MAX, StatusCode::OK), (config::EVENT_MAX + 1, StatusCode::BAD_REQUEST)]
        {
            let answer = raw(&server, "/v1/track", &[(name, &value)], message(size)).await;
            assert_eq!(answer.status(), status, "{size}");
        }
        let batch =
            format!(r#"{{"batch":[{},{}]}}"#, message(config::EVENT_MAX), message(config::EVENT_MAX + 1));
        let answer = raw(&server, "/v1/batch", &[(name, &value)], batch).await;
        let json = answer.json();
        assert_eq!((json["accepted"].as_u64(), json["errors"][0]["index"].as_u64()), (Some(1), Some(1)));
        assert_eq!(json["errors"][0]["code"], "event.too_large");
    });
}

#[test]
fn a_request_at_the_edge_and_one_byte_past_it_packed_or_not() {
    block_on(async {
        let (server, key) = ready().await;
        let (name, value) = bearer(&key);
        let body = |bytes: usize| {
            let frame = r#"{"batch":[],"p":""}"#;
            frame.replace(r#""p":"""#, &format!(r#""p":"{}""#, "x".repeat(bytes - frame.len())))
        };
        let headers = [(name, value.as_str()), ("content-encoding", "gzip")];
        for (size, status) in
            [(config::BATCH_MAX, StatusCode::OK), (config::BATCH_MAX + 1, StatusCode::PAYLOAD_TOO_LARGE)]
        {
            let body = body(size);
            assert_eq!(
                raw(&server, "/v1/batch", &headers[..1], body.clone()).await.status(),
                status,
                "{size}"
            );
            let packed = gzip(body.as_bytes());
            assert!(packed.len() < 10_000);
            assert_eq!(raw(&server, "/v1/batch", &headers, packed).await.status(), status, "{size} packed");
        }
        let answer = raw(&server, "/v1/batch", &headers[..1], body(config::BATCH_MAX + 1)).await;
        assert_eq!(answer.code(), "track.batch_too_large");
        // A hundred megabytes in a hundred kilobytes.
        let bomb = gzip(&vec![b' '; 100 * 1024 * 1024]);
        let answer = raw(&server, "/v1/batch", &headers, bomb).await;
        assert_eq!(answer.code(), "track.batch_too_large");
    });
}

#[test]
fn as_many_messages_as_there_may_be_and_one_more() {
    block_on(async {
        let (server, key) = with(|config| config.messages_max = 3).await;
        let messages =
            |number: usize| json!({ "batch": vec![json!({ "type": "page", "userId": "u1" }); number] });
        assert_eq!(track(&server, &key, messages(3)).await.status(), StatusCode::OK);
        let answer = track(&server, &key, messages(4)).await;
        assert_eq!(
            (answer.status(), answer.code().as_str()),
            (StatusCode::PAYLOAD_TOO_LARGE, "track.too_many")
        );
    });
}

#[test]
fn properties_as_deep_as_they_may_be_and_one_level_deeper() {
    block_on(async {
        let (server, key) = ready().await;
        let nested = |levels: usize| (1..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        let message =
            |levels: usize| json!({ "userId": "u", "event": "A", "properties": { "p": nested(levels) } });
        assert_eq!(server.post(&key, "/v1/track", message(8)).await.status(), StatusCode::OK);
        let answer = server.post(&key, "/v1/track", message(9)).await;
        assert_eq!(answer.json()["errors"][0]["code"], "event.too_deep");
        // Deeper than a reader should ever go.
        let (name, value) = bearer(&key);
        let deep = format!(r#"{{"userId":"u","event":"A","properties":{}"#, "[".repeat(10_000));
        let answer = raw(&server, "/v1/track", &[(name, &value)], deep).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(events(&server, contact(&server, "u").await.id).await.len() == 1);
    });
}

#[test]
fn bytes_that_are_not_what_they_say() {
    block_on(async {
        let (server, key) = ready().await;
        let (name, value) = bearer(&key);
        let auth = (name, value.as_str());
        for (headers, body, status, code) in [
            (vec![auth], &b"{\"userId\":\"\xff\"}"[..], StatusCode::BAD_REQUEST, "body.encoding"),
            (vec![auth], b"not json", StatusCode::BAD_REQUEST, "body.invalid"),
            (vec![auth], b"", StatusCode::BAD_REQUEST, "body.invalid"),
            (vec![auth], b"{\"batch\":{}}", StatusCode::BAD_REQUEST, "body.invalid"),
            (vec![auth], b"[]", StatusCode::BAD_REQUEST, "body.invalid"),
            (vec![auth, ("content-encoding", "gzip")], b"{}", StatusCode::BAD_REQUEST, "body.gzip"),
            (
                vec![auth, ("content-encoding", "br")],
                b"{}",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "body.content_encoding",
            ),
            (vec![auth], b"{\"batch\":[],\"sentAt\":\"now\"}", StatusCode::BAD_REQUEST, "time.invalid"),
        ] {
            let answer = raw(&server, "/v1/batch", &headers, Body::from(body)).await;
            assert_eq!((answer.status(), answer.code().as_str()), (status, code), "{}", answer.text());
        }
        let cut = &gzip(b"{\"batch\":[]}")[..20];
        let headers = [auth, ("content-encoding", "gzip")];
        assert_eq!(raw(&server, "/v1/batch", &headers, Body::from(cut.to_vec())).await.code(), "body.gzip");
    });
}

#[test]
fn a_body_that_does_not_arrive_is_given_up() {
    block_on(async {
        let (server, key) = with(|config| config.body_timeout = Duration::from_millis(20)).await;
        let (name, value) = bearer(&key);
        let answer = raw(&server, "/v1/batch", &[(name, &value)], Body::new(Never)).await;
        assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::REQUEST_TIMEOUT, "body.slow"));
    });
}

/// A body of which nothing comes.
struct Never;

impl http_body::Body for Never {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[test]
fn more_than_there_is_room_for_is_to_come_again() {
    block_on(async {
        let (server, key) = with(|config| config.queue_max = 2_000).await;
        let (name, value) = bearer(&key);
        assert_eq!(
            raw(&server, "/v1/track", &[(name, &value)], message(1_000)).await.status(),
            StatusCode::OK
        );
        let answer = raw(&server, "/v1/track", &[(name, &value)], message(2_000)).await;
        assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "track.busy"));
        assert_eq!(answer.head.headers["retry-after"], "1");
        let answer = raw(&server, "/v1/track", &[(name, &value)], message(1_000)).await;
        assert_eq!(answer.status(), StatusCode::OK, "the room is there again");
    });
}

#[test]
fn a_key_that_sends_too_fast_is_to_come_again() {
    block_on(async {
        let (server, key) = with(|config| config.events_per_second = Some(1)).await;
        let messages = json!({ "batch": vec![json!({ "type": "page", "userId": "u1" }); 12] });
        assert_eq!(track(&server, &key, messages.clone()).await.status(), StatusCode::OK);
        let answer = track(&server, &key, messages).await;
        assert_eq!((answer.status(), answer.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "track.rate"));
        assert_eq!(answer.head.headers["retry-after"], "3");
    });
}

#[test]
fn a_contact_collects_so_many_unknown_fields_and_not_one_more() {
    block_on(async {
        let (server, key) = ready().await;
        let most = connect::segment_http::Rules::UNKNOWN_TRAITS_MAX;
        let identify = async |traits: Value| {
            server.post(&key, "/v1/identify", json!({ "userId": "u1", "traits": traits })).await
        };
        let traits: serde_json::Map<String, Value> =
            (0..most).map(|n| (format!("trait_{n:03}"), json!(n))).collect();
        assert_eq!(identify(traits.into()).await.status(), StatusCode::OK);
        let refused = identify(json!({ "firstName": "Ann", "one_more": 1 })).await.json();
        let error = &refused["errors"][0];
        assert_eq!(
            (&error["code"], &error["field"]),
            (&json!("contact.too_many_fields"), &json!("traits.one_more"))
        );
        assert!(contact(&server, "u1").await.first_name.is_none(), "taken wholly or refused wholly");
        // What is there may change, or make room.
        assert_eq!(
            identify(json!({ "trait_000": "other", "firstName": "Ann" })).await.status(),
            StatusCode::OK
        );
        let makes_room = json!({ "trait_001": null, "one_more": 1 });
        assert_eq!(identify(makes_room).await.status(), StatusCode::OK);
        let known = contact(&server, "u1").await;
        assert_eq!((known.fields.len() as u32, known.first_name.as_deref()), (most, Some("Ann")));
        // Another limit, and a contact that is new.
        server.store.save_setting("tracking".into(), json!({ "unknown_traits_max": 1 })).await.unwrap();
        server.clock.forward(Timestamp::MINUTE);
        let two = json!({ "userId": "u2", "traits": { "a": 1, "b": 2 } });
        let refused = server.post(&key, "/v1/identify", two).await.json();
        assert_eq!(refused["errors"][0]["code"], "contact.too_many_fields");
        assert_eq!(who(&server, IdentifierKind::ExternalId, "u2").await, None);
    });
}
