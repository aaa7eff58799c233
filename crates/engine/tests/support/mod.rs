//! A shop under a virtual clock: journeys are published, things happen, time passes, and one looks at what was decided.

#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::{path::Path, sync::Arc};

use engine::{
    campaign::launch::Silent,
    live::{
        lives::{self, By, PublishOptions},
        work::{Engine, Worked},
    },
    rules::{self, Folder, SourceFile, Workspace},
};
use journey::trace;
use model::{ContactId, Slug, Timestamp};
use storage::{
    contacts::{ContactStore, IdentifierKind},
    imports::{ImportBatch, ImportOutcome, ImportStore},
    journeys::JourneyStore,
    outbox::{MessageFilter, OutboxStore},
};
use testkit::Sqlite;

/// A shop with its engine.
pub struct Shop {
    pub store: testkit::Store,
    pub engine: Engine<Sqlite>,
    pub now: Timestamp,
}

impl Shop {
    /// An empty one.
    pub async fn open(now: &str) -> Self {
        let (store, now) = (testkit::store(), testkit::at(now));
        let engine = Engine::open(store.db.clone(), now).await.unwrap();
        Self { store, engine, now }
    }

    /// Another engine over the same base, as after a restart.
    pub async fn restart(&mut self) {
        self.engine = Engine::open(self.store.db.clone(), self.now).await.unwrap();
    }

    /// Publishes a folder; panics with all problems where it is not sound.
    pub async fn publish(&mut self, folder: &Folder) {
        let workspace = Workspace::load(&self.store.db).await.unwrap();
        let rules = rules::compile(folder, &workspace).unwrap_or_else(|problems| {
            panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        });
        let by = By::new("test", self.now);
        let options = PublishOptions::default();
        lives::publish(&self.store.db, &Arc::new(rules), &options, &by, &Silent).await.unwrap();
        self.settle().await;
    }

    /// Works until nothing is due now.
    pub async fn settle(&mut self) -> Worked {
        self.engine.settle(self.now).await.unwrap()
    }

    /// Things happen now; panics when any is refused.
    pub async fn happen(&mut self, fill: impl FnOnce(&mut ImportBatch, Timestamp)) -> ImportOutcome {
        let mut batch = ImportBatch::new(self.now);
        batch.live = true;
        fill(&mut batch, self.now);
        let outcome = self.store.db.import(batch).await.unwrap();
        assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
        self.settle().await;
        outcome
    }

    /// What happened before the shop came to us: no journey hears of it.
    pub async fn past(&mut self, fill: impl FnOnce(&mut ImportBatch)) {
        let mut batch = ImportBatch::new(self.now);
        fill(&mut batch);
        let outcome = self.store.db.import(batch).await.unwrap();
        assert!(outcome.refusals.is_empty(), "{:?}", outcome.refusals);
    }

    /// Time passes until an instant, with everything that is due on the way done when it is due.
    pub async fn until(&mut self, instant: Timestamp) {
        for _ in 0..100_000 {
            match self.engine.next_due(self.now).await.unwrap().filter(|due| *due <= instant) {
                Some(due) => {
                    self.now = self.now.max(due);
                    self.settle().await;
                }
                None => {
                    self.now = instant;
                    self.settle().await;
                    return;
                }
            }
        }
        panic!("something is due at {} again and again", self.now);
    }

    /// So much time passes.
    pub async fn pass(&mut self, micros: i64) {
        self.until(self.now.plus(micros)).await;
    }

    /// How many messages were decided so far.
    pub async fn messages(&self) -> u64 {
        let counts = self.store.db.count_messages(MessageFilter::default()).await.unwrap();
        counts.iter().map(|count| count.count).sum()
    }

    /// The number of a contact.
    pub async fn contact(&self, external_id: &str) -> ContactId {
        let found = self.store.db.resolve(vec![(IdentifierKind::ExternalId, external_id.to_owned())]).await;
        found.unwrap()[0].unwrap_or_else(|| panic!("no contact {external_id}"))
    }

    /// The way of a contact through a journey: one line for each enrolment, the first first.
    pub async fn ways(&self, external_id: &str, journey: &str) -> Vec<String> {
        let contact = self.contact(external_id).await;
        let mut ways = Vec::new();
        for enrolment in self.store.db.load_enrolments(contact).await.unwrap() {
            if enrolment.journey.as_str() != journey {
                continue;
            }
            let slug = Slug::parse(journey).unwrap();
            let compiled = rules::stored_journey(&self.store.db, slug, enrolment.version).await.unwrap();
            let records = trace::decode(&enrolment.trace).unwrap();
            ways.push(trace::describe(&records, &compiled));
        }
        ways
    }
}

/// A journey's folder from texts: `files` are (path, text) as in `segments/vip.yaml`.
pub fn folder(journey: &str, files: &[(&str, &str)]) -> Folder {
    let source = |path: &str, text: &str| SourceFile {
        file: path.to_owned(),
        slug: Path::new(path).file_stem().unwrap().to_str().unwrap().to_owned(),
        text: text.to_owned(),
    };
    let of = |kind: &str| {
        let own = files.iter().filter(|(path, _)| path.starts_with(kind));
        own.map(|(path, text)| source(path, text)).collect::<Vec<_>>()
    };
    Folder {
        journey: source("journey.yaml", journey),
        fields: of("fields").into_iter().next(),
        segments: of("segments/"),
        templates: of("templates/"),
        coupons: of("coupons/"),
    }
}

/// A small mail.
pub const MAIL: &str = "
format: 1
template: hello
subject: {en: Hello, fr: Bonjour}
languages: [en, fr]
blocks:
  - {kind: text, text: {en: Hello, fr: Bonjour}}
";
