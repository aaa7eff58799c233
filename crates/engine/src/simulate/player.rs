//! Plays one contact: its stored past becomes a time line, and at each instant of it the very pieces of the living engine
//! ([`Actor`]) take the contact on, in memory.
//!
//! Order at an instant, as in the engine's own loop: what happened (with the moves between segments that follow from it),
//! memberships that time changes, then the alarm; what these cause comes after.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use journey::{
    CartChoice, Message, Need, Person, Run,
    entry::Listener,
    hear::{Hearing, Profile},
    run::{Coupon, CouponNeed, Passages},
    trace::{Record, TraceStep},
};
use model::{Channel, ContactId, Dice, Event, MessageId, Order, Slug, Timestamp, Totals, event::kind};
use segment::evaluate::{History, evaluate};
use serde_json::{Map, json};
use storage::live::{Alarm, CAUSES_MAX, LiveEnrolment};

use super::{
    explain::Refused,
    past::{self, Past},
    stage::{RUN, Stage},
};
use crate::{
    live::{
        actor::{Actor, Happening, Inside, Left, Outcome, Scene},
        conditions::Ask,
        coupons, lives,
        step::Cares,
        timers,
        watch::segment_event,
    },
    segments::{
        contacts::{cart_of_order, net},
        facts::{Person as SegmentPerson, Profile as SegmentProfile},
    },
};

/// Most rounds of one instant: what causes itself for ever ends.
const ROUNDS_MAX: usize = 64;
/// Opens fall within this time after a message was handed over.
const OPENS_WITHIN: i64 = Timestamp::DAY;
/// A click follows its open within this time.
const CLICKS_WITHIN: i64 = 30 * Timestamp::MINUTE;

/// An enrolment as it was played.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// Which of the contact's, from 1.
    pub ordinal: u32,
    /// Its key.
    pub key: String,
    /// When it began.
    pub entered_at: Timestamp,
    /// The place of the trigger that started it; none when the audience entered.
    pub trigger: Option<usize>,
    /// What it did.
    pub trace: Vec<Record>,
    /// When it reached the goal.
    pub goal_at: Option<Timestamp>,
    /// Messages decided: (node, when it leaves, whether it is held until then).
    pub messages: Vec<(u16, Timestamp, bool)>,
    /// Nodes where it stays at the end.
    pub stays: Vec<u16>,
    /// Codes that it would take, by set.
    pub coupons: Vec<Slug>,
    /// The messages themselves; only where [`super::Options::entry`] was given.
    pub whole: Vec<Message>,
    state: Option<Vec<u8>>,
}

impl Played {
    /// All its steps.
    pub fn steps(&self) -> impl Iterator<Item = &TraceStep> {
        self.trace.iter().flat_map(|record| &record.steps)
    }
}

/// What came of a contact.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Who.
    pub contact: ContactId,
    /// What it is called: the shop's id, else its address, else its number.
    pub name: String,
    /// Its enrolments, the first first.
    pub enrolments: Vec<Played>,
    /// Why events did not start anything; only when it was asked for.
    pub refused: Vec<Refused>,
}

pub(super) struct Player<'a> {
    pub(super) stage: &'a Stage,
    cares: &'a Cares<'a>,
    past: Past,
    /// Orders with what is left of their lines.
    net_orders: Vec<Order>,
    pub(super) now: Timestamp,
    pub(super) enrolments: Vec<Played>,
    pub(super) members: BTreeMap<String, bool>,
    flip: Option<Timestamp>,
    alarm: Alarm,
    /// What is to happen, by instant, then in order.
    agenda: BTreeMap<(Timestamp, u32), (Event, u8)>,
    next: u32,
    own_sends: Vec<policy::PastSend>,
    given: HashMap<Slug, Vec<Coupon>>,
    passed: HashMap<u16, u64>,
    pub(super) refused: Vec<Refused>,
}

impl<'a> Player<'a> {
    pub fn new(stage: &'a Stage, cares: &'a Cares<'a>, past: Past) -> Self {
        Self {
            net_orders: past.orders.iter().cloned().map(net).collect(),
            now: stage.options.from,
            enrolments: Vec::new(),
            members: BTreeMap::new(),
            flip: None,
            alarm: Alarm::default(),
            agenda: BTreeMap::new(),
            next: 0,
            own_sends: Vec::new(),
            given: HashMap::new(),
            passed: HashMap::new(),
            refused: Vec::new(),
            stage,
            cares,
            past,
        }
    }

    /// Plays it from the first instant to the last.
    pub fn play(mut self) -> Part {
        self.begin();
        while let Some(next) = self.next_instant().filter(|at| *at < self.stage.options.to) {
            self.now = self.now.max(next);
            self.settle();
        }
        let contact = &self.past.contact;
        let name = contact.external_id.clone().or_else(|| contact.email.clone());
        Part {
            contact: contact.id,
            name: name.unwrap_or_else(|| contact.id.to_string()),
            enrolments: self.enrolments,
            refused: self.refused,
        }
    }

    fn next_instant(&self) -> Option<Timestamp> {
        let first = self.agenda.keys().next().map(|(at, _)| *at);
        [first, self.flip, self.alarm.due].into_iter().flatten().min()
    }

    fn put(&mut self, at: Timestamp, event: Event, causes: u8) {
        self.next += 1;
        self.agenda.insert((at, self.next), (event, causes));
    }

    /// Puts the whole past of the time that is played on the agenda.
    fn begin(&mut self) {
        let (from, to) = (self.stage.options.from, self.stage.options.to);
        let stage = self.stage;
        let contact = self.past.contact.clone();
        if let Some(entry) = &stage.options.entry {
            drop(self.watch());
            let mut properties = entry.clone();
            properties.insert("journey".to_owned(), json!(stage.live.rules.journey.slug.as_str()));
            self.put(from, own(kind::JOURNEY_ENTRY, from, contact.id, properties), 0);
            return;
        }
        let born = contact.created_at;
        let catalogue = &stage.ground.shelf.catalogue;
        let inside = |at: Timestamp| at >= from && at < to;
        if born <= from {
            drop(self.watch());
            if stage.has_timers() {
                self.put(from, own(timers::TIMERS_CHECKED, from, contact.id, Map::new()), 0);
            }
            if stage.audience_enters() {
                let properties = [("run".to_owned(), json!(RUN))].into_iter().collect();
                self.put(from, own(lives::AUDIENCE, from, contact.id, properties), 0);
            }
        } else if born < to {
            self.put(born, own(kind::CONTACT_CREATED, born, contact.id, Map::new()), 0);
        }
        let mut happened: Vec<(Timestamp, Event)> = Vec::new();
        let orders = self.past.orders.iter().filter(|order| inside(order.at));
        happened.extend(orders.map(|order| (order.at, past::order_completed(contact.id, order, catalogue))));
        let carts = self.past.carts.iter().filter(|cart| inside(cart.updated_at));
        happened.extend(carts.map(|cart| (cart.updated_at, past::cart_updated(cart, catalogue))));
        let moves = self.past.moves.iter().filter(|one| inside(one.at));
        happened.extend(moves.map(|one| (one.at, past::group_changed(one))));
        let events = self.past.events.iter().filter(|event| inside(event.received_at));
        happened.extend(events.map(|event| (event.received_at, event.clone())));
        for (place, instants) in &stage.starts {
            for at in instants.iter().filter(|at| **at >= born) {
                let event = Event { contact: contact.id, ..stage.scheduled(*place, *at) };
                happened.push((*at, event));
            }
        }
        happened.sort_by_key(|(at, _)| *at);
        let watches = !stage.watched.is_empty();
        for (at, event) in happened {
            if watches || self.cares.for_event(&event) {
                self.put(at, event, 0);
            }
        }
    }

    /// Everything that is due now.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let mut any = false;
            let mut happened = Vec::new();
            while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.now) {
                happened.push(entry.remove());
            }
            if !happened.is_empty() {
                any = true;
                let causes = happened.iter().map(|(_, causes)| *causes).max().unwrap_or_default();
                let moves = self.watch();
                happened.extend(moves.into_iter().map(|event| (event, causes.saturating_add(1))));
                self.batch(happened, false);
            }
            if self.flip.is_some_and(|at| at <= self.now) {
                any = true;
                let moves = self.watch();
                self.batch(moves.into_iter().map(|event| (event, 0)).collect(), false);
            }
            if self.alarm.due.is_some_and(|at| at <= self.now) {
                any = true;
                self.batch(Vec::new(), true);
            }
            if !any {
                return;
            }
        }
        // What is due for ever at one instant is let be.
        self.flip = self.flip.filter(|at| *at > self.now);
        self.alarm.due = self.alarm.due.filter(|at| *at > self.now);
        self.agenda.retain(|(at, _), _| *at > self.now);
    }

    /// Asks the watched segments anew; the moves that follow, those out first.
    fn watch(&mut self) -> Vec<Event> {
        let stage = self.stage;
        if stage.watched.is_empty() {
            self.flip = None;
            return Vec::new();
        }
        let (workspace, zone) = (&stage.ground.workspace, &stage.ground.zone);
        let events = self.past.events_at(self.now);
        let sorted: Vec<Event>;
        let events = if events.is_sorted_by_key(|event| event.at) {
            events
        } else {
            let mut own = events.to_vec();
            own.sort_by_key(|event| event.at);
            sorted = own;
            &sorted
        };
        let orders = &self.net_orders[..self.past.orders_at(self.now).len()];
        let mut carts: Vec<model::Cart> = Vec::new();
        if stage.loads.carts {
            carts.extend(self.past.carts_at(self.now).cloned());
            let bought = orders.iter().filter(|order| order.counts());
            carts.extend(bought.map(|order| cart_of_order(self.past.contact.id, order)));
        }
        let totals = self.past.totals_at(self.now);
        let placements = self.past.placements_at(self.now);
        let facts = SegmentPerson {
            profile: SegmentProfile {
                contact: &self.past.contact,
                totals: &totals,
                fields: &workspace.schema.fields,
            },
            placements: &placements,
            history: History { events, orders },
            carts: &carts,
            catalogue: &stage.products,
            segments: &workspace.segments,
            zone,
            kept: &[],
        };
        let (mut left, mut entered, mut flip) = (Vec::new(), Vec::new(), None);
        for file in &stage.watched {
            let outcome = evaluate(&file.condition, &facts, self.now, zone);
            flip = [flip, outcome.next_flip].into_iter().flatten().min();
            let was = self.members.get(file.slug.as_str()).copied().unwrap_or_default();
            if was != outcome.member {
                let event = segment_event(&file.slug, self.past.contact.id, outcome.member, self.now);
                if outcome.member {
                    entered.push(event)
                } else {
                    left.push(event)
                }
                self.members.insert(file.slug.to_string(), outcome.member);
            }
        }
        for file in &stage.watched {
            self.members.entry(file.slug.to_string()).or_default();
        }
        self.flip = flip.map(|at: Timestamp| at.max(self.now.plus(1)));
        left.append(&mut entered);
        left
    }

    /// One batch of the engine, with this contact in it alone.
    fn batch(&mut self, happened: Vec<(Event, u8)>, rang: bool) {
        for (event, _) in &happened {
            self.remember(event);
        }
        let mut agenda: Vec<Happening> = Vec::new();
        for (event, causes) in happened {
            if self.cares.for_event(&event) {
                agenda.push(Happening { event: Arc::new(event), causes });
            }
        }
        if agenda.is_empty() && !rang {
            return;
        }
        if self.stage.options.explain {
            for happening in &agenda {
                self.explain(&happening.event);
            }
        }
        let causes = agenda.iter().map(|happening| happening.causes).max().unwrap_or_default();
        let again = agenda.iter().any(|happening| happening.event.kind == timers::TIMERS_CHECKED);
        let carts: Vec<model::Cart> =
            if rang || again { self.past.carts_at(self.now).cloned().collect() } else { Vec::new() };
        let person = self.person();
        let known = person.sends.len();
        let members = std::mem::take(&mut self.members);
        let is_member = |slug: &str, _: ContactId| members.get(slug).copied();
        let stage = self.stage;
        let scene = Scene { ground: &stage.ground, now: self.now, members: &is_member };
        let slug = &stage.live.rules.journey.slug;
        let before = self.lived().into_iter().map(|enrolment| (slug.clone(), enrolment)).collect();
        let mut actor = Actor::new(person, self.inside(), before, self.alarm.clone(), agenda, rang);
        if again {
            actor.set_carts(&carts, &scene);
        }
        actor.open(&scene, &carts);
        while let Some(needs) = actor.go(&scene) {
            self.answer(&mut actor, &needs, &scene);
        }
        let mut person = actor.person().clone();
        let Outcome { left, alarm, .. } = actor.finish();
        self.members = members;
        self.own_sends.extend(person.sends.drain(known.min(person.sends.len())..));
        self.past.contact = person.contact;
        if let Some(alarm) = alarm {
            self.alarm = alarm;
        }
        for left in left {
            self.take_over(left, causes);
        }
    }

    /// What happened only in the simulation becomes part of the past.
    fn remember(&mut self, event: &Event) {
        if event.message_id.as_deref() == Some(OURS) {
            let place = self.past.events.partition_point(|known| known.received_at <= event.received_at);
            self.past.events.insert(place, event.clone());
        }
    }

    /// The contact as of now.
    pub(super) fn person(&self) -> Person {
        let reads = self.stage.live.rules.journey.reads;
        let back = self.stage.ground.sending.horizon().max(reads.sends_back);
        let since = self.now.plus(-back);
        let stored = self.past.sends.iter().filter(|send| send.at <= self.now);
        let mut sends: Vec<policy::PastSend> =
            stored.chain(&self.own_sends).filter(|send| send.at >= since).cloned().collect();
        sends.sort_by_key(|send| send.at);
        Person {
            contact: self.past.contact.clone(),
            totals: if reads.totals { self.past.totals_at(self.now) } else { Totals::default() },
            rfm: if reads.rfm { self.past.placements_at(self.now) } else { Vec::new() },
            suppressed: self.past.suppressed.contains(&Channel::Email),
            suppressed_on: self.past.suppressed.clone(),
            sends: if reads.sends { sends } else { Vec::new() },
            push: self.past.push,
        }
    }

    fn inside(&self) -> Vec<Inside> {
        let resume = |played: &Played| {
            let run = Run::resume(Person::default(), played.state.as_ref()?)?;
            let journey = Arc::clone(&self.stage.live);
            Some(Inside { journey, run, fresh: false, touched: false, arrived: Vec::new() })
        };
        self.enrolments.iter().filter_map(resume).collect()
    }

    /// Its enrolments as the base would hold them.
    pub(super) fn lived(&self) -> Vec<LiveEnrolment> {
        let one = |played: &Played| LiveEnrolment {
            contact: self.past.contact.id,
            run: RUN,
            ordinal: played.ordinal,
            key: played.key.clone(),
            entered_at: played.entered_at,
            state: played.state.clone(),
        };
        self.enrolments.iter().map(one).collect()
    }

    /// Answers from the past as it was now.
    fn answer(&self, actor: &mut Actor, needs: &[Need], scene: &Scene<'_>) {
        let ground = &self.stage.ground;
        let catalogue = &ground.shelf.catalogue;
        let asks = |need: &Need| matches!(need, Need::Condition(_) | Need::Found(_) | Need::Member(_));
        let known = needs.iter().any(asks).then(|| self.past.known_at(self.now));
        for need in needs {
            let Some((run, live)) = actor.goes_on() else { return };
            let journey = &live.rules.journey;
            let (world, contact) = (scene.world(live), run.person().contact.id);
            let data = run.data(&world);
            let person = Some(run.person());
            let ask = |condition| Ask { condition, contact, person, data: &data };
            let holds = match (need, &known) {
                (Need::Condition(n), Some(known)) => {
                    let ask = ask(&journey.conditions[usize::from(*n)]);
                    known.holds(&ground.workspace, catalogue, &ask, self.now)
                }
                (Need::Member(slot), Some(known)) => {
                    let slug = journey.segments[usize::from(*slot)].as_str();
                    ground.workspace.segments.get(slug).is_some_and(|file| {
                        let ask = Ask { data: &segment::NoData, ..ask(&file.condition) };
                        known.holds(&ground.workspace, catalogue, &ask, self.now)
                    })
                }
                _ => false,
            };
            let found = match (need, &known) {
                (Need::Found(n), Some(known)) => {
                    let ask = ask(&journey.conditions[usize::from(*n)]);
                    known.found(&ground.workspace, catalogue, &ask, self.now)
                }
                _ => None,
            };
            let coupon = match need {
                Need::Coupon(need) => self.coupon(&journey.coupons[usize::from(need.set)], *need),
                _ => None,
            };
            let Some((run, _)) = actor.running() else { return };
            let answers = run.answers();
            match need {
                Need::Condition(n) => answers.set_condition(*n, holds),
                Need::Member(slot) => answers.set_member(*slot, holds),
                Need::Found(n) => answers.set_found(*n, found),
                Need::Coupon(need) => answers.set_coupon(*need, coupon),
                Need::LastCart(choice) => answers.set_last_cart(*choice, self.cart(*choice)),
                Need::Facts(needs) => {
                    let wanted = answers.wanted_facts(*needs);
                    answers.set_facts(wanted, self.past.facts(wanted, catalogue, self.now));
                }
                Need::Passages(node) => {
                    let own = self.passed.get(node).copied().unwrap_or_default();
                    answers.set_passages(*node, Passages { own, ..Passages::default() });
                }
            }
        }
    }

    fn cart(&self, choice: CartChoice) -> Option<Arc<model::Cart>> {
        self.past.last_cart(choice, self.now).map(Arc::new)
    }

    /// A code that looks like one of the set; none is taken.
    fn coupon(&self, set: &Slug, need: CouponNeed) -> Option<Coupon> {
        let terms = self.stage.terms.get(set).filter(|terms| !terms.is_over(self.now))?;
        let given = self.given.get(set).map_or(&[][..], Vec::as_slice);
        let good = |coupon: &&Coupon| coupon.expires_at.is_none_or(|at| at > self.now);
        if let Some(held) = given.iter().rev().find(good).filter(|_| need.reuse) {
            return Some(Coupon { held: true, ..held.clone() });
        }
        if terms.per_contact.is_some_and(|most| given.len() as u64 >= most) {
            return None;
        }
        Some(coupons::preview(terms, self.now))
    }

    /// Takes over what an enrolment came to, and what it causes.
    fn take_over(&mut self, left: Left, causes: u8) {
        let Left { entry, fresh, stays, finished, .. } = left;
        let (stage, now) = (self.stage, self.now);
        let journey = &stage.live.rules.journey;
        let effects = finished.effects;
        let trigger = entry.trigger.as_deref().and_then(|event| self.started_by(event));
        let place = self.enrolments.iter().position(|known| known.ordinal == entry.ordinal);
        let place = place.unwrap_or_else(|| {
            self.enrolments.push(Played {
                ordinal: entry.ordinal,
                key: entry.key.clone(),
                entered_at: entry.at,
                trigger,
                trace: Vec::new(),
                goal_at: None,
                messages: Vec::new(),
                stays: Vec::new(),
                coupons: Vec::new(),
                whole: Vec::new(),
                state: None,
            });
            self.enrolments.len() - 1
        });
        let _ = fresh;
        for message in &effects.messages {
            self.interact(message, entry.ordinal);
        }
        let played = &mut self.enrolments[place];
        played.trace.push(Record { at: now, steps: effects.trace });
        (played.state, played.goal_at, played.stays) = (finished.kept, finished.goal_at, stays);
        for message in effects.messages {
            let leaves = message.not_before.unwrap_or(now);
            played.messages.push((message.node, leaves, leaves > now));
            if stage.options.entry.is_some() {
                played.whole.push(message);
            }
        }
        for assigned in effects.coupons {
            let set = journey.coupons[usize::from(assigned.set)].clone();
            let coupon =
                Coupon { code: assigned.code, expires_at: assigned.expires_at, held: false, left: None };
            self.given.entry(set.clone()).or_default().push(coupon);
            self.enrolments[place].coupons.push(set);
        }
        for node in effects.passed {
            *self.passed.entry(node).or_default() += 1;
        }
        let mut fields: Vec<&str> = effects.changes.iter().map(|change| change.field.as_str()).collect();
        if !effects.lists.is_empty() {
            fields.push("lists");
        }
        if causes + 1 >= CAUSES_MAX {
            return;
        }
        let contact = self.past.contact.id;
        if !fields.is_empty() {
            let properties = [("fields".to_owned(), json!(fields))].into_iter().collect();
            self.put(now, own(kind::CONTACT_UPDATED, now, contact, properties), causes + 1);
        }
        for raised in effects.raised {
            let mut event = own(&raised.kind, now, contact, raised.properties);
            if raised.kind != kind::JOURNEY_ENTRY {
                event.message_id = Some(OURS.to_owned());
            }
            self.put(now, event, causes + 1);
        }
    }

    /// The trigger that an event fires.
    fn started_by(&self, event: &Event) -> Option<usize> {
        let journey = &self.stage.live.rules.journey;
        let mut meant = journey.starters(&event.kind).filter(|(place, listener)| {
            timers::is_for(event, &journey.slug, *place, &listener.on) && listener.on.means(event)
        });
        let first = meant.next()?;
        let rest: Vec<_> = meant.collect();
        if rest.is_empty() {
            return Some(first.0);
        }
        let all = std::iter::once(first).chain(rest);
        let mut heard = all.filter(|(_, listener)| !listener.is_late(event) && self.hears(listener, event));
        heard.next().map(|(place, _)| place)
    }

    /// Whether a trigger hears an event now.
    pub(super) fn hears(&self, listener: &Listener, event: &Event) -> bool {
        let person = self.person();
        let ground = &self.stage.ground;
        let in_segment = |slug: &str| self.members.get(slug).copied().unwrap_or_default();
        let facts = Profile { person: &person, defaults: &ground.defaults, in_segment: &in_segment };
        let hearing = Hearing {
            facts: &facts,
            catalogue: &ground.shelf.catalogue,
            entry: None,
            now: self.now,
            zone: &ground.zone,
        };
        listener.hears(event, &hearing)
    }

    /// Throws dice for what a contact does with a message.
    fn interact(&mut self, message: &Message, ordinal: u32) {
        let stage = self.stage;
        let journey = &stage.live.rules.journey;
        let node = journey.node(message.node);
        let Some(sending) = node.step.sending().filter(|_| message.to.is_none()) else { return };
        let (sent, opened, clicked) = match sending.channel {
            Channel::Email => (kind::EMAIL_SENT, Some(kind::EMAIL_OPENED), kind::EMAIL_CLICKED),
            Channel::Sms => (kind::SMS_SENT, None, kind::SMS_CLICKED),
            Channel::WebPush => (kind::PUSH_SENT, Some(kind::PUSH_OPENED), kind::PUSH_CLICKED),
            Channel::Webhook => return,
        };
        let contact = self.past.contact.id.0.unsigned_abs();
        let id = MessageId::derive(0, contact, ordinal, &node.id, message.visit);
        let properties: Map<String, serde_json::Value> = [
            ("message_id", id.to_string()),
            ("journey", journey.slug.to_string()),
            ("node", node.id.clone()),
            ("template", sending.template.to_owned()),
            ("purpose", sending.purpose.to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
        let visit = u64::from(message.visit) << 32 | u64::from(ordinal);
        let mut dice = Dice::of(&[stage.options.seed, contact, u64::from(message.node), visit, 0x0511]);
        let leaves = message.not_before.unwrap_or(self.now);
        let happens = |kind: &str, at: Timestamp| Event {
            message_id: Some(OURS.to_owned()),
            ..own(kind, at, self.past.contact.id, properties.clone())
        };
        let (opens, clicks) = (dice.unit() < stage.options.open_rate, dice.unit() < stage.options.click_rate);
        let open_at = leaves.plus(1 + dice.below(OPENS_WITHIN.unsigned_abs()).cast_signed());
        let click_at = open_at.plus(1 + dice.below(CLICKS_WITHIN.unsigned_abs()).cast_signed());
        let mut events = vec![(leaves, happens(sent, leaves))];
        // Who clicks has opened.
        if let Some(opened) = opened.filter(|_| opens || clicks) {
            events.push((open_at, happens(opened, open_at)));
        }
        if clicks {
            events.push((click_at, happens(clicked, click_at)));
        }
        for (at, event) in events {
            if self.stage.kinds.contains(&event.kind) {
                self.put(at, event, 0);
            }
        }
    }
}

/// Sender's id of what happens in the simulation only and belongs to the contact's history from then on.
const OURS: &str = "relance: simulated";

fn own(kind: &str, at: Timestamp, contact: ContactId, properties: Map<String, serde_json::Value>) -> Event {
    Event { contact, at, received_at: at, kind: kind.to_owned(), message_id: None, properties }
}
