//! The worker: claims due messages, prepares the next batch while the lanes hand over this one, marks what is about to
//! leave, and records what became of it.
//!
//! At most a window of messages is marked at any time ([`crate::pace::Window`]): when the process dies, only those are in
//! doubt. Marks and outcomes go to the base together, in one transaction a round.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use model::{Clock, Slug, Timestamp};
use storage::{
    Result, StoreError,
    consents::ConsentStore,
    contacts::ContactStore,
    outbox::{AddressHash, Channel, MessageState, OutboxStore, Outcome, Recorded},
    people::PeopleStore,
    settings::SettingsStore,
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::Instant,
};

use policy::Refusal;

use crate::{
    judge::skipped,
    mailbox,
    pace::{
        Bucket, Retries, Window,
        shape::{Heard, Shaper},
    },
    prepare::{Batch, Preparer, Ready, Sender},
    transport::{Answer, Bounce, Lane, Transport},
};

/// What a worker needs of a database.
pub trait Store:
    OutboxStore + ContactStore + ConsentStore + SettingsStore + PeopleStore + Clone + Send + Sync + 'static
{
}
impl<
    T: OutboxStore + ContactStore + ConsentStore + SettingsStore + PeopleStore + Clone + Send + Sync + 'static,
> Store for T
{
}

/// How to deliver.
#[derive(Clone)]
pub struct Delivery {
    /// Who writes.
    pub sender: Arc<Sender>,
    /// The workspace's clock: what is due, and the date of mails. May be virtual.
    pub clock: Arc<dyn Clock>,
    /// The machine's clock: leases.
    pub machine: Arc<dyn Clock>,
    /// Messages a second at most.
    pub rate: Option<f64>,
    /// Messages to one domain at the same time at most. A relay shares out connections itself, so none is the default.
    pub per_domain: Option<usize>,
    /// When to try again.
    pub retries: Retries,
    /// What is remembered of recipients' domains, from one run to the next.
    pub shaper: Arc<Shaper>,
    /// Set to stop: what is on its way is finished, the rest is given back.
    pub stop: Arc<AtomicBool>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages settled so far.
    pub done: u64,
    /// Messages that were waiting at the start.
    pub total: u64,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many, by template, state and reason (empty for sent ones). Deferred messages count as waiting.
    pub counts: BTreeMap<(Slug, MessageState, &'static str), u64>,
    /// Why it stopped before the end: a stable code and a sentence.
    pub stopped: Option<(&'static str, String)>,
}

impl Summary {
    /// How many are in a state.
    #[must_use]
    pub fn count(&self, state: MessageState) -> u64 {
        self.counts.iter().filter(|((_, s, _), _)| *s == state).map(|(_, count)| count).sum()
    }

    /// Adds another run.
    pub fn add(&mut self, other: Self) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
        self.stopped = other.stopped;
    }
}

/// The lease of a claim, in microseconds. A claim is small enough to be worked off in a fraction of it.
const LEASE: i64 = 15 * Timestamp::MINUTE;
/// Leases are prolonged this often.
const RENEW_AFTER: Duration = Duration::from_secs(180);
/// How long what the sending rules said is good for, in microseconds by the workspace's clock.
const JUDGED_FOR: i64 = 60 * Timestamp::SECOND;
/// Most messages claimed at once.
const CLAIM_MAX: usize = 500;
/// Outcomes are written down after this long at the latest.
const FLUSH_AFTER: Duration = Duration::from_millis(50);
/// A message whose domain has no room for so many seconds is put off instead of kept in hand.
const PARKED_FOR: f64 = 30.0;
/// Most messages in hand whose domains have no room.
const PARKED_MAX: usize = 1_000;
/// How long a round waits for news.
const TICK: Duration = Duration::from_millis(20);

/// Delivers until nothing is due, the server is gone, or it is told to stop.
///
/// # Errors
/// What the database says. Nothing that was recorded is lost; what was being handed over is settled by the next run.
pub async fn run<S: Store, T: Transport>(
    store: &S,
    transport: &Arc<T>,
    delivery: &Delivery,
    progress: impl Fn(Progress) + Send,
) -> Result<Summary> {
    let preparer =
        Arc::new(Preparer::new(store.clone(), Arc::clone(&delivery.sender), T::KEEPS_PAGES).await?);
    let total = store.next_due().await?.map_or(0, |(_, waiting)| waiting);
    let mut round = Round {
        lanes: Lanes::start(transport),
        window: Window::new(transport.lanes()),
        bucket: delivery.rate.map(Bucket::new),
        started: Instant::now(),
        flushed: Instant::now(),
        renewed: Instant::now(),
        ready: VecDeque::new(),
        parked: VecDeque::new(),
        coming: None,
        drained: false,
        again: false,
        outstanding: HashMap::new(),
        pending: Vec::new(),
        summary: Summary::default(),
        progress: Progress { done: 0, total },
        store,
        transport,
        delivery,
        preparer,
    };
    let ended = round.work(&progress).await;
    let Round { lanes, summary, .. } = round;
    lanes.end().await;
    ended?;
    transport.finish().await.map_err(StoreError::Driver)?;
    Ok(summary)
}

/// What is remembered of a mail on its way.
struct Sent {
    attempt: u32,
    failures: u32,
}

struct Round<'a, S, T: Transport> {
    store: &'a S,
    transport: &'a Arc<T>,
    delivery: &'a Delivery,
    preparer: Arc<Preparer<S>>,
    lanes: Lanes,
    window: Window,
    bucket: Option<Bucket>,
    started: Instant,
    flushed: Instant,
    renewed: Instant,
    /// Prepared, not yet marked.
    ready: VecDeque<Ready>,
    /// Prepared, but their domains have enough for the moment: they hold up nobody else.
    parked: VecDeque<Ready>,
    /// The batch that is being prepared.
    coming: Option<JoinHandle<Result<Option<Batch>>>>,
    /// Nothing more was due at the last claim.
    drained: bool,
    /// Something waits again since the claim that is under way began: that claim may not have seen it.
    again: bool,
    /// Marked, with a lane or waiting for one; by place in the outbox.
    outstanding: HashMap<i64, Sent>,
    pending: Vec<Recorded>,
    summary: Summary,
    progress: Progress,
}

impl<S: Store, T: Transport> Round<'_, S, T> {
    async fn work(&mut self, progress: &(impl Fn(Progress) + Send)) -> Result<()> {
        loop {
            let stopping = self.summary.stopped.is_some() || self.delivery.stop.load(Ordering::Relaxed);
            if stopping {
                self.lanes.halt.store(true, Ordering::Relaxed);
                self.give_back().await?;
                if self.outstanding.is_empty() {
                    self.flush(Vec::new()).await?;
                    return Ok(());
                }
            } else {
                self.fetch();
                self.dispatch().await?;
                if self.outstanding.is_empty()
                    && self.ready.is_empty()
                    && self.parked.is_empty()
                    && self.coming.is_none()
                    && self.drained
                {
                    // What is given back to be judged anew is due as soon as that is written down.
                    let released = |recorded: &Recorded| matches!(recorded.outcome, Outcome::Released);
                    let given_back = self.pending.iter().any(released);
                    self.flush(Vec::new()).await?;
                    if !given_back {
                        return Ok(());
                    }
                    self.drained = false;
                }
            }
            self.renew().await?;
            self.listen().await?;
            if self.pending.len() >= Window::SIZE_MAX || self.flushed.elapsed() > FLUSH_AFTER {
                self.flush(Vec::new()).await?;
            }
            progress(self.progress);
        }
    }

    /// Seconds since the start.
    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Has the next batch prepared when this one runs low.
    fn fetch(&mut self) {
        // A claim is what the lanes need for about a second, so that a slow server does not hold leases for long.
        let mut claim = (self.window.size() * 8).min(CLAIM_MAX);
        if let Some(rate) = self.delivery.rate {
            claim = claim.min((rate * 60.0).ceil() as usize).max(1);
        }
        if self.coming.is_none() && !self.drained && self.ready.len() <= claim / 2 {
            let (store, preparer) = (self.store.clone(), Arc::clone(&self.preparer));
            let (now, machine) = (self.delivery.clock.now(), self.delivery.machine.now());
            self.again = false;
            self.coming = Some(tokio::spawn(async move {
                let claimed = store.claim_messages(now, machine, machine.plus(LEASE), claim).await?;
                if claimed.is_empty() {
                    return Ok(None);
                }
                preparer.prepare(claimed, now).await.map(Some)
            }));
        }
    }

    /// Something waits again: another claim must look for it.
    const fn look_again(&mut self) {
        (self.drained, self.again) = (false, true);
    }

    fn take_in(&mut self, batch: Option<Batch>) {
        let again = std::mem::take(&mut self.again);
        let Some(batch) = batch else {
            self.drained = !again;
            return;
        };
        self.ready.extend(batch.ready);
        for (recorded, unsent) in batch.settled {
            // What is held is neither sent nor unsent.
            if unsent.state != MessageState::Waiting {
                self.transport.unsent(&unsent);
                self.count(&unsent.send.template, unsent.state, unsent.reason);
            }
            self.pending.push(recorded);
        }
    }

    fn count(&mut self, template: &Slug, state: MessageState, reason: &'static str) {
        *self.summary.counts.entry((template.clone(), state, reason)).or_default() += 1;
        self.progress.done += 1;
    }

    /// Marks as many as may leave now, and gives them to the lanes.
    async fn dispatch(&mut self) -> Result<()> {
        let window = self.window.size();
        // Refilled by halves: one transaction marks many.
        if self.outstanding.len() > window / 2 {
            return Ok(());
        }
        let mut room = window - self.outstanding.len();
        let now = self.seconds();
        if let Some(bucket) = &mut self.bucket {
            room = room.min(bucket.available(now));
        }
        self.pass_over();
        let mut leaving = Vec::new();
        for ready in std::mem::take(&mut self.parked) {
            if leaving.len() < room {
                self.let_leave(ready, &mut leaving)
            } else {
                self.parked.push_back(ready)
            }
        }
        while leaving.len() < room
            && let Some(ready) = self.ready.pop_front()
        {
            self.let_leave(ready, &mut leaving);
        }
        if leaving.is_empty() {
            return Ok(());
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(leaving.len());
        }
        let lease_until = Some(self.delivery.machine.now().plus(LEASE));
        let mark = |ready: &Ready| Recorded {
            seq: ready.seq,
            attempt: ready.attempt,
            outcome: Outcome::HandingOver { witness: Some(Box::new(ready.witness.clone())), lease_until },
        };
        let lost = self.flush(leaving.iter().map(mark).collect()).await?;
        for ready in leaving {
            // Its lease ran out and somebody else has it, or it waits again to be judged anew.
            if lost.contains(&ready.seq) {
                self.look_again();
                self.leave_domain(&ready, Heard::Other);
                continue;
            }
            self.outstanding.insert(ready.seq, Sent { attempt: ready.attempt, failures: ready.failures });
            self.lanes.give(ready);
        }
        Ok(())
    }

    /// Puts aside what expired, and what was judged too long ago: it is claimed and judged anew.
    fn pass_over(&mut self) {
        let now = self.delivery.clock.now();
        let parked = std::mem::take(&mut self.parked);
        let first = parked.len();
        let all = parked.into_iter().chain(std::mem::take(&mut self.ready));
        for (i, ready) in all.enumerate() {
            let outcome = if ready.expires_at.is_some_and(|end| now >= end) {
                self.count(&ready.mail.send.template, MessageState::Skipped, Refusal::Expired.word());
                skipped(Refusal::Expired)
            } else if now.since(ready.judged_at) >= JUDGED_FOR {
                self.look_again();
                Outcome::Released
            } else {
                if i < first {
                    self.parked.push_back(ready)
                } else {
                    self.ready.push_back(ready)
                }
                continue;
            };
            self.pending.push(Recorded { seq: ready.seq, attempt: ready.attempt, outcome });
        }
    }

    /// Prolongs the leases of what is still worked on: a slow server takes longer than a lease.
    async fn renew(&mut self) -> Result<()> {
        if self.renewed.elapsed() < RENEW_AFTER {
            return Ok(());
        }
        self.renewed = Instant::now();
        let ready = self.ready.iter().chain(&self.parked).map(|ready| (ready.seq, ready.attempt));
        let claims = ready.chain(self.outstanding.iter().map(|(seq, sent)| (*seq, sent.attempt))).collect();
        let lost = self.store.renew_claims(claims, self.delivery.machine.now().plus(LEASE)).await?;
        self.ready.retain(|ready| !lost.contains(&ready.seq));
        self.parked.retain(|ready| !lost.contains(&ready.seq));
        Ok(())
    }

    /// Lets a message leave, if its domain has room. Else it is parked; where that would take long, or many are, it is
    /// put off.
    fn let_leave(&mut self, ready: Ready, leaving: &mut Vec<Ready>) {
        match self.enter_domain(&ready) {
            Ok(()) => leaving.push(ready),
            Err(wait) if wait < PARKED_FOR && self.parked.len() < PARKED_MAX => self.parked.push_back(ready),
            Err(wait) => {
                let until = self.delivery.clock.now().plus((wait.max(1.0) * 1e6) as i64);
                let outcome = Outcome::Held { until, reason: "domain.pace" };
                self.pending.push(Recorded { seq: ready.seq, attempt: ready.attempt, outcome });
            }
        }
    }

    /// Whether the domain of a mail takes one more now; else after how many seconds to ask again.
    fn enter_domain(&self, ready: &Ready) -> std::result::Result<(), f64> {
        let Some(domain) = domain_of(ready) else { return Ok(()) };
        let mut limit = self.preparer.domains().of(&domain);
        if let Some(most) = self.delivery.per_domain {
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            limit.connections = Some(limit.connections.map_or(most, |own| own.min(most)));
        }
        self.delivery.shaper.enter(&domain, limit)
    }

    fn leave_domain(&self, ready: &Ready, heard: Heard) {
        if let Some(domain) = domain_of(ready) {
            self.delivery.shaper.leave(&domain, heard);
        }
    }

    /// Writes down marks and outcomes, in one transaction. Returns those whose claim was lost.
    async fn flush(&mut self, marks: Vec<Recorded>) -> Result<Vec<i64>> {
        self.flushed = Instant::now();
        let mut lost = Vec::new();
        let mut outcomes = std::mem::take(&mut self.pending);
        let settled = !outcomes.is_empty();
        outcomes.extend(marks);
        if !outcomes.is_empty() {
            lost = self.store.record_outcomes(self.delivery.clock.now(), outcomes).await?;
        }
        if settled {
            storage::fault::point("delivery.after_record");
        }
        Ok(lost)
    }

    /// Waits a moment for what the lanes say and for the batch that is being prepared, and takes it in.
    async fn listen(&mut self) -> Result<()> {
        let wait = match &self.bucket {
            Some(bucket) => TICK.min(Duration::from_secs_f64(bucket.wait().clamp(0.001, 1.0))),
            None => TICK,
        };
        let mut news = Vec::new();
        let mut batch = None;
        let coming = &mut self.coming;
        let prepared = async {
            match coming {
                Some(coming) => coming.await,
                None => std::future::pending().await,
            }
        };
        // In this order, not in a random one: what comes of the same news is the same.
        tokio::select! {
            biased;
            done = prepared => batch = Some(done),
            first = self.lanes.said.recv() => news.extend(first),
            () = tokio::time::sleep(wait) => {}
        }
        if let Some(done) = batch {
            self.coming = None;
            self.take_in(joined(done)?);
        }
        while let Ok(more) = self.lanes.said.try_recv() {
            news.push(more);
        }
        let now = self.seconds();
        self.window.answered(news.len(), now);
        for said in news {
            self.take(said);
        }
        Ok(())
    }

    fn take(&mut self, (ready, said): Said) {
        let Some(sent) = self.outstanding.remove(&ready.seq) else { return };
        self.leave_domain(
            &ready,
            match &said {
                Some(Answer::Taken { .. }) => Heard::Well,
                Some(Answer::Temporary { reason: "smtp.4xx", .. }) => Heard::Slow,
                _ => Heard::Other,
            },
        );
        let Some(answer) = said else {
            self.ready.push_front(ready);
            return;
        };
        let template = ready.mail.send.template.clone();
        let transactional = ready.mail.send.transactional;
        let outcome = match answer {
            Answer::Taken { detail } => {
                self.count(&template, MessageState::Sent, "");
                Outcome::Sent { detail }
            }
            Answer::Temporary { reason, detail } => self.later(&ready, sent.failures, reason, detail),
            Answer::Doubtful { detail } if transactional => {
                self.later(&ready, sent.failures, "smtp.no_answer", detail)
            }
            Answer::Doubtful { detail } => {
                self.count(&template, MessageState::Uncertain, "smtp.no_answer");
                Outcome::Uncertain { detail }
            }
            Answer::Permanent { reason, detail, bounce } => {
                self.count(&template, MessageState::Failed, reason);
                match bounce {
                    Some(bounce) => {
                        let address = AddressHash::of(Channel::Email, &ready.mail.to);
                        Outcome::Bounced { address, hard: bounce == Bounce::Hard, reason, detail }
                    }
                    None => Outcome::Failed { reason, detail },
                }
            }
            Answer::Unavailable { reason, detail, for_good } => {
                self.ready.push_front(ready);
                self.lanes.alive -= 1;
                // One connection too many is no reason to stop as long as others go on.
                if (for_good || self.lanes.alive == 0) && self.summary.stopped.is_none() {
                    self.summary.stopped = Some((reason, detail));
                }
                return;
            }
        };
        self.pending.push(Recorded { seq: ready.seq, attempt: sent.attempt, outcome });
    }

    /// A temporary failure: again later, or given up.
    fn later(&mut self, ready: &Ready, failures: u32, reason: &'static str, detail: String) -> Outcome {
        let template = &ready.mail.send.template;
        match self.delivery.retries.next(ready.mail.id, failures, self.delivery.clock.now()) {
            Some(until) => {
                self.count(template, MessageState::Waiting, reason);
                Outcome::Deferred { until, reason, detail }
            }
            None => {
                self.count(template, MessageState::Failed, "gave_up");
                // A server that says "later" to every try says it of the address.
                if reason == "smtp.4xx" && ready.mail.send.channel == Channel::Email {
                    let address = AddressHash::of(Channel::Email, &ready.mail.to);
                    return Outcome::Bounced { address, hard: false, reason: "gave_up", detail };
                }
                Outcome::Failed { reason: "gave_up", detail }
            }
        }
    }

    /// Puts back what was claimed and is not on its way.
    async fn give_back(&mut self) -> Result<()> {
        if let Some(coming) = self.coming.take() {
            self.take_in(joined(coming.await)?);
        }
        let parked = std::mem::take(&mut self.parked);
        for ready in std::mem::take(&mut self.ready).into_iter().chain(parked) {
            self.pending.push(Recorded {
                seq: ready.seq,
                attempt: ready.attempt,
                outcome: Outcome::Released,
            });
        }
        Ok(())
    }
}

/// The domain that a mail goes to, in lower case; other channels have none.
fn domain_of(ready: &Ready) -> Option<String> {
    let email = ready.mail.send.channel == Channel::Email;
    email.then(|| mailbox::domain(&ready.mail.to).to_ascii_lowercase())
}

/// A batch, as its task left it.
fn joined(task: std::result::Result<Result<Option<Batch>>, tokio::task::JoinError>) -> Result<Option<Batch>> {
    task.map_err(|error| StoreError::Driver(format!("the preparing task ended: {error}")))?
}

/// A mail comes back from a lane with an answer; without one it was not begun.
type Said = (Ready, Option<Answer>);

/// The lanes, each a task that takes the next mail from a common queue.
struct Lanes {
    queue: mpsc::UnboundedSender<Ready>,
    said: mpsc::UnboundedReceiver<Said>,
    tasks: Vec<JoinHandle<()>>,
    /// No mail is begun any more.
    halt: Arc<AtomicBool>,
    /// Lanes that still work.
    alive: usize,
}

impl Lanes {
    fn start<T: Transport>(transport: &Arc<T>) -> Self {
        // The queues are bounded by the window: what is given to the lanes was marked before.
        let (queue, mails) = mpsc::unbounded_channel();
        let (say, said) = mpsc::unbounded_channel();
        let halt = Arc::new(AtomicBool::new(false));
        let alive = transport.lanes().max(1);
        let shared =
            Arc::new(Shared { mails: Mutex::new(mails), halt: Arc::clone(&halt), alive: alive.into() });
        let tasks = (0..alive)
            .map(|_| tokio::spawn(run_lane(transport.lane(), Arc::clone(&shared), say.clone())))
            .collect();
        Self { queue, said, tasks, halt, alive }
    }

    fn give(&self, ready: Ready) {
        // The receiver lives as long as this: it cannot be closed.
        drop(self.queue.send(ready));
    }

    async fn end(self) {
        drop(self.queue);
        for task in self.tasks {
            drop(task.await);
        }
    }
}

/// What the lanes share.
struct Shared {
    mails: Mutex<mpsc::UnboundedReceiver<Ready>>,
    halt: Arc<AtomicBool>,
    alive: AtomicUsize,
}

async fn run_lane<L: Lane>(mut lane: L, shared: Arc<Shared>, say: mpsc::UnboundedSender<Said>) {
    loop {
        let next = shared.mails.lock().await.recv().await;
        let Some(ready) = next else { break };
        if shared.halt.load(Ordering::Relaxed) {
            drop(say.send((ready, None)));
            continue;
        }
        storage::fault::point("delivery.before_handover");
        let answer = lane.hand_over(&ready.mail).await;
        if matches!(answer, Answer::Taken { .. }) {
            storage::fault::point("delivery.after_handover");
        }
        let gone = matches!(answer, Answer::Unavailable { .. });
        drop(say.send((ready, Some(answer))));
        if gone {
            // The last lane to end hands back what nobody will take any more.
            if shared.alive.fetch_sub(1, Ordering::SeqCst) == 1 {
                while let Some(ready) = shared.mails.lock().await.recv().await {
                    drop(say.send((ready, None)));
                }
            }
            return;
        }
    }
    lane.close().await;
}
