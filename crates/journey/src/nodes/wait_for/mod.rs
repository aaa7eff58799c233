//! Waits for something to happen, or for a time limit: `yes` (or the alternative's name) at once, `no` at the limit.
//!
//! What may be waited for:
//!
//! * an event: `{event: Order Completed, where: {property: total, greater_than: 50}, limit: P1D}`. It counts when it
//!   arrives during the stay and before the limit, and happened after the contact came into the journey (a late event
//!   may well be older than the stay). `where` is the condition language of segments; `property: total` and
//!   `{ref: event.total}` are the event's, `trigger.…` what started the run, beside `contact.…` and `nodes.…`.
//! * an interaction with the last message that an earlier node sent in this run: `{message: mail, is: clicked, link: shop,
//!   limit: P1D}`. One that came before the contact did is answered at once. A click counts as an opening, for it proves
//!   one; an opening by a machine (property `machine`) counts only with `machine: true`. `link` is the link's name or its
//!   address. When the message was not sent the answer is `no` at once (in a loop, at the limit).
//! * an entry into a segment: `{segment: vip, limit: P30D}`. Who is in it already is answered `yes` at once.
//!
//! `any_of: {bought: {event: …}, clicked: {message: …}}` waits for whichever comes first; each has a branch of its name.
//!
//! Where runs have keys (a cart's id) an event with another key, by the journey's own triggers, is not heard; one without
//! a key speaks to all runs. `key: false` hears all, `key: order.cart` names where the event's key is.

mod read;

use model::{ConsentState, Event, MessageId, Period, Place, ProductId, RfmPlacement, Value, event::kind};
use segment::{Condition, Facts, RefPath};

use super::{Flow, Kind, NO, Named, Role, Step, YES, YES_NO, wait};
use crate::{
    check::Binder,
    data::Datum,
    run::{Context, Ear, Need, Woken},
    signal,
    trace::Detail,
};

/// The longest time limit, in days.
pub const LIMIT_MAX_DAYS: i32 = wait::WAIT_MAX_DAYS;
/// Most alternatives of a node.
pub const ALTERNATIVES_MAX: usize = 10;

/// The kind.
pub static KIND: Kind = Kind {
    word: "wait_for",
    name_en: "Wait for",
    name_fr: "Attendre un événement",
    role: Role::Condition,
    read: read::wait_for,
};

/// What somebody did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Sent,
    Opened,
    Clicked,
    Bounced,
    Unsubscribed,
}

impl Is {
    const fn kinds(self) -> &'static [&'static str] {
        match self {
            Self::Sent => &[kind::EMAIL_SENT, kind::SMS_SENT, kind::PUSH_SENT],
            Self::Opened => &[
                kind::EMAIL_OPENED,
                kind::PUSH_OPENED,
                kind::EMAIL_CLICKED,
                kind::SMS_CLICKED,
                kind::PUSH_CLICKED,
            ],
            Self::Clicked => &[kind::EMAIL_CLICKED, kind::SMS_CLICKED, kind::PUSH_CLICKED],
            Self::Bounced => &[kind::EMAIL_BOUNCED],
            Self::Unsubscribed => &[kind::UNSUBSCRIBED],
        }
    }
}

/// Where an event's key is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// Where the journey's triggers have it.
    OfTriggers,
    /// Under this path.
    At(Vec<String>),
    /// It does not matter.
    Any,
}

#[derive(Debug)]
struct Where {
    source: model::doc::Node,
    field: String,
    condition: Option<Condition>,
    /// Whether the condition reads the contact.
    by_contact: bool,
}

#[derive(Debug)]
enum What {
    Event { kind: String, place: Place, filter: Option<Box<Where>>, key: Key },
    Message { node: Named, number: u16, is: Is, link: Option<String>, machine: bool },
    Segment { segment: Named, slot: u16 },
}

#[derive(Debug)]
struct WaitFor {
    /// In the file's order, each with its branch.
    alternatives: Vec<What>,
    /// Their names; none when there is one, whose branch is `yes`.
    names: Option<Vec<String>>,
    limit: Period,
}

impl What {
    /// Whether an event is of a kind that may be meant.
    fn may_mean(&self, event: &str) -> bool {
        match self {
            Self::Event { kind, .. } => kind == event,
            Self::Message { is, .. } => is.kinds().contains(&event),
            Self::Segment { .. } => event == kind::SEGMENT_ENTERED,
        }
    }

    fn hears(&self, signal: &Event, ear: &Ear<'_>) -> bool {
        let in_time = ear.stay.until.is_none_or(|until| signal.received_at <= until);
        if !in_time || !self.may_mean(&signal.kind) {
            return false;
        }
        match self {
            Self::Event { filter, key, .. } => {
                signal.at >= ear.began_at()
                    && speaks_to(signal, key, ear)
                    && filter.as_ref().is_none_or(|filter| filter.holds(signal, ear))
            }
            Self::Message { number, .. } => {
                let id = ear.message(*number);
                id.is_some() && id == message_of(signal) && self.counts(signal)
            }
            Self::Segment { segment, .. } => text(signal, "segment") == Some(&segment.text),
        }
    }

    /// Whether an interaction with the right message is one that is waited for.
    fn counts(&self, signal: &Event) -> bool {
        let Self::Message { is, link, machine, .. } = self else { return false };
        let by_machine = signal.properties.get("machine").and_then(serde_json::Value::as_bool);
        let linked = |wanted: &String| {
            text(signal, "link") == Some(wanted.as_str()) || text(signal, "url") == Some(wanted.as_str())
        };
        is.kinds().contains(&signal.kind.as_str())
            && (*machine || by_machine != Some(true))
            && link.as_ref().is_none_or(linked)
    }
}

/// The message that an event is about.
pub(crate) fn message_of(signal: &Event) -> Option<MessageId> {
    MessageId::parse(text(signal, "message_id")?)
}

fn text<'e>(signal: &'e Event, name: &str) -> Option<&'e str> {
    signal.properties.get(name).and_then(serde_json::Value::as_str)
}

/// Whether an event speaks to the run: where either has no key it does.
fn speaks_to(signal: &Event, key: &Key, ear: &Ear<'_>) -> bool {
    let own = ear.key();
    if own.is_empty() {
        return true;
    }
    match key {
        Key::Any => true,
        Key::At(path) => match signal::property(signal, path).and_then(signal::value) {
            Some(found) => found.to_string() == own,
            None => true,
        },
        Key::OfTriggers => {
            let mut keys =
                ear.journey().triggers.iter().filter_map(|trigger| trigger.key_of(signal)).peekable();
            keys.peek().is_none() || keys.any(|key| key == own)
        }
    }
}

impl Where {
    fn holds(&self, signal: &Event, ear: &Ear<'_>) -> bool {
        let Some(condition) = &self.condition else { return false };
        let facts = OfEvent { signal, ear };
        segment::evaluate::is_member(condition, &facts, ear.now(), ear.zone())
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        let Some(condition) = binder.event_condition(&self.source, &self.field) else { return };
        for (path, _) in condition.refs().iter().filter(|(path, _)| path.parts()[0] != "event") {
            binder.reference(path, self.source.place, &self.field, super::Expect::Any);
        }
        let reads = condition.reads();
        let named =
            |text: &String| Named { text: text.clone(), place: self.source.place, field: self.field.clone() };
        for field in &reads.fields {
            binder.contact_field(field, &named(field));
        }
        binder.reads.rfm |= !reads.rfm_models.is_empty();
        if !reads.segments.is_empty() || super::question::needs_history(&condition) {
            let message =
                "an event is waited for with conditions on itself, the profile and data only".to_owned();
            let place = named(&"where".to_owned());
            binder.type_problem(
                &place,
                message,
                "ask for segments, carts and what was done in a node that follows",
            );
        }
        let of_contact = |path: &RefPath| path.parts()[0] == "contact";
        self.by_contact = condition.refs().iter().any(|(path, _)| of_contact(path))
            || !(reads.fields.is_empty()
                && reads.purposes.is_empty()
                && reads.lists.is_empty()
                && reads.rfm_models.is_empty()
                && reads.segments.is_empty());
        self.condition = Some(condition);
    }
}

impl Step for WaitFor {
    fn outcomes(&self) -> &'static [&'static str] {
        YES_NO
    }

    fn branches(&self) -> Option<Vec<String>> {
        let names = self.names.as_ref()?;
        Some(names.iter().map(String::as_str).chain(["no"]).map(str::to_owned).collect())
    }

    fn bind(&mut self, binder: &mut Binder<'_>) {
        for what in &mut self.alternatives {
            match what {
                What::Event { kind, place, filter, .. } => {
                    binder.event_kind(kind, *place, "event");
                    if let Some(filter) = filter {
                        filter.bind(binder);
                    }
                }
                What::Message { node, number, .. } => *number = binder.sender(node).unwrap_or_default(),
                What::Segment { segment, slot } => *slot = binder.segment(segment).unwrap_or_default(),
            }
        }
    }

    /// Whoever is in a segment already does not stay.
    fn waits(&self) -> bool {
        let segment = self.alternatives.iter().any(|what| matches!(what, What::Segment { .. }));
        !segment && !self.limit.is_zero()
    }

    fn hears(&self, signal: &Event, ear: &Ear<'_>) -> bool {
        self.alternatives.iter().any(|what| what.hears(signal, ear))
    }

    fn hears_by_contact(&self, kind: &str) -> bool {
        let by_contact = |what: &What| match what {
            What::Event { filter, .. } => filter.as_ref().is_some_and(|filter| filter.by_contact),
            What::Message { .. } | What::Segment { .. } => false,
        };
        self.alternatives.iter().any(|what| what.may_mean(kind) && by_contact(what))
    }

    fn listens(&self) -> Vec<String> {
        let mut kinds = Vec::new();
        for what in &self.alternatives {
            match what {
                What::Event { kind, .. } => kinds.push(kind.clone()),
                What::Message { is, .. } => kinds.extend(is.kinds().iter().map(|kind| (*kind).to_owned())),
                What::Segment { .. } => kinds.push(kind::SEGMENT_ENTERED.to_owned()),
            }
        }
        kinds
    }

    fn notes(&self, signal: &Event, sender: u16) -> Option<u8> {
        let place = self.alternatives.iter().position(|what| match what {
            What::Message { number, .. } => *number == sender && what.counts(signal),
            _ => false,
        });
        place.and_then(|place| u8::try_from(place).ok())
    }

    fn step(&self, context: &mut Context<'_>) -> Flow {
        match self.woken(context) {
            Some(flow) => flow,
            None => self.arrive(context),
        }
    }
}

impl WaitFor {
    fn no(&self) -> u8 {
        if self.names.is_some() { self.alternatives.len() as u8 } else { NO }
    }

    fn yes(&self, place: usize) -> u8 {
        if self.names.is_some() { place as u8 } else { YES }
    }

    /// What ended the stay; none when the contact has just come.
    fn woken(&self, context: &mut Context<'_>) -> Option<Flow> {
        let Woken::Signal(signal) = context.stayed?.1 else {
            return Some(Flow::done(self.no(), Detail::None));
        };
        let kind = signal.kind.clone();
        let ear = context.ear()?;
        // Another run of the contact may have changed it meanwhile: it was heard all the same.
        let place = self.alternatives.iter().position(|what| what.hears(signal, &ear));
        let place = place.or_else(|| self.alternatives.iter().position(|what| what.may_mean(&kind)));
        let place = place.unwrap_or_default();
        context.forget_notes(place as u8);
        Some(Flow::done(self.yes(place), Detail::Text(kind)))
    }

    fn arrive(&self, context: &mut Context<'_>) -> Flow {
        let needs: Vec<Need> = self
            .alternatives
            .iter()
            .filter_map(|what| match what {
                What::Segment { slot, .. } => Some(*slot),
                _ => None,
            })
            .filter(|slot| context.answers.member(*slot).is_none())
            .map(Need::Member)
            .collect();
        if !needs.is_empty() {
            return Flow::Needs(needs);
        }
        let holds = |(place, what): &(usize, &What)| match what {
            What::Event { .. } => false,
            What::Message { .. } => context.noted(*place as u8),
            What::Segment { slot, .. } => context.answers.member(*slot) == Some(true),
        };
        if let Some((place, _)) = self.alternatives.iter().enumerate().find(holds) {
            context.forget_notes(place as u8);
            return Flow::done(self.yes(place), Detail::Text("already".into()));
        }
        let unsent = self.alternatives.iter().find_map(|what| match what {
            What::Message { node, number, .. } if context.message(*number).is_none() => Some(node),
            _ => None,
        });
        let all_unsent = self
            .alternatives
            .iter()
            .all(|what| matches!(what, What::Message { number, .. } if context.message(*number).is_none()));
        // In a loop a refused message must not send the contact round and round.
        if let (Some(node), true, 1) = (unsent, all_unsent, context.visit) {
            return Flow::done(self.no(), Detail::Text(format!("{} not sent", node.text)));
        }
        let now = context.world.now;
        let until = self.limit.after(now);
        if until <= now {
            return Flow::done(self.no(), Detail::None);
        }
        Flow::Wait(super::Wait { until: Some(until), memo: None })
    }
}

/// The facts of the contact that stays, with the event's data beside them (`event.…`).
struct OfEvent<'a> {
    signal: &'a Event,
    ear: &'a Ear<'a>,
}

impl OfEvent<'_> {
    fn datum(&self, path: &RefPath) -> Option<Datum> {
        let parts = path.parts();
        match parts[0].as_str() {
            "event" => signal::datum(self.signal, &parts[1..], self.ear.catalogue()),
            _ => self.ear.data.datum(path),
        }
    }
}

impl segment::Data for OfEvent<'_> {
    fn value(&self, path: &RefPath) -> Option<Value> {
        match self.datum(path)? {
            Datum::Value(value) => Some(value),
            _ => None,
        }
    }

    fn products(&self, path: &RefPath) -> Vec<ProductId> {
        self.datum(path).map(|datum| datum.products()).unwrap_or_default()
    }
}

impl Facts for OfEvent<'_> {
    fn field(&self, name: &str) -> Option<Value> {
        self.ear.data.contact_value(name)
    }

    fn consent(&self, purpose: &str) -> ConsentState {
        self.ear.person().contact.consent(purpose)
    }

    fn in_list(&self, slug: &str) -> bool {
        self.ear.person().contact.lists.iter().any(|list| list.as_str() == slug)
    }

    fn in_segment(&self, _: &str) -> bool {
        false
    }

    fn rfm(&self, model: &str) -> Option<RfmPlacement> {
        self.ear.person().rfm.iter().find(|placement| placement.model == model).cloned()
    }

    fn data(&self) -> &dyn segment::Data {
        self
    }
}
