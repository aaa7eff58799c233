//! Who takes part in a batch: those whom it concerns, with their enrolments, alarms, profiles and carts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use journey::{Run, entry::Goal, graph::Reads};
use model::{Cart, ContactId, Event, Slug, Timestamp, event::kind};
use storage::{
    Result, Storage, StoreError,
    live::{Alarm, Ended, Life, LiveEnrolment},
};

use super::{
    super::{LiveJourney, RESUMED, enter},
    Actor, Batch, Enters, Happening, Inside, Scene, lives, load, timers,
};

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

impl<S: Storage> Batch<'_, S> {
    pub(super) async fn load(
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
            !matches!(kind, RESUMED | lives::AUDIENCE | lives::HELD | kind::CONTACT_MERGED)
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
                enter::joins(&journey.audience, event)
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
    /// version can be compiled again: see [`super::super::mended`].
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
                    RESUMED => return is_given,
                    lives::AUDIENCE => return journey.triggers.is_empty(),
                    lives::HELD => return lives::unhold(event).is_some_and(|(slug, _)| own(&slug)),
                    _ => {}
                }
                if journey.triggers.is_empty() {
                    enter::joins(&journey.audience, event)
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
}
