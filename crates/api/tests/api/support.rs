//! A server over an empty base, and requests to it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use api::{App, Chance, Config, Parts, access::key};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header, response::Parts as Head},
};
use delivery::{Keys, Links};
use http_body_util::BodyExt;
use model::{Clock, Timestamp};
use serde_json::Value;
use storage::access::{AccessStore, KeyScope};
use testkit::{Sqlite, Store};
use tower::ServiceExt;

/// A clock that a test sets.
#[derive(Debug)]
pub struct TestClock(Mutex<Timestamp>);

impl TestClock {
    pub fn set(&self, at: Timestamp) {
        *self.0.lock().unwrap() = at;
    }

    pub fn forward(&self, by: i64) {
        let mut at = self.0.lock().unwrap();
        *at = at.plus(by);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Bytes that differ each time and are the same in every run.
#[derive(Debug, Default)]
pub struct TestChance(AtomicU64);

impl Chance for TestChance {
    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = model::Dice::of(&[self.0.fetch_add(1, Ordering::Relaxed)]);
        for byte in bytes {
            *byte = dice.next_u64() as u8;
        }
    }
}

/// When the tests take place.
pub const NOW: &str = "2026-11-02T10:00:00Z";

pub struct Server {
    pub store: Store,
    pub app: App<Sqlite>,
    pub router: Router,
    pub clock: Arc<TestClock>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub head: Head,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The code of a refusal.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Server {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    /// Inside a runtime (`testkit::block_on`).
    pub fn with(mut config: Config) -> Self {
        if config.public_url.is_empty() {
            config.public_url = "https://mail.shop.example".into();
        }
        let store = testkit::store();
        config.desk.folder = store.folder().join("files");
        let clock = Arc::new(TestClock(Mutex::new(testkit::at(NOW))));
        let parts = Parts {
            store: store.db.clone(),
            clock: Arc::<TestClock>::clone(&clock),
            chance: Arc::new(TestChance::default()),
            links: Links::new(&config.public_url, Keys::new([7; 32])).unwrap(),
            engine_bell: Arc::default(),
            delivery_bell: Arc::default(),
            config,
        };
        let app = App::new(parts);
        Self { store, router: api::router(app.clone()), app, clock }
    }

    /// A new key.
    pub async fn key(&self, scope: KeyScope) -> String {
        let (key, text) = key::make(&*self.app.chance, scope, "test", "test", self.app.now());
        self.store.db.save_key(key).await.unwrap();
        text
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { head, bytes }
    }

    pub async fn get(&self, key: &str, path: &str) -> Answer {
        self.ask(Method::GET, key, path, None).await
    }

    pub async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        self.ask(Method::POST, key, path, Some(body)).await
    }

    /// With headers.
    pub async fn ask_with(
        &self,
        method: Method,
        key: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            None => Body::empty(),
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(json.to_string())
            }
        };
        self.send(request.body(body).unwrap()).await
    }

    /// With a key, or without one when it is empty.
    pub async fn ask(&self, method: Method, key: &str, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = match body {
            None => Body::empty(),
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(json.to_string())
            }
        };
        self.send(request.body(body).unwrap()).await
    }
}
