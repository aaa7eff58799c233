//! The door for bounces, from outside: what it takes, what it refuses, and clients that want to wear it down.

use std::{sync::Arc, time::Duration};

use delivery::post::{
    MAIL_MAX,
    listener::{self, Door, Limits},
    token,
};
use model::{Channel, Clock};
use storage::{
    consents::{ConsentStep, ConsentStore},
    outbox::{AddressHash, OutboxStore},
    post::{PostStore, ReportKind},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    support::{Manners, Sink},
    world::{World, links},
};

async fn open(world: &World, limits: Limits) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = Door {
        store: world.store.db.clone(),
        links: links(),
        clock: Arc::clone(&world.clock) as Arc<dyn Clock>,
        name: "shop.example".into(),
        addresses: vec!["fbl@shop.example".into()],
        limits,
        bell: Arc::default(),
    };
    tokio::spawn(listener::serve(listener, door, std::future::pending()));
    address
}

struct Client(BufReader<TcpStream>);

impl Client {
    async fn new(address: std::net::SocketAddr) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(address).await.unwrap()));
        assert!(client.hear().await.starts_with("220"));
        client
    }

    /// An answer, all of its lines; empty when the connection is over.
    async fn hear(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.unwrap_or_default() == 0 {
                return all;
            }
            all.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return all;
            }
        }
    }

    async fn say(&mut self, text: &str) -> String {
        if self.0.get_mut().write_all(text.as_bytes()).await.is_err() {
            return String::new();
        }
        self.hear().await
    }

    async fn mail(&mut self, to: &str, mail: &str) -> String {
        self.say("MAIL FROM:<>\r\n").await;
        let answer = self.say(&format!("RCPT TO:<{to}>\r\n")).await;
        if !answer.starts_with("250") {
            return answer;
        }
        assert!(self.say("DATA\r\n").await.starts_with("354"));
        self.say(&format!("{mail}\r\n.\r\n")).await
    }
}

fn dsn() -> String {
    "From: MAILER-DAEMON@mx.example.test\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n\
     --b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; x@y.example\n\
     Action: failed\nStatus: 5.1.1\n\n--b--"
        .replace('\n', "\r\n")
}

async fn is_suppressed(world: &World, email: &str) -> bool {
    let address = AddressHash::of(Channel::Email, email);
    world.store.suppressions(vec![address], world.now()).await.unwrap()[0].is_some()
}

#[tokio::test]
async fn a_bounce_for_an_address_that_we_made_is_believed_and_no_other_address_is_taken() {
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    let ann = world.contact("ann@example.test").await;
    let id = world.decide(ann, "a").await;
    world.deliver(World::smtp(&sink), &world.delivery()).await;
    let address = open(&world, Limits::default()).await;
    let mut client = Client::new(address).await;
    assert!(client.say("EHLO mx\r\n").await.contains("SIZE"));
    let ours = token::return_path(&links(), id, "bounces@shop.example");
    let mut forged = ours.clone().into_bytes();
    let place = forged.iter().position(|b| *b == b'@').unwrap() - 1;
    forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
    for other in ["ann@example.test", "bounces@shop.example", "", std::str::from_utf8(&forged).unwrap()] {
        assert!(client.mail(other, &dsn()).await.starts_with("550 5.1.1"), "{other}");
    }
    // To the mailbox for complaints, without a token: taken, and believed by nobody.
    assert!(client.mail("fbl@shop.example", &dsn()).await.starts_with("250"));
    assert!(!is_suppressed(&world, "ann@example.test").await && !is_suppressed(&world, "x@y.example").await);
    assert!(client.mail(&ours.to_uppercase(), &dsn()).await.starts_with("250"));
    assert!(is_suppressed(&world, "ann@example.test").await && !is_suppressed(&world, "x@y.example").await);
    assert_eq!(world.store.load_reports(id).await.unwrap()[0].kind, ReportKind::Hard);
    assert!(client.say("QUIT\r\n").await.starts_with("221"));
}

#[tokio::test]
async fn a_complaint_stands_in_the_history_of_consents_with_its_report() {
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    let ann = world.contact("ann@example.test").await;
    let before = world.store.load_consent_log(ann).await.unwrap().len();
    let id = world.decide(ann, "a").await;
    world.deliver(World::smtp(&sink), &world.delivery()).await;
    let address = open(&world, Limits::default()).await;
    let mut client = Client::new(address).await;
    let arf = "From: feedback@isp.example\nContent-Type: multipart/report; report-type=feedback-report; boundary=b\n\n\
               --b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: Loop/1.0\nVersion: 1\n\n--b--"
        .replace('\n', "\r\n");
    let ours = token::return_path(&links(), id, "bounces@shop.example");
    for _ in 0..2 {
        assert!(client.mail(&ours, &arf).await.starts_with("250"));
    }
    let log = world.store.load_consent_log(ann).await.unwrap();
    assert_eq!(log.len(), before + 1, "told twice, it is written down once: {log:?}");
    let last = log.iter().max_by_key(|entry| entry.no).unwrap();
    assert_eq!(
        (last.purpose.as_str(), last.step, last.source.as_str(), last.at),
        ("newsletter", ConsentStep::Unsubscribed, "complaint", world.now())
    );
    assert_eq!(last.proof, format!("report:arf:{id}"));
}

#[tokio::test]
async fn lmtp_gets_an_answer_for_each_recipient_and_a_mail_hides_no_other() {
    let world = World::new().await;
    let address = open(&world, Limits::default()).await;
    let mut client = Client::new(address).await;
    client.say("LHLO mx\r\n").await;
    client.say("MAIL FROM:<>\r\n").await;
    for _ in 0..2 {
        assert!(client.say("RCPT TO:<fbl@shop.example>\r\n").await.starts_with("250"));
    }
    assert!(client.say("DATA\r\n").await.starts_with("354"));
    // Only a dot between two CRLF ends a mail: neither of these does.
    let hidden =
        "Subject: x\r\n\r\nhi\n.\nMAIL FROM:<>\r\nhi\r.\r\nhi\n.\r\nRCPT TO:<fbl@shop.example>\r\n..dot\r\n";
    client.0.get_mut().write_all(hidden.as_bytes()).await.unwrap();
    assert!(client.say(".\r\n").await.starts_with("250"));
    assert!(client.hear().await.starts_with("250"));
    assert!(
        client.say("NOOP\r\n").await.starts_with("250 2.0.0"),
        "nothing of the mail was taken for a command"
    );
}

#[tokio::test]
async fn too_much_is_refused_and_too_slow_is_sent_away() {
    let world = World::new().await;
    let limits = Limits { connections: 2, mails: 3, line: Duration::from_millis(300), ..Limits::default() };
    let address = open(&world, limits).await;
    let mut client = Client::new(address).await;
    client.say("EHLO mx\r\n").await;
    assert!(client.say(&format!("MAIL FROM:<> SIZE={}\r\n", MAIL_MAX + 1)).await.starts_with("552"));
    assert!(client.say(&format!("MAIL FROM:<> SIZE={MAIL_MAX}\r\n")).await.starts_with("250"));
    let line = format!("{}\r\n", "x".repeat(998));
    let large = line.repeat(MAIL_MAX / line.len() + 1);
    assert!(client.mail("fbl@shop.example", &large).await.starts_with("552"));
    let fits = "x\r\n".repeat(10);
    assert!(client.mail("fbl@shop.example", &fits).await.starts_with("250"));
    assert!(client.mail("fbl@shop.example", &fits).await.starts_with("250"));
    assert!(client.say("MAIL FROM:<>\r\n").await.starts_with("421"), "enough for one connection");
    let mut long = Client::new(address).await;
    assert!(long.say(&format!("EHLO {}\r\n", "x".repeat(5_000))).await.starts_with("500"));
    let mut junk = Client::new(address).await;
    for _ in 0..10 {
        assert!(junk.say("HELP me\r\n").await.starts_with("502"));
    }
    assert!(junk.say("HELP me\r\n").await.starts_with("421"));
    drop((client, long, junk));
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (mut first, _second) = (Client::new(address).await, Client::new(address).await);
    let mut third = TcpStream::connect(address).await.unwrap();
    let mut text = String::new();
    third.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("421 4.3.2"), "{text}");
    // Half a line, and then nothing: the door closes.
    first.0.get_mut().write_all(b"EHL").await.unwrap();
    assert_eq!(first.hear().await, "");
}

#[tokio::test]
async fn more_than_the_rate_is_asked_to_come_later() {
    let world = World::new().await;
    let address = open(&world, Limits { rate: 0.001, ..Limits::default() }).await;
    let mut client = Client::new(address).await;
    client.say("EHLO mx\r\n").await;
    assert!(client.mail("fbl@shop.example", "x").await.starts_with("250"));
    client.say("MAIL FROM:<>\r\n").await;
    client.say("RCPT TO:<fbl@shop.example>\r\n").await;
    assert!(client.say("DATA\r\n").await.starts_with("451 4.7.0"));
}
