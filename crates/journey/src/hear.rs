//! Whether a trigger, an exit or a goal means an event: its kind, its condition over event and profile, its key.
//!
//! The engine asks in this order: [`Journey::listens`] (does anything care for events of this kind at all),
//! [`Journey::starters`] and the exits, then [`Listener::hears`], and for a trigger [`Listener::is_late`] and
//! [`Listener::key_of`].

use std::collections::BTreeSet;

use model::{ConsentState, Event, RfmPlacement, Timestamp, Value, Zone};
use recommend::Catalogue;
use segment::{Facts, RefPath};

use crate::{
    data::{DataType, Datum},
    entry::{Listener, On, is_late},
    graph::Journey,
    run::{Entry, Person},
    signal,
};

/// What a listener is asked with, beside the event.
#[derive(Clone, Copy)]
pub struct Hearing<'a> {
    /// The contact's profile, with the segments and lists that it belongs to.
    pub facts: &'a dyn Facts,
    /// The catalogue, for products that the event names.
    pub catalogue: &'a Catalogue,
    /// The run that an exit or a goal is asked for: `run.key` and `run.entered_at`. None for triggers.
    pub entry: Option<&'a Entry>,
    /// The instant.
    pub now: Timestamp,
    /// The workspace's zone.
    pub zone: &'a Zone,
}

impl Listener {
    /// Whether an event is meant: its kind and what the listener says of it, that no machine did it unless that counts, and the condition over event and profile.
    /// Whether it came too late is asked separately ([`Listener::is_late`]), as is which run it speaks to
    /// ([`Listener::speaks_to`]). Events that the engine raises for one trigger name it by the properties `journey` and
    /// `trigger`, which the engine itself compares.
    #[must_use]
    pub fn hears(&self, event: &Event, hearing: &Hearing<'_>) -> bool {
        if !self.on.means(event) || (event.by_machine() && !self.machine) {
            return false;
        }
        let Some(condition) = &self.condition else { return true };
        let heard = Heard { event, types: &self.properties, hearing };
        let facts = WithEvent { facts: hearing.facts, heard: &heard };
        segment::evaluate::is_member(condition, &facts, hearing.now, hearing.zone)
    }

    /// The key that an event carries: what tells enrolments (and the runs that an exit speaks to) apart. None when the
    /// listener asks for no key, or the event has none there.
    #[must_use]
    pub fn key_of(&self, event: &Event) -> Option<String> {
        let text = |path: &[String]| match signal::property(event, path)? {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let key = match &self.key {
            Some(path) => text(&path.parts()[1..]),
            None if matches!(self.on, On::CartAbandoned { .. }) => text(&["cart_id".to_owned()]),
            None => None,
        };
        key.filter(|key| !key.is_empty())
    }

    /// Whether an event that the listener hears speaks to a run with this key: where either has no key it does.
    #[must_use]
    pub fn speaks_to(&self, event: &Event, run_key: &str) -> bool {
        run_key.is_empty() || self.key_of(event).is_none_or(|key| key == run_key)
    }

    /// Whether an event arrived too late for this trigger.
    #[must_use]
    pub const fn is_late(&self, event: &Event) -> bool {
        is_late(event, self.late)
    }
}

impl Journey {
    /// The triggers that events of a kind may fire, with their places in [`Journey::triggers`].
    pub fn starters<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (usize, &'a Listener)> {
        self.triggers.iter().enumerate().filter(move |(_, trigger)| trigger.on.event_kind() == kind)
    }

    /// The exits that events of a kind may fire.
    pub fn leavers<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Listener> {
        self.exits.iter().filter(move |exit| exit.on.event_kind() == kind)
    }

    /// The types of properties that its triggers declare of a kind of event.
    #[must_use]
    pub fn declared(&self, kind: &str) -> &[(String, DataType)] {
        // Triggers on the same kind share their declarations, which the checker has put together.
        self.triggers
            .iter()
            .find(|trigger| trigger.on.event_kind() == kind)
            .map_or(&[], |own| &own.properties)
    }

    /// All kinds of events that triggers, exits, the goal and nodes listen for.
    #[must_use]
    pub fn listens(&self) -> BTreeSet<String> {
        let goal = self.goal.iter().map(|goal| &goal.listener);
        let own = self.triggers.iter().chain(&self.exits).chain(goal);
        own.map(|listener| listener.on.event_kind().to_owned())
            .chain(self.nodes.iter().flat_map(|node| node.step.listens()))
            .collect()
    }
}

/// A contact as loaded for a run, as the facts of a listener's condition.
pub struct Profile<'a> {
    /// The contact.
    pub person: &'a Person,
    /// The fields' virtual defaults, by slug.
    pub defaults: &'a [(String, Value)],
    /// Whether it is in a segment, by its slug.
    pub in_segment: &'a dyn Fn(&str) -> bool,
}

impl Facts for Profile<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        self.person.field(name, self.defaults)
    }

    fn consent(&self, purpose: &str) -> ConsentState {
        self.person.contact.consent(purpose)
    }

    fn in_list(&self, slug: &str) -> bool {
        self.person.contact.lists.iter().any(|list| list.as_str() == slug)
    }

    fn in_segment(&self, slug: &str) -> bool {
        (self.in_segment)(slug)
    }

    fn rfm(&self, model: &str) -> Option<RfmPlacement> {
        self.person.rfm.iter().find(|placement| placement.model == model).cloned()
    }
}

/// The facts of the contact, with the event's data beside them.
struct WithEvent<'a> {
    facts: &'a dyn Facts,
    heard: &'a Heard<'a>,
}

impl Facts for WithEvent<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        self.facts.field(name)
    }
    fn consent(&self, purpose: &str) -> ConsentState {
        self.facts.consent(purpose)
    }
    fn in_list(&self, slug: &str) -> bool {
        self.facts.in_list(slug)
    }
    fn in_segment(&self, slug: &str) -> bool {
        self.facts.in_segment(slug)
    }
    fn rfm(&self, model: &str) -> Option<RfmPlacement> {
        self.facts.rfm(model)
    }
    fn segment(&self, slug: &str) -> Option<&segment::Condition> {
        self.facts.segment(slug)
    }
    fn entries(&self, activity: &segment::Activity) -> segment::Entries<'_> {
        self.facts.entries(activity)
    }
    fn carts(&self) -> &[model::Cart] {
        self.facts.carts()
    }
    fn products(&self) -> &dyn segment::Products {
        self.facts.products()
    }
    fn data(&self) -> &dyn segment::Data {
        self.heard
    }
}

/// References into the event (`trigger.…`, `event.…`), the profile and the run.
struct Heard<'a> {
    event: &'a Event,
    types: &'a [(String, DataType)],
    hearing: &'a Hearing<'a>,
}

impl Heard<'_> {
    fn datum(&self, path: &RefPath) -> Option<Datum> {
        let parts = path.parts();
        match (parts[0].as_str(), parts[1].as_str()) {
            ("contact", name) if parts.len() == 2 => self.hearing.facts.field(name).map(Datum::Value),
            ("trigger" | "event", _) => {
                signal::declared(self.event, &parts[1..], self.hearing.catalogue, self.types)
            }
            ("run", name) => self.hearing.entry?.datum(name),
            _ => self.hearing.facts.data().value(path).map(Datum::Value),
        }
    }
}

impl segment::Data for Heard<'_> {
    fn value(&self, path: &RefPath) -> Option<Value> {
        match self.datum(path)? {
            Datum::Value(value) => Some(value),
            _ => None,
        }
    }

    fn products(&self, path: &RefPath) -> Vec<model::ProductId> {
        self.datum(path).map(|datum| datum.products()).unwrap_or_default()
    }
}
