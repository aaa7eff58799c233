//! The interpreter: takes one contact through a journey until it is done or needs something.
//!
//! A contact's run is a queue of tokens, one for each branch that it is on (several links may leave by the same
//! outcome). Tokens are taken one after the other, in the order of the links, each with the data of its own path; what
//! one writes into the contact the next reads.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use model::{Cart, Contact, ProductId, RfmPlacement, Timestamp, Totals, Value, Zone};
use recommend::{Catalogue, ContactFacts, Needs as FactNeeds};
use segment::reference::{self, RefPath};

use crate::{
    data::{Datum, Products},
    freeze::FrozenProducts,
    graph::Journey,
    nodes::{Flow, Passage},
    trace::TraceStep,
};

/// Which cart of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CartChoice {
    /// The last one changed or bought.
    Any,
    /// The last one neither bought nor abandoned.
    Active,
    /// The last one abandoned.
    Abandoned,
    /// The last one bought.
    Purchased,
}

/// What a run asks the shell for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Whether the contact is in a segment, by its place in [`Journey::segments`].
    Member(u16),
    /// The contact's last cart.
    LastCart(CartChoice),
    /// What the contact bought, visited and left in carts.
    Facts(FactNeeds),
}

/// A contact as loaded for a run; while it runs, with what the run wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The contact.
    pub contact: Contact,
    /// What its orders come to; only loaded when [`crate::graph::Reads::totals`] asks for it.
    pub totals: Totals,
    /// Its RFM placement; only loaded when asked for.
    pub rfm: Vec<RfmPlacement>,
    /// Whether its address is on the suppression list; only loaded when asked for.
    pub suppressed: bool,
}

/// What the shell answered so far.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    members: Vec<(u16, bool)>,
    carts: Vec<(CartChoice, Option<Arc<Cart>>)>,
    facts: ContactFacts,
    known: FactNeeds,
}

impl Answers {
    /// Answers [`Need::Member`].
    pub fn set_member(&mut self, segment: u16, member: bool) {
        self.members.retain(|(known, _)| *known != segment);
        self.members.push((segment, member));
    }

    /// Answers [`Need::LastCart`].
    pub fn set_last_cart(&mut self, choice: CartChoice, cart: Option<Arc<Cart>>) {
        self.carts.retain(|(known, _)| *known != choice);
        self.carts.push((choice, cart));
    }

    /// Answers [`Need::Facts`]: `facts` holds at least what `needs` asks for. Facts known before are replaced, so a
    /// shell answers [`Answers::wanted_facts`].
    pub fn set_facts(&mut self, needs: FactNeeds, facts: ContactFacts) {
        self.facts = facts;
        self.known = needs;
    }

    /// What the facts must hold so that `needs` and what was asked before are both satisfied.
    #[must_use]
    pub fn wanted_facts(&self, needs: FactNeeds) -> FactNeeds {
        self.known.and(needs)
    }

    pub(crate) fn member(&self, segment: u16) -> Option<bool> {
        self.members.iter().find(|(known, _)| *known == segment).map(|(_, member)| *member)
    }

    pub(crate) fn last_cart(&self, choice: CartChoice) -> Option<Option<&Arc<Cart>>> {
        self.carts.iter().find(|(known, _)| *known == choice).map(|(_, cart)| cart.as_ref())
    }

    pub(crate) fn knows_facts(&self, needs: &FactNeeds) -> bool {
        self.known.and(*needs) == self.known
    }

    pub(crate) const fn facts(&self) -> &ContactFacts {
        &self.facts
    }
}

/// What is the same for all contacts of a batch.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The journey.
    pub journey: &'a Journey,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// Its products as messages hold them.
    pub frozen: &'a FrozenProducts,
    /// Values of custom fields for contacts that were given none.
    pub defaults: &'a [(String, Value)],
    /// The instant.
    pub now: Timestamp,
    /// The zone in which days begin.
    pub zone: &'a Zone,
    /// The run's seed: with the contact, the node and the visit it makes the dice.
    pub seed: u64,
}

impl Products for Catalogue {
    fn product(&self, id: ProductId) -> Option<&model::Product> {
        Self::product(self, id)
    }
}

/// A message, decided. With run and enrolment, node and visit make its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The node that sends it.
    pub node: u16,
    /// Which passage of the node it is, from 1.
    pub visit: u32,
    /// A fixed address; the contact's without one.
    pub to: Option<String>,
    /// The contact's locale.
    pub locale: Option<String>,
    /// The frozen variables: a JSON object.
    pub variables: String,
}

/// The data that nodes on a token's path exported, the latest last.
#[derive(Clone, Debug, Default)]
pub struct Exports(Vec<(u16, &'static str, Datum)>);

impl Exports {
    fn put(&mut self, node: u16, name: &'static str, datum: Datum) {
        self.0.retain(|(n, own, _)| (*n, *own) != (node, name));
        self.0.push((node, name, datum));
    }

    /// Every product that was exported, each once.
    pub(crate) fn products(&self) -> Vec<ProductId> {
        let mut all: Vec<ProductId> = self.0.iter().flat_map(|(_, _, datum)| datum.products()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[derive(Clone, Debug)]
struct Token {
    node: u16,
    exports: Exports,
}

/// A contact's run: where it stands, and what came of it so far.
#[derive(Clone, Debug)]
pub struct Run {
    tokens: VecDeque<Token>,
    person: Person,
    answers: Answers,
    visits: Vec<(u16, u32)>,
    changes: Vec<Change>,
    messages: Vec<Message>,
    trace: Vec<TraceStep>,
}

/// A custom field that a run wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub field: String,
    /// What it held when the contact was loaded; none when it was given no value.
    pub before: Option<Value>,
    /// What it holds now; none clears.
    pub after: Option<Value>,
}

/// What a run that is done wants to be done, in one transaction.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The contact as the run left it.
    pub contact: Contact,
    /// The fields that it wrote, each once.
    pub changes: Vec<Change>,
    /// Messages for the outbox.
    pub messages: Vec<Message>,
    /// Every step, in order.
    pub trace: Vec<TraceStep>,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// It goes on when these are answered.
    Needs(Vec<Need>),
    /// It is done: [`Run::finish`].
    Done,
}

impl Run {
    /// At the start.
    #[must_use]
    pub fn new(person: Person) -> Self {
        Self {
            tokens: VecDeque::from([Token { node: 0, exports: Exports::default() }]),
            person,
            answers: Answers::default(),
            visits: Vec::new(),
            changes: Vec::new(),
            messages: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// The contact with what the run wrote into it so far: answers must be true of this one.
    #[must_use]
    pub const fn person(&self) -> &Person {
        &self.person
    }

    /// What the run wrote into the contact so far.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Where the shell puts its answers.
    pub const fn answers(&mut self) -> &mut Answers {
        &mut self.answers
    }

    /// What came of it.
    #[must_use]
    pub fn finish(self) -> Finished {
        Finished {
            contact: self.person.contact,
            changes: self.changes,
            messages: self.messages,
            trace: self.trace,
        }
    }

    fn visit(&self, node: u16) -> u32 {
        1 + self.visits.iter().find(|(known, _)| *known == node).map_or(0, |(_, n)| *n)
    }

    fn visited(&mut self, node: u16) {
        match self.visits.iter_mut().find(|(known, _)| *known == node) {
            Some((_, n)) => *n += 1,
            None => self.visits.push((node, 1)),
        }
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
    pub(crate) exports: &'a Exports,
    pub(crate) person: &'a mut Person,
    changes: &'a mut Vec<Change>,
    messages: &'a mut Vec<Message>,
}

impl Context<'_> {
    /// The contact as it is now.
    #[must_use]
    pub const fn person(&self) -> &Person {
        self.person
    }

    /// Answers references.
    #[must_use]
    pub const fn data(&self) -> Data<'_> {
        Data { world: self.world, exports: self.exports, person: self.person }
    }

    /// Writes a custom field; none clears it.
    pub fn set_field(&mut self, name: &str, value: Option<Value>) {
        let before = match &value {
            Some(value) => self.person.contact.fields.insert(name.to_owned(), value.clone()),
            None => self.person.contact.fields.remove(name),
        };
        match self.changes.iter_mut().find(|change| change.field == name) {
            Some(change) => change.after = value,
            None => self.changes.push(Change { field: name.to_owned(), before, after: value }),
        }
    }

    /// Decides a message.
    pub fn send(&mut self, message: Message) {
        self.messages.push(message);
    }
}

/// What references lead to, for one token.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    world: &'a World<'a>,
    exports: &'a Exports,
    person: &'a Person,
}

impl Data<'_> {
    /// The datum behind a path; none when there is none.
    #[must_use]
    pub fn datum(&self, path: &RefPath) -> Option<Datum> {
        let parts = path.parts();
        match parts[0].as_str() {
            "contact" if parts.len() == 2 => self.contact_value(&parts[1]).map(Datum::Value),
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
        let totals = &self.person.totals;
        match name {
            "first_order_at" => totals.first_order_at.map(Value::Instant),
            "last_order_at" => totals.last_order_at.map(Value::Instant),
            "order_count" => Some(Value::Integer(i64::from(totals.orders))),
            "order_total" => Some(Value::Decimal(model::Amount(totals.spent))),
            "average_order" => totals.average().map(Value::Decimal),
            _ => self.person.contact.field(name).or_else(|| {
                let own = self.world.defaults.iter().find(|(known, _)| known == name);
                own.map(|(_, value)| value.clone())
            }),
        }
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

/// Takes a run as far as it goes.
pub fn advance(run: &mut Run, world: &World<'_>) -> Progress {
    while let Some(token) = run.tokens.front() {
        let number = token.node;
        let visit = run.visit(number);
        let node = world.journey.node(number);
        let flow = node.step.step(&mut Context {
            world,
            number,
            visit,
            answers: &run.answers,
            exports: &token.exports,
            person: &mut run.person,
            changes: &mut run.changes,
            messages: &mut run.messages,
        });
        match flow {
            Flow::Needs(needs) => return Progress::Needs(needs),
            Flow::Done(passage) => pass(run, world.journey, number, passage),
        }
    }
    Progress::Done
}

/// Sends the first token on by the links of the outcome: itself by the first, copies by the others. All of them come
/// before the tokens that wait, so that a branch is finished before the next one begins.
fn pass(run: &mut Run, journey: &Journey, number: u16, passage: Passage) {
    run.visited(number);
    let Some(mut token) = run.tokens.pop_front() else { return };
    for (name, datum) in passage.exports {
        token.exports.put(number, name, datum);
    }
    let next = journey.node(number).next.get(usize::from(passage.outcome)).map_or(&[][..], Vec::as_slice);
    match next.len().cmp(&1) {
        Ordering::Less => {}
        Ordering::Equal => run.tokens.push_front(Token { node: next[0], ..token }),
        Ordering::Greater => {
            for to in next.iter().rev() {
                run.tokens.push_front(Token { node: *to, exports: token.exports.clone() });
            }
        }
    }
    run.trace.push(TraceStep { node: number, outcome: passage.outcome, detail: passage.detail });
}
