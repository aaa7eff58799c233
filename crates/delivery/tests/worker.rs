//! The worker from the outbox to a server, with everything that can come between.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use delivery::{Delivery, Keys, Links, Mailbox, Sender, Smtp, SmtpConfig, Summary, pace::Retries, worker};
use mail_parser::MessageParser;
use model::{Clock, Consent, ConsentState, ContactId, Slug, Timestamp, Zone, time::FixedClock};
use storage::{
    contacts::{ContactStore, IdentifierKind},
    imports::{ContactPatch, ImportBatch, ImportStore},
    outbox::{
        Channel, MessageFilter, MessageId, MessageRow, MessageState, OutboxMessage, OutboxStore, SendPoint,
        SuppressionReason,
    },
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use support::{Manners, Sink};
use testkit::Store;

const TEMPLATE: &str = "
format: 1
template: hello
name: {en: Hello}
languages: [en, fr]
subject: {en: 'Hello {{ name }}', fr: 'Bonjour {{ name }}'}
variables:
  name: {type: text, default: {en: you, fr: vous}}
blocks:
  - kind: text
    text: {en: 'Dear {{ name }}, it is summer.', fr: 'Cher {{ name }}, c’est l’été.'}
";

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

/// A clock that a test moves.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

struct World {
    store: Store,
    clock: Arc<Hand>,
    template: u32,
}

const START: Timestamp = Timestamp(1_780_000_000_000_000);

impl World {
    async fn new() -> Self {
        let store = testkit::store();
        let template =
            NewDefinition { kind: DefinitionKind::Template, slug: slug("hello"), content: TEMPLATE.into() };
        let template = store.save_definitions(vec![template], START).await.unwrap()[0];
        Self { store, clock: Arc::new(Hand(START.0.into())), template }
    }

    /// Contacts by the local part of their address; all are subscribed to the newsletter but those called "unsub".
    async fn contacts(&self, names: &[&str]) -> Vec<ContactId> {
        let mut batch = ImportBatch::new(START);
        for name in names {
            let state =
                if name.starts_with("unsub") { ConsentState::Unsubscribed } else { ConsentState::Subscribed };
            batch.contacts.push(ContactPatch {
                external_id: Some((*name).to_owned()),
                email: (!name.starts_with("nobody")).then(|| format!("{name}@example.test")),
                first_name: Some("Zoë".into()),
                locale: Some("fr-FR".into()),
                consents: vec![Consent {
                    purpose: slug("newsletter"),
                    state,
                    at: START,
                    source: "test".into(),
                    proof: String::new(),
                }],
                ..ContactPatch::default()
            });
        }
        self.store.import(batch).await.unwrap();
        let keys = names.iter().map(|name| (IdentifierKind::ExternalId, (*name).to_owned())).collect();
        self.store.resolve(keys).await.unwrap().into_iter().map(Option::unwrap).collect()
    }

    fn send(&self, transactional: bool) -> Arc<SendPoint> {
        Arc::new(SendPoint {
            journey: slug("welcome"),
            journey_version: 1,
            run: 1,
            node: if transactional { "order".into() } else { "news".into() },
            channel: Channel::Email,
            purpose: slug("newsletter"),
            transactional,
            template: slug("hello"),
            template_version: self.template,
        })
    }

    async fn insert(&self, send: &Arc<SendPoint>, contacts: &[ContactId]) {
        let messages = contacts.iter().map(|contact| OutboxMessage {
            id: MessageId::derive(1, contact.0 as u64, 1, &send.node, 1),
            contact: *contact,
            send: Arc::clone(send),
            to: None,
            locale: Some("fr-FR".into()),
            variables: format!("{{\"name\": \"Zoë {contact}\"}}"),
            decided_at: START,
            not_before: START,
            expires_at: None,
        });
        self.store.insert_messages(messages.collect()).await.unwrap();
    }

    fn delivery(&self) -> Delivery {
        let sender = Sender {
            from: Mailbox::parse("L'Été <news@shop.example>").unwrap(),
            reply_to: Some(Mailbox::parse("help@shop.example").unwrap()),
            links: Links::new("https://mail.shop.example", Keys::new([1; 32])).unwrap(),
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

    async fn deliver_with(&self, url: &str, delivery: &Delivery) -> Summary {
        let mut config = SmtpConfig::parse(url, |_| Err(std::io::Error::other("none"))).unwrap();
        config.connect_tries = 1;
        config.timeout = Duration::from_secs(20);
        let transport = Arc::new(Smtp::new(config, "bounce@shop.example".into()).unwrap());
        worker::run(&self.store.db, &transport, delivery, |_| ()).await.unwrap()
    }

    async fn deliver(&self, sink: &Sink) -> Summary {
        self.deliver_with(&sink.url(), &self.delivery()).await
    }

    async fn rows(&self) -> Vec<MessageRow> {
        self.store.list_messages(MessageFilter::default(), 0, 10_000).await.unwrap()
    }

    async fn states(&self) -> Vec<(MessageState, String)> {
        self.rows().await.into_iter().map(|row| (row.state, row.reason.unwrap_or_default())).collect()
    }
}

#[tokio::test]
async fn each_message_meets_its_own_fate() {
    use MessageState::{Failed, Sent, Skipped, Waiting};
    let world = World::new().await;
    let names = ["ann", "hard", "soft1", "unsub", "nobody", "refused", "late", "bea"];
    let contacts = world.contacts(&names).await;
    world.insert(&world.send(false), &contacts).await;
    world.insert(&world.send(false), &[ContactId(999)]).await;
    let sink = Sink::start(Manners::default()).await;
    let summary = world.deliver(&sink).await;
    let expected: Vec<(MessageState, String)> = [
        (Sent, ""),
        (Failed, "smtp.5xx"),
        (Waiting, "smtp.4xx"),
        (Skipped, "unsubscribed"),
        (Skipped, "missing_address"),
        (Failed, "smtp.5xx"),
        (Failed, "smtp.5xx"),
        (Sent, ""),
        (Skipped, "contact_gone"),
    ]
    .map(|(state, reason)| (state, reason.to_owned()))
    .to_vec();
    assert_eq!(world.states().await, expected);
    assert_eq!(summary.count(Sent) + summary.count(Failed) + summary.count(Skipped), 8);
    assert_eq!(world.rows().await[1].detail.as_deref(), Some("550 5.1.1 no such user here"));
    // Nothing is due, so nothing is sent twice.
    assert_eq!(world.deliver(&sink).await, Summary::default());
    // The deferred one comes when its time has come.
    world.clock.0.fetch_add(2 * Timestamp::MINUTE, Ordering::SeqCst);
    assert_eq!(world.deliver(&sink).await.count(Sent), 1);
    assert_eq!(sink.taken().len(), 3);
    // The mailbox that does not exist is suppressed, the one that was refused for another reason is not.
    let hashes = ["hard", "refused"]
        .map(|name| storage::outbox::AddressHash::of(Channel::Email, &format!("{name}@example.test")));
    let suppressed = world.store.suppressions(hashes.to_vec(), world.clock.now()).await.unwrap();
    assert_eq!(suppressed[0].as_ref().map(|s| s.reason), Some(SuppressionReason::HardBounce));
    assert_eq!(suppressed[0].as_ref().map(|s| s.detail.as_str()), Some("550 5.1.1"), "without the address");
    assert_eq!(suppressed[1], None);
    let other = world.send(true);
    world.insert(&other, &contacts[1..2]).await;
    world.deliver(&sink).await;
    assert_eq!(world.states().await[9], (Skipped, "suppressed".into()));
}

#[tokio::test]
async fn the_mail_that_arrives_is_whole() {
    let world = World::new().await;
    let contacts = world.contacts(&["ann"]).await;
    world.insert(&world.send(false), &contacts).await;
    let sink = Sink::start(Manners::default()).await;
    world.deliver(&sink).await;
    let taken = &sink.taken()[0];
    assert_eq!((taken.from.as_str(), taken.to.as_str()), ("bounce@shop.example", "ann@example.test"));
    let mail = MessageParser::new().parse(taken.data.as_bytes()).unwrap();
    assert_eq!(mail.subject(), Some(format!("Bonjour Zoë {}", contacts[0]).as_str()));
    assert_eq!(mail.date().unwrap().to_timestamp(), START.0 / Timestamp::SECOND);
    let to = mail.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some("Zoë"), Some("ann@example.test")));
    assert_eq!(mail.reply_to().unwrap().first().unwrap().address(), Some("help@shop.example"));
    assert!(mail.body_text(0).unwrap().contains("c’est l’été"));
    assert!(mail.body_html(0).unwrap().contains("c’est l’été"));
    let id = MessageId::derive(1, contacts[0].0 as u64, 1, "news", 1);
    assert_eq!(delivery::mime::of_message_id(mail.message_id().unwrap()), Some(id));
    let header = taken.data.replace("\r\n ", " ");
    let line = header.lines().find(|line| line.starts_with("List-Unsubscribe:")).unwrap();
    let token = line.trim().trim_end_matches('>').rsplit('/').next().unwrap();
    let link = world.delivery().sender.links.verify(token).unwrap();
    assert_eq!((link.contact, link.message, link.purpose.as_str()), (contacts[0], id, "newsletter"));
    assert!(header.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click"));
}

#[tokio::test]
async fn a_message_is_given_up_after_its_tries() {
    let world = World::new().await;
    let contacts = world.contacts(&["soft"]).await;
    world.insert(&world.send(false), &contacts).await;
    let sink = Sink::start(Manners::default()).await;
    for left in [2, 1, 0] {
        let summary = world.deliver(&sink).await;
        assert_eq!(summary.count(MessageState::Waiting), u64::from(left > 0));
        world.clock.0.fetch_add(Timestamp::DAY, Ordering::SeqCst);
    }
    assert_eq!(world.states().await, [(MessageState::Failed, "gave_up".into())]);
    assert_eq!(sink.tries("soft@example.test"), 3);
}

#[tokio::test]
async fn without_a_server_everything_waits_and_nothing_is_blamed() {
    let world = World::new().await;
    let names: Vec<String> = (0..300).map(|i| format!("c{i}")).collect();
    let contacts = world.contacts(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.insert(&world.send(false), &contacts).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let login = Sink::start(Manners { login: Some(("u", "p")), ..Manners::default() }).await;
    for (url, reason) in [
        (format!("smtp://{free}"), "smtp.unreachable"),
        (login.url(), "smtp.sender"),
        (format!("smtp://u:x@{}", login.address), "smtp.login"),
    ] {
        let summary = world.deliver_with(&url, &world.delivery()).await;
        assert_eq!(summary.stopped.as_ref().map(|(reason, _)| *reason), Some(reason), "{summary:?}");
        assert!(summary.counts.is_empty());
        assert!(world.rows().await.iter().all(|row| row.state == MessageState::Waiting));
    }
    let sink = Sink::start(Manners::default()).await;
    assert_eq!(world.deliver(&sink).await.count(MessageState::Sent), 300);
    let mut recipients: Vec<String> = sink.taken().into_iter().map(|taken| taken.to).collect();
    recipients.sort();
    recipients.dedup();
    assert_eq!(recipients.len(), 300, "each once");
    assert_eq!(sink.taken().len(), 300);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_a_doubt_for_marketing_and_a_retry_for_the_rest() {
    let world = World::new().await;
    let contacts = world.contacts(&["drop"]).await;
    world.insert(&world.send(false), &contacts).await;
    world.insert(&world.send(true), &contacts).await;
    let sink = Sink::start(Manners::default()).await;
    let summary = world.deliver(&sink).await;
    assert_eq!((summary.count(MessageState::Uncertain), summary.count(MessageState::Waiting)), (1, 1));
    assert_eq!(world.states().await[0], (MessageState::Uncertain, "worker.unsure".into()));
    world.clock.0.fetch_add(Timestamp::DAY, Ordering::SeqCst);
    world.deliver(&sink).await;
    let id = |data: &str| {
        let mail = MessageParser::new().parse(data.as_bytes()).unwrap().into_owned();
        mail.message_id().unwrap().to_owned()
    };
    let mut ids: Vec<String> = sink.taken().iter().map(|taken| id(&taken.data)).collect();
    assert_eq!(ids.len(), 3, "one mail of marketing, two of the transaction");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "the retry has the same Message-ID");
}

#[tokio::test]
async fn limits_slow_it_down_and_lose_nothing() {
    let world = World::new().await;
    let names: Vec<String> = (0..60).map(|i| format!("c{i}")).collect();
    let contacts = world.contacts(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.insert(&world.send(false), &contacts).await;
    let sink = Sink::start(Manners::default()).await;
    let delivery = Delivery { rate: Some(400.0), per_domain: Some(2), ..world.delivery() };
    assert_eq!(world.deliver_with(&sink.url(), &delivery).await.count(MessageState::Sent), 60);
    assert_eq!(sink.taken().len(), 60);
}

#[tokio::test]
async fn a_server_with_few_connections_gets_everything_over_those() {
    let world = World::new().await;
    let names: Vec<String> = (0..60).map(|i| format!("c{i}")).collect();
    let contacts = world.contacts(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.insert(&world.send(false), &contacts).await;
    let sink = Sink::start(Manners { connections: Some(2), ..Manners::default() }).await;
    let summary = world.deliver(&sink).await;
    assert_eq!((summary.count(MessageState::Sent), summary.stopped), (60, None));
}

#[tokio::test]
async fn a_template_that_is_missing_fails_its_messages_alone() {
    let world = World::new().await;
    let contacts = world.contacts(&["ann", "bea"]).await;
    world.insert(&world.send(false), &contacts[..1]).await;
    let missing = Arc::new(SendPoint { template_version: 9, ..(*world.send(false)).clone() });
    world.insert(&missing, &contacts[1..]).await;
    let sink = Sink::start(Manners::default()).await;
    world.deliver(&sink).await;
    let expected = [(MessageState::Sent, String::new()), (MessageState::Failed, "template.unusable".into())];
    assert_eq!(world.states().await, expected);
}

#[tokio::test]
async fn stops_when_told_and_gives_the_rest_back() {
    let world = World::new().await;
    let names: Vec<String> = (0..200).map(|i| format!("c{i}")).collect();
    let contacts = world.contacts(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.insert(&world.send(false), &contacts).await;
    let sink = Sink::start(Manners { delay: Duration::from_millis(5), ..Manners::default() }).await;
    let delivery = world.delivery();
    let mut config = SmtpConfig::parse(&sink.url(), |_| Err(std::io::Error::other("none"))).unwrap();
    config.connections = 2;
    let transport = Arc::new(Smtp::new(config, "bounce@shop.example".into()).unwrap());
    let stop = Arc::clone(&delivery.stop);
    let progress = move |progress: delivery::Progress| stop.store(progress.done >= 10, Ordering::Relaxed);
    let summary = worker::run(&world.store.db, &transport, &delivery, progress).await.unwrap();
    let sent = summary.count(MessageState::Sent) as usize;
    assert!((10..200).contains(&sent), "{sent}");
    let states = world.states().await;
    assert_eq!(states.iter().filter(|(state, _)| *state == MessageState::Sent).count(), sent);
    assert_eq!(states.iter().filter(|(state, _)| *state == MessageState::Waiting).count(), 200 - sent);
    assert_eq!(sink.taken().len(), sent);
}
