//! A database with messages in its outbox, and the program run on it.

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::Arc,
};

use model::{Consent, ConsentState, ContactId, Slug, Timestamp};
use storage::{
    contacts::{ContactStore, IdentifierKind},
    imports::{ContactPatch, ImportBatch, ImportStore},
    outbox::{Channel, MessageFilter, MessageId, MessageRow, OutboxMessage, OutboxStore, SendPoint},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use storage_sqlite::{Options, Sqlite};

const TEMPLATE: &str = "
format: 1
template: hello
name: {en: Hello}
languages: [en, fr]
subject: {en: 'Hello {{ name }}', fr: 'Bonjour {{ name }} 🎁'}
variables:
  name: {type: text, default: {en: you, fr: vous}}
blocks:
  - kind: text
    text: {en: 'Dear {{ name }}, it is summer.', fr: 'Cher {{ name }}, c’est l’été.'}
";

/// When everything was decided.
pub const DECIDED: Timestamp = Timestamp(1_780_000_000_000_000);

pub fn slug(text: &str) -> Slug {
    Slug::parse(text).expect("a slug")
}

/// A folder with a database.
pub struct World {
    pub folder: tempfile::TempDir,
    template: u32,
}

impl World {
    /// With contacts called by the local part of their address; "unsub…" took back the consent.
    pub async fn new(names: &[&str]) -> (Self, Vec<ContactId>) {
        let mut world = Self { folder: tempfile::tempdir().expect("a folder"), template: 0 };
        let db = world.open();
        let template =
            NewDefinition { kind: DefinitionKind::Template, slug: slug("hello"), content: TEMPLATE.into() };
        world.template = db.save_definitions(vec![template], DECIDED).await.expect("saved")[0];
        let mut batch = ImportBatch::new(DECIDED);
        for name in names {
            let unsubscribed = name.starts_with("unsub");
            batch.contacts.push(ContactPatch {
                external_id: Some((*name).to_owned()),
                email: Some(format!("{name}@example.test")),
                first_name: Some("Zoë".into()),
                last_name: Some((*name).to_owned()),
                consents: vec![Consent {
                    purpose: slug("newsletter"),
                    state: if unsubscribed { ConsentState::Unsubscribed } else { ConsentState::Subscribed },
                    at: DECIDED,
                    source: "test".into(),
                    proof: String::new(),
                }],
                ..ContactPatch::default()
            });
        }
        db.import(batch).await.expect("imported");
        let keys = names.iter().map(|name| (IdentifierKind::ExternalId, (*name).to_owned())).collect();
        let contacts = db.resolve(keys).await.expect("read").into_iter().flatten().collect();
        (world, contacts)
    }

    pub fn open(&self) -> Sqlite {
        Sqlite::open(self.database(), Options::default()).expect("the database")
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    /// Puts a message for each contact into the outbox.
    pub async fn insert(&self, contacts: &[ContactId], transactional: bool) {
        let send = Arc::new(SendPoint {
            journey: slug("welcome"),
            journey_version: 1,
            run: 1,
            node: if transactional { "order".into() } else { "news".into() },
            channel: Channel::Email,
            purpose: slug("newsletter"),
            transactional,
            template: slug("hello"),
            template_version: self.template,
        });
        let messages = contacts.iter().map(|contact| OutboxMessage {
            id: MessageId::derive(1, contact.0 as u64, 1, &send.node, 1),
            contact: *contact,
            send: Arc::clone(&send),
            to: None,
            locale: Some("fr-FR".into()),
            variables: format!("{{\"name\": \"Zoë {contact}\"}}"),
            decided_at: DECIDED,
            not_before: DECIDED,
            expires_at: None,
        });
        self.open().insert_messages(messages.collect()).await.expect("inserted");
    }

    /// `relance deliver …` on this database.
    pub fn deliver(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relance"));
        command
            .args(["--database", &format!("sqlite:{}", self.database().display()), "deliver"])
            .args(arguments)
            .current_dir(self.folder.path());
        for name in ["RELANCE_SMTP", "RELANCE_FROM", "RELANCE_PUBLIC_URL", "RELANCE_SIGNING_KEY_FILE"] {
            command.env_remove(name);
        }
        command
    }

    /// The same to an SMTP server, as JSON.
    pub fn deliver_to(&self, url: &str) -> Command {
        self.deliver(&[
            "--smtp",
            url,
            "--from",
            "L'Été <news@shop.example>",
            "--public-url",
            "https://mail.shop.example",
            "--format",
            "json",
        ])
    }

    pub async fn rows(&self) -> Vec<MessageRow> {
        self.open().list_messages(MessageFilter::default(), 0, 100_000).await.expect("read")
    }

    /// States and reasons, in the order of the outbox.
    pub async fn states(&self) -> Vec<String> {
        let rows = self.rows().await;
        rows.iter()
            .map(|row| format!("{} {}", row.state.word(), row.reason.as_deref().unwrap_or("-")))
            .collect()
    }
}

/// Runs a command off the async threads.
pub async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().expect("the program runs")).await.expect("no panic")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {} {}", String::from_utf8_lossy(&output.stdout), stderr(output))
    })
}
