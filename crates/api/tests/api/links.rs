//! Links of messages and pages for people.

mod attacks;
mod counting;
mod opt_in;
mod pages;

use std::sync::Arc;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use delivery::{LinkKind, Target, links::Link};
use model::{Channel, Consent, ConsentState, Contact, ContactId, Event, MessageId, Slug, Timestamp};
use storage::{
    consents::{ConsentEntry, ConsentStore},
    contacts::{ContactStore, IdentifierKind},
    events::EventStore,
    imports::{ContactPatch, ImportBatch, ImportStore},
    outbox::{MessageFilter, MessageRow, OutboxMessage, OutboxStore, Outcome, Recorded, SendPoint},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};

use crate::support::{Answer, Server};

/// Purposes of the tests' shop.
const PURPOSES: &str = "
newsletter:
  name: {en: Newsletter, fr: Lettre d'information}
  description: {en: Our news once a week, fr: Nos nouvelles chaque semaine}
  topics:
    promotions: {name: {en: Promotions, fr: Bons plans}}
care: {name: {en: Care, fr: Entretien}, enforcement: opt_out}
tips: {name: Tips, double_opt_in: false}
recalls: {name: {en: Recalls, fr: Rappels}, enforcement: none}
";

const SAFARI: &str =
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)";

fn slug(text: &str) -> Slug {
    Slug::purpose(text).unwrap()
}

/// A shop with a contact who got a mail.
struct Shop {
    server: Server,
    ann: ContactId,
    message: MessageId,
}

impl Shop {
    async fn new() -> Self {
        let server = Server::new();
        let db = &server.store.db;
        db.save_setting(policy::PURPOSES_SETTING.into(), PURPOSES.into()).await.unwrap();
        let branding = serde_json::json!({"name": "Lanternwick", "accent": "#1f6f5c"});
        db.save_setting(api::links::branding::SETTING.into(), branding).await.unwrap();
        let mail = "format: 1\ntemplate: mail\nlanguages: [en, fr]\nvariables: {name: text, item: {type: product, optional: true}}\n\
             subject: {en: 'Hello {{ name }}', fr: 'Bonjour {{ name }}'}\nblocks:\n\
             - {kind: header, text: Shop, view_in_browser: true}\n\
             - {kind: text, text: {en: '# Hello {{ name }}', fr: '# Bonjour {{ name }}'}}\n\
             - {kind: text, text: '{{ item.name }}'}\n\
             - {kind: button, text: Shop, link: 'https://shop.example/a?b=1'}\n\
             - {kind: footer, address: 'Shop, 1 Lane'}\n";
        let template =
            NewDefinition { kind: DefinitionKind::Template, slug: slug("mail"), content: mail.into() };
        db.save_definitions(vec![template], server.app.now()).await.unwrap();
        let mut shop = Self { server, ann: ContactId(0), message: MessageId([0; 16]) };
        shop.ann = shop.contact("ann@example.test", "en-GB").await;
        shop.message = shop.sent(shop.ann, "newsletter", Channel::Email).await;
        shop
    }

    async fn contact(&self, email: &str, locale: &str) -> ContactId {
        let mut batch = ImportBatch::new(self.server.app.now());
        batch.contacts.push(ContactPatch {
            email: Some(email.into()),
            phone: Some("+33612345678".into()),
            first_name: Some("Ann".into()),
            locale: Some(locale.into()),
            consents: vec![Consent {
                purpose: slug("newsletter"),
                state: ConsentState::Subscribed,
                at: self.server.app.now(),
                source: "import".into(),
                proof: "import:abc".into(),
            }],
            ..ContactPatch::default()
        });
        self.server.store.import(batch).await.unwrap();
        self.find(email).await.unwrap()
    }

    async fn find(&self, email: &str) -> Option<ContactId> {
        self.server.store.resolve(vec![(IdentifierKind::Email, email.to_owned())]).await.unwrap()[0]
    }

    async fn load(&self, contact: ContactId) -> Contact {
        self.server.store.load_contacts(vec![contact]).await.unwrap().remove(0)
    }

    async fn state(&self, contact: ContactId, purpose: &str) -> ConsentState {
        self.load(contact).await.consent(purpose)
    }

    async fn log(&self, contact: ContactId) -> Vec<ConsentEntry> {
        self.server.store.load_consent_log(contact).await.unwrap()
    }

    async fn messages(&self) -> Vec<MessageRow> {
        self.server.store.list_messages(MessageFilter::default(), 0, 1_000).await.unwrap()
    }

    async fn events(&self, contact: ContactId) -> Vec<Event> {
        self.server.store.load_events(vec![contact], vec![], Timestamp::MIN, Timestamp::MAX).await.unwrap()
    }

    fn message_to(&self, contact: ContactId, purpose: &str, channel: Channel, node: &str) -> OutboxMessage {
        let now = self.server.app.now();
        OutboxMessage {
            id: MessageId::derive(1, contact.0 as u64, 1, node, 1),
            contact,
            send: Arc::new(SendPoint {
                journey: slug("welcome"),
                journey_version: 1,
                run: 1,
                node: node.into(),
                channel,
                purpose: slug(purpose),
                transactional: purpose == "transactional",
                template: slug("mail"),
                template_version: 1,
            }),
            to: None,
            locale: None,
            variables: "{\"name\": \"Ann <b>\", \"item\": {\"name\": \"<script>alert(1)</script>\"}}".into(),
            decided_at: now,
            not_before: now,
            expires_at: None,
        }
    }

    /// A message that was handed over an hour ago.
    async fn sent(&self, contact: ContactId, purpose: &str, channel: Channel) -> MessageId {
        let message = self.message_to(contact, purpose, channel, &format!("{purpose}-{}", channel.word()));
        let id = message.id;
        let (db, now) = (&self.server.store.db, self.server.app.now());
        db.insert_messages(vec![message]).await.unwrap();
        let claimed = db.claim_messages(now, now, now.plus(1), 100).await.unwrap();
        let taken = |seq, attempt| Recorded { seq, attempt, outcome: Outcome::Sent { detail: "250".into() } };
        let outcomes = claimed.iter().map(|one| taken(one.seq, one.attempt)).collect();
        db.record_outcomes(now, outcomes).await.unwrap();
        self.server.clock.forward(Timestamp::HOUR);
        id
    }

    fn link(&self, kind: LinkKind, purpose: &str) -> Link {
        Link {
            kind,
            contact: self.ann,
            message: self.message,
            purpose: slug(purpose),
            issued_day: self.server.app.now().day_utc(),
        }
    }

    /// The path of a link of Ann's mail.
    fn path(&self, kind: LinkKind) -> String {
        self.path_of(&self.link(kind, "newsletter"))
    }

    fn path_of(&self, link: &Link) -> String {
        let url = self.server.app.links.url(link);
        url.strip_prefix("https://mail.shop.example").unwrap().to_owned()
    }

    fn click(&self, url: &str) -> String {
        let target = Target { message: self.message, push: false, name: "Shop".into(), url: url.to_owned() };
        let url = self.server.app.links.target_url(&target).unwrap();
        url.strip_prefix("https://mail.shop.example").unwrap().to_owned()
    }

    async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if headers.iter().all(|(name, _)| *name != "user-agent") {
            request = request.header("user-agent", SAFARI);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.server.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], "").await
    }

    async fn form(&self, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        self.request(Method::POST, path, &headers, body).await
    }
}

/// What every page must be.
fn check_page(answer: &Answer) {
    let html = answer.text();
    assert!(html.starts_with("<!doctype html>"), "{html}");
    let policy = answer.head.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; form-action 'self'"), "{policy}");
    assert_eq!(answer.head.headers["referrer-policy"], "no-referrer");
    for bad in ["<script", "<img", " style=", "onclick", "http://", "https://"] {
        assert!(!html.contains(bad), "{bad} in {html}");
    }
    for needed in ["<html lang=", "<title>", "<main>", "name=\"viewport\""] {
        assert!(html.contains(needed), "{needed} in {html}");
    }
    assert_eq!(html.matches("<h1>").count(), 1, "{html}");
    // Each box and field has its label.
    for part in html.split("<input ").skip(1) {
        let tag = part.split('>').next().unwrap();
        let attribute = |name: &str| {
            let rest = tag.split_once(&format!("{name}=\""))?.1;
            Some(rest.split_once('"')?.0.to_owned())
        };
        if attribute("type").as_deref() != Some("hidden") {
            let id = attribute("id").unwrap_or_else(|| panic!("{tag}"));
            assert!(html.contains(&format!("<label for=\"{id}\">")), "{tag}");
        }
        if let Some(about) = attribute("aria-describedby") {
            assert!(html.contains(&format!("id=\"{about}\"")), "{about}");
        }
    }
}

fn is_page(answer: &Answer, status: StatusCode, title: &str) {
    check_page(answer);
    let html = answer.text();
    assert_eq!(answer.status(), status, "{html}");
    assert!(html.contains(&format!("<h1>{title}</h1>")), "{title} in {html}");
}
