//! One batch: what happened to contacts, or whose alarm rang, advanced and committed in one transaction.
//!
//! 1. Which of them does any journey care for? The others cost nothing more.
//! 2. Load them: enrolments inside, alarms, profiles with what the journeys read.
//! 3. Advance all of them in memory, answering needs by kind for the whole batch, until nobody needs anything.
//! 4. Commit: enrolments, alarms, fields, lists, coupons, counters, messages, what was raised — and what is done.

mod answers;
mod gather;
mod outcome;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use journey::Need;
use model::{ContactId, Event, Timestamp, event::kind};
use rayon::prelude::*;
use storage::{
    Result, Storage,
    live::{Alarm, Done, NewWave, StepCommit, StepOutcome},
};

use super::{
    Ground, LiveJourney,
    actor::{Actor, Happening, Inside, Scene},
    coupons::{Coupons, Lease},
    lives, load, timers,
    trials::{self, Samples},
    watch::{Seen, Watch},
};

/// How often a batch is tried again because contacts changed under it.
const TRIES: usize = 5;
/// Contacts from which it is worth to advance them on several threads.
const PARALLEL_FROM: usize = 64;

/// What a batch works on.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// What happened, in order.
    pub happened: Vec<(Event, u8)>,
    /// Whose alarm rang.
    pub rang: Vec<ContactId>,
    /// What it causes for many.
    pub waves: Vec<NewWave>,
    /// Settings to write with it.
    pub settings: Vec<(String, serde_json::Value)>,
    /// Who enters a version with its audience.
    pub enters: Option<Enters>,
    /// See [`StepCommit::as_of`].
    pub as_of: Option<i64>,
}

/// Contacts of an audience who enter.
#[derive(Clone, Debug)]
pub struct Enters {
    /// The version.
    pub journey: Arc<LiveJourney>,
    /// Who.
    pub contacts: Vec<ContactId>,
    /// Whether some of them may have been in the journey before.
    pub again: bool,
}

/// What a batch came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stepped {
    /// Contacts that were advanced.
    pub contacts: usize,
    /// Steps that they took.
    pub steps: u64,
    /// Messages that are new in the outbox.
    pub messages: u64,
    /// Inputs that were caused and dropped because too many caused each other.
    pub dropped: u64,
    /// Contacts of an audience who may not enter again.
    pub stayed_out: u64,
    /// Contacts of an audience who are not in the base any more.
    pub gone: u64,
    /// Runs whose A/B tests were told something.
    pub trials: BTreeSet<i64>,
}

/// Works on a batch until it is committed. `seen` is what [`Watch`] made of it: its events are worked on too, its answers
/// are committed with the rest.
///
/// # Errors
/// `journey.busy` when contacts keep changing under it; what storage says. Nothing was committed then.
#[expect(clippy::too_many_arguments, reason = "they are what a batch is")]
pub async fn step<S: Storage>(
    store: &S,
    ground: &Ground,
    watch: &Watch,
    pool: &Arc<Coupons>,
    work: &Work,
    seen: &Seen,
    done: Done,
    now: Timestamp,
) -> Result<Option<Stepped>> {
    for _ in 0..TRIES {
        let mut lease = pool.begin();
        let members = |slug: &str, contact: ContactId| watch.is_member_after(seen, slug, contact);
        let (commit, mut stepped) =
            compute(store, ground, &members, seen, work, done.clone(), &mut lease, now).await?;
        let uses = commit.coupons.clone();
        storage::fault::point("live.before_commit");
        match store.commit_step(commit).await? {
            StepOutcome::Committed { messages } => {
                storage::fault::point("live.after_commit");
                stepped.messages = messages;
                lease.committed(&uses);
                return Ok(Some(stepped));
            }
            StepOutcome::Moved => return Ok(None),
            // Dropping the lease gives the codes back.
            StepOutcome::Conflict(_) => {}
        }
    }
    Err(model::Problem::new("journey.busy", "contacts keep changing while the engine writes them").into())
}

/// What a batch comes to, without committing it.
///
/// # Errors
/// What storage says.
#[expect(clippy::too_many_arguments, reason = "they are what a batch is")]
pub(crate) async fn compute<S: Storage>(
    store: &S,
    ground: &Ground,
    members: Members<'_>,
    seen: &Seen,
    work: &Work,
    done: Done,
    lease: &mut Lease,
    now: Timestamp,
) -> Result<(StepCommit, Stepped)> {
    Batch { store, ground, members, seen, now }.compute(work, done, lease).await
}

struct Batch<'a, S> {
    store: &'a S,
    ground: &'a Ground,
    /// Whether a contact is in a segment, with the batch's own moves.
    members: Members<'a>,
    seen: &'a Seen,
    now: Timestamp,
}

/// Answers whether a contact is in a segment; none: the database knows.
pub type Members<'a> = &'a (dyn Fn(&str, ContactId) -> Option<bool> + Sync);

impl<S: Storage> Batch<'_, S> {
    async fn compute(&self, work: &Work, done: Done, lease: &mut Lease) -> Result<(StepCommit, Stepped)> {
        let mut commit = StepCommit::new(self.now, done);
        commit.as_of = work.as_of;
        commit.waves.clone_from(&work.waves);
        commit.settings.clone_from(&work.settings);
        commit.members = self.seen.members.clone();
        commit.scores = self.seen.scores.clone();
        let mut stepped = Stepped::default();
        let events = work.happened.iter().chain(&self.seen.events).map(|(event, _)| event);
        commit.trials = trials::converted(&self.ground.book, events);
        let agendas = self.agendas(work);
        if agendas.is_empty() {
            stepped.trials = commit.trials.iter().map(trials::run_of).collect();
            return Ok((commit, stepped));
        }
        let scene = Scene { ground: self.ground, now: self.now, members: self.members };
        let mut actors = self.load(agendas, work.enters.as_ref(), &scene).await?;
        let mut samples = Samples::default();
        loop {
            let needs = go_all(&mut actors, &scene);
            if needs.is_empty() {
                break;
            }
            self.answer(&mut actors, needs, &scene, lease, &mut samples).await?;
        }
        // A contact that is gone rings no more.
        let gone = work.rang.iter().filter(|contact| actors.iter().all(|actor| actor.contact != **contact));
        commit.alarms.extend(gone.map(|contact| (*contact, Alarm::default())));
        let enters = work.enters.as_ref().map_or(0, |enters| enters.contacts.len());
        stepped.gone = enters.saturating_sub(actors.len()) as u64;
        stepped.contacts = actors.len();
        for actor in actors {
            stepped.stayed_out += u64::from(actor.stays_out);
            self.take_over(actor, &mut commit, &mut stepped);
        }
        stepped.trials = commit.trials.iter().map(trials::run_of).collect();
        Ok((commit, stepped))
    }

    /// By contact: what happened that anybody cares for, and whose alarm rang.
    fn agendas(&self, work: &Work) -> BTreeMap<ContactId, (Vec<Happening>, bool)> {
        let cares = Cares::of(&self.ground.book);
        let mut agendas: BTreeMap<ContactId, (Vec<Happening>, bool)> = BTreeMap::new();
        let own = work.happened.iter().chain(&self.seen.events);
        for (event, causes) in own.filter(|(event, _)| cares.for_event(event)) {
            let happening = Happening { event: Arc::new(event.clone()), causes: *causes };
            agendas.entry(event.contact).or_default().0.push(happening);
        }
        for contact in work.enters.iter().flat_map(|enters| &enters.contacts) {
            agendas.entry(*contact).or_default();
        }
        for contact in &work.rang {
            agendas.entry(*contact).or_default().1 = true;
        }
        agendas
    }
}

/// For which events anything is to be done.
pub(crate) struct Cares<'b> {
    book: &'b super::Book,
    carts: bool,
    dates: bool,
}

impl<'b> Cares<'b> {
    /// What the journeys of a book, and their timers, care for.
    pub fn of(book: &'b super::Book) -> Self {
        Self { book, carts: !timers::abandoned_after(book).is_empty(), dates: timers::has_dates(book) }
    }

    /// Whether one of them cares for an event.
    pub fn for_event(&self, event: &Event) -> bool {
        match event.kind.as_str() {
            super::RESUMED
            | timers::TIMERS_CHECKED
            | lives::AUDIENCE
            | lives::HELD
            | kind::CONTACT_MERGED => true,
            kind::CART_UPDATED | kind::ORDER_COMPLETED if self.carts => true,
            kind::CONTACT_CREATED | kind::CONTACT_UPDATED if self.dates => true,
            kind => self.book.kinds.contains(kind),
        }
    }
}

/// Takes all actors as far as they go without the database; who needs what, by place.
fn go_all(actors: &mut [Actor], scene: &Scene<'_>) -> Vec<(usize, Vec<Need>)> {
    if actors.len() < PARALLEL_FROM {
        let each = actors.iter_mut().enumerate();
        return each.filter_map(|(place, actor)| Some((place, actor.go(scene)?))).collect();
    }
    let each = actors.par_iter_mut().enumerate();
    each.filter_map(|(place, actor)| Some((place, actor.go(scene)?))).collect()
}
