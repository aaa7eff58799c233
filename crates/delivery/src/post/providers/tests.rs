//! Calls as mail services make them.

use hmac::{Hmac, KeyInit, Mac};
use model::MessageId;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::json;

use super::*;
use crate::links::Keys;

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

fn links() -> Links {
    Links::new("https://mail.shop.example", Keys::new([7; 32])).unwrap()
}

fn id() -> MessageId {
    MessageId::derive(1, 42, 1, "mail", 1)
}

fn message_id() -> String {
    format!("<{}>", mime::message_id(id(), Timestamp(1_789_000_000_000_000), "shop.example"))
}

/// Kind, and whether it names our message.
fn told(heard: &Heard) -> Vec<(ReportKind, bool)> {
    heard.reports.iter().map(|one| (one.kind, one.about == About::Message(id()))).collect()
}

#[test]
fn sendgrid_signs_and_says_what_became_of_mails() {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let mut info = vec![0_u8; 26];
    info.extend_from_slice(pair.public_key().as_ref());
    let key = sendgrid::key(&STANDARD.encode(&info)).unwrap();
    let body = json!([
        {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 unknown", "email": "ann@example.test",
         "smtp-id": message_id(), "sg_event_id": "a", "timestamp": 1_789_999_000},
        {"event": "bounce", "type": "blocked", "status": "5.7.1", "email": "ann@example.test", "sg_event_id": "b"},
        {"event": "dropped", "reason": "Spam Reporting Address", "email": "ann@example.test", "sg_event_id": "c"},
        {"event": "spamreport", "email": "ann@example.test", "smtp-id": message_id(), "sg_event_id": "d"},
        {"event": "open", "email": "ann@example.test", "sg_event_id": "e"},
        {"event": "delivered", "email": "not an address", "sg_event_id": "f"},
        "rubbish",
    ])
    .to_string();
    let at = "1790000000";
    let sign = |at: &str, body: &str| {
        STANDARD.encode(pair.sign(&random, format!("{at}{body}").as_bytes()).unwrap().as_ref())
    };
    let good = sign(at, &body);
    assert_eq!(sendgrid::verify(&key, (Some(&good), Some(at)), body.as_bytes(), NOW), Ok(()));
    for (signature, at, text) in [
        (Some(good.as_str()), Some(at), format!("{body} ")),
        (Some(&good), Some("1790000001"), body.clone()),
        (None, Some(at), body.clone()),
        (Some("AAAA"), Some(at), body.clone()),
    ] {
        let refused = sendgrid::verify(&key, (signature, at), text.as_bytes(), NOW).unwrap_err();
        assert_eq!(refused.code, "inbound.forged");
    }
    let old = "1789900000";
    let stale = sendgrid::verify(&key, (Some(&sign(old, &body)), Some(old)), body.as_bytes(), NOW);
    assert_eq!(stale.unwrap_err().code, "inbound.stale");
    let heard = sendgrid::read(&links(), body.as_bytes(), NOW).unwrap();
    use ReportKind::{Complaint, Hard, Soft};
    assert_eq!(told(&heard), [(Hard, true), (Soft, false), (Complaint, false), (Complaint, true)]);
    assert_eq!((heard.ignored, heard.unreadable), (1, 2));
    assert_eq!(heard.reports[0].once.as_deref(), Some("sendgrid:a"));
    assert_eq!(heard.reports[0].at, Timestamp(1_789_999_000_000_000));
    assert_eq!(heard.reports[1].about, About::Address("ann@example.test".into()));
    for bad in ["", "AAAA", &STANDARD.encode([4_u8; 90])] {
        assert_eq!(sendgrid::key(bad).unwrap_err().code, "inbound.key");
    }
}

fn mailgun(key: &str, at: i64, token: &str, event: &Value) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("{at}{token}").as_bytes());
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"signature": {"timestamp": at.to_string(), "token": token, "signature": signature}, "event-data": event})
        .to_string()
}

#[test]
fn mailgun_signs_instant_and_token() {
    let at = NOW.0 / Timestamp::SECOND;
    let event = |name: &str, severity: &str, reason: &str, words: &str| {
        json!({"event": name, "severity": severity, "reason": reason, "recipient": "ann@example.test",
               "message": {"headers": {"message-id": message_id().trim_matches(['<', '>'])}},
               "delivery-status": {"code": 550, "message": words}})
    };
    use ReportKind::{Complaint, Delivered, Hard, Soft, Unsubscribed};
    for (event, expected) in [
        (event("delivered", "", "", ""), Some(Delivered)),
        (event("failed", "permanent", "bounce", "5.1.1 no such user"), Some(Hard)),
        (event("failed", "permanent", "suppress-bounce", "Not delivering"), Some(Hard)),
        (event("failed", "permanent", "generic", "5.7.1 blocked"), Some(Soft)),
        (event("failed", "temporary", "generic", "4.2.2 full"), None),
        (event("complained", "", "", ""), Some(Complaint)),
        (event("unsubscribed", "", "", ""), Some(Unsubscribed)),
        (event("opened", "", "", ""), None),
    ] {
        let heard = mailgun::read("k", &links(), mailgun("k", at, "t", &event).as_bytes(), NOW).unwrap();
        assert_eq!(told(&heard).first().copied(), expected.map(|kind| (kind, true)), "{event}");
    }
    let event = event("complained", "", "", "");
    for (key, body) in [
        ("other", mailgun("k", at, "t", &event)),
        ("", mailgun("", at, "t", &event)),
        ("k", mailgun("k", at, "", &event)),
        ("k", json!({"event-data": event}).to_string()),
        ("k", mailgun("k", at, "t", &event).replace("\"token\":\"t\"", "\"token\":\"u\"")),
    ] {
        let refused = mailgun::read(key, &links(), body.as_bytes(), NOW).unwrap_err();
        assert_eq!(refused.code, "inbound.forged", "{body}");
    }
    let edge = |age: i64| mailgun::read("k", &links(), mailgun("k", at - age, "t", &event).as_bytes(), NOW);
    let day = OLD_MAX / Timestamp::SECOND;
    assert!(edge(day).is_ok() && edge(-AHEAD_MAX / Timestamp::SECOND).is_ok());
    for age in [day + 1, -AHEAD_MAX / Timestamp::SECOND - 1] {
        assert_eq!(edge(age).unwrap_err().code, "inbound.stale");
    }
    assert_eq!(mailgun::read("k", &links(), b"{", NOW).unwrap_err().code, "inbound.body");
}

#[test]
fn secrets_are_compared_whole() {
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    for (header, secret, good) in [
        ("Bearer s3cret".to_owned(), "s3cret", true),
        (basic("postmark:s3cret"), "s3cret", true),
        (basic("postmark:s3cret"), "postmark:s3cret", true),
        (basic("other:s3cret"), "postmark:s3cret", false),
        ("Bearer s3cre".to_owned(), "s3cret", false),
        ("Bearer ".to_owned(), "", false),
        ("s3cret".to_owned(), "s3cret", false),
    ] {
        assert_eq!(check_secret(Some(&header), secret).is_ok(), good, "{header}");
    }
    assert!(check_secret(None, "s3cret").is_err());
}

#[test]
fn postmark_and_brevo_say_what_became_of_mails() {
    use ReportKind::{Complaint, Delivered, Hard, Soft, Unsubscribed};
    let token = token::of(&links(), id());
    for (event, expected) in [
        (
            json!({"RecordType": "Bounce", "Type": "HardBounce", "ID": 1, "Email": "ann@example.test",
                "Metadata": {"relance_message": token}, "BouncedAt": "2026-09-21T10:00:00Z"}),
            Some((Hard, true)),
        ),
        (
            json!({"RecordType": "Bounce", "Type": "Transient", "ID": 2, "Email": "ann@example.test"}),
            Some((Soft, false)),
        ),
        (
            json!({"RecordType": "Bounce", "Type": "AutoResponder", "ID": 3, "Email": "ann@example.test"}),
            None,
        ),
        (
            json!({"RecordType": "SpamComplaint", "ID": 4, "Email": "ann@example.test"}),
            Some((Complaint, false)),
        ),
        (
            json!({"RecordType": "Delivery", "Recipient": "ann@example.test", "MessageID": "m"}),
            Some((Delivered, false)),
        ),
        (
            json!({"RecordType": "SubscriptionChange", "Recipient": "ann@example.test", "SuppressSending": true,
                "SuppressionReason": "ManualSuppression"}),
            Some((Unsubscribed, false)),
        ),
        (
            json!({"RecordType": "SubscriptionChange", "Recipient": "ann@example.test", "SuppressSending": false}),
            None,
        ),
        (json!({"RecordType": "Open"}), None),
    ] {
        let heard = postmark::read(&links(), event.to_string().as_bytes(), NOW).unwrap();
        assert_eq!(told(&heard).first().copied(), expected, "{event}");
        assert!(heard.reports.iter().all(|one| one.once.is_some()));
    }
    let brevo = json!([
        {"event": "hard_bounce", "email": "ann@example.test", "message-id": message_id(), "ts_event": 1_789_999_999},
        {"event": "soft_bounce", "email": "ann@example.test"},
        {"event": "spam", "email": "ann@example.test", "message-id": message_id()},
        {"event": "unsubscribed", "email": "ann@example.test"},
        {"event": "click", "email": "ann@example.test"},
    ]);
    let heard = brevo::read(&links(), brevo.to_string().as_bytes(), NOW).unwrap();
    assert_eq!(told(&heard), [(Hard, true), (Soft, false), (Complaint, true), (Unsubscribed, false)]);
    let many = json!(vec![json!({"event": "click"}); EVENTS_MAX + 1]).to_string();
    assert_eq!(brevo::read(&links(), many.as_bytes(), NOW).unwrap_err().code, "inbound.too_many");
}

#[test]
fn only_certificates_of_sns_are_fetched() {
    for good in [
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-abc.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/x.pem",
    ] {
        assert!(ses::is_of_sns(good), "{good}");
    }
    for bad in [
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://sns.evil.example/x.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/x.pem",
        "https://evil.example@sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com:444/x.pem",
        "https://sns.a.b.amazonaws.com/x.pem",
        "https://sns..amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com",
        "https://sns.eu-west-1.amazonaws.com\\@evil.example/x.pem",
        "https://s3.amazonaws.com/sns/x.pem",
    ] {
        assert!(!ses::is_of_sns(bad), "{bad}");
    }
}
