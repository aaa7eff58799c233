//! The admin API, over a base with a few contacts.

mod definitions;
mod jobs;
mod journeys;
mod live;
mod messages;
mod once;
mod rehearsal;
mod settings;
mod suppressions;

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use delivery::{Capture, Delivery, Mailbox, Sender, pace::Retries, worker};
use engine::live::work::Engine;
use model::{Consent, ConsentState, Slug, Zone, time::FixedClock};
use serde_json::{Map, Value, json};
use storage::{
    access::KeyScope,
    imports::{ContactPatch, ImportBatch, ImportStore},
    outbox::MessageState,
};
use testkit::{Sqlite, at};

use crate::support::{NOW, Server};

/// A server with a key of an editor, and an engine that works when it is told to.
pub struct Desk {
    pub server: Server,
    pub key: String,
    pub engine: Engine<Sqlite>,
}

impl Desk {
    /// With contacts `a`, `b`, `c`, who may be written to, and `d`, who may not.
    pub async fn new() -> Self {
        Self::over(Server::new()).await
    }

    pub async fn over(server: Server) -> Self {
        let mut batch = ImportBatch::new(at(NOW));
        for name in ["a", "b", "c", "d"] {
            let yes = Consent {
                purpose: Slug::parse("newsletter").unwrap(),
                state: ConsentState::Subscribed,
                at: at(NOW).plus(-1),
                source: "import".into(),
                proof: "import:test".into(),
            };
            let consents = if name == "d" { Vec::new() } else { vec![yes] };
            batch.contacts.push(ContactPatch { consents, ..testkit::contact(name) });
        }
        batch.products.push(testkit::product("mug", 9));
        server.store.db.import(batch).await.unwrap();
        let key = server.key(KeyScope::Write).await;
        let engine = Engine::open(server.store.db.clone(), server.app.now()).await.unwrap();
        Self { server, key, engine }
    }

    /// Lets the engine work until nothing is due.
    pub async fn settle(&mut self) {
        self.engine.settle(self.server.app.now()).await.unwrap();
    }

    /// Hands over what is due, into a folder; how many came to what, and to whom.
    pub async fn deliver(&mut self) -> (BTreeMap<MessageState, u64>, Vec<String>) {
        let now = self.server.app.now();
        let sender = Sender {
            from: Mailbox::parse("Shop <news@shop.example>").unwrap(),
            reply_to: None,
            links: self.server.app.links.clone(),
            unsubscribe_mailto: None,
            zone: Zone::UTC,
        };
        let delivery = Delivery {
            sender: Arc::new(sender),
            clock: Arc::new(FixedClock(now)),
            machine: Arc::new(FixedClock(now)),
            rate: None,
            per_domain: None,
            retries: Retries::default(),
            shaper: Arc::default(),
            stop: Arc::default(),
        };
        let folder = self.server.store.folder().join("mails");
        let transport = Arc::new(Capture::new(&folder).unwrap());
        let summary = worker::run(&self.server.store.db, &transport, &delivery, |_| ()).await.unwrap();
        assert_eq!(summary.stopped, None);
        let mut states = BTreeMap::new();
        for ((_, state, _), count) in summary.counts {
            *states.entry(state).or_default() += count;
        }
        let list = fs::read_to_string(folder.join("mails.jsonl")).unwrap_or_default();
        let to = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["to"].as_str().unwrap_or_default().to_owned()
        };
        (states, list.lines().map(to).collect())
    }

    pub async fn get(&self, path: &str) -> crate::support::Answer {
        self.server.get(&self.key, path).await
    }

    pub async fn post(&self, path: &str, body: Value) -> crate::support::Answer {
        self.server.post(&self.key, path, body).await
    }

    /// Keeps a draft, whatever is there.
    pub async fn put_draft(&self, slug: &str, folder: &Value) -> crate::support::Answer {
        let path = format!("/api/v1/journeys/{slug}/draft");
        let there = self.get(&path).await;
        let tag = there.head.headers.get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        let headers: Vec<(&str, &str)> = tag.iter().map(|tag| ("if-match", tag.as_str())).collect();
        self.server.ask_with(axum::http::Method::PUT, &self.key, &path, Some(folder.clone()), &headers).await
    }

    /// Keeps a draft and publishes it.
    pub async fn publish(&self, slug: &str, folder: &Value) -> Value {
        let answer = self.put_draft(slug, folder).await;
        assert!(answer.status().is_success(), "{}", answer.text());
        let answer = self.post(&format!("/api/v1/journeys/{slug}/publish"), json!({})).await;
        assert!(answer.status().is_success(), "{}", answer.text());
        answer.json()
    }
}

/// An example of the repository as the API takes it.
pub fn example(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    let read = |path: &Path| Value::from(fs::read_to_string(path).unwrap());
    let all = |kind: &str| -> Map<String, Value> {
        let Ok(entries) = fs::read_dir(folder.join(kind)) else { return Map::new() };
        entries
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path)))
            .collect()
    };
    let mut body = json!({
        "journey": read(&folder.join("journey.yaml")),
        "segments": all("segments"), "templates": all("templates"), "coupons": all("coupons"),
    });
    if folder.join("fields.yaml").exists() {
        body["fields"] = read(&folder.join("fields.yaml"));
    }
    body
}

/// A mail to everybody who asks by API.
pub fn hello() -> Value {
    json!({
        "journey": HELLO,
        "templates": { "hello": HELLO_TEMPLATE },
    })
}

const HELLO: &str = "\
format: 1
journey: hello
name: {en: Hello, fr: Bonjour}
audience: {who: with_email, source: existing_and_new}
triggers:
  - {on: api}
reentry: after_exit
nodes:
  mail:
    kind: send_email
    template: hello
    purpose: newsletter
    to: contact
    variables: {name: {ref: contact.first_name}}
links:
  - {from: start, to: mail}
";

const HELLO_TEMPLATE: &str = "\
format: 1
template: hello
languages: [en, fr]
subject: {en: Hello, fr: Bonjour}
variables:
  name: {type: text, default: {en: you, fr: vous}}
blocks:
  - kind: text
    text: {en: 'Hello {{ name }}', fr: 'Bonjour {{ name }}'}
  - {kind: footer, text: {en: You asked for it, fr: Vous avez voulu}, address: Road 1}
";
