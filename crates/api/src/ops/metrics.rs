//! `GET /metrics`: figures for Prometheus, in the OpenMetrics text format. Only the handful that somebody acts on.

use std::{path::Path, sync::atomic::AtomicU64};

use axum::{
    extract::State,
    http::{HeaderName, header},
};
use engine::live::work::Worked;
use model::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use storage::Storage;

use crate::{ApiError, ApiResult, App, access::Viewer};

/// Upper ends of the buckets that answers are counted in, in seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// What an answer is counted under. The route is the pattern, never the path: paths hold names of people.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct What {
    what: &'static str,
}

/// Where a message stands that has not come to an end. How many came to which end is counted as it happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stands {
    state: &'static str,
}

/// Figures about the server itself.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    answered: Family<Answered, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    worked: Family<What, Counter>,
    delivered: Family<What, Counter>,
    inputs_waiting: Gauge,
    alarms_late: Gauge<f64, AtomicU64>,
    outbox: Family<Stands, Gauge>,
    outbox_late: Gauge<f64, AtomicU64>,
    /// Counted at the door of tracking.
    pub(crate) refused: Counter,
    contacts: Gauge,
    memory: Gauge,
    log: Gauge,
    started: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Registry::default();
        // Counters begin at 0 with the process: by this figure, under the name that Prometheus knows, it is seen.
        let started = Gauge::default();
        let about = "When the process began, in seconds since 1970";
        all.register_with_unit("process_start_time", about, Unit::Seconds, started.clone());
        let registry = all.sub_registry_with_prefix("relance");
        let answered = Family::default();
        let seconds: Family<Route, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        let (worked, delivered) = (Family::default(), Family::default());
        let (inputs_waiting, contacts, memory) = (Gauge::default(), Gauge::default(), Gauge::default());
        let outbox = Family::default();
        let (alarms_late, outbox_late) = (Gauge::default(), Gauge::default());
        registry.register("http_requests", "Requests that were answered", answered.clone());
        registry.register_with_unit("http_request", "How long answers took", Unit::Seconds, seconds.clone());
        registry.register("worked", "What the living engine worked on, by kind", worked.clone());
        registry.register(
            "messages",
            "Messages that delivery settled, by what became of them",
            delivered.clone(),
        );
        registry.register("inputs_waiting", "Inputs that wait for the living engine", inputs_waiting.clone());
        registry.register_with_unit(
            "alarms_late",
            "How long the earliest alarm is overdue",
            Unit::Seconds,
            alarms_late.clone(),
        );
        let about =
            "Messages that have not come to an end: due, held until later, claimed, being handed over";
        registry.register("outbox", about, outbox.clone());
        registry.register_with_unit(
            "outbox_late",
            "How long the earliest waiting message is overdue",
            Unit::Seconds,
            outbox_late.clone(),
        );
        let (refused, log) = (Counter::default(), Gauge::default());
        registry.register(
            "refused_messages",
            "Messages of tracking that were refused and kept",
            refused.clone(),
        );
        registry.register_with_unit(
            "database_log",
            "What the database has written and not yet moved into its file",
            Unit::Bytes,
            log.clone(),
        );
        registry.register("contacts", "Contacts in the base", contacts.clone());
        registry.register_with_unit("resident_memory", "Memory of the process", Unit::Bytes, memory.clone());
        Self {
            registry: all,
            answered,
            seconds,
            worked,
            delivered,
            inputs_waiting,
            alarms_late,
            outbox,
            outbox_late,
            refused,
            contacts,
            memory,
            log,
            started,
        }
    }
}

impl Metrics {
    /// The process began to serve.
    pub fn started(&self, at: Timestamp) {
        self.started.set(at.0 as f64 / Timestamp::SECOND as f64);
    }

    /// A request was answered after so many microseconds.
    pub fn answered(&self, route: &str, method: &'static str, status: u16, micros: i64) {
        self.seconds
            .get_or_create(&Route { route: route.to_owned() })
            .observe(micros.max(0) as f64 / Timestamp::SECOND as f64);
        self.answered.get_or_create(&Answered { route: route.to_owned(), method, status }).inc();
    }

    /// The living engine has worked.
    pub fn worked(&self, worked: &Worked) {
        let counts = [
            ("inputs", worked.inputs),
            ("alarms", worked.alarms),
            ("waves", worked.waves),
            ("flips", worked.flips),
            ("jobs", worked.jobs),
            ("steps", worked.steps),
            ("messages_decided", worked.messages),
            ("inputs_dropped", worked.dropped),
        ];
        for (what, count) in counts {
            if count > 0 {
                self.worked.get_or_create(&What { what }).inc_by(count);
            }
        }
    }

    /// Delivery has settled so many messages in this way.
    pub fn delivered(&self, what: &'static str, count: u64) {
        self.delivered.get_or_create(&What { what }).inc_by(count);
    }

    /// Asks the base, and writes everything down.
    ///
    /// # Errors
    /// What the database says.
    async fn text<S: Storage>(&self, store: &S, log: Option<&Path>, now: Timestamp) -> ApiResult<String> {
        let late = |due: Option<Timestamp>| {
            due.map_or(0.0, |due| now.since(due).max(0) as f64 / Timestamp::SECOND as f64)
        };
        let first = store.take_inputs(i64::MAX, 1).await?.first().map(|input| input.no);
        let last = store.last_input().await?;
        self.inputs_waiting.set(first.map_or(0, |first| last - first + 1));
        self.alarms_late.set(late(store.next_alarm().await?));
        let open = store.count_open(now).await?;
        for (state, count) in [
            ("due", open.due),
            ("later", open.later),
            ("claimed", open.claimed),
            ("handing_over", open.handing_over),
        ] {
            self.outbox.get_or_create(&Stands { state }).set(count.cast_signed());
        }
        self.outbox_late.set(late(open.next));
        self.contacts.set(store.count_contacts().await?.0.cast_signed());
        // A database that is closed has no log.
        let bytes = log.and_then(|path| std::fs::metadata(path).ok()).map_or(0, |file| file.len());
        self.log.set(bytes.cast_signed());
        self.memory.set(resident_memory().unwrap_or(0).cast_signed());
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(|error| {
            let problem = model::Problem::new("metrics.failed", error.to_string());
            ApiError::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, problem)
        })?;
        Ok(text)
    }
}

/// Bytes of memory that the process holds, where the system tells (Linux).
#[must_use]
pub fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

type Text = ([(HeaderName, &'static str); 1], String);

/// The figures, to whoever may look at the base. `--ops-listen` serves them without a key on an address of its own.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 401, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer) -> ApiResult<Text> {
    open(State(app)).await
}

/// The same without a key.
pub(super) async fn open<S: Storage>(State(app): State<App<S>>) -> ApiResult<Text> {
    let text = app.ops.metrics.text(&app.store, app.config.ops.database_log.as_deref(), app.now()).await?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
