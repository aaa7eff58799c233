//! One batch: what happened to contacts, or whose alarm rang, advanced and committed in one transaction.
//!
//! 1. Which of them does any journey care for? The others cost nothing more.
//! 2. Load them: enrolments inside, alarms, profiles with what the journeys read.
//! 3. Advance all of them in memory, answering needs by kind for the whole batch, until nobody needs anything.
//! 4. Commit: enrolments, alarms, fields, lists, coupons, counters, messages, what was raised — and what is done.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use journey::{
    Counts, Found, Need, Run,
    entry::Goal,
    graph::Reads,
    run::{CouponNeed, Passages},
    trace,
};
use model::{Cart, ContactId, Event, MessageId, Slug, Timestamp, event::kind};
use rayon::prelude::*;
use serde_json::json;
use storage::{
    Result, Storage, StoreError,
    journeys::CountDelta,
    live::{
        Alarm, CAUSES_MAX, CouponUse, Done, Ended, EnrolmentStep, Life, LiveEnrolment, NewInput, NewWave,
        StepCommit, StepOutcome,
    },
    outbox::OutboxMessage,
};

use super::{
    Ground, LiveJourney,
    actor::{Actor, Happening, Inside, Left, Outcome, Scene},
    conditions,
    coupons::{CouponAsk, Coupons, Lease},
    lives, load, timers,
    trials::{self, Samples},
    watch::{Seen, Watch},
};
use crate::campaign::report;

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

/// The enrolments of a contact that are inside.
#[derive(Default)]
struct Own {
    kept: Vec<Inside>,
    /// When one rings whose version cannot be compiled any more.
    broken_due: Option<Timestamp>,
}

impl Own {
    fn add<S: Storage>(&mut self, batch: &Batch<'_, S>, enrolment: &LiveEnrolment) -> Result<()> {
        match batch.resume(enrolment)? {
            Some(inside) => self.kept.push(inside),
            None => {
                self.broken_due = self.broken_due.into_iter().chain(batch.due_later(enrolment)).min();
            }
        }
        Ok(())
    }
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

    async fn load(
        &self,
        mut agendas: BTreeMap<ContactId, (Vec<Happening>, bool)>,
        enters: Option<&Enters>,
        scene: &Scene<'_>,
    ) -> Result<Vec<Actor>> {
        let ids: Vec<ContactId> = agendas.keys().copied().collect();
        let mut inside: HashMap<ContactId, Own> = HashMap::new();
        // Who enters a journey in which nobody stays leaves the alarm alone, and what it rings for.
        let stays =
            |enters: &Enters| enters.journey.rules.journey.nodes.iter().any(|node| node.step.may_stay());
        let with_alarms = enters.is_none_or(stays);
        if with_alarms {
            for enrolment in self.store.load_inside(ids.clone()).await? {
                inside.entry(enrolment.contact).or_default().add(self, &enrolment)?;
            }
        }
        let mut ended = self.ended(&agendas).await?;
        // Most of what happens concerns nobody who is inside and starts nothing: their profiles stay where they are.
        if enters.is_none() {
            agendas.retain(|contact, (agenda, rang)| {
                let sleeps =
                    |own: &Own| own.kept.iter().all(|inside| self.sleeps_through(inside, agenda, scene));
                *rang
                    || ended.contains_key(contact)
                    || agenda.iter().any(|happening| self.may_matter(&happening.event))
                    || inside.get(contact).is_some_and(|own| !sleeps(own))
            });
        }
        let ids: Vec<ContactId> = agendas.keys().copied().collect();
        let alarms = if with_alarms { self.store.load_alarms(ids.clone()).await? } else { Vec::new() };
        let mut alarms: HashMap<ContactId, Alarm> = ids.iter().copied().zip(alarms).collect();
        let reads = self.reads();
        let wanted = load::Wanted { reads, horizon: self.ground.sending.horizon().max(reads.sends_back) };
        let people = load::people(self.store, &ids, wanted, self.now).await?;
        let mut past = self.past(&agendas).await?;
        if let Some(Enters { journey, again: true, .. }) = enters {
            let slug = &journey.rules.journey.slug;
            for enrolment in self.store.load_past(slug.clone(), ids.clone()).await? {
                past.entry(enrolment.contact).or_default().push((slug.clone(), enrolment));
            }
        }
        let mut carts = self.carts(&agendas, &alarms).await?;
        let mut actors = Vec::with_capacity(people.len());
        for person in people {
            let contact = person.contact.id;
            let Some((agenda, rang)) = agendas.remove(&contact) else { continue };
            let Own { kept, broken_due } = inside.remove(&contact).unwrap_or_default();
            let alarm = alarms.remove(&contact).unwrap_or_default();
            let again = agenda.iter().any(|happening| happening.event.kind == timers::TIMERS_CHECKED);
            let own = carts.remove(&contact).unwrap_or_default();
            let mut actor =
                Actor::new(person, kept, past.remove(&contact).unwrap_or_default(), alarm, agenda, rang);
            actor.broken_due = broken_due;
            actor.ended = ended.remove(&contact).unwrap_or_default();
            if let Some(enters) = enters {
                actor.enter(Arc::clone(&enters.journey));
            }
            if again {
                actor.set_carts(&own, scene);
            }
            actor.open(scene, &own);
            actors.push(actor);
        }
        Ok(actors)
    }

    /// Whether what happened leaves an enrolment as it is, as far as that can be told without the contact.
    fn sleeps_through(&self, inside: &Inside, agenda: &[Happening], scene: &Scene<'_>) -> bool {
        let live = &inside.journey;
        let journey = &live.rules.journey;
        if live.record.life == Life::Stopping || inside.run.due().is_some_and(|due| due <= self.now) {
            return false;
        }
        let world = scene.world(live);
        agenda.iter().all(|happening| {
            let event = &happening.event;
            let kind = event.kind.as_str();
            let goal = journey.goal.as_ref();
            !matches!(kind, super::RESUMED | lives::AUDIENCE | lives::HELD | kind::CONTACT_MERGED)
                && journey.leavers(kind).next().is_none()
                && goal.is_none_or(|goal| goal.listener.on.event_kind() != kind)
                && inside.run.sleeps_through(event, &world)
        })
    }

    /// Whether an event may matter to a contact who is inside nothing: by starting a journey, as a goal reached late, or
    /// for its timers.
    fn may_matter(&self, event: &Event) -> bool {
        match event.kind.as_str() {
            lives::AUDIENCE | lives::HELD | timers::TIMERS_CHECKED => return true,
            // What a merged contact's alarm was to ring for.
            kind::CONTACT_MERGED
                if event.properties.contains_key(timers::OF_MERGED)
                    || timers::has_dates(&self.ground.book) =>
            {
                return true;
            }
            kind::CART_UPDATED | kind::ORDER_COMPLETED
                if !timers::abandoned_after(&self.ground.book).is_empty() =>
            {
                return true;
            }
            kind::CONTACT_CREATED | kind::CONTACT_UPDATED if timers::has_dates(&self.ground.book) => {
                return true;
            }
            _ => {}
        }
        // A goal may be reached after the end.
        let is_goal = |live: &Arc<LiveJourney>| {
            let goal = live.rules.journey.goal.as_ref();
            goal.is_some_and(|goal| goal.listener.on.event_kind() == event.kind)
        };
        if self.ground.book.all_counting().any(is_goal) {
            return true;
        }
        self.ground.book.journeys.iter().any(|live| {
            let journey = &live.rules.journey;
            if journey.triggers.is_empty() {
                super::enter::joins(&journey.audience, event)
            } else {
                journey.starters(&event.kind).any(|(_, listener)| listener.on.means(event))
            }
        })
    }

    /// What all journeys at work read of a contact.
    fn reads(&self) -> Reads {
        let mut all = Reads::default();
        for live in &self.ground.book.journeys {
            let reads = live.rules.journey.reads;
            all.totals |= reads.totals;
            all.rfm |= reads.rfm;
            all.suppressions |= reads.suppressions;
            all.sends |= reads.sends;
            all.sends_back = all.sends_back.max(reads.sends_back);
            all.push |= reads.push;
        }
        all
    }

    /// An enrolment of a version that the book has; of one that cannot be compiled any more it waits.
    fn resume(&self, enrolment: &LiveEnrolment) -> Result<Option<Inside>> {
        let Some(journey) = self.ground.book.of_run(enrolment.run) else { return Ok(None) };
        let Some(state) = &enrolment.state else { return Ok(None) };
        let mut run =
            Run::resume(journey::Person::default(), state).ok_or_else(|| StoreError::Inconsistent {
                table: "enrolments",
                row: format!("{}, {}, {}", enrolment.contact, enrolment.run, enrolment.ordinal),
                why: "the state does not read back".into(),
            })?;
        run.renumber(enrolment.ordinal);
        Ok(Some(Inside {
            journey: Arc::clone(journey),
            run,
            fresh: false,
            touched: false,
            arrived: Vec::new(),
        }))
    }

    /// When an enrolment rings of whose version nothing is known but that it waits. What is due already rings when the
    /// version can be compiled again: see [`super::mended`].
    fn due_later(&self, enrolment: &LiveEnrolment) -> Option<Timestamp> {
        let run = Run::resume(journey::Person::default(), enrolment.state.as_ref()?)?;
        run.due().filter(|due| *due > self.now)
    }

    /// Earlier enrolments of those whom an event might bring into a journey.
    async fn past(
        &self,
        agendas: &BTreeMap<ContactId, (Vec<Happening>, bool)>,
    ) -> Result<HashMap<ContactId, Vec<(Slug, LiveEnrolment)>>> {
        let mut all: HashMap<ContactId, Vec<(Slug, LiveEnrolment)>> = HashMap::new();
        for live in self.ground.book.journeys.iter().filter(|live| live.open || live.holds) {
            let journey = &live.rules.journey;
            let by_timer = journey.triggers.iter().any(|listener| {
                matches!(listener.on, journey::entry::On::CartAbandoned { .. } | journey::entry::On::Date(_))
            });
            let gives =
                |live: &&Arc<LiveJourney>| live.rules.journey.slug == journey.slug && live.moved_to.is_some();
            let is_given = self.ground.book.journeys.iter().any(|live| gives(&live));
            let starts = |event: &Event| {
                let own = |slug: &Slug| *slug == journey.slug;
                match event.kind.as_str() {
                    super::RESUMED => return is_given,
                    lives::AUDIENCE => return journey.triggers.is_empty(),
                    lives::HELD => return lives::unhold(event).is_some_and(|(slug, _)| own(&slug)),
                    _ => {}
                }
                if journey.triggers.is_empty() {
                    super::enter::joins(&journey.audience, event)
                } else {
                    journey.starters(&event.kind).any(|(_, listener)| listener.on.means(event))
                }
            };
            let contacts: Vec<ContactId> = agendas
                .iter()
                .filter(|(_, (agenda, rang))| (*rang && by_timer) || agenda.iter().any(|h| starts(&h.event)))
                .map(|(contact, _)| *contact)
                .collect();
            if contacts.is_empty() {
                continue;
            }
            for enrolment in self.store.load_past(journey.slug.clone(), contacts).await? {
                all.entry(enrolment.contact).or_default().push((journey.slug.clone(), enrolment));
            }
        }
        Ok(all)
    }

    /// Enrolments that ended not long ago, of those to whom something happened that is a journey's goal.
    async fn ended(
        &self,
        agendas: &BTreeMap<ContactId, (Vec<Happening>, bool)>,
    ) -> Result<HashMap<ContactId, Vec<Ended>>> {
        let goals: Vec<(i64, &Goal)> = self
            .ground
            .book
            .all_counting()
            .filter_map(|live| Some((live.record.run, live.rules.journey.goal.as_ref()?)))
            .collect();
        let mut since = Timestamp::MAX;
        let mut contacts = Vec::new();
        for (contact, (agenda, _)) in agendas {
            let mut is_goal = false;
            for event in agenda.iter().map(|happening| &happening.event) {
                for (_, goal) in goals.iter().filter(|(_, goal)| goal.listener.on.event_kind() == event.kind)
                {
                    since = since.min(recommend::step::since(goal.within, event.at.min(self.now)));
                    is_goal = true;
                }
            }
            if is_goal {
                contacts.push(*contact);
            }
        }
        let mut ended: HashMap<ContactId, Vec<Ended>> = HashMap::new();
        if !contacts.is_empty() {
            let runs = goals.iter().map(|(run, _)| *run).collect();
            for one in self.store.load_ended(runs, contacts, since).await? {
                ended.entry(one.contact).or_default().push(one);
            }
        }
        Ok(ended)
    }

    /// The open carts of those whose timer for a cart rang, or whose timers are made anew.
    async fn carts(
        &self,
        agendas: &BTreeMap<ContactId, (Vec<Happening>, bool)>,
        alarms: &HashMap<ContactId, Alarm>,
    ) -> Result<HashMap<ContactId, Vec<Cart>>> {
        let contacts: Vec<ContactId> = agendas
            .iter()
            .filter(|(contact, (agenda, rang))| {
                (*rang && alarms.get(contact).is_some_and(|alarm| !alarm.timers.is_empty()))
                    || agenda.iter().any(|happening| happening.event.kind == timers::TIMERS_CHECKED)
            })
            .map(|(contact, _)| *contact)
            .collect();
        let mut carts: HashMap<ContactId, Vec<Cart>> = HashMap::new();
        if !contacts.is_empty() {
            for cart in self.store.load_open_carts(contacts).await? {
                carts.entry(cart.contact).or_default().push(cart);
            }
        }
        Ok(carts)
    }

    /// Answers what the actors need, by kind.
    async fn answer(
        &self,
        actors: &mut [Actor],
        needs: Vec<(usize, Vec<Need>)>,
        scene: &Scene<'_>,
        lease: &mut Lease,
        samples: &mut Samples,
    ) -> Result<()> {
        self.conditions(actors, &needs, scene).await?;
        self.coupons(actors, &needs, lease).await?;
        self.memberships(actors, &needs).await?;
        let sampled: Vec<(usize, u16)> = sampled(actors, &needs);
        let mut needs: HashMap<usize, Vec<Need>> = needs.into_iter().collect();
        let mut asking: Vec<load::Asking<'_>> = Vec::with_capacity(needs.len());
        for (place, actor) in actors.iter_mut().enumerate() {
            let Some(needs) = needs.remove(&place) else { continue };
            if let Some((run, live)) = actor.running() {
                asking.push(load::Asking { run, journey: &live.rules.journey, needs });
            }
        }
        load::answer(self.store, &self.ground.shelf.catalogue, self.now, &mut asking).await?;
        for (place, node) in sampled {
            let Some((run, live)) = actors[place].running() else { continue };
            let Some(trial) = live.rules.journey.node(node).step.trial() else { continue };
            let taken = samples.ask(self.store, live, node, trial).await?;
            let known = run.answers().passages(node).unwrap_or_default();
            run.answers().set_passages(node, Passages { taken, ..known });
        }
        Ok(())
    }

    /// Conditions about histories, and the orders and events that they find.
    async fn conditions(
        &self,
        actors: &mut [Actor],
        needs: &[(usize, Vec<Need>)],
        scene: &Scene<'_>,
    ) -> Result<()> {
        for finds in [false, true] {
            let asked: Vec<(usize, u16)> = needs
                .iter()
                .flat_map(|(place, needs)| {
                    needs.iter().filter_map(move |need| match need {
                        Need::Condition(condition) if !finds => Some((*place, *condition)),
                        Need::Found(condition) if finds => Some((*place, *condition)),
                        _ => None,
                    })
                })
                .filter(|(place, _)| actors[*place].goes_on().is_some())
                .collect();
            if asked.is_empty() {
                continue;
            }
            let (holds, found) = self.questions(actors, &asked, scene, finds).await?;
            for ((place, condition), holds) in asked.iter().zip(holds) {
                if let Some((run, _)) = actors[*place].running() {
                    run.answers().set_condition(*condition, holds);
                }
            }
            for ((place, condition), found) in asked.iter().zip(found) {
                if let Some((run, _)) = actors[*place].running() {
                    run.answers().set_found(*condition, found);
                }
            }
        }
        Ok(())
    }

    /// The answers to conditions of runs: whether they hold, or what they find.
    async fn questions(
        &self,
        actors: &[Actor],
        asked: &[(usize, u16)],
        scene: &Scene<'_>,
        finds: bool,
    ) -> Result<(Vec<bool>, Vec<Option<Found>>)> {
        let running: Vec<_> =
            asked.iter().filter_map(|(place, n)| Some((actors[*place].goes_on()?, *n))).collect();
        let worlds: Vec<_> = running.iter().map(|((_, live), _)| scene.world(live)).collect();
        let data: Vec<_> =
            running.iter().zip(&worlds).map(|(((run, _), _), world)| run.data(world)).collect();
        let asks: Vec<conditions::Ask<'_>> = running
            .iter()
            .zip(&data)
            .map(|(((run, live), n), data)| conditions::Ask {
                condition: &live.rules.journey.conditions[usize::from(*n)],
                contact: run.person().contact.id,
                person: Some(run.person()),
                data,
            })
            .collect();
        let (workspace, catalogue) = (&self.ground.workspace, &self.ground.shelf.catalogue);
        Ok(if finds {
            (Vec::new(), conditions::find(self.store, workspace, catalogue, &asks, self.now).await?)
        } else {
            (conditions::answer(self.store, workspace, catalogue, &asks, self.now).await?, Vec::new())
        })
    }

    /// Codes of coupon sets.
    async fn coupons(
        &self,
        actors: &mut [Actor],
        needs: &[(usize, Vec<Need>)],
        lease: &mut Lease,
    ) -> Result<()> {
        let mut asked: Vec<(usize, CouponNeed)> = Vec::new();
        for (place, needs) in needs {
            asked.extend(needs.iter().filter_map(|need| match need {
                Need::Coupon(need) => Some((*place, *need)),
                _ => None,
            }));
        }
        let mut asks = Vec::with_capacity(asked.len());
        for (place, need) in &asked {
            let Some((run, live)) = actors[*place].goes_on() else { continue };
            let set = live.rules.journey.coupons[usize::from(need.set)].clone();
            asks.push(CouponAsk { contact: run.person().contact.id, set, reuse: need.reuse });
        }
        let found = lease.answer(self.store, asks, self.now).await?;
        for ((place, need), coupon) in asked.into_iter().zip(found) {
            if let Some((run, _)) = actors[place].running() {
                run.answers().set_coupon(need, coupon);
            }
        }
        Ok(())
    }

    /// Membership of segments that are not kept in memory, or that read what the run wrote: their conditions are asked.
    async fn memberships(&self, actors: &mut [Actor], needs: &[(usize, Vec<Need>)]) -> Result<()> {
        let mut asked: Vec<(usize, u16, Slug)> = Vec::new();
        for (place, needs) in needs {
            let Some((_, live)) = actors[*place].goes_on() else { continue };
            asked.extend(needs.iter().filter_map(|need| match need {
                Need::Member(slot) => {
                    Some((*place, *slot, live.rules.journey.segments[usize::from(*slot)].clone()))
                }
                _ => None,
            }));
        }
        let ground = self.ground;
        let mut known = vec![false; asked.len()];
        let holds = {
            let mut asks = Vec::with_capacity(asked.len());
            for (number, (place, _, slug)) in asked.iter().enumerate() {
                let Some(file) = ground.workspace.segments.get(slug.as_str()) else { continue };
                let Some((run, _)) = actors[*place].goes_on() else { continue };
                asks.push((
                    number,
                    conditions::Ask {
                        condition: &file.condition,
                        contact: run.person().contact.id,
                        person: Some(run.person()),
                        data: &segment::NoData,
                    },
                ));
            }
            let questions: Vec<conditions::Ask<'_>> = asks.iter().map(|(_, ask)| *ask).collect();
            let catalogue = &ground.shelf.catalogue;
            let holds =
                conditions::answer(self.store, &ground.workspace, catalogue, &questions, self.now).await?;
            asks.iter().map(|(number, _)| *number).zip(holds).collect::<Vec<_>>()
        };
        for (number, holds) in holds {
            known[number] = holds;
        }
        for ((place, slot, _), member) in asked.into_iter().zip(known) {
            if let Some((run, _)) = actors[place].running() {
                run.answers().set_member(slot, member);
            }
        }
        Ok(())
    }

    /// What an actor came to, put into the commit.
    fn take_over(&self, mut actor: Actor, commit: &mut StepCommit, stepped: &mut Stepped) {
        let (contact, causes) = (actor.contact, actor.causes);
        commit.held.append(&mut actor.held);
        for goal in &actor.goals {
            let live = self.ground.book.counting(goal.run);
            commit.trials.extend(live.into_iter().flat_map(|live| trials::late_goal(live, contact, goal.at)));
        }
        commit.goals.append(&mut actor.goals);
        let Outcome { left, alarm, fields, lists } = actor.finish();
        if !fields.is_empty() {
            commit.changes.push((contact, fields));
        }
        commit.lists.extend(lists.into_iter().map(|(list, member)| (contact, list, member)));
        commit.alarms.extend(alarm.map(|alarm| (contact, alarm)));
        for left in left {
            stepped.steps += left.finished.effects.trace.len() as u64;
            self.enrolment(contact, left, causes, commit, stepped);
        }
    }

    fn enrolment(
        &self,
        contact: ContactId,
        left: Left,
        causes: u8,
        commit: &mut StepCommit,
        stepped: &mut Stepped,
    ) {
        let Left { journey: live, entry, fresh, stays, arrived, finished } = left;
        let (journey, run) = (&live.rules.journey, live.record.run);
        let effects = finished.effects;
        let mut counts = Counts::default();
        counts.add(&effects.trace);
        commit.counts.extend(report::deltas(journey, &counts).into_iter().map(|delta| (run, delta)));
        let moved_in = arrived.into_iter().map(|node| (run, report::moved_in(journey, node)));
        commit.counts.extend(moved_in);
        commit.trials.extend(trials::took(&live, contact, &effects.trace, finished.goal_at, self.now));
        for message in effects.messages {
            commit.messages.extend(outbox(&live, contact, entry.ordinal, message, self.now));
        }
        for assigned in effects.coupons {
            commit.coupons.push(CouponUse {
                set: journey.coupons[usize::from(assigned.set)].clone(),
                code: assigned.code,
                contact,
                run,
                ordinal: entry.ordinal,
                node: journey.node(assigned.node).id.clone(),
                expires_at: assigned.expires_at,
            });
        }
        for node in effects.passed {
            commit.passages.push((contact, journey.slug.clone(), journey.node(node).id.clone(), 1));
        }
        let mut raised: Vec<(Event, bool)> = Vec::new();
        let event = |kind: &str, properties| Event {
            contact,
            at: self.now,
            received_at: self.now,
            kind: kind.to_owned(),
            message_id: None,
            properties,
        };
        let mut fields: Vec<&str> = effects.changes.iter().map(|change| change.field.as_str()).collect();
        if !effects.lists.is_empty() {
            fields.push("lists");
        }
        if !fields.is_empty() {
            let properties = [("fields".to_owned(), json!(fields))].into_iter().collect();
            raised.push((event(kind::CONTACT_UPDATED, properties), false));
        }
        for one in effects.raised {
            raised.push((event(&one.kind, one.properties), one.kind != kind::JOURNEY_ENTRY));
        }
        for (event, stored) in raised {
            if causes + 1 >= CAUSES_MAX {
                stepped.dropped += 1;
                let measure = report::DROPPED.to_owned();
                commit.counts.push((run, CountDelta { node: String::new(), measure, n: 1 }));
            } else {
                commit.inputs.push(NewInput { event, causes: causes + 1, stored });
            }
        }
        commit.enrolments.push(EnrolmentStep {
            contact,
            run,
            ordinal: entry.ordinal,
            key: fresh.then_some(entry.key),
            trace: trace::encode(self.now, &effects.trace),
            state: finished.kept,
            goal_at: finished.goal_at,
            stays: stays.into_iter().map(|node| journey.node(node).id.clone()).collect(),
        });
    }
}

/// Who asks whether the sample of an A/B test takes them, and at which node.
fn sampled(actors: &[Actor], needs: &[(usize, Vec<Need>)]) -> Vec<(usize, u16)> {
    let is_sampled = |place: usize, node: u16| {
        let trial = actors[place].goes_on().and_then(|(_, live)| live.rules.journey.node(node).step.trial());
        trial.is_some_and(|trial| trial.sample.is_some())
    };
    let asked = needs.iter().flat_map(|(place, needs)| needs.iter().map(move |need| (*place, need)));
    asked
        .filter_map(|(place, need)| match need {
            Need::Passages(node) if is_sampled(place, *node) => Some((place, *node)),
            _ => None,
        })
        .collect()
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

/// A message as the outbox takes it.
fn outbox(
    live: &LiveJourney,
    contact: ContactId,
    ordinal: u32,
    message: journey::Message,
    now: Timestamp,
) -> Option<OutboxMessage> {
    let send = live.sends.get(usize::from(message.node))?.as_ref()?;
    let run = u32::try_from(live.record.run).unwrap_or_default();
    Some(OutboxMessage {
        id: MessageId::derive(run, contact.0.unsigned_abs(), ordinal, &send.node, message.visit),
        contact,
        send: Arc::clone(send),
        to: message.to,
        locale: message.locale,
        variables: message.variables,
        decided_at: now,
        not_before: message.not_before.unwrap_or(now),
        expires_at: message.expires_at,
    })
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
