//! Calls the addresses of hooks.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use model::{Clock, Contact, ContactId, Dice, Timestamp};
use storage::{
    Result, StoreError,
    contacts::ContactStore,
    hooks::{DeliveryState, Hook, HookDelivery, HookOutcome, HookStore},
};
use tokio::{sync::Notify, task::JoinSet};

use super::{
    body,
    circuit::{self, Allowed},
    signatures,
};
use crate::fetch::{Call, Fetcher, Reply, Trouble};

/// Deliveries of one hook that are claimed at once.
const CLAIM: usize = 32;
/// Calls of one hook that are on their way at once.
const AT_ONCE: usize = 8;
/// How long a claim is good for, in microseconds: longer than all its calls may take.
const LEASE: i64 = 5 * Timestamp::MINUTE;
/// Largest part of an answer that is read, in bytes.
const ANSWER_MAX: usize = 4 * 1024;
/// How long settled deliveries are kept for looking at and for replays, in days.
pub const KEPT_DAYS: i64 = 30;
/// Without a knock the queues are looked at this often.
const LOOK: Duration = Duration::from_secs(5);
/// Settled deliveries are forgotten this often, in microseconds.
const FORGET: i64 = Timestamp::HOUR;

/// What the worker needs of a database.
pub trait Store: HookStore + ContactStore + Clone + Send + Sync + 'static {}
impl<T: HookStore + ContactStore + Clone + Send + Sync + 'static> Store for T {}

/// A hook that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Which.
    pub hook: i64,
    /// Where it leads to.
    pub url: String,
    /// Why, in a sentence.
    pub why: String,
}

/// Tells hooks what happened.
#[derive(Clone)]
pub struct HookWorker<S> {
    store: S,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    /// Seed of the jitter.
    seed: u64,
}

/// What a call came to.
enum Told {
    /// Taken.
    Well(Reply),
    /// Not taken; whether the other side says that it wants no more at all.
    Badly { status: Option<u16>, detail: String, gone: bool },
    /// Not called: others of the same claim showed that it is of no use now.
    Spared,
}

impl<S: Store> HookWorker<S> {
    /// A worker.
    #[must_use]
    pub const fn new(store: S, fetcher: Fetcher, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self { store, fetcher, clock, seed }
    }

    /// Works until it is told to stop; what is on its way then is finished. `bell` says that something was committed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn run(&self, bell: &Notify, stop: &Notify, alert: impl Fn(Alert) + Send + Sync) -> Result<()> {
        let mut tasks: JoinSet<(i64, Result<Option<Alert>>)> = JoinSet::new();
        let mut busy = HashSet::new();
        let mut forgotten = Timestamp(i64::MIN / 2);
        let mut stopping = false;
        loop {
            if !stopping {
                self.start(&mut tasks, &mut busy).await?;
                let now = self.clock.now();
                if now.since(forgotten) >= FORGET {
                    self.store.forget_deliveries(now.plus_days(-KEPT_DAYS)).await?;
                    forgotten = now;
                }
            } else if tasks.is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = stop.notified(), if !stopping => stopping = true,
                () = bell.notified(), if !stopping => {}
                Some(done) = tasks.join_next() => {
                    let (hook, alerted) = done.map_err(|error| StoreError::Driver(error.to_string()))?;
                    busy.remove(&hook);
                    if let Some(one) = alerted? {
                        alert(one);
                    }
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Works on what is due now and until nothing is; for tests and commands.
    ///
    /// # Errors
    /// What the database says.
    pub async fn settle(&self) -> Result<Vec<Alert>> {
        let mut alerts = Vec::new();
        loop {
            let (mut tasks, mut busy) = (JoinSet::new(), HashSet::new());
            self.start(&mut tasks, &mut busy).await?;
            if tasks.is_empty() {
                return Ok(alerts);
            }
            while let Some(done) = tasks.join_next().await {
                let (_, alert) = done.map_err(|error| StoreError::Driver(error.to_string()))?;
                alerts.extend(alert?);
            }
        }
    }

    /// Starts a task for each hook that something is due for and that has none: a slow address holds up nobody else.
    async fn start(
        &self,
        tasks: &mut JoinSet<(i64, Result<Option<Alert>>)>,
        busy: &mut HashSet<i64>,
    ) -> Result<()> {
        let now = self.clock.now();
        let due: HashSet<i64> = self
            .store
            .next_deliveries()
            .await?
            .into_iter()
            .filter(|(_, at)| *at <= now)
            .map(|(id, _)| id)
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        for hook in self.store.load_hooks().await? {
            if due.contains(&hook.id) && busy.insert(hook.id) {
                let worker = self.clone();
                tasks.spawn(async move { (hook.id, worker.work(hook).await) });
            }
        }
        Ok(())
    }

    /// One claim of one hook.
    async fn work(&self, hook: Hook) -> Result<Option<Alert>> {
        let now = self.clock.now();
        let limit = match circuit::allowed(&hook.health, now) {
            Allowed::All => CLAIM,
            Allowed::Probe => 1,
            Allowed::None(_) => return Ok(None),
        };
        let claimed = self.store.claim_deliveries(hook.id, now, now.plus(LEASE), limit).await?;
        let mut ids: Vec<ContactId> = claimed.iter().filter_map(|one| one.contact).collect();
        ids.sort_unstable();
        ids.dedup();
        let contacts = self.store.load_contacts(ids).await?;
        let contacts: HashMap<ContactId, Contact> =
            contacts.into_iter().map(|contact| (contact.id, contact)).collect();
        let (hook, contacts) = (Arc::new(hook), Arc::new(contacts));
        let mut health = hook.health;
        let mut outcomes = Vec::with_capacity(claimed.len());
        let mut spare = false;
        for some in claimed.chunks(AT_ONCE) {
            let told = if spare {
                some.iter().map(|one| (one.clone(), Told::Spared)).collect()
            } else {
                self.tell_all(&hook, some, &contacts).await?
            };
            for (one, told) in told {
                let now = self.clock.now();
                let mut dice = self.dice(&one);
                if !matches!(told, Told::Spared) {
                    health = circuit::after(health, matches!(told, Told::Well(_)), now, &mut dice);
                }
                if let Told::Badly { gone: true, .. } = told {
                    health.disabled_at = Some(now);
                }
                spare |= circuit::allowed(&health, now) != Allowed::All;
                outcomes.push(outcome(&one, told, now, &mut dice));
            }
        }
        let given_up = hook.health.disabled_at.is_none() && health.disabled_at.is_some();
        let why = outcomes.last().map(|one| one.detail.clone()).unwrap_or_default();
        self.store.record_deliveries(hook.id, health, outcomes).await?;
        Ok(given_up.then(|| Alert { hook: hook.id, url: hook.plan.url.clone(), why }))
    }

    fn dice(&self, one: &HookDelivery) -> Dice {
        Dice::of(&[self.seed, one.seq.unsigned_abs(), u64::from(one.attempts)])
    }

    async fn tell_all(
        &self,
        hook: &Arc<Hook>,
        some: &[HookDelivery],
        contacts: &Arc<HashMap<ContactId, Contact>>,
    ) -> Result<Vec<(HookDelivery, Told)>> {
        let mut calls = JoinSet::new();
        for one in some {
            let (worker, hook, contacts, one) =
                (self.clone(), Arc::clone(hook), Arc::clone(contacts), one.clone());
            calls.spawn(async move {
                let contact = one.contact.and_then(|id| contacts.get(&id));
                let told = worker.tell(&hook, &one, contact).await;
                (one, told)
            });
        }
        let mut told = Vec::with_capacity(some.len());
        while let Some(done) = calls.join_next().await {
            told.push(done.map_err(|error| StoreError::Driver(error.to_string()))?);
        }
        told.sort_by_key(|(one, _)| one.seq);
        Ok(told)
    }

    async fn tell(&self, hook: &Hook, one: &HookDelivery, contact: Option<&Contact>) -> Told {
        let body = body(one, contact);
        let now = self.clock.now();
        let headers = [
            ("Content-Type", "application/json".to_owned()),
            ("webhook-id", one.event.clone()),
            ("webhook-timestamp", now.0.div_euclid(Timestamp::SECOND).to_string()),
            ("webhook-signature", signatures(&hook.secrets, &one.event, now, &body)),
        ];
        let url = &hook.plan.url;
        let call = Call { method: "POST", url, headers: &headers, body: &body, answer_max: ANSWER_MAX };
        match self.fetcher.call(&call).await {
            Ok(reply) if (200..300).contains(&reply.status) => Told::Well(reply),
            Ok(Reply { status, line, .. }) => {
                Told::Badly { status: Some(status), detail: line, gone: status == 410 }
            }
            Err(trouble) => {
                let detail = match &trouble {
                    Trouble::Private(detail) => format!("private_address: {detail}"),
                    trouble => trouble.detail().to_owned(),
                };
                Told::Badly { status: None, detail: detail.chars().take(300).collect(), gone: false }
            }
        }
    }
}

fn outcome(one: &HookDelivery, told: Told, now: Timestamp, dice: &mut Dice) -> HookOutcome {
    let (seq, attempt) = (one.seq, one.attempts);
    let of =
        |state, due, status, detail, counts| HookOutcome { seq, attempt, state, due, status, detail, counts };
    match told {
        Told::Well(reply) => of(DeliveryState::Delivered, now, Some(reply.status), reply.line, true),
        Told::Spared => of(DeliveryState::Waiting, now, one.status, one.detail.clone(), false),
        Told::Badly { status, detail, .. } => match circuit::again(attempt, now, dice) {
            Some(due) => of(DeliveryState::Waiting, due, status, detail, true),
            None => of(DeliveryState::Failed, now, status, detail, true),
        },
    }
}
