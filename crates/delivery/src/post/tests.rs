//! Mails that servers and mailbox providers send back, written after the standards and the habits of servers.

use model::MessageId;
use storage::post::ReportKind;

use super::*;
use crate::links::Keys;

fn links() -> Links {
    Links::new("https://mail.shop.example", Keys::new([7; 32])).unwrap()
}

fn id() -> MessageId {
    MessageId::derive(1, 42, 1, "mail", 1)
}

fn header() -> String {
    format!("{}: {}", token::HEADER, token::of(&links(), id()))
}

/// A notification with these fields of the recipient, returning these headers.
fn dsn(fields: &str, returned: &str) -> String {
    format!(
        "From: Mail Delivery System <MAILER-DAEMON@mx.example.test>\nTo: bounces@shop.example\nSubject: Undelivered\n\
         MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"b1\"\n\n\
         --b1\nContent-Type: text/plain\n\nYour mail did not arrive.\n\n\
         --b1\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.test\n\
         Arrival-Date: Mon, 2 Nov 2026 10:00:00 +0000\n\n{fields}\n\n\
         --b1\nContent-Type: text/rfc822-headers\n\nFrom: news@shop.example\n{returned}\nSubject: Hello\n\n--b1--\n"
    )
    .replace('\n', "\r\n")
}

fn report(mail: &str) -> Option<(&'static str, ReportKind, String)> {
    match read(mail.as_bytes(), &["bounces@shop.example".to_owned()], &links()) {
        Reading::Report { message, source, notice } => {
            assert_eq!(message, id());
            Some((source, notice.kind, notice.status))
        }
        _ => None,
    }
}

#[test]
fn notifications_say_what_became_of_the_mail() {
    use ReportKind::{Delivered, Hard, Soft};
    let recipient = "Final-Recipient: rfc822; ann@example.test\n";
    for (fields, expected) in [
        ("Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 unknown", Some((Hard, "5.1.1"))),
        ("Action: failed\nStatus: 5.2.2\nDiagnostic-Code: smtp; 552 full", Some((Soft, "5.2.2"))),
        ("Action: failed\nStatus: 4.4.1 (no answer)", Some((Soft, "4.4.1"))),
        (
            "Action: FAILED (bounce)\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550\n no such\n user",
            Some((Hard, "5.0.0")),
        ),
        ("Action: failed\nDiagnostic-Code: smtp; 550 5.7.1 policy", Some((Soft, "5.7.1"))),
        ("Action: delayed\nStatus: 4.4.1\nWill-Retry-Until: tomorrow", None),
        ("Action: relayed\nStatus: 2.1.9", None),
        ("Action: delivered\nStatus: 2.0.0", Some((Delivered, "2.0.0"))),
        ("Status: 5.1.1", None),
    ] {
        let said = report(&dsn(&format!("{recipient}{fields}"), &header()));
        let expected = expected.map(|(kind, status)| ("dsn", kind, status.to_owned()));
        assert_eq!(said, expected, "{fields}");
    }
    let two =
        format!("{recipient}Action: delivered\nStatus: 2.0.0\n\n{recipient}Action: failed\nStatus: 5.1.1");
    assert_eq!(report(&dsn(&two, &header())).unwrap().1, Hard, "the worst counts");
}

#[test]
fn the_message_is_named_by_the_address_or_by_what_is_returned() {
    let fields = "Action: failed\nStatus: 5.1.1";
    let to = token::return_path(&links(), id(), "bounces@shop.example");
    let mail = dsn(fields, "");
    let by_address = read(mail.as_bytes(), &["other@shop.example".into(), to], &links());
    assert!(matches!(by_address, Reading::Report { message, .. } if message == id()), "{by_address:?}");
    // The whole mail is returned, in a part of its own, encoded.
    let inner = format!("From: news@shop.example\r\n{}\r\n\r\nHello", header());
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &inner);
    let mail = dsn(fields, "")
        .replace(
            "Content-Type: text/rfc822-headers",
            "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64",
        )
        .replace("From: news@shop.example\r\n\r\nSubject: Hello\r\n", &encoded);
    assert_eq!(report(&mail).unwrap().1, ReportKind::Hard, "{mail}");
}

#[test]
fn a_forged_bounce_is_known_as_one() {
    let fields = "Final-Recipient: rfc822; victim@example.test\nAction: failed\nStatus: 5.1.1";
    let message_id = crate::mime::message_id(id(), Timestamp(1), "shop.example");
    let other = Links::new("https://mail.shop.example", Keys::new([8; 32])).unwrap();
    for returned in [
        String::new(),
        format!("Message-ID: <{message_id}>"),
        format!("{}: {}{}", token::HEADER, id(), "0".repeat(16)),
        format!("{}: {}", token::HEADER, token::of(&other, id())),
    ] {
        let mail = dsn(fields, &returned);
        assert_eq!(
            read(mail.as_bytes(), &[format!("b+{}@shop.example", "0".repeat(48))], &links()),
            Reading::Forged
        );
    }
}

#[test]
fn complaints_say_what_the_reader_wants() {
    let arf = |kind: &str| {
        format!(
            "From: feedback@isp.example\nTo: fbl@shop.example\nSubject: FW\nMIME-Version: 1.0\n\
             Content-Type: multipart/report; report-type=feedback-report; boundary=b2\n\n\
             --b2\nContent-Type: text/plain\n\nThis is a report.\n\
             --b2\nContent-Type: message/feedback-report\n\nFeedback-Type: {kind}\nUser-Agent: Loop/1.0\nVersion: 1\n\
             Original-Rcpt-To: ann@example.test\n\n\
             --b2\nContent-Type: message/rfc822\n\nFrom: news@shop.example\n{}\n\nHello\n--b2--\n",
            header()
        )
    };
    for (kind, expected) in [
        ("abuse", Some(ReportKind::Complaint)),
        ("Fraud", Some(ReportKind::Complaint)),
        ("opt-out", Some(ReportKind::Unsubscribed)),
        ("not-spam", None),
        ("auth-failure", None),
    ] {
        let said = report(&arf(kind));
        assert_eq!(said.as_ref().map(|(_, kind, _)| *kind), expected, "{kind}");
        assert!(said.is_none_or(|(source, _, status)| (source, status) == ("arf", kind.to_lowercase())));
    }
}

#[test]
fn bounces_without_a_standard_are_read_by_their_words() {
    let mail = |from: &str, more: &str, text: &str| {
        format!(
            "From: {from}\nTo: bounces@shop.example\nSubject: failure notice\n{more}\n{text}\n\n--- below\n{}\n",
            header()
        )
    };
    let qmail = "Hi. This is the program at mx.example.test.\nI could not deliver your message.\n\n<ann@example.test>:\n\
                 192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 unknown user\nGiving up on 192.0.2.1.";
    let said = report(&mail("MAILER-DAEMON@mx.example.test", "", qmail)).unwrap();
    assert_eq!(said, ("bounce", ReportKind::Hard, "5.1.1".to_owned()));
    let full = "The following message was not delivered:\n  552 mailbox full";
    assert_eq!(report(&mail("postmaster@mx.example.test", "", full)).unwrap().1, ReportKind::Soft);
    let exim = "A message that you sent could not be delivered.\n  ann@example.test\n    Unrouteable address";
    let header = "X-Failed-Recipients: ann@example.test\n";
    assert_eq!(report(&mail("Mail <x@mx.example.test>", header, exim)).unwrap().1, ReportKind::Soft);
    for (from, more, text) in [
        ("ann@example.test", "Auto-Submitted: auto-replied\n", "I am away until 5.1.2027, room 550."),
        ("ann@example.test", "", "550 user unknown"),
        ("postmaster@mx.example.test", "", "We have news."),
        ("mailer-daemon@mx.example.test", "", "451 4.4.1 no answer\nIt will be retried for 5 days."),
    ] {
        assert_eq!(report(&mail(from, more, text)), None, "{text}");
    }
}

#[test]
fn sizes_and_rubbish() {
    let links = links();
    let mut mail = dsn("Action: failed\nStatus: 5.1.1", &header()).into_bytes();
    mail.resize(MAIL_MAX, b' ');
    assert!(matches!(read(&mail, &[], &links), Reading::Report { .. }));
    mail.push(b' ');
    assert_eq!(read(&mail, &[], &links), Reading::Unreadable);
    for rubbish in
        [&b""[..], b"\xff\xfe\x00", b"Content-Type: multipart/report; boundary=\"\"\r\n\r\n--\r\n----"]
    {
        assert!(matches!(read(rubbish, &[], &links), Reading::Nothing | Reading::Unreadable));
    }
    let evil = dsn("Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 a\x1bb\x07c", &header());
    let Reading::Report { notice, .. } = read(evil.as_bytes(), &[], &links) else { panic!("no report") };
    assert!(!notice.detail.chars().any(char::is_control), "{:?}", notice.detail);
    // Mails in mails in mails: read or not, it ends.
    let mut deep = String::from("Subject: core\r\n\r\nx");
    for _ in 0..200 {
        deep = format!("Content-Type: message/rfc822\r\n\r\n{deep}");
    }
    let _ = read(deep.as_bytes(), &[], &links);
}
