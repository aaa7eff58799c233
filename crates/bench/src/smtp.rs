//! `relance bench smtp`: from waiting messages to recorded answers of an SMTP server: claim, load the contact, ask the
//! sending rules, render a six-product mail of `examples/s0`, build it, hand it over, record.
//!
//! Without `--smtp HOST:PORT` it starts Postfix's `smtp-sink`, which takes mails and throws them away.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use delivery::{Delivery, Keys, Links, Mailbox, Sender, Smtp, SmtpConfig, pace::Retries, worker};
use model::{Consent, ConsentState, ContactId, Dice, Slug, Timestamp, Zone, time::FixedClock};
use serde_json::json;
use storage::{
    imports::{ContactPatch, ImportBatch, ImportStore},
    outbox::{Channel, MessageId, MessageState, OutboxMessage, OutboxStore, SendPoint},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use storage_sqlite::{Options, Sqlite};

use crate::{Plan, Report, Stopwatch};

/// Messages without `--size`.
const SIZE: u64 = 30_000;
/// Connections to the server.
const CONNECTIONS: usize = 16;
/// Contacts and messages written at once while the base is made.
const CHUNK: u64 = 5_000;
const TEMPLATE: &str = include_str!("../../../examples/s0/templates/up-selling.yaml");
const NOW: Timestamp = Timestamp(1_780_272_000 * Timestamp::SECOND);

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let size = plan.size.unwrap_or(SIZE);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let db = Sqlite::open(folder.path().join("relance.db"), Options::default()).map_err(text)?;
    fill(&db, size, plan.seed).await?;
    let (sink, address) = match &plan.smtp {
        Some(address) => (None, address.clone()),
        None => {
            let sink = Sink::start()?;
            let address = sink.address.to_string();
            (Some(sink), address)
        }
    };
    let url = format!("smtp://{address}?tls=none&connections={CONNECTIONS}");
    let config =
        SmtpConfig::parse(&url, |path| std::fs::read(path)).map_err(|problem| problem.to_string())?;
    let transport =
        Arc::new(Smtp::new(config, "bounce@shop.example".into()).map_err(|problem| problem.to_string())?);
    let delivery = delivery().map_err(|problem| problem.to_string())?;
    let watch = Stopwatch::start();
    let summary = worker::run(&db, &transport, &delivery, |_| ()).await.map_err(text)?;
    let mut report = watch.report("smtp", size);
    if let Some((reason, detail)) = summary.stopped {
        return Err(format!("delivery stopped ({reason}): {detail}"));
    }
    let sent = summary.count(MessageState::Sent);
    if sent != size {
        return Err(format!("{sent} of {size} messages were taken: {:?}", summary.counts));
    }
    let server = if sink.is_some() { "smtp-sink" } else { "given" };
    report.more.insert("connections".into(), json!(CONNECTIONS));
    report.more.insert("server".into(), json!(server));
    report.more.insert("target_rate".into(), json!(3_000));
    Ok(report)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn slug(text: &str) -> Result<Slug, String> {
    Slug::parse(text).map_err(|problem| problem.to_string())
}

fn delivery() -> Result<Delivery, model::Problem> {
    let sender = Sender {
        from: Mailbox::parse("Lanternwick <news@shop.example>")?,
        reply_to: None,
        links: Links::new("https://mail.shop.example", Keys::new([7; Keys::LEN]))?,
        unsubscribe_mailto: None,
        zone: Zone::UTC,
    };
    Ok(Delivery {
        sender: Arc::new(sender),
        clock: Arc::new(FixedClock(NOW)),
        machine: Arc::new(FixedClock(NOW)),
        rate: None,
        per_domain: None,
        retries: Retries::default(),
        shaper: Arc::default(),
        stop: Arc::default(),
    })
}

/// Contacts who said yes, and a message for each.
async fn fill(db: &Sqlite, size: u64, seed: u64) -> Result<(), String> {
    let purpose = slug("newsletter")?;
    let template = slug("up-selling")?;
    let definition =
        NewDefinition { kind: DefinitionKind::Template, slug: template.clone(), content: TEMPLATE.into() };
    let versions = db.save_definitions(vec![definition], NOW).await.map_err(text)?;
    let send = Arc::new(SendPoint {
        journey: slug("rfm-recommendations")?,
        journey_version: 1,
        run: 1,
        node: "mail_up".into(),
        channel: Channel::Email,
        purpose: purpose.clone(),
        transactional: false,
        template,
        template_version: versions.first().copied().unwrap_or(1),
    });
    let mut dice = Dice::new(seed);
    let mut first = 1;
    while first <= size {
        let last = size.min(first + CHUNK - 1);
        let mut batch = ImportBatch::new(NOW);
        for contact in first..=last {
            batch.contacts.push(ContactPatch {
                external_id: Some(format!("c{contact}")),
                email: Some(format!("c{contact}@example.test")),
                first_name: Some(format!("Zoë {contact}")),
                locale: Some(if contact % 2 == 0 { "en-GB" } else { "fr-FR" }.into()),
                consents: vec![Consent {
                    purpose: purpose.clone(),
                    state: ConsentState::Subscribed,
                    at: NOW,
                    source: "bench".into(),
                    proof: String::new(),
                }],
                ..ContactPatch::default()
            });
        }
        db.import(batch).await.map_err(text)?;
        let messages = (first..=last).map(|contact| message(&send, contact, &mut dice)).collect();
        db.insert_messages(messages).await.map_err(text)?;
        first = last + 1;
    }
    Ok(())
}

/// A message with six products.
fn message(send: &Arc<SendPoint>, contact: u64, dice: &mut Dice) -> OutboxMessage {
    let products: Vec<serde_json::Value> = (0..6)
        .map(|_| {
            let (number, price) = (dice.below(4_000), dice.below(5_000));
            let pounds = |pence: u64| format!("{}.{:02}", pence / 100, pence % 100);
            json!({
                "external_id": format!("{}", 20_000 + number),
                "name": format!("White hanging heart T-light holder No. {number}"),
                "url": format!("https://shop.example.test/p/{number}"),
                "image_url": format!("https://shop.example.test/i/{number}.png"),
                "unit_price": pounds(price + 1),
                "original_price": pounds(price + 200),
                "currency": "GBP",
            })
        })
        .collect();
    OutboxMessage {
        id: MessageId::derive(1, contact, 1, &send.node, 1),
        contact: ContactId(contact as i64),
        send: Arc::clone(send),
        to: None,
        locale: None,
        variables: json!({"name": format!("Zoë {contact}"), "products": products}).to_string(),
        decided_at: NOW,
        not_before: NOW,
        expires_at: None,
    }
}

/// Postfix's `smtp-sink`, which ends with this.
struct Sink {
    child: Child,
    address: SocketAddr,
}

impl Sink {
    fn start() -> Result<Self, String> {
        let program = ["/usr/sbin/smtp-sink", "/usr/local/sbin/smtp-sink"]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .unwrap_or_else(|| PathBuf::from("smtp-sink"));
        // A port that is free now.
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(text)?;
        let mut command = Command::new(&program);
        if std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0) {
            command.args(["-u", "nobody"]);
        }
        let child = command
            .arg(address.to_string())
            .arg("1000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!(
                    "{}: {error}; install Postfix (Debian: apt-get install postfix), or give --smtp HOST:PORT",
                    program.display()
                )
            })?;
        let sink = Self { child, address };
        for _ in 0..100 {
            if TcpStream::connect(address).is_ok() {
                return Ok(sink);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err("smtp-sink does not answer".into())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
