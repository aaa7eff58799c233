//! A shop with a template, contacts and messages, and a clock that a test sets.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use delivery::{Delivery, Keys, Links, Mailbox, Sender, Smtp, SmtpConfig, Summary, pace::Retries, worker};
use model::{
    Channel, Clock, Consent, ConsentState, ContactId, MessageId, Slug, Timestamp, Zone, time::FixedClock,
};
use storage::{
    contacts::{ContactStore, IdentifierKind},
    imports::{ContactPatch, ImportBatch, ImportStore},
    outbox::{MessageFilter, MessageRow, OutboxMessage, OutboxStore, SendPoint},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use testkit::Store;

use crate::support::Sink;

pub const START: Timestamp = Timestamp(1_780_000_000_000_000);

pub struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub struct World {
    pub store: Store,
    pub clock: Arc<Hand>,
}

pub fn slug(text: &str) -> Slug {
    Slug::purpose(text).unwrap()
}

pub fn links() -> Links {
    Links::new("https://mail.shop.example", Keys::new([1; 32])).unwrap()
}

impl World {
    pub async fn new() -> Self {
        let store = testkit::store();
        let text = "format: 1\ntemplate: mail\nsubject: \"Été: 20 %\"\nblocks: [{kind: text, text: \"Hello  there\"}]\n";
        let template =
            NewDefinition { kind: DefinitionKind::Template, slug: slug("mail"), content: text.into() };
        store.save_definitions(vec![template], START).await.unwrap();
        Self { store, clock: Arc::new(Hand(START.0.into())) }
    }

    pub fn pass(&self, micros: i64) {
        self.clock.0.fetch_add(micros, Ordering::SeqCst);
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn contact(&self, address: &str) -> ContactId {
        let mut batch = ImportBatch::new(self.now());
        batch.contacts.push(ContactPatch {
            external_id: Some(address.to_owned()),
            email: Some(address.to_owned()),
            consents: vec![Consent {
                purpose: slug("newsletter"),
                state: ConsentState::Subscribed,
                at: START,
                source: "test".into(),
                proof: String::new(),
            }],
            ..ContactPatch::default()
        });
        self.store.import(batch).await.unwrap();
        self.store.resolve(vec![(IdentifierKind::ExternalId, address.to_owned())]).await.unwrap()[0].unwrap()
    }

    /// Decides a message of a node to a contact.
    pub async fn decide(&self, contact: ContactId, node: &str) -> MessageId {
        let send = Arc::new(SendPoint {
            journey: slug("welcome"),
            journey_version: 1,
            run: 1,
            node: node.to_owned(),
            channel: Channel::Email,
            purpose: slug("newsletter"),
            transactional: false,
            template: slug("mail"),
            template_version: 1,
        });
        let id = MessageId::derive(1, contact.0.unsigned_abs(), 1, node, 1);
        let message = OutboxMessage {
            id,
            contact,
            send,
            to: None,
            locale: None,
            variables: "{}".into(),
            decided_at: self.now(),
            not_before: self.now(),
            expires_at: None,
        };
        self.store.insert_messages(vec![message]).await.unwrap();
        id
    }

    pub fn delivery(&self) -> Delivery {
        let sender = Sender {
            from: Mailbox::parse("Shop <news@shop.example>").unwrap(),
            reply_to: None,
            links: links(),
            unsubscribe_mailto: None,
            zone: Zone::UTC,
        };
        Delivery {
            sender: Arc::new(sender),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            machine: Arc::new(FixedClock(Timestamp(0))),
            rate: None,
            per_domain: None,
            retries: Retries { tries: 3, ..Retries::default() },
            shaper: Arc::default(),
            stop: Arc::default(),
        }
    }

    pub fn smtp(sink: &Sink) -> Smtp {
        let config = SmtpConfig::parse(&sink.url(), |_| Err(std::io::Error::other("none"))).unwrap();
        Smtp::new(config, "bounces@shop.example".into()).unwrap()
    }

    pub async fn deliver(&self, smtp: Smtp, delivery: &Delivery) -> Summary {
        worker::run(&self.store.db, &Arc::new(smtp), delivery, |_| ()).await.unwrap()
    }

    pub async fn rows(&self) -> Vec<MessageRow> {
        self.store.list_messages(MessageFilter::default(), 0, 10_000).await.unwrap()
    }
}
