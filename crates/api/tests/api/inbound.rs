//! What mail services call: genuine and forged, new and replayed.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use api::{Config, inbound};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use delivery::fetch::{Fetcher, Resolve, Resolving};
use hmac::{Hmac, KeyInit, Mac};
use model::{AddressStatus, Channel, ConsentState, ContactId, MessageId, Slug, event::kind};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};
use sha2::Sha256;
use storage::{
    access::KeyScope,
    consents::{ConsentStep, ConsentStore},
    contacts::ContactStore,
    events::EventStore,
    imports::{ImportBatch, ImportStore},
    outbox::{
        AddressHash, MessageFilter, OutboxMessage, OutboxStore, Outcome, Recorded, SendPoint, Suppression,
        SuppressionReason, Witness,
    },
    post::{PostStore, ReportKind},
};
use testkit::block_on;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::support::{Answer, NOW, Server};

fn slug(text: &str) -> Slug {
    Slug::purpose(text).unwrap()
}

/// A contact with this address, and a message of this node that left for it.
pub async fn mailed(server: &Server, name: &str, node: &str) -> (ContactId, MessageId) {
    let now = server.app.now();
    let db = &server.store.db;
    let mut batch = ImportBatch::new(now);
    let mut patch = testkit::contact(name);
    patch.email = Some(format!("{name}@example.test"));
    patch.consents = vec![model::Consent {
        purpose: slug("newsletter"),
        state: ConsentState::Subscribed,
        at: now,
        source: "test".into(),
        proof: String::new(),
    }];
    batch.contacts.push(patch);
    db.import(batch).await.unwrap();
    let known = db.resolve(vec![(storage::contacts::IdentifierKind::ExternalId, name.to_owned())]).await;
    let contact = known.unwrap()[0].unwrap();
    let send = Arc::new(SendPoint {
        journey: slug("welcome"),
        journey_version: 1,
        run: 1,
        node: node.to_owned(),
        channel: Channel::Email,
        purpose: slug("newsletter"),
        transactional: false,
        template: slug("hello"),
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
        decided_at: now,
        not_before: now,
        expires_at: None,
    };
    db.insert_messages(vec![message]).await.unwrap();
    let claimed = db.claim_messages(now, now, now.plus_days(1), 10).await.unwrap();
    let claim = claimed.iter().find(|one| one.message.id == id).unwrap();
    let version = db.load_recipients(vec![contact], None).await.unwrap()[0].version;
    let witness = Witness {
        version,
        address: AddressHash::of(Channel::Email, &format!("{name}@example.test")),
        left: None,
        limits: Vec::new(),
        counts: false,
        once: false,
    };
    let handing = Outcome::HandingOver { witness: Some(Box::new(witness)), lease_until: None };
    for outcome in [handing, Outcome::Sent { detail: "250 ok".into() }] {
        let recorded = Recorded { seq: claim.seq, attempt: claim.attempt, outcome };
        assert!(db.record_outcomes(now, vec![recorded]).await.unwrap().is_empty());
    }
    (contact, id)
}

async fn suppression(server: &Server, name: &str) -> Option<Suppression> {
    let address = AddressHash::of(Channel::Email, &format!("{name}@example.test"));
    server.store.db.suppressions(vec![address], server.app.now()).await.unwrap().remove(0)
}

async fn reason(server: &Server, contact: ContactId) -> Option<String> {
    let filter = MessageFilter { contact: Some(contact), ..MessageFilter::default() };
    server.store.db.list_messages(filter, 0, 10).await.unwrap()[0].reason.clone()
}

async fn events(server: &Server, contact: ContactId, kind: &str) -> usize {
    let (since, until) = (model::Timestamp(0), model::Timestamp::MAX);
    server.store.db.load_events(vec![contact], vec![kind.into()], since, until).await.unwrap().len()
}

async fn call(server: &Server, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(Method::POST).uri(path);
    request = request.header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

fn server(inbound: inbound::Config) -> Server {
    Server::with(Config { inbound, ..Config::default() })
}

fn mailgun(key: &str, at: i64, token: &str, event: &Value) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("{at}{token}").as_bytes());
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"signature": {"timestamp": at.to_string(), "token": token, "signature": signature}, "event-data": event})
        .to_string()
}

#[test]
fn a_hard_bounce_is_believed_once_when_it_is_genuine_and_never_when_it_is_not() {
    block_on(async {
        let server = server(inbound::Config { mailgun_key: Some("k".into()), ..inbound::Config::default() });
        let (ann, id) = mailed(&server, "ann", "a").await;
        let event = json!({"event": "failed", "severity": "permanent", "recipient": "ann@example.test",
            "delivery-status": {"message": "550 5.1.1 <ann@example.test> unknown"}});
        let at = server.app.now().0 / 1_000_000;
        let forged = call(&server, "/inbound/mailgun", &[], &mailgun("x", at, "t", &event)).await;
        assert_eq!((forged.status(), forged.code().as_str()), (StatusCode::FORBIDDEN, "inbound.forged"));
        let stale = call(&server, "/inbound/mailgun", &[], &mailgun("k", at - 86_401, "t", &event)).await;
        assert_eq!((stale.status(), stale.code().as_str()), (StatusCode::FORBIDDEN, "inbound.stale"));
        assert_eq!(suppression(&server, "ann").await, None);
        let good = mailgun("k", at, "t", &event);
        let heard = call(&server, "/inbound/mailgun", &[], &good).await;
        assert_eq!((heard.status(), heard.json()["taken"].as_u64()), (StatusCode::OK, Some(1)));
        for _ in 0..2 {
            let again = call(&server, "/inbound/mailgun", &[], &good).await;
            assert_eq!((again.status(), again.json()["repeated"].as_u64()), (StatusCode::OK, Some(1)));
        }
        // Another call about the same message and kind changes nothing either.
        let twin = call(&server, "/inbound/mailgun", &[], &mailgun("k", at, "t2", &event)).await;
        assert_eq!(twin.json()["repeated"], 1);
        let found = suppression(&server, "ann").await.unwrap();
        assert_eq!((found.reason, found.until), (SuppressionReason::HardBounce, None));
        assert!(!found.detail.contains('@'), "the list holds no address: {}", found.detail);
        let contact = &server.store.db.load_contacts(vec![ann]).await.unwrap()[0];
        assert_eq!(contact.email_status, AddressStatus::Bounced);
        assert_eq!(events(&server, ann, kind::EMAIL_BOUNCED).await, 1);
        assert_eq!(reason(&server, ann).await.as_deref(), Some("bounce.hard"));
        let reports = server.store.db.load_reports(id).await.unwrap();
        assert_eq!(
            reports.iter().map(|one| (one.kind, one.source.as_str())).collect::<Vec<_>>(),
            [(ReportKind::Hard, "mailgun")]
        );
    });
}

#[test]
fn a_complaint_ends_the_purpose_and_the_address() {
    block_on(async {
        let config =
            inbound::Config { postmark_secret: Some("hook:s3cret".into()), ..inbound::Config::default() };
        let server = server(config);
        let (ann, id) = mailed(&server, "ann", "a").await;
        let event = json!({"RecordType": "SpamComplaint", "ID": 7, "Email": "ann@example.test"}).to_string();
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for wrong in ["", "Basic", &basic("hook:other"), "Bearer s3cret"] {
            let refused = call(&server, "/inbound/postmark", &[("authorization", wrong)], &event).await;
            assert_eq!(
                (refused.status(), refused.code().as_str()),
                (StatusCode::FORBIDDEN, "inbound.forged")
            );
        }
        let heard =
            call(&server, "/inbound/postmark", &[("authorization", &basic("hook:s3cret"))], &event).await;
        assert_eq!(heard.json()["taken"], 1, "{}", heard.text());
        assert_eq!(suppression(&server, "ann").await.unwrap().reason, SuppressionReason::Complaint);
        let contact = &server.store.db.load_contacts(vec![ann]).await.unwrap()[0];
        assert_eq!(contact.consent("newsletter"), ConsentState::Unsubscribed);
        assert_eq!(contact.consents[0].source, "complaint");
        assert!(contact.consents[0].proof.starts_with("report:postmark:"), "{}", contact.consents[0].proof);
        // The history of consents keeps who took it back, what, and by which report: after the yes, and once.
        let log = server.store.db.load_consent_log(ann).await.unwrap();
        let told: Vec<_> =
            log.iter().map(|entry| (entry.purpose.as_str(), entry.step, entry.source.as_str())).collect();
        let yes = ("newsletter", ConsentStep::Subscribed, "test");
        assert_eq!(told, [yes, ("newsletter", ConsentStep::Unsubscribed, "complaint")]);
        assert_eq!(log[1].proof, format!("report:postmark:{id}"));
        let again =
            call(&server, "/inbound/postmark", &[("authorization", &basic("hook:s3cret"))], &event).await;
        assert_eq!(again.json()["repeated"], 1, "{}", again.text());
        let owner = server.key(KeyScope::Admin).await;
        let exported = server.get(&owner, "/api/v1/contacts/ann/export").await.json();
        let history = exported["consent_history"].as_array().unwrap();
        assert_eq!(history.len(), 2, "{exported}");
        assert_eq!(
            (&history[1]["step"], &history[1]["source"]),
            (&json!("unsubscribed"), &json!("complaint"))
        );
        for kind in [kind::EMAIL_COMPLAINED, kind::UNSUBSCRIBED] {
            assert_eq!(events(&server, ann, kind).await, 1, "{kind}");
        }
        assert_eq!(reason(&server, ann).await.as_deref(), Some("complaint"));
    });
}

#[test]
fn soft_bounces_pause_and_a_delivery_ends_the_row() {
    block_on(async {
        let server = server(inbound::Config { brevo_secret: Some("s".into()), ..inbound::Config::default() });
        let send = async |node: &str, event: &str| {
            mailed(&server, "ann", node).await;
            server.clock.forward(60_000_000);
            let body = json!({"event": event, "email": "ann@example.test", "ts_event": server.app.now().0 / 1_000_000});
            let heard =
                call(&server, "/inbound/brevo", &[("authorization", "Bearer s")], &body.to_string()).await;
            assert_eq!(heard.json()["taken"], 1, "{}", heard.text());
        };
        for node in ["a", "b"] {
            send(node, "soft_bounce").await;
        }
        send("c", "delivered").await;
        for node in ["d", "e"] {
            send(node, "soft_bounce").await;
            assert_eq!(suppression(&server, "ann").await, None, "{node}");
        }
        send("f", "soft_bounce").await;
        let found = suppression(&server, "ann").await.unwrap();
        assert_eq!(found.reason, SuppressionReason::SoftBounces);
        assert_eq!(found.until, Some(server.app.now().plus_days(7)));
    });
}

#[test]
fn items_of_a_call_are_taken_one_by_one_and_rubbish_is_counted() {
    block_on(async {
        let server = server(inbound::Config { brevo_secret: Some("s".into()), ..inbound::Config::default() });
        mailed(&server, "ann", "a").await;
        let list = json!([
            {"event": "unsubscribed", "email": "ann@example.test"},
            {"event": "click", "email": "ann@example.test"},
            {"event": "hard_bounce", "email": "no address"},
            17,
            {"event": "hard_bounce", "email": "stranger@example.test"},
        ]);
        let heard =
            call(&server, "/inbound/brevo", &[("authorization", "Bearer s")], &list.to_string()).await;
        let said = heard.json();
        let counts = ["taken", "repeated", "unknown", "ignored", "unreadable"]
            .map(|name| said[name].as_u64().unwrap());
        assert_eq!(counts, [2, 0, 0, 1, 2], "{said}");
        assert_eq!(suppression(&server, "stranger").await.unwrap().reason, SuppressionReason::HardBounce);
        let bad = call(&server, "/inbound/brevo", &[("authorization", "Bearer s")], "{").await;
        assert_eq!((bad.status(), bad.code().as_str()), (StatusCode::BAD_REQUEST, "inbound.body"));
        let huge = "x".repeat(3 * 1024 * 1024);
        let huge = call(&server, "/inbound/brevo", &[("authorization", "Bearer s")], &huge).await;
        assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
    });
}

#[test]
fn a_service_without_a_key_is_not_heard() {
    block_on(async {
        let server = Server::new();
        for service in ["ses", "sendgrid", "mailgun", "postmark", "brevo"] {
            let answer = call(&server, &format!("/inbound/{service}"), &[], "{}").await;
            let refused = (answer.status(), answer.code());
            assert_eq!(refused, (StatusCode::FORBIDDEN, "inbound.not_configured".to_owned()), "{service}");
        }
    });
}

/// Leads every name to one place, and remembers the names.
struct Detour(SocketAddr, Mutex<Vec<String>>);

impl Resolve for Detour {
    fn resolve<'a>(&'a self, host: &'a str, _: u16) -> Resolving<'a> {
        self.1.lock().unwrap().push(host.to_owned());
        Box::pin(std::future::ready(io::Result::Ok(vec![self.0])))
    }
}

/// A server that claims to be SNS in Ireland, and what it was asked for.
async fn sns() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let chain = vec![CertificateDer::from_pem_slice(include_bytes!("../data/sns-tls.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../data/sns-tls.key")).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let memory = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).await.unwrap_or_default();
            let line = String::from_utf8_lossy(&request[..n]).lines().next().unwrap_or_default().to_owned();
            memory.lock().unwrap().push(line);
            let body = include_str!("../data/sns-sign.pem");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            drop(stream.write_all(answer.as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    (address, asked)
}

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:ses-events";

/// A call of SNS, signed.
fn signed(mut call: Value) -> String {
    let fields: &[&str] = if call["Type"] == "Notification" {
        &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    } else {
        &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    };
    let text: String =
        fields.iter().filter_map(|name| Some(format!("{name}\n{}\n", call[*name].as_str()?))).collect();
    let der = PrivateKeyDer::from_pem_slice(include_bytes!("../data/sns-sign.key")).unwrap();
    let pair = RsaKeyPair::from_pkcs8(der.secret_der()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    call["SignatureVersion"] = json!("2");
    call["Signature"] = json!(STANDARD.encode(signature));
    call.to_string()
}

fn notification(id: &str, said: &Value) -> Value {
    json!({
        "Type": "Notification", "MessageId": id, "TopicArn": TOPIC, "Message": said.to_string(), "Timestamp": NOW,
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
    })
}

#[test]
fn ses_is_believed_by_the_certificate_of_sns_alone() {
    block_on(async {
        let (address, asked) = sns().await;
        let detour = Arc::new(Detour(address, Mutex::default()));
        let fetcher = Fetcher::new(Some(include_bytes!("../data/ca.pem"))).unwrap();
        let fetcher = fetcher.allowing_private(true).resolving(Arc::<Detour>::clone(&detour));
        let config = inbound::Config {
            ses_topics: vec![TOPIC.to_owned()],
            fetcher: Some(fetcher),
            ..inbound::Config::default()
        };
        let server = server(config);
        let (ann, id) = mailed(&server, "ann", "a").await;
        let token = delivery::post::token::of(&server.app.links, id);
        let said = json!({
            "notificationType": "Bounce",
            "bounce": {"bounceType": "Permanent", "bounceSubType": "General", "timestamp": NOW, "bouncedRecipients": [
                {"emailAddress": "ann@example.test", "status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 unknown"}]},
            "mail": {"headers": [{"name": "X-Relance-Message", "value": token}], "destination": ["ann@example.test"]},
        });
        let good = notification("n1", &said);
        for (change, value) in [
            ("TopicArn", "arn:aws:sns:eu-west-1:999999999999:theirs"),
            ("SigningCertURL", "https://evil.example/x.pem"),
            ("SigningCertURL", "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem"),
            ("SigningCertURL", "http://169.254.169.254/latest/x.pem"),
            ("Type", "Other"),
        ] {
            let mut call_ = good.clone();
            call_[change] = json!(value);
            let refused = call(&server, "/inbound/ses", &[], &signed(call_)).await;
            assert_eq!(
                (refused.status(), refused.code().as_str()),
                (StatusCode::FORBIDDEN, "inbound.forged")
            );
        }
        assert!(asked.lock().unwrap().is_empty(), "nothing is fetched for a call that cannot be genuine");
        let mut changed: Value = serde_json::from_str(&signed(good.clone())).unwrap();
        changed["Message"] = json!(said.to_string().replace("ann@", "eve@"));
        let refused = call(&server, "/inbound/ses", &[], &changed.to_string()).await;
        assert_eq!((refused.status(), refused.code().as_str()), (StatusCode::FORBIDDEN, "inbound.forged"));
        let mut old = good.clone();
        old["Timestamp"] = json!("2026-10-01T00:00:00Z");
        let refused = call(&server, "/inbound/ses", &[], &signed(old)).await;
        assert_eq!(refused.code(), "inbound.stale");
        assert_eq!(suppression(&server, "ann").await, None);
        let heard = call(&server, "/inbound/ses", &[], &signed(good.clone())).await;
        assert_eq!(heard.json()["taken"], 1, "{}", heard.text());
        let again = call(&server, "/inbound/ses", &[], &signed(good)).await;
        assert_eq!(again.json()["repeated"], 1);
        assert_eq!(suppression(&server, "ann").await.unwrap().reason, SuppressionReason::HardBounce);
        assert_eq!(events(&server, ann, kind::EMAIL_BOUNCED).await, 1);
        // A subscription is confirmed, at SNS and nowhere else.
        let confirm = |url: &str| {
            json!({"Type": "SubscriptionConfirmation", "MessageId": "s", "TopicArn": TOPIC, "Token": "t", "Message": "m",
                "Timestamp": NOW, "SubscribeURL": url,
                "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"})
        };
        let before = asked.lock().unwrap().len();
        let away = signed(confirm("https://evil.example/?Action=ConfirmSubscription"));
        assert_eq!(call(&server, "/inbound/ses", &[], &away).await.status(), StatusCode::OK);
        assert_eq!(asked.lock().unwrap().len(), before);
        let home = signed(confirm("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"));
        assert_eq!(call(&server, "/inbound/ses", &[], &home).await.status(), StatusCode::OK);
        assert!(
            asked.lock().unwrap().last().unwrap().starts_with("GET /?Action=ConfirmSubscription&Token=t ")
        );
        assert!(detour.1.lock().unwrap().iter().all(|host| host == "sns.eu-west-1.amazonaws.com"));
    });
}
