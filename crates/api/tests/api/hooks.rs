//! Webhooks to others: kept, fed by what happens, told with signatures, replayed.

use std::sync::{Arc, Mutex};

use axum::http::{Method, StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use delivery::{fetch::Fetcher, hooks::HookWorker, webhook::sign};
use serde_json::{Value, json};
use storage::{access::KeyScope, imports::ImportStore};
use testkit::block_on;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::Server;

/// A call as it arrived.
#[derive(Clone, Debug)]
struct Arrived {
    head: String,
    body: Value,
    raw: String,
}

impl Arrived {
    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

/// A receiver that answers with the status that it is told, and remembers the calls.
async fn receiver(status: Arc<Mutex<u16>>) -> (String, Arc<Mutex<Vec<Arrived>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
    let calls = Arc::<Mutex<Vec<Arrived>>>::default();
    let memory = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let mut buffer = [0; 4096];
            let (head, raw) = loop {
                let n = stream.read(&mut buffer).await.unwrap_or_default();
                bytes.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                if body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0) {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let body = serde_json::from_str(&raw).unwrap_or_default();
            memory.lock().unwrap().push(Arrived { head, body, raw });
            let status = *status.lock().unwrap();
            drop(
                stream
                    .write_all(format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").as_bytes())
                    .await,
            );
        }
    });
    (url, calls)
}

fn worker(server: &Server) -> HookWorker<testkit::Sqlite> {
    let fetcher = Fetcher::new(None).unwrap().allowing_private(true);
    HookWorker::new(server.store.db.clone(), fetcher, Arc::<_>::clone(&server.clock) as _, 1)
}

/// Somebody views a product, now or as a file of the past tells it.
async fn viewed(server: &Server, contact: &str, product: &str, live: bool) {
    let mut batch = storage::imports::ImportBatch::new(server.app.now());
    batch.live = live;
    batch.contacts.push(testkit::contact(contact));
    batch.events.push(testkit::event(contact, "Product Viewed", server.app.now(), "product_id", product));
    server.store.db.import(batch).await.unwrap();
}

#[test]
fn a_change_of_what_somebody_else_changed_is_refused() {
    block_on(async {
        let server = Server::new();
        let owner = server.key(KeyScope::Admin).await;
        let wanted = json!({"url": "https://crm.example/h", "kinds": []});
        let id = server.post(&owner, "/api/v1/webhooks", wanted).await.json()["id"].as_i64().unwrap();
        let path = format!("/api/v1/webhooks/{id}");
        let tag = |answer: &crate::support::Answer| answer.head.headers["etag"].to_str().unwrap().to_owned();
        let first = tag(&server.get(&owner, &path).await);
        let note = |text: &str| Some(json!({"note": text}));
        let change = async |body: Option<Value>, tag: &str| {
            server.ask_with(Method::PATCH, &owner, &path, body, &[("if-match", tag)]).await
        };
        let changed = change(note("one"), &first).await;
        assert_eq!(changed.status(), StatusCode::OK, "{}", changed.text());
        let second = tag(&changed);
        assert_ne!(first, second);
        let stale = change(note("two"), &first).await;
        assert_eq!(
            (stale.status(), stale.code().as_str()),
            (StatusCode::PRECONDITION_FAILED, "precondition.failed")
        );
        // What happens to calls changes no version; without a condition a change goes through.
        viewed(&server, "ann", "P1", true).await;
        let seen = server.get(&owner, &path).await;
        // The contact, who is new, and what it looked at.
        assert_eq!((seen.json()["waiting"].as_i64(), seen.json()["note"].as_str()), (Some(2), Some("one")));
        assert_eq!(tag(&seen), second);
        assert_eq!(server.ask(Method::PATCH, &owner, &path, note("three")).await.status(), StatusCode::OK);
        let remove = async |tag: &str| {
            server.ask_with(Method::DELETE, &owner, &path, None, &[("if-match", tag)]).await.status()
        };
        assert_eq!(remove(&second).await, StatusCode::PRECONDITION_FAILED);
        assert_eq!(remove(&tag(&server.get(&owner, &path).await)).await, StatusCode::NO_CONTENT);
    });
}

#[test]
fn what_happens_is_told_once_signed_and_to_who_asked_for_it() {
    block_on(async {
        let server = Server::new();
        let owner = server.key(KeyScope::Admin).await;
        let (url, calls) = receiver(Arc::new(Mutex::new(200))).await;
        viewed(&server, "before", "P0", true).await;
        let wanted = json!({"url": url, "kinds": ["Product Viewed"], "note": "CRM"});
        let made = server.post(&owner, "/api/v1/webhooks", wanted).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{}", made.text());
        let secret = made.json()["secret"].as_str().unwrap().to_owned();
        let id = made.json()["id"].as_i64().unwrap();
        viewed(&server, "ann", "P1", true).await;
        viewed(&server, "ann", "P2", false).await;
        let path = format!("/api/v1/webhooks/{id}");
        assert_eq!(server.get(&owner, &path).await.json()["waiting"], 1, "a file of the past is not told");
        worker(&server).settle().await.unwrap();
        let told = calls.lock().unwrap().clone();
        assert_eq!(told.len(), 1, "{told:?}");
        let call = &told[0];
        assert!(call.head.starts_with("POST /hook?x=1 HTTP/1.1"), "{}", call.head);
        assert_eq!(call.body["type"], "Product Viewed");
        assert_eq!(call.body["data"]["contact"]["external_id"], "ann");
        assert_eq!(call.body["data"]["properties"]["product_id"], "P1");
        let event = call.header("webhook-id");
        let at: i64 = call.header("webhook-timestamp").parse().unwrap();
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        assert_eq!(
            call.header("webhook-signature"),
            format!("v1,{}", sign(&key, event, at, call.raw.as_bytes()))
        );
        let seen = server.get(&owner, &path).await;
        assert_eq!(
            (seen.json()["waiting"].as_u64(), seen.json()["health"].as_str()),
            (Some(0), Some("well"))
        );
        assert!(!seen.text().contains(&secret[6..]), "a secret is shown once");
        let list = server.get(&owner, &format!("{path}/deliveries?state=delivered")).await.json();
        assert_eq!((&list["items"][0]["event"], &list["items"][0]["status"]), (&json!(event), &json!(200)));
        // Told again: the same id. A new secret signs beside the old one.
        let rotated = server.post(&owner, &format!("{path}/rotate"), json!({})).await.json();
        assert_eq!(rotated["secrets"], 2);
        let delivery = list["items"][0]["id"].as_i64().unwrap();
        let again = server.post(&owner, &format!("{path}/deliveries/{delivery}/replay"), json!({})).await;
        assert_eq!(again.json()["replayed"], 1);
        worker(&server).settle().await.unwrap();
        let told = calls.lock().unwrap().clone();
        assert_eq!((told.len(), told[1].header("webhook-id")), (2, event));
        assert_eq!(told[1].header("webhook-signature").split(' ').count(), 2);
        let range = json!({"state": "delivered", "since": "2026-11-02T09:00:00Z"});
        assert_eq!(server.post(&owner, &format!("{path}/replay"), range).await.json()["replayed"], 1);
        let later = json!({"since": "2026-11-03T00:00:00Z"});
        assert_eq!(server.post(&owner, &format!("{path}/replay"), later).await.json()["replayed"], 0);
        assert_eq!(server.post(&owner, &format!("{path}/replay"), json!({})).await.code(), "hooks.replay");
    });
}

#[test]
fn what_was_to_be_told_or_was_told_of_somebody_goes_with_an_erasure() {
    block_on(async {
        let server = Server::new();
        let owner = server.key(KeyScope::Admin).await;
        let (url, calls) = receiver(Arc::new(Mutex::new(200))).await;
        let wanted = json!({"url": url, "kinds": ["Product Viewed"]});
        let id = server.post(&owner, "/api/v1/webhooks", wanted).await.json()["id"].as_i64().unwrap();
        let path = format!("/api/v1/webhooks/{id}");
        viewed(&server, "ann", "told-of-ann", true).await;
        viewed(&server, "bob", "told-of-bob", true).await;
        worker(&server).settle().await.unwrap();
        viewed(&server, "ann", "waits-for-ann", true).await;
        viewed(&server, "bob", "waits-for-bob", true).await;
        let list = server.get(&owner, &format!("{path}/deliveries")).await.json();
        let of_ann = list["items"][0]["id"].as_i64().unwrap();
        assert_eq!(list["items"].as_array().unwrap().len(), 4, "{list}");
        assert_eq!(server.get(&owner, &path).await.json()["waiting"], 2);

        let erased = server.ask(Method::DELETE, &owner, "/api/v1/contacts/ann", None).await;
        assert_eq!(erased.status(), StatusCode::NO_CONTENT, "{}", erased.text());
        let list = server.get(&owner, &format!("{path}/deliveries")).await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), 2, "those of bob alone: {list}");
        assert_eq!(server.get(&owner, &path).await.json()["waiting"], 1);
        let replay = server.post(&owner, &format!("{path}/deliveries/{of_ann}/replay"), json!({})).await;
        assert_ne!(replay.json()["replayed"], 1, "{}", replay.text());
        let all = json!({"since": "2026-11-02T09:00:00Z"});
        assert_eq!(server.post(&owner, &format!("{path}/replay"), all).await.json()["replayed"], 1);
        worker(&server).settle().await.unwrap();
        let told = calls.lock().unwrap().clone();
        let products: Vec<&str> =
            told.iter().map(|call| call.body["data"]["properties"]["product_id"].as_str().unwrap()).collect();
        let together = |part: &[&str]| {
            let mut part: Vec<String> = part.iter().map(|told| (*told).to_owned()).collect();
            part.sort_unstable();
            part
        };
        assert_eq!(together(&products[..2]), ["told-of-ann", "told-of-bob"]);
        assert_eq!(together(&products[2..]), ["told-of-bob", "waits-for-bob"], "nothing of ann any more");
        // Nor do the lines that are left hold any of it.
        let base = rusqlite::Connection::open(server.store.file()).unwrap();
        let left: i64 = base
            .query_row("SELECT count(*) FROM hook_deliveries WHERE properties LIKE '%ann%'", [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(left, 0);
    });
}

#[test]
fn a_failing_address_is_tried_again_left_alone_and_at_last_given_up() {
    block_on(async {
        let server = Server::new();
        let owner = server.key(KeyScope::Admin).await;
        let status = Arc::new(Mutex::new(500));
        let (url, calls) = receiver(Arc::clone(&status)).await;
        let id =
            server.post(&owner, "/api/v1/webhooks", json!({"url": url})).await.json()["id"].as_i64().unwrap();
        let path = format!("/api/v1/webhooks/{id}");
        let test = server.post(&owner, &format!("{path}/test"), json!({})).await;
        assert_eq!(test.status(), StatusCode::ACCEPTED);
        worker(&server).settle().await.unwrap();
        let one = server.get(&owner, &format!("{path}/deliveries")).await.json()["items"][0].clone();
        assert_eq!(
            (&one["state"], &one["attempts"], &one["status"]),
            (&json!("waiting"), &json!(1), &json!(500))
        );
        for n in 0..20 {
            viewed(&server, "ann", &format!("P{n}"), true).await;
        }
        worker(&server).settle().await.unwrap();
        let hook = server.get(&owner, &path).await.json();
        assert_eq!(hook["health"], "paused", "{hook}");
        let tried = calls.lock().unwrap().len();
        assert!(tried < 20, "an open circuit spares the calls: {tried}");
        worker(&server).settle().await.unwrap();
        assert_eq!(calls.lock().unwrap().len(), tried);
        // After the pause one call looks whether it is well again.
        server.clock.forward(120_000_000);
        worker(&server).settle().await.unwrap();
        assert_eq!(calls.lock().unwrap().len(), tried + 1);
        *status.lock().unwrap() = 200;
        server.clock.forward(3_600_000_000);
        worker(&server).settle().await.unwrap();
        let hook = server.get(&owner, &path).await.json();
        assert_eq!((&hook["health"], &hook["waiting"]), (&json!("well"), &json!(0)), "{hook}");
        // 410: it wants no more.
        *status.lock().unwrap() = 410;
        viewed(&server, "ann", "Q", true).await;
        let alerts = worker(&server).settle().await.unwrap();
        assert_eq!(alerts.iter().map(|alert| alert.hook).collect::<Vec<_>>(), [id]);
        assert_eq!(server.get(&owner, &path).await.json()["health"], "given_up");
        let waiting = server.get(&owner, &path).await.json()["waiting"].clone();
        viewed(&server, "ann", "R", true).await;
        assert_eq!(
            server.get(&owner, &path).await.json()["waiting"],
            waiting,
            "nothing is queued for it any more"
        );
        *status.lock().unwrap() = 200;
        let on = server.ask(Method::PATCH, &owner, &path, Some(json!({"active": true}))).await;
        assert_eq!(on.json()["health"], "well");
        server.clock.forward(86_400_000_000);
        worker(&server).settle().await.unwrap();
        assert_eq!(server.get(&owner, &path).await.json()["waiting"], 0);
    });
}

#[test]
fn addresses_in_our_own_network_are_not_called_however_they_are_written() {
    block_on(async {
        let server = Server::new();
        let owner = server.key(KeyScope::Admin).await;
        let (url, calls) = receiver(Arc::new(Mutex::new(200))).await;
        let port = url.split(':').nth(2).unwrap().split('/').next().unwrap();
        let hosts =
            ["127.0.0.1", "2130706433", "0x7f000001", "127.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"];
        for host in hosts {
            let made = server
                .post(&owner, "/api/v1/webhooks", json!({"url": format!("http://{host}:{port}/")}))
                .await;
            assert_eq!(made.status(), StatusCode::CREATED, "{host}");
            let id = made.json()["id"].as_i64().unwrap();
            server.post(&owner, &format!("/api/v1/webhooks/{id}/test"), json!({})).await;
        }
        let guarded = HookWorker::new(
            server.store.db.clone(),
            Fetcher::new(None).unwrap(),
            Arc::<_>::clone(&server.clock) as _,
            1,
        );
        guarded.settle().await.unwrap();
        assert!(calls.lock().unwrap().is_empty());
        for id in 1..=hosts.len() {
            let one = server.get(&owner, &format!("/api/v1/webhooks/{id}/deliveries")).await.json();
            let detail = one["items"][0]["detail"].as_str().unwrap().to_owned();
            assert!(
                detail.starts_with("private_address") || detail.contains("0x7f") || detail.contains("127.1"),
                "{detail}"
            );
            assert_eq!(one["items"][0]["state"], "waiting");
        }
    });
}

#[test]
fn who_may_do_what_and_what_is_refused() {
    block_on(async {
        let server = Server::new();
        let (reader, writer) = (server.key(KeyScope::Read).await, server.key(KeyScope::Write).await);
        let owner = server.key(KeyScope::Admin).await;
        let good = json!({"url": "https://crm.example/h"});
        for key in [&reader, &writer] {
            assert_eq!(
                server.post(key, "/api/v1/webhooks", good.clone()).await.status(),
                StatusCode::FORBIDDEN
            );
        }
        assert_eq!(server.get("", "/api/v1/webhooks").await.status(), StatusCode::UNAUTHORIZED);
        for (wrong, code) in [
            (json!({"url": "ftp://crm.example"}), "hooks.url"),
            (json!({"url": "https://u:p@crm.example"}), "hooks.url"),
            (json!({"url": "https://crm.example/\r\nX: y"}), "hooks.url"),
            (json!({"url": "https://crm.example", "kinds": [""]}), "hooks.kinds"),
            (json!({"url": "https://crm.example", "note": "a\nb"}), "hooks.note"),
            (json!({"url": "https://crm.example", "secret": "mine"}), "body.invalid"),
        ] {
            assert_eq!(server.post(&owner, "/api/v1/webhooks", wrong.clone()).await.code(), code, "{wrong}");
        }
        let near = server.post(
            &owner,
            "/api/v1/webhooks",
            json!({"url": "https://a.example", "kinds": ["Email Bounse"]}),
        );
        let near = near.await.json();
        assert_eq!(near["warnings"][0]["code"], "hooks.unknown_kind");
        assert_eq!(server.get(&reader, "/api/v1/webhooks").await.json().as_array().unwrap().len(), 1);
        for path in ["/api/v1/webhooks/99", "/api/v1/webhooks/99/deliveries"] {
            assert_eq!(server.get(&reader, path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(
            server.get(&reader, "/api/v1/webhooks/1/deliveries?state=gone").await.code(),
            "hooks.state"
        );
        let gone = server.ask(Method::DELETE, &owner, "/api/v1/webhooks/1", None).await;
        assert_eq!(gone.status(), StatusCode::NO_CONTENT);
        for _ in 0..50 {
            assert_eq!(
                server.post(&owner, "/api/v1/webhooks", good.clone()).await.status(),
                StatusCode::CREATED
            );
        }
        assert_eq!(server.post(&owner, "/api/v1/webhooks", good).await.code(), "hooks.too_many");
    });
}
