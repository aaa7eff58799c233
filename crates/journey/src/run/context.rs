//! What a node sees of a run, and what it may do to it.

use model::{Dice, MessageId, ProductId, Slug, Timestamp, Value, Zone};
use recommend::Catalogue;
use segment::reference::{self, RefPath};

use super::{
    Answers, Assigned, Change, Coupon, Effects, Entry, Exports, Given, ListChange, Message, Person, Raised,
    Stay, Woken, World,
};
use crate::{data::Datum, graph::Journey};

/// What a node that is asked whether it hears a signal knows.
pub struct Ear<'a> {
    /// Answers references.
    pub data: Data<'a>,
    /// The stay.
    pub stay: &'a Stay,
    pub(super) sent: &'a [(u16, MessageId)],
}

impl Ear<'_> {
    /// The last message that a node sent in this run.
    #[must_use]
    pub fn message(&self, node: u16) -> Option<MessageId> {
        self.sent.iter().find(|(known, _)| *known == node).map(|(_, id)| *id)
    }

    /// The run's key; empty where there is none.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.data.entry.key
    }

    /// When what started the run happened; a late event's instant, not its arrival.
    #[must_use]
    pub fn began_at(&self) -> Timestamp {
        let entry = self.data.entry;
        entry.trigger.as_ref().map_or(entry.at, |trigger| trigger.at.min(entry.at))
    }

    pub(crate) const fn person(&self) -> &Person {
        self.data.person
    }

    pub(crate) const fn journey(&self) -> &Journey {
        self.data.world.journey
    }

    pub(crate) const fn catalogue(&self) -> &Catalogue {
        self.data.world.catalogue
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.data.world.now
    }

    pub(crate) const fn zone(&self) -> &Zone {
        self.data.world.zone
    }
}

/// What a step sees and does.
pub struct Context<'a> {
    /// The batch's world.
    pub world: &'a World<'a>,
    /// The node's number.
    pub number: u16,
    /// Which passage of the node this is, from 1.
    pub visit: u32,
    /// What the shell answered.
    pub answers: &'a Answers,
    /// How the enrolment began.
    pub entry: &'a Entry,
    /// The stay that has just ended, with what ended it; none when the token has just arrived.
    pub stayed: Option<(&'a Stay, &'a Woken)>,
    pub(crate) exports: &'a Exports,
    pub(crate) person: &'a mut Person,
    pub(super) sent: &'a mut Vec<(u16, MessageId)>,
    pub(super) notes: &'a mut Vec<(u16, u8, u16)>,
    pub(super) held: &'a mut bool,
    pub(super) goal_at: &'a mut Option<Timestamp>,
    pub(super) wrote: &'a mut bool,
    pub(super) given: &'a mut Vec<Given>,
    pub(super) done: &'a mut Effects,
}

impl Context<'_> {
    /// The contact as it is now.
    #[must_use]
    pub const fn person(&self) -> &Person {
        self.person
    }

    /// Answers references.
    #[must_use]
    pub fn data(&self) -> Data<'_> {
        Data {
            world: self.world,
            exports: self.exports,
            person: self.person,
            entry: self.entry,
            sent: self.sent,
        }
    }

    /// Chance, the same whenever this passage is computed again.
    #[must_use]
    pub fn dice(&self) -> Dice {
        let contact = self.person.contact.id.0.unsigned_abs();
        let parts = [self.world.seed, contact, u64::from(self.number), u64::from(self.visit)];
        if self.entry.ordinal == 1 {
            Dice::of(&parts)
        } else {
            Dice::of(&[parts[0], parts[1], parts[2], parts[3], u64::from(self.entry.ordinal)])
        }
    }

    /// Chance that is the same for a contact at this node in every run and version of the journey.
    #[must_use]
    pub fn lasting_dice(&self) -> Dice {
        let journey = self.world.journey;
        let text = |text: &str| Dice::of(&text.bytes().map(u64::from).collect::<Vec<_>>()).next_u64();
        let contact = self.person.contact.id.0.unsigned_abs();
        Dice::of(&[text(journey.slug.as_str()), text(&journey.node(self.number).id), contact])
    }

    /// Keeps the contact without any message of this run from now on.
    pub const fn hold(&mut self) {
        *self.held = true;
    }

    /// The last message that a node sent in this run.
    #[must_use]
    pub fn message(&self, node: u16) -> Option<MessageId> {
        self.sent.iter().find(|(known, _)| *known == node).map(|(_, id)| *id)
    }

    /// The ear of the stay that has just ended.
    pub(crate) fn ear(&self) -> Option<Ear<'_>> {
        let (stay, _) = self.stayed?;
        Some(Ear { data: self.data(), stay, sent: self.sent })
    }

    /// Whether an interaction came before the contact did.
    pub(crate) fn noted(&self, what: u8) -> bool {
        self.notes.iter().any(|(node, known, _)| (*node, *known) == (self.number, what))
    }

    /// What is answered is answered once.
    pub(crate) fn forget_notes(&mut self, what: u8) {
        self.notes.retain(|(node, known, _)| (*node, *known) != (self.number, what));
    }

    /// Writes a custom field; none clears it.
    pub fn set_field(&mut self, name: &str, value: Option<Value>) {
        *self.wrote = true;
        let before = match &value {
            Some(value) => self.person.contact.fields.insert(name.to_owned(), value.clone()),
            None => self.person.contact.fields.remove(name),
        };
        match self.done.changes.iter_mut().find(|change| change.field == name) {
            Some(change) => change.after = value,
            None => self.done.changes.push(Change { field: name.to_owned(), before, after: value }),
        }
    }

    /// Puts the contact on a static list, or takes it off.
    pub fn set_list(&mut self, list: &Slug, member: bool) {
        let lists = &mut self.person.contact.lists;
        let had = lists.contains(list);
        if had == member {
            return;
        }
        *self.wrote = true;
        if member {
            lists.push(list.clone());
        } else {
            lists.retain(|known| known != list);
        }
        match self.done.lists.iter_mut().find(|change| change.list == *list) {
            Some(change) => change.member = member,
            None => self.done.lists.push(ListChange { list: list.clone(), member }),
        }
    }

    /// Decides a message of this node.
    pub fn send(&mut self, message: Message) {
        let node = self.world.journey.node(self.number);
        let contact = self.person.contact.id.0.unsigned_abs();
        let id = MessageId::derive(
            u32::try_from(self.world.run).unwrap_or_default(),
            contact,
            self.entry.ordinal,
            &node.id,
            message.visit,
        );
        self.sent.retain(|(known, _)| *known != self.number);
        // What was done with the message before is not done with this one.
        self.notes.retain(|(.., sender)| *sender != self.number);
        self.sent.push((self.number, id));
        if let Some(sending) = node.step.sending().filter(|_| message.to.is_none()) {
            self.person.sends.push(policy::PastSend {
                channel: sending.channel,
                purpose: sending.purpose.to_owned(),
                at: message.not_before.unwrap_or(self.world.now),
            });
        }
        self.done.messages.push(message);
    }

    /// Notes that the contact reached the journey's goal; whether it was the first time in this run.
    pub fn reach_goal(&mut self) -> bool {
        let first = self.goal_at.is_none();
        self.goal_at.get_or_insert(self.world.now);
        first
    }

    /// Raises an event for the contact.
    pub fn raise(&mut self, raised: Raised) {
        self.done.raised.push(raised);
    }

    /// The code of a set that the run has already.
    #[must_use]
    pub fn given(&self, set: u16) -> Option<&Given> {
        let slug = self.world.journey.coupons.get(usize::from(set))?;
        self.given.iter().find(|given| given.set == *slug)
    }

    /// Gives the contact a code that was found for it; one that it holds already is only noted.
    pub fn assign(&mut self, set: u16, coupon: &Coupon) {
        let Some(slug) = self.world.journey.coupons.get(usize::from(set)) else { return };
        let (code, expires_at) = (coupon.code.clone(), coupon.expires_at);
        self.given.push(Given { set: slug.clone(), code: code.clone(), expires_at });
        if !coupon.held {
            self.done.coupons.push(Assigned { set, code, node: self.number, expires_at });
        }
    }
}

/// What references lead to, for one token.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) exports: &'a Exports,
    pub(super) person: &'a Person,
    pub(super) entry: &'a Entry,
    pub(super) sent: &'a [(u16, MessageId)],
}

impl Data<'_> {
    /// The datum behind a path; none when there is none.
    #[must_use]
    pub fn datum(&self, path: &RefPath) -> Option<Datum> {
        let parts = path.parts();
        match parts[0].as_str() {
            "contact" if parts.len() == 2 => self.contact_value(&parts[1]).map(Datum::Value),
            "trigger" => {
                let event = self.entry.trigger.as_deref()?;
                let types = self.world.journey.declared(&event.kind);
                crate::signal::declared(event, &parts[1..], self.world.catalogue, types)
            }
            "run" if parts.len() == 2 => self.entry.datum(&parts[1]),
            // The last message that a node sent in this run.
            "run" if parts.len() == 3 && parts[1] == "message" => {
                let node = self.world.journey.number(&parts[2])?;
                let (_, id) = self.sent.iter().find(|(known, _)| *known == node)?;
                Some(Datum::Value(Value::Text(id.to_string())))
            }
            "nodes" => {
                let node = self.world.journey.number(parts.get(1)?)?;
                let mut exported = self.exports.0.iter().rev().filter(|(n, ..)| *n == node);
                let Some(name) = parts.get(2) else {
                    return exported.next().map(|(_, _, datum)| datum.clone());
                };
                exported.find_map(|(_, own, datum)| {
                    let rest = if own == name { &parts[3..] } else { &parts[2..] };
                    datum.at(rest, self.world.catalogue)
                })
            }
            _ => None,
        }
    }

    /// The products behind a path; none when there are none.
    fn listed(&self, path: &RefPath) -> Vec<ProductId> {
        self.datum(path).map(|datum| datum.products()).unwrap_or_default()
    }

    /// A field of the contact: built-in, from its orders, or custom with its default.
    #[must_use]
    pub fn contact_value(&self, name: &str) -> Option<Value> {
        self.person.field(name, self.world.defaults)
    }
}

impl reference::Data for Data<'_> {
    fn value(&self, path: &RefPath) -> Option<Value> {
        match self.datum(path) {
            Some(Datum::Value(value)) => Some(value),
            _ => None,
        }
    }

    fn products(&self, path: &RefPath) -> Vec<ProductId> {
        self.listed(path)
    }
}
