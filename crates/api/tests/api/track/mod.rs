//! Tracking: Segment's protocol as shops and their browsers speak it.

mod doors;
mod limits;
mod mapping;
mod refused;

use std::io::Write;

use axum::{
    body::Body,
    http::{Method, Request, header},
};
use flate2::{Compression, write::GzEncoder};
use model::{Contact, ContactId, Event, Order, Timestamp};
use serde_json::Value;
use storage::{
    access::KeyScope,
    contacts::{ContactStore, IdentifierKind},
    events::EventStore,
    orders::OrderStore,
};

use crate::support::{Answer, Server};

/// A server, and a tracking key of it.
async fn ready() -> (Server, String) {
    let server = Server::new();
    let key = server.key(KeyScope::Track).await;
    (server, key)
}

async fn track(server: &Server, key: &str, body: Value) -> Answer {
    server.post(key, "/v1/batch", body).await
}

/// Sends messages that must all be taken.
async fn taken(server: &Server, key: &str, messages: Value) {
    let answer = track(server, key, serde_json::json!({ "batch": messages })).await;
    assert_eq!(answer.text(), r#"{"success":true}"#);
}

async fn who(server: &Server, kind: IdentifierKind, value: &str) -> Option<ContactId> {
    server.store.resolve(vec![(kind, value.to_owned())]).await.unwrap()[0]
}

async fn contact(server: &Server, external_id: &str) -> Contact {
    let id = who(server, IdentifierKind::ExternalId, external_id).await;
    let id = id.unwrap_or_else(|| panic!("no contact {external_id}"));
    server.store.load_contacts(vec![id]).await.unwrap().remove(0)
}

async fn events(server: &Server, contact: ContactId) -> Vec<Event> {
    server.store.load_events(vec![contact], vec![], Timestamp::MIN, Timestamp::MAX).await.unwrap()
}

async fn orders(server: &Server, contact: ContactId) -> Vec<Order> {
    server.store.load_orders(vec![contact], Timestamp::MIN, Timestamp::MAX).await.unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A request as it goes over the wire.
async fn raw(server: &Server, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = Request::builder().method(Method::POST).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send(request.body(body.into()).unwrap()).await
}

fn bearer(key: &str) -> (&'static str, String) {
    (header::AUTHORIZATION.as_str(), format!("Bearer {key}"))
}
