//! One contact of a batch: its enrolments, what happened to it, and how far that has brought it.
//!
//! Everything here is in memory and decides nothing by itself: [`Actor::go`] takes the contact as far as it goes without
//! the database, and says what it needs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use journey::{
    Entry, Finished, Leaving, Need, Person, Progress, Run, World, advance,
    entry::{Listener, On, Past, admits},
    hear::{Hearing, Profile},
};
use model::{Cart, Contact, ContactId, Event, Slug, Timestamp, Value, Zone, event::kind};
use storage::{
    journeys::FieldChange,
    live::{Alarm, Ended, LateGoal, Life, LiveEnrolment},
    lives::HeldTrigger,
};

use super::{
    Ground, LiveJourney, enter, lives,
    timers::{self, Timers, What},
};

/// Property of the order that somebody else placed with a contact's cart, as the cart's owner hears of it.
const PAID_BY_OTHER: &str = "paid_by_other";

/// Something that happened to the contact.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    /// What.
    pub event: Arc<Event>,
    /// How many inputs caused each other before it.
    pub causes: u8,
}

/// An enrolment that is inside, or was begun by this batch.
pub(crate) struct Inside {
    /// Its journey's version.
    pub journey: Arc<LiveJourney>,
    /// Where it stands.
    pub run: Run,
    /// Whether this batch began it.
    pub fresh: bool,
    /// Whether this batch changed it.
    pub touched: bool,
    /// Nodes where it was put by a move from another version.
    pub arrived: Vec<u16>,
}

/// An enrolment as the batch leaves it.
pub(crate) struct Left {
    /// Its journey's version.
    pub journey: Arc<LiveJourney>,
    /// How it began.
    pub entry: Entry,
    /// Whether this batch began it.
    pub fresh: bool,
    /// Numbers of the nodes where it stays.
    pub stays: Vec<u16>,
    /// Nodes where it was put by a move from another version.
    pub arrived: Vec<u16>,
    /// What came of it.
    pub finished: Finished,
}

/// A contact as the batch leaves it.
pub(crate) struct Outcome {
    /// Enrolments that changed.
    pub left: Vec<Left>,
    /// The alarm, where it changed.
    pub alarm: Option<Alarm>,
    /// Fields that runs wrote: what was there before the first wrote, and what the last left. Several runs may write one
    /// field in turns, so that no order of whole runs would tell it.
    pub fields: Vec<FieldChange>,
    /// Static lists that runs put the contact on (true) or took it off, as the last left it.
    pub lists: Vec<(Slug, bool)>,
}

/// What all actors of a batch know.
pub(crate) struct Scene<'a> {
    /// Rules and catalogue.
    pub ground: &'a Ground,
    /// The instant.
    pub now: Timestamp,
    /// Whether a contact is in a segment, with the batch's own moves.
    pub members: super::step::Members<'a>,
}

impl Scene<'_> {
    /// What a run of a journey sees.
    pub fn world<'w>(&'w self, journey: &'w LiveJourney) -> World<'w> {
        World {
            journey: &journey.rules.journey,
            catalogue: &self.ground.shelf.catalogue,
            frozen: &self.ground.shelf.frozen,
            defaults: &self.ground.defaults,
            now: self.now,
            zone: &self.ground.zone,
            seed: journey.record.seed,
            run: journey.record.run,
            sending: &self.ground.sending,
            winners: &journey.winners,
            paused: journey.record.life == Life::Paused,
        }
    }
}

/// A contact of a batch.
pub(crate) struct Actor {
    /// Who.
    pub contact: ContactId,
    /// The contact; with the run that goes on while there is one.
    person: Person,
    /// Its enrolments.
    inside: Vec<Inside>,
    /// All its enrolments in the journeys that it might enter: for re-entry and ordinals.
    past: Vec<(Slug, LiveEnrolment)>,
    /// What happened, the first first.
    agenda: VecDeque<Happening>,
    /// Whether its alarm rang.
    rang: bool,
    /// The version whose audience it enters with.
    enters: Option<Arc<LiveJourney>>,
    /// Whether it may not enter that version (again).
    pub stays_out: bool,
    /// Enrolments that go on, the first first.
    ready: VecDeque<usize>,
    /// The enrolment that goes on now.
    active: Option<usize>,
    written: Written,
    timers: Timers,
    alarm: Alarm,
    /// How many causes came before what this batch raises.
    pub causes: u8,
    /// What would have started journeys that are paused.
    pub held: Vec<HeldTrigger>,
    /// When an enrolment rings whose version cannot be compiled any more.
    pub broken_due: Option<Timestamp>,
    /// Its enrolments that are over and whose goal may still be reached.
    pub ended: Vec<Ended>,
    /// Goals that were reached after the end.
    pub goals: Vec<LateGoal>,
}

impl Actor {
    /// A contact with what was loaded of it.
    pub fn new(
        person: Person,
        inside: Vec<Inside>,
        past: Vec<(Slug, LiveEnrolment)>,
        alarm: Alarm,
        agenda: Vec<Happening>,
        rang: bool,
    ) -> Self {
        let causes = agenda.iter().map(|happening| happening.causes).max().unwrap_or_default();
        Self {
            contact: person.contact.id,
            person,
            inside,
            past,
            agenda: agenda.into(),
            rang,
            enters: None,
            stays_out: false,
            ready: VecDeque::new(),
            active: None,
            written: Written::default(),
            timers: Timers::from_bytes(&alarm.timers),
            alarm,
            causes,
            held: Vec::new(),
            broken_due: None,
            ended: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// Lets it enter a version with the audience, whatever its triggers say.
    pub fn enter(&mut self, live: Arc<LiveJourney>) {
        self.enters = Some(live);
    }

    /// What comes before everything else: timers that rang become events, and exits of any event of the batch take the
    /// contact out.
    pub fn open(&mut self, scene: &Scene<'_>, carts: &[Cart]) {
        if self.rang {
            self.ring_timers(scene, carts);
        }
        self.rehome(scene);
        self.leave_doubles();
        // What takes the contact out takes it out before anything of the same batch is sent.
        let agenda: Vec<Happening> = self.agenda.iter().cloned().collect();
        for happening in &agenda {
            for place in 0..self.inside.len() {
                self.exit(place, &happening.event, scene);
            }
        }
    }

    /// Takes the contact out of versions that were stopped, and moves it where a version hands over those inside.
    fn rehome(&mut self, scene: &Scene<'_>) {
        let asked = self.agenda.iter().any(|happening| happening.event.kind == super::RESUMED);
        for place in 0..self.inside.len() {
            let live = Arc::clone(&self.inside[place].journey);
            let to = live.moved_to.filter(|_| asked).and_then(|run| scene.ground.book.of_run(run));
            if live.record.life == Life::Stopping {
                self.inside[place].run.leave(Leaving::Stopped);
                self.inside[place].touched = true;
            } else if let Some(to) = to {
                let ordinal = self.next_ordinal(to.record.run);
                let (from, into) = (&live.rules.journey, &to.rules.journey);
                let inside = &mut self.inside[place];
                let moved = inside.run.moved(ordinal, from, into);
                inside.run.leave(Leaving::Moved);
                inside.touched = true;
                if let Some(run) = moved {
                    let arrived = run.stays().map(|(node, _)| node).collect();
                    let journey = Arc::clone(to);
                    self.inside.push(Inside { journey, run, fresh: true, touched: true, arrived });
                }
            }
        }
    }

    /// After a merge: where two contacts that are one now were inside one journey with the same key, who entered first goes
    /// on.
    fn leave_doubles(&mut self) {
        if !self.agenda.iter().any(|happening| happening.event.kind == kind::CONTACT_MERGED) {
            return;
        }
        let of = |inside: &Inside| {
            let entry = inside.run.entry();
            (inside.journey.record.journey.clone(), entry.key.clone())
        };
        let order = |inside: &Inside| {
            let entry = inside.run.entry();
            (entry.at, inside.journey.record.run, entry.ordinal)
        };
        for place in 0..self.inside.len() {
            let own = &self.inside[place];
            let is_first =
                |other: &Inside| !other.run.is_over() && of(other) == of(own) && order(other) < order(own);
            if !own.run.is_over() && self.inside.iter().any(is_first) {
                let own = &mut self.inside[place];
                own.run.leave(Leaving::Gone);
                own.touched = true;
            }
        }
    }

    /// The ordinal of another enrolment in a run.
    fn next_ordinal(&self, run: i64) -> u32 {
        let before = self.past.iter().filter(|(_, enrolment)| enrolment.run == run);
        let fresh = self.inside.iter().filter(|inside| inside.journey.record.run == run);
        let ordinals = before.map(|(_, enrolment)| enrolment.ordinal);
        ordinals.chain(fresh.map(|inside| inside.run.entry().ordinal)).max().unwrap_or_default() + 1
    }

    /// The contact, when no run has it.
    pub const fn person(&self) -> &Person {
        &self.person
    }

    /// The run that goes on, for its answers.
    pub fn running(&mut self) -> Option<(&mut Run, &Arc<LiveJourney>)> {
        let inside = self.inside.get_mut(self.active?)?;
        Some((&mut inside.run, &inside.journey))
    }

    /// The run that goes on.
    pub fn goes_on(&self) -> Option<(&Run, &LiveJourney)> {
        let inside = self.inside.get(self.active?)?;
        Some((&inside.run, &inside.journey))
    }

    /// Takes the contact as far as it goes; none when everything is done.
    pub fn go(&mut self, scene: &Scene<'_>) -> Option<Vec<Need>> {
        loop {
            if let Some(place) = self.active {
                let inside = &mut self.inside[place];
                match advance(&mut inside.run, &scene.world(&inside.journey)) {
                    Progress::Needs(needs) => {
                        let open =
                            answer_members(&mut inside.run, &inside.journey, needs, &self.written, scene);
                        if !open.is_empty() {
                            return Some(open);
                        }
                    }
                    Progress::Waiting | Progress::Done => {
                        self.written.note(&inside.run);
                        self.person = inside.run.give_back();
                        self.active = None;
                    }
                }
                continue;
            }
            if let Some(place) = self.ready.pop_front() {
                let inside = &mut self.inside[place];
                inside.touched = true;
                inside.run.lend(std::mem::take(&mut self.person));
                self.active = Some(place);
                continue;
            }
            if let Some(live) = self.enters.take() {
                self.stays_out = !self.begin(&live, String::new(), None, scene);
            } else if let Some(happening) = self.agenda.pop_front() {
                // Stays whose time was over before this arrived end first, and what follows from that.
                let just_before = happening.event.received_at.min(scene.now).plus(-1);
                if self.ring(just_before) {
                    self.agenda.push_front(happening);
                    continue;
                }
                self.take_note(&happening.event, scene);
            } else if self.rang {
                self.rang = false;
                self.ring(scene.now);
            } else {
                return None;
            }
        }
    }

    /// One thing that happened: stays end that hear it, then journeys begin that it starts.
    fn take_note(&mut self, event: &Arc<Event>, scene: &Scene<'_>) {
        self.set_timers(event, scene);
        self.reach_late(event, scene);
        for place in 0..self.inside.len() {
            let live = Arc::clone(&self.inside[place].journey);
            let world = scene.world(&live);
            let inside = &mut self.inside[place];
            inside.run.lend(std::mem::take(&mut self.person));
            let released = event.kind == super::RESUMED && inside.run.release(&live.rules.journey);
            let heard = is_for_cart_of(event, &inside.run.entry().key) && inside.run.hear(event, &world);
            self.person = inside.run.give_back();
            let inside = &self.inside[place];
            let goal = inside.journey.rules.journey.goal.as_ref().filter(|_| !inside.run.is_over());
            if goal.is_some_and(|goal| self.concerns(&goal.listener, event, &inside.run, scene)) {
                let inside = &mut self.inside[place];
                inside.touched |= inside.run.reach_goal(event.at);
            }
            if released || heard {
                self.ready.push_back(place);
            }
        }
        // What a pause held speaks to its journey alone: the others have heard it then.
        let held = lives::unhold(event).map(|(journey, event)| (journey, Arc::new(event)));
        for live in &scene.ground.book.journeys {
            match &held {
                None => self.start(live, event, scene),
                Some((journey, event)) if *journey == live.record.journey => self.start(live, event, scene),
                Some(_) => {}
            }
        }
    }

    /// Notes the goal of an enrolment that is over and was inside not long ago. Where the contact is inside again, or was
    /// inside later, that enrolment reaches it.
    fn reach_late(&mut self, event: &Event, scene: &Scene<'_>) {
        let mut reached = Vec::new();
        for (place, ended) in self.ended.iter().enumerate() {
            let Some(live) = scene.ground.book.counting(ended.run) else { continue };
            let Some(goal) = &live.rules.journey.goal else { continue };
            let in_time = ended.entered_at <= event.at && event.at < goal.within.after(ended.ended_at);
            if ended.goal_at.is_some() || !in_time || !is_for_cart_of(event, &ended.key) {
                continue;
            }
            let slug = &live.record.journey;
            let is_same = |run: i64, key: &str| {
                let other = scene.ground.book.counting(run);
                key == ended.key && other.is_some_and(|other| other.record.journey == *slug)
            };
            let later = |other: &Ended| {
                (other.ended_at, other.run, other.ordinal) > (ended.ended_at, ended.run, ended.ordinal)
                    && is_same(other.run, &other.key)
            };
            let here = |inside: &Inside| is_same(inside.journey.record.run, &inside.run.entry().key);
            if self.inside.iter().any(here) || self.ended.iter().any(later) {
                continue;
            }
            let entry =
                Entry { ordinal: ended.ordinal, key: ended.key.clone(), at: ended.entered_at, trigger: None };
            if goal.listener.speaks_to(event, &ended.key)
                && self.means(&goal.listener, event, Some(&entry), scene)
            {
                reached.push((place, event.at));
            }
        }
        for (place, at) in reached {
            let ended = &mut self.ended[place];
            ended.goal_at = Some(at);
            let Ended { contact, run, ordinal, .. } = *ended;
            self.goals.push(LateGoal { contact, run, ordinal, at });
        }
    }

    /// Takes an enrolment out when an event is one of its journey's exits.
    fn exit(&mut self, place: usize, event: &Arc<Event>, scene: &Scene<'_>) {
        let inside = &self.inside[place];
        if inside.run.is_over() || inside.run.entry().at > event.received_at.max(event.at) {
            return;
        }
        let exits = &inside.journey.rules.journey.exits;
        let by = exits.iter().find(|exit| self.concerns(exit, event, &inside.run, scene)).map(|exit| {
            match exit.on {
                On::SegmentEntered(_) | On::SegmentExited(_) => Leaving::ExitSegment,
                _ => Leaving::ExitEvent,
            }
        });
        if let Some(why) = by {
            let goal = inside.journey.rules.journey.goal.as_ref();
            let reached = goal.is_some_and(|goal| self.concerns(&goal.listener, event, &inside.run, scene));
            let inside = &mut self.inside[place];
            if reached {
                inside.run.reach_goal(event.at);
            }
            inside.run.leave(why);
            inside.touched = true;
        }
    }

    /// Whether a listener hears an event: of a run, or to begin one.
    fn means(&self, listener: &Listener, event: &Event, entry: Option<&Entry>, scene: &Scene<'_>) -> bool {
        let in_segment = |slug: &str| (scene.members)(slug, self.contact).unwrap_or_default();
        let ground = scene.ground;
        let facts = Profile { person: &self.person, defaults: &ground.defaults, in_segment: &in_segment };
        let hearing = Hearing {
            facts: &facts,
            catalogue: &ground.shelf.catalogue,
            entry,
            now: scene.now,
            zone: &ground.zone,
        };
        listener.hears(event, &hearing)
    }

    /// Whether a listener of a run's journey hears an event that speaks to this run.
    fn concerns(&self, listener: &Listener, event: &Event, run: &Run, scene: &Scene<'_>) -> bool {
        is_for_cart_of(event, &run.entry().key)
            && listener.speaks_to(event, &run.entry().key)
            && self.means(listener, event, Some(run.entry()), scene)
    }

    /// Begins a journey that an event starts.
    fn start(&mut self, live: &Arc<LiveJourney>, event: &Arc<Event>, scene: &Scene<'_>) {
        // Who only owned the cart has bought nothing.
        if !is_for_cart_of(event, "") {
            return;
        }
        let holds = live.holds(scene.now);
        if !live.takes(scene.now) && !holds {
            return;
        }
        let journey = &live.rules.journey;
        let Some(key) = self.started_by(live, event, scene) else { return };
        let member = |slug: &str| (scene.members)(slug, self.contact);
        if !enter::is_in(&journey.audience, &self.person.contact, self.person.push, live.began, member) {
            return;
        }
        if holds {
            self.held.push(lives::hold(&journey.slug, event, self.causes));
            return;
        }
        let trigger = (event.kind != lives::AUDIENCE).then(|| Arc::clone(event));
        self.begin(live, key, trigger, scene);
    }

    /// Begins an enrolment unless re-entry forbids it; whether it did.
    fn begin(
        &mut self,
        live: &Arc<LiveJourney>,
        key: String,
        trigger: Option<Arc<Event>>,
        scene: &Scene<'_>,
    ) -> bool {
        let (journey, now) = (&live.rules.journey, scene.now);
        let mut past: Vec<Past<'_>> = Vec::new();
        for (_, enrolment) in self.past.iter().filter(|(slug, _)| *slug == journey.slug) {
            // Whether it is inside is known better by this batch.
            let here = self.inside.iter().find(|inside| is_same(inside, enrolment));
            let inside = here.map_or(enrolment.state.is_some(), |inside| !inside.run.is_over());
            past.push(Past { key: &enrolment.key, entered_at: enrolment.entered_at, inside });
        }
        for inside in self.inside.iter().filter(|i| i.fresh && i.journey.rules.journey.slug == journey.slug) {
            let entry = inside.run.entry();
            past.push(Past { key: &entry.key, entered_at: entry.at, inside: !inside.run.is_over() });
        }
        if !admits(journey.reentry, &past, &key, now) {
            return false;
        }
        let ordinal = self.next_ordinal(live.record.run);
        let entry = Entry { ordinal, key, at: now, trigger };
        let run = Run::new(Person::default(), entry);
        self.inside.push(Inside {
            journey: Arc::clone(live),
            run,
            fresh: true,
            touched: true,
            arrived: Vec::new(),
        });
        let place = self.inside.len() - 1;
        // What follows in the same batch may take it out before it does anything.
        let rest: Vec<Happening> = self.agenda.iter().cloned().collect();
        for later in &rest {
            self.exit(place, &later.event, scene);
        }
        if !self.inside[place].run.is_over() {
            self.ready.push_back(place);
        }
        true
    }

    /// The key of the enrolment that an event starts in a journey; none when it starts none.
    fn started_by(&self, live: &LiveJourney, event: &Event, scene: &Scene<'_>) -> Option<String> {
        let journey = &live.rules.journey;
        if event.kind == lives::AUDIENCE {
            let run = event.properties.get("run").and_then(serde_json::Value::as_i64);
            return (run == Some(live.record.run)).then(String::new);
        }
        if journey.triggers.is_empty() {
            return enter::joins(&journey.audience, event).then(String::new);
        }
        let (_, listener) = journey.starters(&event.kind).find(|(place, listener)| {
            timers::is_for(event, &journey.slug, *place, &listener.on)
                && !listener.is_late(event)
                && self.means(listener, event, None, scene)
        })?;
        Some(listener.key_of(event).unwrap_or_default())
    }

    /// Ends the stays whose time is over at an instant; whether there were any.
    fn ring(&mut self, now: Timestamp) -> bool {
        let before = self.ready.len();
        for (place, inside) in self.inside.iter_mut().enumerate() {
            if inside.run.ring(now) {
                self.ready.push_back(place);
            }
        }
        self.ready.len() > before
    }

    /// Timers that rang become events, before what else happened: they were due before.
    fn ring_timers(&mut self, scene: &Scene<'_>, carts: &[Cart]) {
        let rang = self.timers.ring(scene.now);
        let mut renew_dates = false;
        for timer in rang.into_iter().rev() {
            let event = match timer.what {
                What::Cart { cart, changed_at, after } => {
                    let found = carts.iter().find(|open| open.external_id == cart);
                    let still = found.filter(|open| {
                        open.updated_at == changed_at
                            && !open.purchased
                            && open.lines.iter().any(|l| l.quantity > 0)
                    });
                    let catalogue = &scene.ground.shelf.catalogue;
                    still.map(|cart| {
                        timers::cart_abandoned(cart, after, timer.due, scene.now, |id| catalogue.product(id))
                    })
                }
                What::Date { journey, trigger, day } => {
                    renew_dates = true;
                    let live = scene
                        .ground
                        .book
                        .journeys
                        .iter()
                        .rfind(|l| (l.open || l.holds) && l.rules.journey.slug == journey);
                    let on = live
                        .and_then(|live| Some(&live.rules.journey.triggers.get(usize::from(trigger))?.on));
                    match on {
                        Some(On::Date(date)) => {
                            let mut event = timers::date_reached(
                                &journey,
                                trigger,
                                &date.field,
                                day,
                                timer.due,
                                scene.now,
                            );
                            event.contact = self.contact;
                            Some(event)
                        }
                        _ => None,
                    }
                }
            };
            if let Some(event) = event {
                self.agenda.push_front(Happening { event: Arc::new(event), causes: 0 });
            }
        }
        if renew_dates {
            self.set_dates(scene);
        }
    }

    /// What an event means for the timers.
    fn set_timers(&mut self, event: &Event, scene: &Scene<'_>) {
        let text = |name: &str| event.properties.get(name).and_then(serde_json::Value::as_str);
        match event.kind.as_str() {
            kind::CART_UPDATED => {
                if let Some(cart) = text("cart_id") {
                    let products = event.properties.get("products").and_then(serde_json::Value::as_array);
                    let is_empty = products.is_none_or(Vec::is_empty);
                    self.timers.set_cart(cart, event.at, is_empty, &scene.ground.book);
                }
            }
            kind::ORDER_COMPLETED => {
                if let Some(cart) = text("cart_id") {
                    self.timers.drop_cart(cart);
                }
            }
            kind::CONTACT_CREATED | kind::CONTACT_UPDATED | timers::TIMERS_CHECKED => self.set_dates(scene),
            kind::CONTACT_MERGED => {
                self.timers.take_over(event);
                self.set_dates(scene);
            }
            _ => {}
        }
    }

    fn set_dates(&mut self, scene: &Scene<'_>) {
        if !timers::has_dates(&scene.ground.book) && self.timers.due().is_none() {
            return;
        }
        let contact = &self.person.contact;
        let own = contact.time_zone.as_deref().and_then(|name| Zone::parse(name).ok());
        let shop = &scene.ground.zone;
        let mut timers = std::mem::take(&mut self.timers);
        let field = |name: &str| self.person.field(name, &scene.ground.defaults);
        timers.set_dates(field, own.as_ref().unwrap_or(shop), shop, scene.now, &scene.ground.book);
        self.timers = timers;
    }

    /// Sets the timers of carts that were there before a trigger asked for them.
    pub fn set_carts(&mut self, carts: &[Cart], scene: &Scene<'_>) {
        for cart in carts.iter().filter(|cart| !cart.purchased) {
            let is_empty = !cart.lines.iter().any(|line| line.quantity > 0);
            self.timers.set_cart(&cart.external_id, cart.updated_at, is_empty, &scene.ground.book);
        }
        // A cart that was abandoned before the trigger was there is past.
        drop(self.timers.ring(scene.now));
    }

    /// What came of it.
    pub fn finish(self) -> Outcome {
        let (fields, lists) = self.written.of(&self.person.contact);
        let mut due = self.timers.due().into_iter().chain(self.broken_due).min();
        let mut left = Vec::new();
        for Inside { journey, run, fresh, touched, arrived } in self.inside {
            due = [due, run.due()].into_iter().flatten().min();
            if touched {
                let (entry, stays) = (run.entry().clone(), run.stays().map(|(node, _)| node).collect());
                left.push(Left { journey, entry, fresh, stays, arrived, finished: run.finish() });
            }
        }
        let alarm = Alarm { due, timers: self.timers.to_bytes() };
        let alarm = (alarm != self.alarm).then_some(alarm);
        Outcome { left, alarm, fields, lists }
    }
}

/// Whether a run with this key may hear an event: of an order that somebody else placed with the contact's cart only the
/// runs that are about this cart hear.
fn is_for_cart_of(event: &Event, key: &str) -> bool {
    let paid_by_other = event.properties.get(PAID_BY_OTHER).and_then(serde_json::Value::as_bool);
    let cart = event.properties.get("cart_id").and_then(serde_json::Value::as_str);
    paid_by_other != Some(true) || (!key.is_empty() && cart == Some(key))
}

fn is_same(inside: &Inside, enrolment: &LiveEnrolment) -> bool {
    !inside.fresh
        && inside.journey.record.run == enrolment.run
        && inside.run.entry().ordinal == enrolment.ordinal
}

/// What runs of a batch wrote into the contact: memory does not know of it.
#[derive(Default)]
struct Written {
    /// Fields, with what was there before the first run wrote.
    fields: BTreeMap<String, Option<Value>>,
    lists: BTreeSet<Slug>,
}

impl Written {
    /// To be told after each run that went on.
    fn note(&mut self, run: &Run) {
        for change in run.changes() {
            self.fields.entry(change.field.clone()).or_insert_with(|| change.before.clone());
        }
        self.lists.extend(run.list_changes().iter().map(|change| change.list.clone()));
    }

    /// What became of a contact into which all of it was written.
    fn of(self, contact: &Contact) -> (Vec<FieldChange>, Vec<(Slug, bool)>) {
        let change = |(field, before): (String, Option<Value>)| {
            let after = contact.fields.get(&field).cloned();
            FieldChange { field, before, after }
        };
        let member = |list: Slug| {
            let member = contact.lists.contains(&list);
            (list, member)
        };
        (self.fields.into_iter().map(change).collect(), self.lists.into_iter().map(member).collect())
    }

    /// Whether a segment reads what these runs, or this one, wrote.
    fn is_read_by(&self, run: &Run, slug: &Slug, scene: &Scene<'_>) -> bool {
        if self.fields.is_empty() && self.lists.is_empty() && !run.has_written() {
            return false;
        }
        let lists = !self.lists.is_empty() || !run.list_changes().is_empty();
        let segments = &scene.ground.workspace.segments;
        let mut open = vec![slug.as_str().to_owned()];
        let mut seen: Vec<String> = Vec::new();
        while let Some(slug) = open.pop() {
            let Some(file) = segments.get(&slug).filter(|_| !seen.contains(&slug)) else { continue };
            let reads = file.condition.reads();
            let own = run.changes().iter().any(|change| reads.fields.contains(&change.field));
            let theirs = self.fields.keys().any(|field| reads.fields.contains(field));
            if own || theirs || (!reads.lists.is_empty() && lists) {
                return true;
            }
            open.extend(reads.segments);
            seen.push(slug);
        }
        false
    }
}

/// Answers membership from memory; what is left must be asked of the database.
fn answer_members(
    run: &mut Run,
    journey: &LiveJourney,
    needs: Vec<Need>,
    written: &Written,
    scene: &Scene<'_>,
) -> Vec<Need> {
    let contact = run.person().contact.id;
    needs
        .into_iter()
        .filter(|need| {
            let Need::Member(slot) = need else { return true };
            let slug = &journey.rules.journey.segments[usize::from(*slot)];
            if written.is_read_by(run, slug, scene) {
                return true;
            }
            match (scene.members)(slug.as_str(), contact) {
                Some(member) => {
                    run.answers().set_member(*slot, member);
                    false
                }
                None => true,
            }
        })
        .collect()
}
