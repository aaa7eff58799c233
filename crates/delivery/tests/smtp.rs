//! The SMTP lane against a server that does what the recipient's name says.

mod support;

use std::{sync::Arc, time::Duration};

use delivery::{Answer, Lane, Mail, Smtp, SmtpConfig, Transport};
use model::{ContactId, Slug, Timestamp};
use storage::outbox::{Channel, MessageId, SendPoint};
use support::{Manners, Sink};

fn mail(to: &str, body: &str) -> Mail {
    let slug = |text: &str| Slug::parse(text).unwrap();
    Mail {
        id: MessageId::derive(1, 1, 1, to, 1),
        send: Arc::new(SendPoint {
            journey: slug("j"),
            journey_version: 1,
            run: 1,
            node: "n".into(),
            channel: Channel::Email,
            purpose: slug("newsletter"),
            transactional: false,
            template: slug("t"),
            template_version: 1,
        }),
        contact: ContactId(1),
        to_name: String::new(),
        to: to.into(),
        decided_at: Timestamp(0),
        date: Timestamp(0),
        locale: "en".into(),
        subject: "s".into(),
        html: String::new(),
        text: String::new(),
        bytes: body.as_bytes().to_vec(),
        signed_with: None,
    }
}

fn smtp(url: &str, change: impl Fn(&mut SmtpConfig)) -> Smtp {
    let mut config = SmtpConfig::parse(url, |_| Err(std::io::Error::other("none"))).unwrap();
    config.timeout = Duration::from_secs(20);
    config.connect_tries = 1;
    change(&mut config);
    Smtp::new(config, "bounce@shop.example".into()).unwrap()
}

async fn answers(manners: Manners, recipients: &[&str]) -> (Vec<Answer>, Sink) {
    let sink = Sink::start(manners).await;
    let mut lane = smtp(&sink.url(), |_| {}).lane();
    let mut answers = Vec::new();
    for to in recipients {
        answers.push(lane.hand_over(&mail(to, "Subject: s\r\n\r\nhello\r\n")).await);
    }
    lane.close().await;
    (answers, sink)
}

fn word(answer: &Answer) -> String {
    match answer {
        Answer::Taken { .. } => "taken".into(),
        Answer::Temporary { reason, .. } => format!("temporary {reason}"),
        Answer::Permanent { reason, bounce: None, .. } => format!("permanent {reason}"),
        Answer::Permanent { .. } => "no mailbox".into(),
        Answer::Doubtful { .. } => "doubtful".into(),
        Answer::Unavailable { reason, .. } => format!("unavailable {reason}"),
    }
}

#[tokio::test]
async fn each_refusal_is_about_its_mail_alone_with_and_without_pipelining() {
    for pipelining in [true, false] {
        let recipients = [
            "ok@x.test",
            "hard@x.test",
            "ok2@x.test",
            "soft@x.test",
            "refused@x.test",
            "late@x.test",
            "ok3@x.test",
            "drop@x.test",
            "ok4@x.test",
            "cut@x.test",
            "ok5@x.test",
        ];
        let (answers, sink) = answers(Manners { pipelining, ..Manners::default() }, &recipients).await;
        let words: Vec<String> = answers.iter().map(word).collect();
        assert_eq!(
            words,
            [
                "taken",
                "no mailbox",
                "taken",
                "temporary smtp.4xx",
                "permanent smtp.5xx",
                "permanent smtp.5xx",
                "taken",
                "doubtful",
                "taken",
                "temporary smtp.connection",
                "taken"
            ],
            "pipelining {pipelining}"
        );
        let Answer::Permanent { detail, .. } = &answers[1] else { unreachable!() };
        assert_eq!(detail, "550 5.1.1 no such user here");
        assert_eq!(sink.taken().len(), 6, "the dropped one was taken as well");
        assert_eq!(sink.taken()[0].from, "bounce@shop.example");
        // A used connection that dies is tried once more on a new one.
        assert_eq!((sink.connections(), sink.tries("cut@x.test")), (4, 2));
    }
}

#[tokio::test]
async fn dots_and_long_contents_arrive_unchanged() {
    let sink = Sink::start(Manners::default()).await;
    let mut lane = smtp(&sink.url(), |_| {}).lane();
    let body = format!("Subject: s\r\n\r\n.\r\n..\r\n.dot\r\nx.\r\n{}\r\n", "line\r\n".repeat(50_000));
    assert_eq!(word(&lane.hand_over(&mail("ok@x.test", &body)).await), "taken");
    assert_eq!(sink.taken()[0].data, body);
}

#[tokio::test]
async fn a_server_that_closes_after_some_mails_gets_the_rest_on_new_connections() {
    let manners = Manners { mails_per_connection: Some(2), ..Manners::default() };
    let (answers, sink) =
        answers(manners, &["a@x.test", "b@x.test", "c@x.test", "d@x.test", "e@x.test"]).await;
    assert!(answers.iter().all(|answer| word(answer) == "taken"), "{answers:?}");
    assert_eq!((sink.connections(), sink.taken().len()), (3, 5));
}

#[tokio::test]
async fn a_server_that_wants_nothing_from_us_is_unavailable_and_no_mail_is_blamed() {
    let table = [
        (Manners { greeting: "554 5.7.1 go away", ..Manners::default() }, "unavailable smtp.greeting"),
        (
            Manners { sender: Some("550 5.7.1 unknown sender"), ..Manners::default() },
            "unavailable smtp.sender",
        ),
        (Manners { login: Some(("u", "p")), ..Manners::default() }, "unavailable smtp.sender"),
    ];
    for (manners, expected) in table {
        let (answers, sink) = answers(manners, &["ok@x.test"]).await;
        assert_eq!(word(&answers[0]), expected);
        assert!(sink.taken().is_empty());
    }
    // Nobody listens.
    let sink = Sink::start(Manners::default()).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut lane = smtp(&format!("smtp://{free}"), |_| {}).lane();
    let answer = lane.hand_over(&mail("ok@x.test", "\r\n")).await;
    assert_eq!(word(&answer), "unavailable smtp.unreachable");
    let Answer::Unavailable { detail, .. } = answer else { unreachable!() };
    assert!(detail.contains(&free.to_string()), "{detail}");
    drop(sink);
}

#[tokio::test]
async fn logs_in_and_says_when_the_password_is_wrong() {
    let manners = Manners { login: Some(("me", "pässword")), ..Manners::default() };
    let sink = Sink::start(manners).await;
    for (password, expected) in [("pässword", "taken"), ("other", "unavailable smtp.login")] {
        let url = format!("smtp://me:{}@{}", password.replace('ä', "%C3%A4"), sink.address);
        let mut lane = smtp(&url, |_| {}).lane();
        assert_eq!(word(&lane.hand_over(&mail("ok@x.test", "\r\n")).await), expected);
    }
}

#[tokio::test]
async fn required_tls_is_required() {
    let sink = Sink::start(Manners::default()).await;
    let broken = Sink::start(Manners { broken_starttls: true, ..Manners::default() }).await;
    for (url, expected) in [
        (format!("{}?tls=required", sink.url()), "unavailable smtp.tls"),
        (format!("{}?tls=opportunistic", sink.url()), "taken"),
        (format!("{}?tls=required", broken.url()), "unavailable smtp.tls"),
        // Offered but broken is an attack or a fault, no reason to go on in the open.
        (format!("{}?tls=opportunistic", broken.url()), "unavailable smtp.tls"),
    ] {
        let mut lane = smtp(&url, |_| {}).lane();
        assert_eq!(word(&lane.hand_over(&mail("ok@x.test", "\r\n")).await), expected, "{url}");
    }
    assert_eq!(sink.taken().len(), 1);
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_doubt_and_not_a_wait_for_ever() {
    let sink = Sink::start(Manners { delay: Duration::from_secs(3600), ..Manners::default() }).await;
    let mut lane = smtp(&sink.url(), |config| config.timeout = Duration::from_millis(300)).lane();
    assert_eq!(word(&lane.hand_over(&mail("ok@x.test", "\r\n")).await), "doubtful");
}
