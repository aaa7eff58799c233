//! Requests that wait for their commit: bounded by bytes, committed together, answered one by one.

use std::sync::Arc;

use axum::http::StatusCode;
use model::{Clock, Problem};
use prometheus_client::metrics::counter::Counter;
use storage::{
    Storage, StoreError,
    imports::{ImportBatch, ItemKind},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    Config,
    job::{Job, Refused, Waiting},
    told::Told,
};
use crate::ApiError;

/// Messages that are committed together at most: a transaction of some tens of milliseconds.
const GROUP_MAX: usize = 5_000;
/// Groups at the database at the same time: while one waits for the disk, the next one waits behind it and not here.
const GROUPS: usize = 2;
/// A request takes at least so much room: what is kept beside its bytes.
const ROOM_LEAST: usize = 512;

/// Who is woken by what comes in.
#[derive(Clone, Debug)]
pub struct Bells {
    /// The living engine.
    pub engine: Arc<Notify>,
    /// Webhooks: what comes in is told to others.
    pub hooks: Arc<Notify>,
    /// Delivery, when something is to be confirmed by mail.
    pub delivery: Arc<Notify>,
}

impl Bells {
    fn ring(&self) {
        self.engine.notify_one();
        self.hooks.notify_one();
    }
}

/// Where requests wait.
pub(crate) struct Queue {
    room: Arc<Semaphore>,
    jobs: mpsc::UnboundedSender<Waiting>,
}

/// Room that a request takes, given back when this goes.
pub(super) struct Room(OwnedSemaphorePermit);

impl Room {
    /// Takes more.
    pub(super) fn widen(&mut self, queue: &Queue, bytes: usize) -> Result<(), ApiError> {
        self.0.merge(queue.take(bytes)?);
        Ok(())
    }
}

impl Queue {
    pub(super) fn start<S: Storage>(
        store: &S,
        clock: &Arc<dyn Clock>,
        bells: Bells,
        refused: Counter,
        config: &Config,
    ) -> Self {
        let (jobs, waiting) = mpsc::unbounded_channel();
        let committer = Committer {
            store: store.clone(),
            clock: Arc::clone(clock),
            bells,
            told: Told::default(),
            refused,
        };
        tokio::spawn(serve(Arc::new(committer), waiting));
        Self { room: Arc::new(Semaphore::new(config.queue_max)), jobs }
    }

    /// Room for a request.
    pub(super) fn room(&self, bytes: usize) -> Result<Room, ApiError> {
        self.take(bytes.max(ROOM_LEAST)).map(Room)
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| {
            let problem =
                Problem::new("track.busy", "more comes in than is committed").cure("send it again later");
            ApiError::retry(StatusCode::TOO_MANY_REQUESTS, problem, 1)
        })
    }

    /// Commits a request together with others; what was refused of it.
    pub(super) async fn commit(&self, job: Job, room: Room) -> Result<Refused, ApiError> {
        let (answer, answered) = oneshot::channel();
        let gone = || {
            let problem = Problem::new("server.stopping", "the server stops").cure("send it again");
            ApiError::retry(StatusCode::SERVICE_UNAVAILABLE, problem, 1)
        };
        self.jobs.send(Waiting { job, answer, room }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Until the queue is gone and empty.
async fn serve<S: Storage>(committer: Arc<Committer<S>>, mut waiting: mpsc::UnboundedReceiver<Waiting>) {
    let groups = Arc::new(Semaphore::new(GROUPS));
    loop {
        let Ok(group) = Arc::clone(&groups).acquire_owned().await else { return };
        let Some(first) = waiting.recv().await else { return };
        let mut messages = first.job.len();
        let mut together = vec![first];
        while messages < GROUP_MAX
            && let Ok(next) = waiting.try_recv()
        {
            messages += next.job.len();
            together.push(next);
        }
        let committer = Arc::clone(&committer);
        tokio::spawn(async move {
            committer.commit(together).await;
            drop(group);
        });
    }
}

/// Commits groups of requests.
struct Committer<S> {
    store: S,
    clock: Arc<dyn Clock>,
    bells: Bells,
    /// What was said about products.
    told: Told,
    refused: Counter,
}

impl<S: Storage> Committer<S> {
    async fn commit(&self, mut together: Vec<Waiting>) {
        let failed = match self.commit_joined(&mut together).await {
            Ok(()) => None,
            Err(StoreError::Refused(_)) => self.commit_apart(&mut together).await.err(),
            Err(error) => Some(error),
        };
        let mut kept = true;
        if failed.is_none() {
            self.bells.ring();
            kept = self.keep_refused(&together).await;
        }
        for Waiting { job, answer, room } in together {
            // Who hears the answer finds the room that the request took.
            drop(room);
            let said = match &failed {
                None if kept || job.to_keep().is_empty() => Ok(job.refused),
                None => Err(not_kept()),
                Some(error) => Err(error.clone().into()),
            };
            // Who asked may have gone; what is committed stays committed.
            drop(answer.send(said));
        }
    }

    /// All at once: the usual way.
    async fn commit_joined(&self, together: &mut [Waiting]) -> Result<(), StoreError> {
        let mut joined = self.batch();
        let mut starts = Vec::with_capacity(together.len());
        for waiting in &mut *together {
            starts.push(ItemKind::ALL.map(|kind| joined.count(kind)));
            joined.append(std::mem::take(&mut waiting.job.batch));
        }
        if joined.is_empty() {
            return Ok(());
        }
        joined.now = together.iter().map(|waiting| waiting.job.received_at()).max().unwrap_or(joined.now);
        let news = self.told.leave_old(&mut joined.products);
        let asks = joined.contacts.iter().any(|patch| !patch.to_confirm.is_empty());
        let outcome = self.store.import(joined).await?;
        self.told.keep(news);
        if asks {
            self.bells.delivery.notify_one();
        }
        // What is said about a product is checked when it is mapped; its places are not those of before any more.
        let refusals = outcome
            .refusals
            .into_iter()
            .filter(|refusal| refusal.problem.is_error() && refusal.kind != ItemKind::Product);
        let mut by_job: Vec<Refused> = together.iter().map(|_| Refused::new()).collect();
        for refusal in refusals {
            let start = |job: usize| starts[job][refusal.kind as usize];
            // The last job that begins at or before it, and holds anything of its kind.
            let job = (0..starts.len()).rev().find(|job| start(*job) <= refusal.index).unwrap_or(0);
            let message = together[job].job.owner(refusal.kind, refusal.index - start(job));
            by_job[job].push((message, refusal.problem));
        }
        for (waiting, refused) in together.iter_mut().zip(by_job) {
            waiting.job.refuse(refused);
        }
        Ok(())
    }

    fn batch(&self) -> ImportBatch {
        let mut batch = ImportBatch::new(self.clock.now());
        batch.live = true;
        batch
    }

    /// A message made the base refuse all of them: it is looked for by halves, so that the others are taken.
    async fn commit_apart(&self, together: &mut [Waiting]) -> Result<(), StoreError> {
        let all: Vec<(usize, usize)> = together
            .iter()
            .enumerate()
            .flat_map(|(job, waiting)| waiting.job.mapped().into_iter().map(move |message| (job, message)))
            .collect();
        let mut parts = vec![&all[..]];
        while let Some(part) = parts.pop() {
            match self.commit_part(together, part).await {
                Ok(refused) => {
                    for ((job, message), problem) in refused {
                        together[job].job.refuse(vec![(message, problem)]);
                    }
                }
                Err(StoreError::Refused(problem)) if part.len() < 2 => {
                    for (job, message) in part {
                        together[*job].job.refuse(vec![(*message, problem.clone())]);
                    }
                }
                Err(StoreError::Refused(_)) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    // In their order.
                    parts.push(second);
                    parts.push(first);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Commits some messages of some jobs; which of them were refused.
    async fn commit_part(
        &self,
        together: &[Waiting],
        part: &[(usize, usize)],
    ) -> Result<Vec<((usize, usize), Problem)>, StoreError> {
        let mut batch = self.batch();
        let mut owners = ItemKind::ALL.map(|_| Vec::new());
        for owner in part {
            let job = &together[owner.0].job;
            let Ok(mapped) = job.map_again(owner.1) else { continue };
            for kind in ItemKind::ALL {
                owners[kind as usize].extend(std::iter::repeat_n(*owner, mapped.count(kind)));
            }
            batch.append(mapped);
        }
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let asks = batch.contacts.iter().any(|patch| !patch.to_confirm.is_empty());
        let outcome = self.store.import(batch).await?;
        if asks {
            self.bells.delivery.notify_one();
        }
        let refusals = outcome.refusals.into_iter().filter(|refusal| refusal.problem.is_error());
        Ok(refusals.map(|refusal| (owners[refusal.kind as usize][refusal.index], refusal.problem)).collect())
    }

    /// Whether everything that was refused is kept.
    async fn keep_refused(&self, together: &[Waiting]) -> bool {
        let refused: Vec<_> = together.iter().flat_map(|waiting| waiting.job.to_keep()).collect();
        if refused.is_empty() {
            return true;
        }
        let count = refused.len() as u64;
        let saved = self.store.save_refused(refused).await;
        match &saved {
            Ok(()) => drop(self.refused.inc_by(count)),
            Err(error) => tracing::error!(%error, "refused messages could not be kept"),
        }
        saved.is_ok()
    }
}

/// What was refused is neither taken nor kept: whoever sends it must not believe that it is. Sent again, messages that were
/// taken are known by their ids.
fn not_kept() -> ApiError {
    let problem = Problem::new("track.not_kept", "some messages were refused and could not be kept");
    ApiError::retry(StatusCode::SERVICE_UNAVAILABLE, problem.cure("send them again"), 1)
}
