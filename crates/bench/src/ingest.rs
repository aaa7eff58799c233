//! `relance bench ingest`: messages of tracking through the server, each on disk before its answer.
//!
//! Batches of a hundred, and requests of one message, over real sockets on connections that stay open, with the load
//! generator in the same process (so it takes its share of the machine); the same through the router alone; and, at a
//! thousand events a second that come in evenly, the time from an event's sending to the commit of what it led to, with
//! the living engine at work. Events are product views of visitors spread over the base.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use api::{App, Chance, Parts, access::key, ops::listen};
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use delivery::{Keys, Links};
use model::{Clock, Dice, Timestamp};
use serde_json::{Value, json};
use storage::{
    access::{AccessStore, KeyScope},
    outbox::{MessageFilter, OutboxStore},
};
use storage_sqlite::Sqlite;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tower::ServiceExt;

use crate::{
    Plan, Report, Stopwatch,
    living::{self, said},
    synthetic::{self, END, Shape},
};

/// Contacts of the base unless told otherwise.
pub const CONTACTS: u64 = 100_000;
/// Contacts who visit.
const VISITORS: u64 = 20_000;
/// Messages sent in batches of [`BATCH`].
const BATCHED: u64 = 300_000;
/// Messages of a batch.
const BATCH: u64 = 100;
/// Connections that send batches.
const BATCH_CONNECTIONS: u64 = 8;
/// Requests of one message.
const SINGLES: u64 = 60_000;
/// Connections that send single messages.
const SINGLE_CONNECTIONS: u64 = 64;
/// Events a second while the time to the decision is measured, and for how many seconds.
const PACE: u64 = 1_000;
const PACED_SECONDS: u64 = 20;

const JOURNEY: &str = "
format: 1
journey: at-once
audience: {who: with_email, source: existing_and_new}
triggers:
  - {on: event, event: Checkout Started}
nodes:
  mail: {kind: send_email, template: reminder, purpose: newsletter}
links:
  - {from: start, to: mail}
";

/// Time goes on from the end of the synthetic base.
#[derive(Debug)]
struct Running(Instant);

impl Clock for Running {
    fn now(&self) -> Timestamp {
        END.plus(self.0.elapsed().as_micros() as i64)
    }
}

/// Bytes from a seed: nothing here is secret.
struct Seeded(AtomicU64);

impl Chance for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut dice = Dice::of(&[self.0.fetch_add(1, Ordering::Relaxed)]);
        for byte in bytes {
            *byte = dice.next_u64() as u8;
        }
    }
}

/// What is sent where.
#[derive(Clone)]
struct Load {
    address: SocketAddr,
    router: Router,
    key: String,
    contacts: u64,
    seed: u64,
}

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let contacts = plan.size.unwrap_or(CONTACTS);
    let shape = Shape { seed: plan.seed, contacts, orders: contacts, events: contacts * 2, products: 5_000 };
    let mut base = synthetic::base(plan, &shape).await?;
    if !base.is_temporary() {
        base = synthetic::copy(&base)?;
    }
    let db = &base.db;
    let clock: Arc<dyn Clock> = Arc::new(Running(now()));
    let engine = living::publish(db, JOURNEY, clock.now()).await?;
    let bell = Arc::new(Notify::new());
    let (load, serving) = serve(plan, contacts, db, &clock, &bell).await?;

    // Everybody was here before, and every page of the base is warm.
    over_sockets(&load, "warm", 50_000, BATCH, BATCH_CONNECTIONS).await?;
    let watch = Stopwatch::start();
    let batches = over_sockets(&load, "batch", BATCHED, BATCH, BATCH_CONNECTIONS).await?;
    let mut report = watch.report("ingest", BATCHED);
    let more = &mut report.more;
    more.insert("contacts".into(), json!(contacts));
    more.insert("batches_of_100".into(), batches);
    more.insert("single".into(), over_sockets(&load, "single", SINGLES, 1, SINGLE_CONNECTIONS).await?);
    more.insert(
        "router_batches_of_100".into(),
        through_router(&load, "rb", BATCHED / 3, BATCH, BATCH_CONNECTIONS).await?,
    );
    more.insert(
        "router_single".into(),
        through_router(&load, "rs", SINGLES / 2, 1, SINGLE_CONNECTIONS).await?,
    );
    more.insert("to_decision".into(), to_decision(&load, db, engine, &clock, &bell).await?);
    serving.abort();
    Ok(report)
}

fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
    Instant::now()
}

async fn serve(
    plan: &Plan,
    contacts: u64,
    db: &Sqlite,
    clock: &Arc<dyn Clock>,
    bell: &Arc<Notify>,
) -> Result<(Load, tokio::task::JoinHandle<()>), String> {
    let public_url = "https://mail.shop.example";
    let config = api::Config { public_url: public_url.into(), ..api::Config::default() };
    let chance: Arc<dyn Chance> = Arc::new(Seeded(AtomicU64::new(plan.seed)));
    let (key, text) = key::make(&*chance, KeyScope::Track, "bench", "bench", clock.now());
    db.save_key(key).await.map_err(said)?;
    let app = App::new(Parts {
        store: db.clone(),
        clock: Arc::clone(clock),
        chance,
        links: Links::new(public_url, Keys::new([7; 32])).map_err(|problem| problem.to_string())?,
        engine_bell: Arc::clone(bell),
        delivery_bell: Arc::default(),
        config,
    });
    let router = api::router(app);
    let told = |error: std::io::Error| error.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(told)?;
    let address = listener.local_addr().map_err(told)?;
    let served = router.clone();
    let serving = tokio::spawn(async move {
        drop(listen::serve(listener, served, listen::Limits::default(), std::future::pending()).await);
    });
    Ok((Load { address, router, key: text, contacts, seed: plan.seed }, serving))
}

impl Load {
    fn message(&self, dice: &mut Dice, name: &str, number: u64, event: &str) -> String {
        let visitors = self.contacts.min(VISITORS);
        let contact = synthetic::contact_name(1 + dice.below(visitors) * (self.contacts / visitors));
        let product = dice.below(5_000);
        format!(
            "{{\"type\":\"track\",\"userId\":\"{contact}\",\"event\":\"{event}\",\"messageId\":\"{name}-{number:012}\",\
             \"context\":{{\"library\":{{\"name\":\"bench\",\"version\":\"1\"}}}},\"properties\":{{\
             \"product_id\":\"p{product:06}\",\"name\":\"Product {product}\",\"price\":19.9,\
             \"url\":\"https://shop.example/p/{product}\",\"category\":\"/Shop/Things\"}}}}"
        )
    }

    /// The body of a request of so many messages, and where it goes.
    fn body(&self, dice: &mut Dice, name: &str, first: u64, messages: u64) -> (String, &'static str) {
        if messages == 1 {
            return (self.message(dice, name, first, "Product Viewed"), "/v1/track");
        }
        let all: Vec<String> = (first..first + messages)
            .map(|number| self.message(dice, name, number, "Product Viewed"))
            .collect();
        (format!("{{\"batch\":[{}]}}", all.join(",")), "/v1/batch")
    }
}

/// A connection that stays open.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, buffer: Vec::with_capacity(4_096) })
    }

    /// Sends a request, and reads its answer to the end; anything but 200 ends the measurement.
    async fn send(&mut self, key: &str, path: &str, body: &str) -> Result<(), String> {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let told = |error: std::io::Error| error.to_string();
        self.stream.write_all(request.as_bytes()).await.map_err(told)?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await.map_err(told)? == 0 {
                return Err("the server closed the connection".to_owned());
            }
            let text = String::from_utf8_lossy(&self.buffer);
            if let Some((head, answer)) = text.split_once("\r\n\r\n") {
                if !head.starts_with("HTTP/1.1 200") {
                    return Err(format!("refused: {text}"));
                }
                if answer.ends_with('}') {
                    return Ok(());
                }
            }
        }
    }
}

/// Sends messages over so many connections, each request after the answer to the one before.
async fn over_sockets(
    load: &Load,
    name: &'static str,
    messages: u64,
    together: u64,
    connections: u64,
) -> Result<Value, String> {
    let watch = Stopwatch::start();
    let each = messages / connections / together * together;
    let mut tasks = Vec::new();
    for number in 0..connections {
        let load = load.clone();
        tasks.push(tokio::spawn(async move {
            let mut dice = Dice::of(&[load.seed, number, each]);
            let mut connection = Connection::open(load.address).await?;
            let mut times = Vec::new();
            for first in (number * each..(number + 1) * each).step_by(together as usize) {
                let (body, path) = load.body(&mut dice, name, first, together);
                let begin = now();
                connection.send(&load.key, path, &body).await?;
                times.push(begin.elapsed());
            }
            Ok::<_, String>(times)
        }));
    }
    summary(&watch, each * connections, tasks).await
}

/// The same without sockets.
async fn through_router(
    load: &Load,
    name: &'static str,
    messages: u64,
    together: u64,
    connections: u64,
) -> Result<Value, String> {
    let watch = Stopwatch::start();
    let each = messages / connections / together * together;
    let mut tasks = Vec::new();
    for number in 0..connections {
        let load = load.clone();
        tasks.push(tokio::spawn(async move {
            let mut dice = Dice::of(&[load.seed, number, each, 1]);
            let mut times = Vec::new();
            for first in (number * each..(number + 1) * each).step_by(together as usize) {
                let (body, path) = load.body(&mut dice, name, first, together);
                let request = Request::post(path)
                    .header(header::AUTHORIZATION, format!("Bearer {}", load.key))
                    .body(Body::from(body))
                    .map_err(|error| error.to_string())?;
                let begin = now();
                let answer = load.router.clone().oneshot(request).await.map_err(|error| error.to_string())?;
                if answer.status() != StatusCode::OK {
                    return Err(format!("refused: {}", answer.status()));
                }
                times.push(begin.elapsed());
            }
            Ok::<_, String>(times)
        }));
    }
    summary(&watch, each * connections, tasks).await
}

async fn summary(
    watch: &Stopwatch,
    messages: u64,
    tasks: Vec<tokio::task::JoinHandle<Result<Vec<Duration>, String>>>,
) -> Result<Value, String> {
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.map_err(|error| error.to_string())??);
    }
    let (seconds, cpu) = watch.elapsed();
    let mut said = json!({
        "messages": messages,
        "per_second": messages as f64 / seconds,
        "requests_per_second": times.len() as f64 / seconds,
        "cpu_microseconds_per_message": cpu / messages as f64 * 1e6,
    });
    put_quantiles(&mut said, "answer_ms", times);
    Ok(said)
}

fn put_quantiles(into: &mut Value, name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| {
        let place = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    into[name] = json!({ "p50": at(0.5), "p99": at(0.99), "max": at(1.0) });
}

/// From the sending of an event to the commit of the message that it led to. Inputs are worked on in the order of their
/// commit, so the n-th event that was sent is decided when n inputs are done: events that overtake each other on the way
/// are a few milliseconds apart.
async fn to_decision(
    load: &Load,
    db: &Sqlite,
    mut engine: engine::live::work::Engine<Sqlite>,
    clock: &Arc<dyn Clock>,
    bell: &Arc<Notify>,
) -> Result<Value, String> {
    engine.settle(clock.now()).await.map_err(said)?;
    let events = PACE * PACED_SECONDS;
    let decided: Arc<Mutex<Vec<(u64, Instant)>>> = Arc::default();
    let (ended, knock) = (Arc::new(Notify::new()), engine.knocker());
    let passing = tokio::spawn({
        let bell = Arc::clone(bell);
        async move {
            loop {
                bell.notified().await;
                knock.notify_one();
            }
        }
    });
    let working = tokio::spawn({
        let (decided, ended, clock) = (Arc::clone(&decided), Arc::clone(&ended), Arc::clone(clock));
        async move {
            let told = move |worked: engine::live::work::Worked| {
                let mut decided = decided.lock().unwrap_or_else(PoisonError::into_inner);
                let before = decided.last().map_or(0, |(inputs, _)| *inputs);
                decided.push((before + worked.inputs, now()));
            };
            engine.run(&*clock, &ended, &told).await.map_err(said)
        }
    });
    let watch = Stopwatch::start();
    let sent = paced(load, events).await?;
    let done =
        || decided.lock().unwrap_or_else(PoisonError::into_inner).last().is_some_and(|(n, _)| *n >= events);
    let patience = now();
    while !done() {
        if patience.elapsed() > Duration::from_secs(60) {
            return Err("the engine has not decided everything".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (seconds, cpu) = watch.elapsed();
    ended.notify_one();
    working.await.map_err(|error| error.to_string())??;
    passing.abort();
    let decided = decided.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut turn = decided.iter();
    let mut current = turn.next();
    let mut times = Vec::new();
    for (number, begin) in sent.iter().enumerate() {
        while let Some((inputs, at)) = current {
            if *inputs > number as u64 {
                times.push(at.saturating_duration_since(*begin));
                break;
            }
            current = turn.next();
        }
    }
    let messages = db.count_messages(MessageFilter::default()).await.map_err(said)?;
    let mut said = json!({
        "events": events,
        "events_per_second": events as f64 / seconds,
        "cpu_microseconds_per_event": cpu / events as f64 * 1e6,
        "messages": messages.iter().map(|count| count.count).sum::<u64>(),
        "turns": decided.len(),
    });
    put_quantiles(&mut said, "ms", times);
    Ok(said)
}

/// Sends events one by one, [`PACE`] a second whatever the answers take; when each was sent, in order.
async fn paced(load: &Load, events: u64) -> Result<Vec<Instant>, String> {
    let start = now();
    let mut tasks = Vec::new();
    for lane in 0..SINGLE_CONNECTIONS {
        let load = load.clone();
        tasks.push(tokio::spawn(async move {
            let mut dice = Dice::of(&[load.seed, lane, events]);
            let mut connection = Connection::open(load.address).await?;
            let mut sent = Vec::new();
            for number in (lane..events).step_by(SINGLE_CONNECTIONS as usize) {
                let due = start + Duration::from_micros(number * 1_000_000 / PACE);
                tokio::time::sleep_until(due.into()).await;
                let body = load.message(&mut dice, "paced", number, "Checkout Started");
                // From when it was due: a sender that is late does not hide a server that is slow.
                sent.push(due);
                connection.send(&load.key, "/v1/track", &body).await?;
            }
            Ok::<_, String>(sent)
        }));
    }
    let mut sent = Vec::new();
    for task in tasks {
        sent.extend(task.await.map_err(|error| error.to_string())??);
    }
    sent.sort_unstable();
    Ok(sent)
}
