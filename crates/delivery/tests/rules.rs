//! The sending rules at hand-over, what contacts hear of their messages, and the channels beside mail.

mod support;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use delivery::{
    Answer, Capture, Channels, Delivery, Keys, Lane, Links, Mail, Mailbox, Sender, Smtp, SmtpConfig, Summary,
    Transport, Webhooks, happenings, pace::Retries, worker,
};
use model::{
    Channel, Clock, Consent, ConsentState, ContactId, MessageId, Slug, Timestamp, Zone, event::kind,
    time::FixedClock,
};
use serde_json::json;
use storage::{
    contacts::{ContactStore, IdentifierKind},
    events::EventStore,
    imports::{ContactPatch, ImportBatch, ImportStore},
    outbox::{
        AddressHash, MessageFilter, MessageState, OutboxMessage, OutboxStore, SendPoint, SuppressionReason,
    },
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use support::{Manners, Sink};
use testkit::Store;

const START: Timestamp = Timestamp(1_780_000_000_000_000); // a Thursday, 20:26:40 UTC

struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Takes everything and remembers it.
#[derive(Clone, Default)]
struct Taker(Arc<Mutex<Vec<Mail>>>);

impl Transport for Taker {
    type Lane = Self;
    const KEEPS_PAGES: bool = false;
    fn lanes(&self) -> usize {
        1
    }
    fn lane(&self) -> Self {
        self.clone()
    }
    async fn finish(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Lane for Taker {
    async fn hand_over(&mut self, mail: &Mail) -> Answer {
        self.0.lock().unwrap().push(mail.clone());
        Answer::Taken { detail: "250 ok".into() }
    }
    async fn close(self) {}
}

fn slug(text: &str) -> Slug {
    Slug::purpose(text).unwrap()
}

struct World {
    store: Store,
    clock: Arc<Hand>,
    taker: Taker,
}

impl World {
    async fn new(rules: &str) -> Self {
        let store = testkit::store();
        let template = |name: &str, text: &str| NewDefinition {
            kind: DefinitionKind::Template,
            slug: slug(name),
            content: text.into(),
        };
        let templates = vec![
            template(
                "mail",
                "format: 1\ntemplate: mail\nsubject: Hello\nblocks: [{kind: text, text: Hello}]\n",
            ),
            template(
                "sms",
                "format: 1\ntemplate: sms\nchannel: sms\nvariables: {name: text}\ntext: \"Hi {{ name }}\"\n",
            ),
            template(
                "push",
                "format: 1\ntemplate: push\nchannel: push\ntitle: Back\nbody: Now\nurl: https://s.example/\n",
            ),
        ];
        store.save_definitions(templates, START).await.unwrap();
        if !rules.is_empty() {
            store.save_setting(policy::SETTING.into(), rules.into()).await.unwrap();
        }
        Self { store, clock: Arc::new(Hand(START.0.into())), taker: Taker::default() }
    }

    async fn patch(&self, name: &str, state: ConsentState) -> ContactId {
        let mut batch = ImportBatch::new(self.clock.now());
        batch.contacts.push(ContactPatch {
            external_id: Some(name.to_owned()),
            email: Some(format!("{name}@example.test")),
            phone: Some("+33612345678".into()).filter(|_| name != "bea"),
            time_zone: Some("Europe/Paris".into()),
            consents: vec![Consent {
                purpose: slug("newsletter"),
                state,
                at: self.clock.now(),
                source: "test".into(),
                proof: String::new(),
            }],
            ..ContactPatch::default()
        });
        self.store.import(batch).await.unwrap();
        let found = self.store.resolve(vec![(IdentifierKind::ExternalId, name.to_owned())]).await.unwrap();
        found[0].unwrap()
    }

    fn send(channel: Channel, node: &str) -> Arc<SendPoint> {
        let template = match channel {
            Channel::Sms => "sms",
            Channel::WebPush => "push",
            _ => "mail",
        };
        Arc::new(SendPoint {
            journey: slug("welcome"),
            journey_version: 1,
            run: 1,
            node: node.into(),
            channel,
            purpose: slug(if node == "order" { "transactional" } else { "newsletter" }),
            transactional: node == "order" || channel == Channel::Webhook,
            template: slug(template),
            template_version: 1,
        })
    }

    fn message(&self, contact: ContactId, channel: Channel, node: &str) -> OutboxMessage {
        OutboxMessage {
            id: MessageId::derive(1, contact.0 as u64, 1, node, 1),
            contact,
            send: Self::send(channel, node),
            to: None,
            locale: None,
            variables: "{\"name\": \"Zoé\"}".into(),
            decided_at: self.clock.now(),
            not_before: self.clock.now(),
            expires_at: None,
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery {
            sender: Arc::new(Sender {
                from: Mailbox::parse("Shop <news@shop.example>").unwrap(),
                reply_to: None,
                links: Links::new("https://mail.shop.example", Keys::new([1; 32])).unwrap(),
                unsubscribe_mailto: None,
                zone: Zone::UTC,
            }),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            machine: Arc::new(FixedClock(Timestamp(0))),
            rate: None,
            per_domain: None,
            retries: Retries { tries: 1, ..Retries::default() },
            stop: Arc::default(),
        }
    }

    async fn with<T: Transport>(&self, transport: T) -> Summary {
        worker::run(&self.store.db, &Arc::new(transport), &self.delivery(), |_| ()).await.unwrap()
    }

    async fn deliver(&self) -> Vec<String> {
        self.with(self.taker.clone()).await;
        self.taker
            .0
            .lock()
            .unwrap()
            .drain(..)
            .map(|mail| format!("{}:{}", mail.contact, mail.send.node))
            .collect()
    }

    /// State, reason, and for those that wait when they are due.
    async fn states(&self) -> Vec<String> {
        let rows = self.store.list_messages(MessageFilter::default(), 0, 1_000).await.unwrap();
        let word = |row: &storage::outbox::MessageRow| {
            let reason = row.reason.clone().unwrap_or_default();
            let due = if row.state == MessageState::Waiting { row.at.to_string() } else { String::new() };
            format!("{} {reason} {due}", row.state.word()).trim().to_owned()
        };
        rows.iter().map(word).collect()
    }

    async fn events(&self, contact: ContactId) -> Vec<String> {
        let events =
            self.store.load_events(vec![contact], vec![], Timestamp::MIN, Timestamp::MAX).await.unwrap();
        events
            .iter()
            .map(|event| format!("{} {}", event.kind, event.properties["node"].as_str().unwrap_or("")))
            .collect()
    }

    fn pass(&self, micros: i64) {
        self.clock.0.fetch_add(micros, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_urgent_leave_first_and_the_cap_holds_in_one_batch_and_over_several() {
    let world = World::new("caps: [{most: 1, within: P1D}]").await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    let nodes = ["first", "second", "order"];
    let messages = nodes.map(|node| world.message(ann, Channel::Email, node)).to_vec();
    world.store.insert_messages(messages).await.unwrap();
    assert_eq!(world.deliver().await, [format!("{ann}:order"), format!("{ann}:first")]);
    assert_eq!(world.states().await, ["sent", "skipped frequency_cap", "sent"]);
    assert_eq!(world.events(ann).await, ["Email Sent order", "Email Sent first"]);
    world.pass(Timestamp::DAY);
    world.store.insert_messages(vec![world.message(ann, Channel::Email, "third")]).await.unwrap();
    assert_eq!(world.deliver().await, [format!("{ann}:third")], "the window is over");
}

/// The server was down for longer than the window: what was to leave at different times leaves at once now.
#[tokio::test]
async fn the_cap_holds_for_messages_that_waited_longer_than_its_window() {
    let world = World::new("caps: [{most: 1, within: PT6H}]").await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    for node in ["first", "second"] {
        world.store.insert_messages(vec![world.message(ann, Channel::Email, node)]).await.unwrap();
        world.pass(7 * Timestamp::HOUR);
    }
    assert_eq!(world.deliver().await, [format!("{ann}:first")]);
    assert_eq!(world.states().await, ["sent", "skipped frequency_cap"]);
}

#[tokio::test]
async fn quiet_hours_hold_and_release_and_expiry_skips() {
    // 20:26 UTC is 22:26 in Paris, in summer.
    let world = World::new("quiet_hours: [{hours: {from: \"22:00\", to: \"08:00\"}}]").await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    let soon = world.clock.now().plus(Timestamp::HOUR);
    let messages = vec![
        world.message(ann, Channel::Email, "a"),
        OutboxMessage { expires_at: Some(soon), ..world.message(ann, Channel::Email, "b") },
        world.message(ann, Channel::Email, "order"),
    ];
    world.store.insert_messages(messages).await.unwrap();
    assert_eq!(world.deliver().await, [format!("{ann}:order")]);
    assert_eq!(world.states().await, ["waiting held 2026-05-29T06:00:00Z", "skipped expired", "sent"]);
    world.pass(12 * Timestamp::HOUR);
    // Nothing leaves after unsubscribing, though it was decided before.
    world.patch("ann", ConsentState::Unsubscribed).await;
    assert!(world.deliver().await.is_empty());
    assert_eq!(world.states().await[0], "skipped unsubscribed");
}

#[tokio::test]
async fn send_limits_hold_until_there_is_room() {
    let world = World::new("limits: {per_hour: 3, journeys: {welcome: {per_hour: 2}}}").await;
    let mut messages = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let contact = world.patch(name, ConsentState::Subscribed).await;
        messages.push(world.message(contact, Channel::Email, "news"));
        messages.push(world.message(contact, Channel::Email, "order"));
    }
    world.store.insert_messages(messages).await.unwrap();
    assert_eq!(world.deliver().await.len(), 6, "four transactional ones, and two");
    assert!(world.deliver().await.is_empty());
    world.pass(Timestamp::HOUR + 2 * Timestamp::MINUTE);
    assert_eq!(world.deliver().await.len(), 2);
}

#[tokio::test]
async fn a_consent_taken_back_between_judgement_and_mark_stops_the_message() {
    let world = World::new("").await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    world.store.insert_messages(vec![world.message(ann, Channel::Email, "a")]).await.unwrap();
    let claimed = world.store.claim_messages(START, Timestamp(0), Timestamp(9), 10).await.unwrap();
    let recipient = &world.store.load_recipients(vec![ann], None).await.unwrap()[0];
    let witness = storage::outbox::Witness {
        version: recipient.version,
        address: AddressHash::of(Channel::Email, "ann@example.test"),
        left: None,
        limits: Vec::new(),
        counts: false,
        once: false,
    };
    world.patch("ann", ConsentState::Unsubscribed).await;
    let mark = storage::outbox::Recorded {
        seq: claimed[0].seq,
        attempt: claimed[0].attempt,
        outcome: storage::outbox::Outcome::HandingOver {
            witness: Some(Box::new(witness)),
            lease_until: None,
        },
    };
    assert_eq!(world.store.record_outcomes(START, vec![mark]).await.unwrap(), [claimed[0].seq]);
    assert!(world.deliver().await.is_empty());
    assert_eq!(world.states().await, ["skipped unsubscribed"]);
}

#[tokio::test]
async fn a_message_is_skipped_where_another_contact_got_it_at_the_same_number() {
    let world = World::new("").await;
    let mut messages = Vec::new();
    for name in ["ann", "cleo"] {
        let contact = world.patch(name, ConsentState::Subscribed).await;
        let variables = "{\"name\": \"Zoé\", \"_send\": {\"skip_duplicates\": true}}".into();
        messages.push(OutboxMessage { variables, ..world.message(contact, Channel::Sms, "a") });
    }
    world.store.insert_messages(messages).await.unwrap();
    assert_eq!(world.deliver().await.len(), 1);
    assert_eq!(world.states().await, ["sent", "skipped duplicate"]);
}

#[tokio::test]
async fn bounces_mark_the_contact_and_suppress_longer_each_time() {
    let world = World::new("").await;
    let hard = world.patch("hard", ConsentState::Subscribed).await;
    let refused = world.patch("soft", ConsentState::Subscribed).await;
    let sink = Sink::start(Manners::default()).await;
    let smtp = || {
        let config = SmtpConfig::parse(&sink.url(), |_| Err(std::io::Error::other("none"))).unwrap();
        Smtp::new(config, "bounce@shop.example".into()).unwrap()
    };
    world.store.insert_messages(vec![world.message(hard, Channel::Email, "a")]).await.unwrap();
    world.with(smtp()).await;
    let contact = &world.store.load_contacts(vec![hard]).await.unwrap()[0];
    assert_eq!(contact.email_status, model::AddressStatus::Bounced);
    assert_eq!(world.events(hard).await, ["Email Bounced a"]);
    let address = AddressHash::of(Channel::Email, "soft@example.test");
    for (round, days) in [7, 14, 30, 180, 180].into_iter().enumerate() {
        for n in 0..3 {
            let none = world.store.suppressions(vec![address], world.clock.now()).await.unwrap();
            assert_eq!(none, [None], "round {round}, {n}");
            let message = world.message(refused, Channel::Email, &format!("r{round}n{n}"));
            world.store.insert_messages(vec![message]).await.unwrap();
            world.with(smtp()).await;
        }
        let now = world.clock.now();
        let found = world.store.suppressions(vec![address], now).await.unwrap()[0].clone().unwrap();
        assert_eq!((found.reason, found.until), (SuppressionReason::SoftBounces, Some(now.plus_days(days))));
        world.pass(days * Timestamp::DAY);
    }
}

#[tokio::test]
async fn an_open_is_recorded_once_and_a_click_once_for_each_link() {
    let world = World::new("").await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    let message = world.message(ann, Channel::Email, "a");
    world.store.insert_messages(vec![message.clone()]).await.unwrap();
    world.deliver().await;
    let did = async |kind: &str, link: Option<u32>| {
        let properties = link.map(|link| ("link".to_owned(), json!(link))).into_iter().collect();
        happenings::interaction(&world.store.db, message.id, kind, START, properties).await.unwrap()
    };
    for _ in 0..2 {
        assert_eq!(did(kind::EMAIL_OPENED, None).await, Some(ann));
        assert_eq!(did(kind::EMAIL_CLICKED, Some(1)).await, Some(ann));
        assert_eq!(did(kind::EMAIL_CLICKED, Some(2)).await, Some(ann));
    }
    let unknown = happenings::interaction(
        &world.store.db,
        MessageId([9; 16]),
        kind::EMAIL_OPENED,
        START,
        serde_json::Map::new(),
    );
    assert_eq!(unknown.await.unwrap(), None);
    let expected = ["Email Sent a", "Email Opened a", "Email Link Clicked a", "Email Link Clicked a"];
    assert_eq!(world.events(ann).await, expected);
    let states = happenings::states_of_run(&world.store.db, 1).await.unwrap();
    assert!(happenings::is_settled(&states) && states[&MessageState::Sent] == 1);
}

#[tokio::test]
async fn text_messages_and_push_are_captured_and_fail_where_nothing_sends_them() {
    let world = World::new("").await;
    let ann = world.patch("ann", ConsentState::Subscribed).await;
    let bea = world.patch("bea", ConsentState::Subscribed).await;
    let messages = vec![
        world.message(ann, Channel::Sms, "a"),
        world.message(ann, Channel::WebPush, "b"),
        world.message(bea, Channel::Sms, "c"),
    ];
    let (sms, push) = (messages[0].id, messages[1].id);
    world.store.insert_messages(messages).await.unwrap();
    let none = Channels { email: Arc::new(world.taker.clone()), mobile: None, webhooks: None };
    world.with(none).await;
    let states = ["failed channel.no_provider", "failed channel.no_provider", "skipped missing_address"];
    assert_eq!(world.states().await, states);
    assert_eq!(happenings::retry_failed(&world.store.db, 1, START).await.unwrap(), 2);
    let folder = tempfile::tempdir().unwrap();
    let capture = Some(Arc::new(Capture::new(folder.path()).unwrap()));
    world.with(Channels { email: Arc::new(world.taker.clone()), mobile: capture, webhooks: None }).await;
    let read = |name: String| std::fs::read_to_string(folder.path().join("mails").join(name)).unwrap();
    assert_eq!(read(format!("{sms}.txt")).trim_start_matches('\u{feff}'), "Hi Zoé");
    let utm = "utm_source=relance&utm_medium=web_push&utm_campaign=welcome&utm_content=push";
    let expected =
        json!({"title": "Back", "body": "Now", "url": format!("https://s.example/?{utm}"), "icon": ""});
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read(format!("{push}.json"))).unwrap(), expected);
    let index = std::fs::read_to_string(folder.path().join("mails.js")).unwrap();
    assert!(index.contains("\"channel\":\"sms\"") && index.contains("\"channel\":\"web_push\""));
    assert_eq!(world.events(ann).await, ["SMS Sent a", "Push Sent b"]);
}

/// Answers each connection with the next of these, and remembers what came.
async fn server(answers: Vec<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut part = [0; 4096];
            while !request.ends_with(b"}") {
                let n = stream.read(&mut part).await.unwrap();
                request.extend_from_slice(&part[..n]);
            }
            kept.lock().unwrap().push(String::from_utf8(request).unwrap());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, seen)
}

#[tokio::test]
async fn webhooks_are_signed_repeated_and_kept_out_of_our_own_network() {
    let world = World::new("").await;
    let ann = world.patch("ann", ConsentState::Unsubscribed).await;
    let answers = vec![
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n",
        "HTTP/1.1 503 Busy\r\n\r\n",
    ];
    let (url, seen) = server(answers).await;
    let call = |node: &str, secret: &str| OutboxMessage {
        to: Some(url.clone()),
        variables: json!({"body": {"a": 1}, "secret": secret}).to_string(),
        ..world.message(ann, Channel::Webhook, node)
    };
    let setting = json!({"secrets": {"crm": "s3cret"}, "allow_private": true});
    let machine = || Arc::new(FixedClock(Timestamp(1_700_000_000 * Timestamp::SECOND)));
    let hooks = |setting: &serde_json::Value| Webhooks::new(Some(setting), machine()).unwrap();
    let with = |webhooks: Webhooks| Channels {
        email: Arc::new(world.taker.clone()),
        mobile: None,
        webhooks: Some(webhooks),
    };
    for (node, secret, setting, expected) in [
        ("a", "crm", &setting, "sent"),
        ("b", "crm", &setting, "failed webhook.redirect"),
        ("c", "crm", &setting, "failed gave_up"),
        ("d", "none", &setting, "failed webhook.secret"),
        ("e", "crm", &json!({"secrets": {"crm": "s3cret"}}), "failed webhook.private_address"),
    ] {
        world.store.insert_messages(vec![call(node, secret)]).await.unwrap();
        world.with(with(hooks(setting))).await;
        assert_eq!(world.states().await.last().unwrap(), expected, "{node}");
    }
    let request = seen.lock().unwrap()[0].clone();
    let id = MessageId::derive(1, ann.0 as u64, 1, "a", 1).to_string();
    let signature = delivery::webhook::sign(b"s3cret", &id, 1_700_000_000, b"{\"a\":1}");
    for part in [
        "POST /hook HTTP/1.1\r\n".to_owned(),
        format!("webhook-id: {id}\r\n"),
        "webhook-timestamp: 1700000000\r\n".to_owned(),
        format!("webhook-signature: v1,{signature}\r\n"),
        "\r\n\r\n{\"a\":1}".to_owned(),
    ] {
        assert!(request.contains(&part), "{part} in {request}");
    }
    assert!(world.events(ann).await.is_empty(), "a call is no message to the contact");
}
