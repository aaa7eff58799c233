//! The interpreter: takes one contact through a journey until it is done or needs something.
//!
//! A contact's run is a queue of tokens, one for each branch that it is on (several links may leave by the same
//! outcome). Tokens are taken one after the other, in the order of the links, each with the data of its own path; what
//! one writes into the contact the next reads.
//!
//! A token may *stay* at a node: until an instant, until a signal (an event, an interaction with a message), or whichever
//! comes first. A run of which every token stays is kept ([`Run::keep`]) with its data and taken up again
//! ([`Run::resume`]) when its alarm rings or a signal comes that one of its nodes hears.

mod kept;
mod moved;

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use model::{
    Cart, Channel, Contact, Dice, Event, MessageId, Order, ProductId, RfmPlacement, Slug, Timestamp, Totals,
    Value, Zone,
};
use recommend::{Catalogue, ContactFacts, Needs as FactNeeds};
use segment::reference::{self, RefPath};

use crate::{
    data::{Datum, Products},
    freeze::FrozenProducts,
    graph::Journey,
    nodes::{Flow, Passage, Wait},
    trace::{self, Detail, TraceStep},
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
    /// Whether a condition about the contact's history holds now, by its place in [`Journey::conditions`]. References in
    /// it are answered by [`Run::data`] of the token that asks.
    Condition(u16),
    /// The last order or event that the one activity of a condition counts, by the condition's place in
    /// [`Journey::conditions`]: [`Answers::set_found`].
    Found(u16),
    /// A code of a coupon set, by its place in [`Journey::coupons`], for this contact and enrolment.
    Coupon(CouponNeed),
    /// How often the contact (and all contacts) passed a node of this journey before this run, by its number.
    Passages(u16),
}

/// Which code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CouponNeed {
    /// The set, by its place in [`Journey::coupons`].
    pub set: u16,
    /// A code of the set that the contact was given before and that has not expired will do.
    pub reuse: bool,
}

/// A code as the shell found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coupon {
    /// The code.
    pub code: String,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Whether the contact holds it already: then nothing new is assigned.
    pub held: bool,
    /// Codes left in the set after this one; none when the set has one shared code without a limit.
    pub left: Option<u64>,
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
    /// The channels whose address of the contact is on the suppression list, other than email.
    pub suppressed_on: Vec<Channel>,
    /// Messages decided for it lately, as far back as the sending rules look, the latest last, those of this batch
    /// included; only loaded when [`crate::graph::Reads::sends`] asks for it.
    pub sends: Vec<policy::PastSend>,
    /// Endpoints of its push subscriptions.
    pub push: u32,
}

impl Person {
    /// A field: built-in, from its orders, or custom with its virtual default.
    #[must_use]
    pub fn field(&self, name: &str, defaults: &[(String, Value)]) -> Option<Value> {
        let totals = &self.totals;
        match name {
            "first_order_at" => totals.first_order_at.map(Value::Instant),
            "last_order_at" => totals.last_order_at.map(Value::Instant),
            "order_count" => Some(Value::Integer(i64::from(totals.orders))),
            "order_total" => Some(Value::Decimal(model::Amount(totals.spent))),
            "average_order" => totals.average().map(Value::Decimal),
            _ => self.contact.field(name).or_else(|| {
                let own = defaults.iter().find(|(known, _)| known == name);
                own.map(|(_, value)| value.clone())
            }),
        }
    }
}

/// What [`Need::Found`] is answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// An order, its lines as what was kept of it.
    Order(Arc<Order>),
    /// An event.
    Event(Arc<Event>),
}

/// What the shell answered so far.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    members: Vec<(u16, bool)>,
    carts: Vec<(CartChoice, Option<Arc<Cart>>)>,
    facts: ContactFacts,
    known: FactNeeds,
    conditions: Vec<(u16, bool)>,
    found: Vec<(u16, Option<Found>)>,
    coupons: Vec<(CouponNeed, Option<Coupon>)>,
    passages: Vec<(u16, Passages)>,
}

/// How often a node was passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passages {
    /// By this contact, in all its enrolments.
    pub own: u64,
    /// By all contacts.
    pub total: u64,
    /// Contacts that took a variant of the A/B test that the node is, in this run of the version.
    pub taken: u64,
}

impl Answers {
    /// Answers [`Need::Condition`].
    pub fn set_condition(&mut self, condition: u16, holds: bool) {
        self.conditions.retain(|(known, _)| *known != condition);
        self.conditions.push((condition, holds));
    }

    /// Answers [`Need::Found`]; none when nothing counts.
    pub fn set_found(&mut self, condition: u16, found: Option<Found>) {
        self.found.retain(|(known, _)| *known != condition);
        self.found.push((condition, found));
    }

    /// The answer to [`Need::Found`].
    #[must_use]
    pub fn found(&self, condition: u16) -> Option<Option<&Found>> {
        self.found.iter().find(|(known, _)| *known == condition).map(|(_, found)| found.as_ref())
    }

    /// Answers [`Need::Coupon`]; none when the set is exhausted or has expired.
    pub fn set_coupon(&mut self, need: CouponNeed, coupon: Option<Coupon>) {
        self.coupons.retain(|(known, _)| *known != need);
        self.coupons.push((need, coupon));
    }

    /// Answers [`Need::Passages`].
    pub fn set_passages(&mut self, node: u16, passages: Passages) {
        self.passages.retain(|(known, _)| *known != node);
        self.passages.push((node, passages));
    }

    /// The answer to [`Need::Condition`].
    #[must_use]
    pub fn condition(&self, condition: u16) -> Option<bool> {
        self.conditions.iter().find(|(known, _)| *known == condition).map(|(_, holds)| *holds)
    }

    /// The answer to [`Need::Coupon`].
    #[must_use]
    pub fn coupon(&self, need: CouponNeed) -> Option<Option<&Coupon>> {
        self.coupons.iter().find(|(known, _)| *known == need).map(|(_, coupon)| coupon.as_ref())
    }

    /// The answer to [`Need::Passages`].
    #[must_use]
    pub fn passages(&self, node: u16) -> Option<Passages> {
        self.passages.iter().find(|(known, _)| *known == node).map(|(_, passages)| *passages)
    }

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

    /// Forgets what may no longer be true after a step: with a write everything that asks the profile, and conditions
    /// that refer to data, which another token answers in another way.
    fn forget(&mut self, wrote: bool, journey: &Journey) {
        if wrote {
            self.members.clear();
        }
        self.found.clear();
        let refers = |condition: u16| {
            journey
                .conditions
                .get(usize::from(condition))
                .is_none_or(|condition| !condition.refs().is_empty())
        };
        self.conditions.retain(|(condition, _)| !wrote && !refers(*condition));
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
    /// The number of the run of the journey's version: part of the ids of its messages.
    pub run: i64,
    /// Caps, quiet hours and limits of the workspace.
    pub sending: &'a policy::SendingRules,
    /// Winners of A/B tests that are decided: (node, branch). Others are still open.
    pub winners: &'a [(u16, u8)],
    /// Whether the journey is paused: then nobody goes into a node that sends.
    pub paused: bool,
}

impl Products for Catalogue {
    fn product(&self, id: ProductId) -> Option<&model::Product> {
        Self::product(self, id)
    }
}

/// A message, decided. With run, contact and enrolment, node and visit make its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The node that sends it.
    pub node: u16,
    /// Which passage of the node it is, from 1.
    pub visit: u32,
    /// A fixed address (a webhook's URL too); the contact's without one.
    pub to: Option<String>,
    /// The contact's locale.
    pub locale: Option<String>,
    /// The frozen variables: a JSON object.
    pub variables: String,
    /// Not to be handed over before: quiet hours hold it. None: at once.
    pub not_before: Option<Timestamp>,
    /// Not to be handed over after: then it is skipped as expired.
    pub expires_at: Option<Timestamp>,
}

/// The data that nodes on a token's path exported, the latest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exports(pub(crate) Vec<(u16, String, Datum)>);

impl Exports {
    fn put(&mut self, node: u16, name: &str, datum: Datum) {
        self.0.retain(|(n, own, _)| (*n, own.as_str()) != (node, name));
        self.0.push((node, name.to_owned(), datum));
    }

    /// Every product that was exported, each once.
    pub(crate) fn products(&self) -> Vec<ProductId> {
        let mut all: Vec<ProductId> = self.0.iter().flat_map(|(_, _, datum)| datum.products()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A token's stay at a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Stay {
    /// When it began.
    pub since: Timestamp,
    /// When time alone ends it; none: only a signal does.
    pub until: Option<Timestamp>,
    /// What the node wants to remember of it.
    pub memo: Option<Value>,
}

/// What ended a stay.
#[derive(Clone, Debug)]
pub enum Woken {
    /// Its time is over.
    Time,
    /// A signal that the node hears.
    Signal(Arc<Event>),
}

#[derive(Clone, Debug)]
struct Token {
    node: u16,
    exports: Exports,
    stay: Option<Stay>,
    /// What ended the stay, until the node has taken note of it.
    woken: Option<Woken>,
}

/// How an enrolment began, and what tells it from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which enrolment of the contact in this run of the journey it is, from 1.
    pub ordinal: u32,
    /// What tells enrolments of one contact apart that may be inside at the same time (a cart's id, say); empty where
    /// there is one.
    pub key: String,
    /// When it began.
    pub at: Timestamp,
    /// The signal that started it; none when the audience entered.
    pub trigger: Option<Arc<Event>>,
}

impl Entry {
    /// The first enrolment of an audience that enters.
    #[must_use]
    pub const fn first(at: Timestamp) -> Self {
        Self { ordinal: 1, key: String::new(), at, trigger: None }
    }

    /// What `run.entered_at` and `run.key` lead to; an enrolment without a key has none.
    #[must_use]
    pub fn datum(&self, name: &str) -> Option<Datum> {
        match name {
            "entered_at" => Some(Datum::Value(Value::Instant(self.at))),
            "key" => (!self.key.is_empty()).then(|| Datum::Value(Value::Text(self.key.clone()))),
            _ => None,
        }
    }
}

/// Why a run ended before its path did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Leaving {
    /// An event that the journey names as an exit.
    ExitEvent = 1,
    /// The contact entered or left a segment that the journey names as an exit.
    ExitSegment = 2,
    /// The journey's `while` no longer holds.
    While = 3,
    /// Somebody took the contact out.
    Removed = 4,
    /// The journey was stopped.
    Stopped = 5,
    /// The contact was merged into another that is inside too, or was erased.
    Gone = 6,
    /// A node's limit was reached.
    Limit = 7,
    /// It was moved to another version, where it goes on if its node exists there.
    Moved = 8,
    /// Another branch of the run came to a node that takes the contact out.
    ExitNode = 9,
}

impl Leaving {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::ExitEvent,
        Self::ExitSegment,
        Self::While,
        Self::Removed,
        Self::Stopped,
        Self::Gone,
        Self::Limit,
        Self::Moved,
        Self::ExitNode,
    ];

    /// Its word in counters and traces.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ExitEvent => "exit_event",
            Self::ExitSegment => "exit_segment",
            Self::While => "while",
            Self::Removed => "removed",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
            Self::Limit => "limit",
            Self::Moved => "moved",
            Self::ExitNode => "exit_node",
        }
    }
}

/// A contact's run: where it stands, and what came of it since it was begun or taken up.
#[derive(Clone, Debug)]
pub struct Run {
    entry: Entry,
    /// Tokens that go on, the next first.
    tokens: VecDeque<Token>,
    /// Tokens that stay.
    staying: Vec<Token>,
    person: Person,
    answers: Answers,
    visits: Vec<(u16, u32)>,
    /// The last message of each sending node.
    sent: Vec<(u16, MessageId)>,
    /// The codes that it was given.
    given: Vec<Given>,
    /// Interactions with messages that came before the contact did: (node that waits for it, as what, sender).
    notes: Vec<(u16, u8, u16)>,
    /// Whether the contact is kept without messages.
    held: bool,
    goal_at: Option<Timestamp>,
    /// Whether the step just taken wrote into the contact.
    wrote: bool,
    done: Effects,
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

/// A static list that a run put the contact on or took it off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListChange {
    /// Which.
    pub list: Slug,
    /// Whether the contact is on it now.
    pub member: bool,
}

/// An event that a run raises for its contact.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// What.
    pub kind: String,
    /// Its properties.
    pub properties: serde_json::Map<String, serde_json::Value>,
}

/// A code that a run assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The set, by its place in [`Journey::coupons`].
    pub set: u16,
    /// The code.
    pub code: String,
    /// The node that assigned it.
    pub node: u16,
    /// When it ends; none: never.
    pub expires_at: Option<Timestamp>,
}

/// A code that a run has, from this pass or an earlier one: a run takes one code of a set, however often it comes by.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Given {
    /// The set.
    pub set: Slug,
    /// The code.
    pub code: String,
    /// When it ends; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What a run wants done since it was begun or taken up, in one transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// The fields that it wrote, each once.
    pub changes: Vec<Change>,
    /// Lists that it changed, each once.
    pub lists: Vec<ListChange>,
    /// Messages for the outbox.
    pub messages: Vec<Message>,
    /// Events that it raises.
    pub raised: Vec<Raised>,
    /// Codes that it assigned.
    pub coupons: Vec<Assigned>,
    /// Nodes with limits that were passed, once for each passage.
    pub passed: Vec<u16>,
    /// Every step, in order.
    pub trace: Vec<TraceStep>,
}

/// What a run came to, for the commit.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The contact as the run left it.
    pub person: Person,
    /// What it wants done.
    pub effects: Effects,
    /// How it goes on; none when it is over.
    pub kept: Option<Vec<u8>>,
    /// When time alone takes it up again.
    pub due: Option<Timestamp>,
    /// When it reached the journey's goal.
    pub goal_at: Option<Timestamp>,
}

/// Where a run stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// It goes on when these are answered.
    Needs(Vec<Need>),
    /// All its tokens stay: [`Run::finish`] keeps it.
    Waiting,
    /// It is over: [`Run::finish`].
    Done,
}

impl Run {
    /// At the start.
    #[must_use]
    pub fn new(person: Person, entry: Entry) -> Self {
        let token = Token { node: 0, exports: Exports::default(), stay: None, woken: None };
        Self {
            entry,
            tokens: VecDeque::from([token]),
            staying: Vec::new(),
            person,
            answers: Answers::default(),
            visits: Vec::new(),
            sent: Vec::new(),
            given: Vec::new(),
            notes: Vec::new(),
            held: false,
            goal_at: None,
            wrote: false,
            done: Effects::default(),
        }
    }

    /// The contact with what the run wrote into it so far: answers must be true of this one.
    #[must_use]
    pub const fn person(&self) -> &Person {
        &self.person
    }

    /// Lends the contact to the run while it goes on: several runs of one contact pass it on, each with what the one
    /// before wrote into it.
    pub fn lend(&mut self, person: Person) {
        self.person = person;
    }

    /// Takes the contact back.
    pub fn give_back(&mut self) -> Person {
        std::mem::take(&mut self.person)
    }

    /// How it began.
    #[must_use]
    pub const fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What the run wrote into the contact so far.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.done.changes
    }

    /// Whether it wrote anything into the contact.
    #[must_use]
    pub fn has_written(&self) -> bool {
        !self.done.changes.is_empty() || !self.done.lists.is_empty()
    }

    /// Whether it put the contact on a list or took it off one.
    #[must_use]
    pub fn has_changed_lists(&self) -> bool {
        !self.done.lists.is_empty()
    }

    /// Where the shell puts its answers.
    pub const fn answers(&mut self) -> &mut Answers {
        &mut self.answers
    }

    /// Answers references for the token that goes on next.
    #[must_use]
    pub fn data<'a>(&'a self, world: &'a World<'a>) -> Data<'a> {
        let exports = self.tokens.front().map_or(&NO_EXPORTS, |token| &token.exports);
        Data { world, exports, person: &self.person, entry: &self.entry, sent: &self.sent }
    }

    /// When time alone takes it up again; none when no stay ends by time.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.staying.iter().filter_map(|token| token.stay.as_ref()?.until).min()
    }

    /// Whether nothing of it goes on or stays.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.tokens.is_empty() && self.staying.is_empty()
    }

    /// Where its tokens stay, with their stays.
    pub fn stays(&self) -> impl Iterator<Item = (u16, &Stay)> {
        self.staying.iter().filter_map(|token| Some((token.node, token.stay.as_ref()?)))
    }

    /// Ends the stays whose time is over at `now`; whether there were any.
    pub fn ring(&mut self, now: Timestamp) -> bool {
        self.wake(|token| {
            let until = token.stay.as_ref().and_then(|stay| stay.until);
            until.is_some_and(|until| until <= now).then_some(Woken::Time)
        })
    }

    /// Lets those go on that a pause held before a node that sends; whether there were any.
    pub fn release(&mut self, journey: &Journey) -> bool {
        let before = self.tokens.len();
        let (held, stay) = std::mem::take(&mut self.staying)
            .into_iter()
            .partition::<Vec<Token>, _>(|token| journey.node(token.node).step.sends());
        self.staying = stay;
        // As if they arrived now: `while` and limits are asked again.
        self.tokens.extend(held.into_iter().map(|token| Token { stay: None, woken: None, ..token }));
        self.tokens.len() > before
    }

    /// Ends the stays at nodes that hear a signal, and remembers an interaction with a message of the run that a later
    /// node may wait for. Whether there was either: then the run goes on, or has more to keep.
    pub fn hear(&mut self, signal: &Arc<Event>, world: &World<'_>) -> bool {
        let (entry, person, sent) = (&self.entry, &self.person, &self.sent);
        let woken: Vec<bool> = self
            .staying
            .iter()
            .map(|token| {
                let Some(stay) = token.stay.as_ref() else { return false };
                let data = Data { world, exports: &token.exports, person, entry, sent };
                world.journey.node(token.node).step.hears(signal, &Ear { data, stay, sent })
            })
            .collect();
        let noted = self.note(signal, world.journey);
        let mut woken = woken.into_iter();
        noted | self.wake(|_| woken.next().unwrap_or_default().then(|| Woken::Signal(Arc::clone(signal))))
    }

    fn note(&mut self, signal: &Event, journey: &Journey) -> bool {
        let before = self.notes.len();
        let Some(id) = crate::nodes::wait_for::message_of(signal) else { return false };
        let senders = self.sent.iter().filter(|(_, known)| *known == id);
        for (sender, _) in senders {
            for (number, node) in journey.nodes.iter().enumerate() {
                let Some(what) = node.step.notes(signal, *sender) else { continue };
                let note = (number as u16, what, *sender);
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
        }
        self.notes.len() > before
    }

    fn wake(&mut self, mut wakes: impl FnMut(&Token) -> Option<Woken>) -> bool {
        let before = self.tokens.len();
        let mut stay = Vec::with_capacity(self.staying.len());
        for mut token in self.staying.drain(..) {
            match wakes(&token) {
                Some(woken) => {
                    token.woken = Some(woken);
                    self.tokens.push_back(token);
                }
                None => stay.push(token),
            }
        }
        self.staying = stay;
        let any = self.tokens.len() > before;
        if any {
            // What was true before the stay is asked again.
            self.answers = Answers::default();
        }
        any
    }

    /// Notes that the contact reached the journey's goal; the first time counts. Whether it was the first time.
    pub fn reach_goal(&mut self, at: Timestamp) -> bool {
        let first = self.goal_at.is_none();
        self.goal_at.get_or_insert(at);
        first
    }

    /// Ends it where it stands.
    pub fn leave(&mut self, why: Leaving) {
        let staying = std::mem::take(&mut self.staying);
        let going = std::mem::take(&mut self.tokens);
        for token in staying.into_iter().chain(going) {
            let step = TraceStep { node: token.node, outcome: trace::LEFT, detail: Detail::Left(why) };
            self.done.trace.push(step);
        }
    }

    /// What came of it.
    #[must_use]
    pub fn finish(self) -> Finished {
        let kept = (!self.is_over()).then(|| self.keep());
        let due = self.due();
        Finished { person: self.person, effects: self.done, kept, due, goal_at: self.goal_at }
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

static NO_EXPORTS: Exports = Exports(Vec::new());

/// What a node that is asked whether it hears a signal knows.
pub struct Ear<'a> {
    /// Answers references.
    pub data: Data<'a>,
    /// The stay.
    pub stay: &'a Stay,
    sent: &'a [(u16, MessageId)],
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
    sent: &'a mut Vec<(u16, MessageId)>,
    notes: &'a mut Vec<(u16, u8, u16)>,
    held: &'a mut bool,
    goal_at: &'a mut Option<Timestamp>,
    wrote: &'a mut bool,
    given: &'a mut Vec<Given>,
    done: &'a mut Effects,
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
    world: &'a World<'a>,
    exports: &'a Exports,
    person: &'a Person,
    entry: &'a Entry,
    sent: &'a [(u16, MessageId)],
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

/// Takes a run as far as it goes.
pub fn advance(run: &mut Run, world: &World<'_>) -> Progress {
    while let Some(token) = run.tokens.front() {
        let number = token.node;
        let visit = run.visit(number);
        let node = world.journey.node(number);
        let flow = guard(run, world, number).unwrap_or_else(|| {
            let Some(token) = run.tokens.front() else { return Flow::Needs(Vec::new()) };
            node.step.step(&mut Context {
                world,
                number,
                visit,
                answers: &run.answers,
                entry: &run.entry,
                stayed: token.stay.as_ref().zip(token.woken.as_ref()),
                exports: &token.exports,
                person: &mut run.person,
                sent: &mut run.sent,
                notes: &mut run.notes,
                held: &mut run.held,
                goal_at: &mut run.goal_at,
                wrote: &mut run.wrote,
                given: &mut run.given,
                done: &mut run.done,
            })
        });
        if !matches!(flow, Flow::Needs(_)) {
            let wrote = std::mem::take(&mut run.wrote);
            run.answers.forget(wrote, world.journey);
        }
        match flow {
            Flow::Needs(needs) => return Progress::Needs(needs),
            Flow::Wait(wait) => stay(run, world.now, wait),
            Flow::Done(passage) => pass(run, world.journey, number, passage),
            // Who must leave for good leaves with all branches.
            Flow::Leave(Leaving::While) => run.leave(Leaving::While),
            Flow::Leave(why) => leave_one(run, why),
            Flow::Exit(detail) => {
                pass(run, world.journey, number, Passage { outcome: 0, detail, exports: Vec::new() });
                run.leave(Leaving::ExitNode);
            }
        }
    }
    if run.staying.is_empty() { Progress::Done } else { Progress::Waiting }
}

/// What the journey asks before a node takes a contact: its limits, and `while` before a message. None: go on.
fn guard(run: &mut Run, world: &World<'_>, number: u16) -> Option<Flow> {
    let node = world.journey.node(number);
    let arrived = run.tokens.front().is_some_and(|token| token.stay.is_none());
    if world.paused && node.step.sends() {
        return Some(Flow::Wait(Wait::default()));
    }
    // A node that is stayed at was taken already; whether it may send is asked whenever it does.
    if arrived && node.limits.any() {
        let Some(before) = run.answers.passages(number) else {
            return Some(Flow::Needs(vec![Need::Passages(number)]));
        };
        let here = run.done.passed.iter().filter(|passed| **passed == number).count() as u64;
        let reached = |limit: Option<u64>, n: u64| limit.is_some_and(|limit| n + here >= limit);
        if reached(node.limits.per_contact, before.own) || reached(node.limits.in_total, before.total) {
            return Some(Flow::Leave(Leaving::Limit));
        }
    }
    if run.held && node.step.sends() {
        return Some(refused(node.step.skipped(), policy::Refusal::Holdout));
    }
    let keep = world.journey.keep.as_ref().filter(|_| number == 0 || node.step.sends())?;
    match run.answers.condition(keep.condition) {
        None => Some(Flow::Needs(vec![Need::Condition(keep.condition)])),
        Some(true) => None,
        Some(false) if keep.leave || number == 0 => Some(Flow::Leave(Leaving::While)),
        Some(false) => Some(node.step.skipped()),
    }
}

/// A message that is not sent, for this reason.
fn refused(flow: Flow, reason: policy::Refusal) -> Flow {
    match flow {
        Flow::Done(passage) => Flow::Done(Passage { detail: Detail::Refused(reason), ..passage }),
        other => other,
    }
}

fn stay(run: &mut Run, now: Timestamp, wait: Wait) {
    let Some(mut token) = run.tokens.pop_front() else { return };
    // A stay that goes on is the same stay.
    let since = token.stay.as_ref().map_or(now, |stay| stay.since);
    if token.stay.is_none() {
        let detail = wait.until.map_or(Detail::None, Detail::Until);
        run.done.trace.push(TraceStep { node: token.node, outcome: trace::STAYS, detail });
    }
    token.stay = Some(Stay { since, until: wait.until, memo: wait.memo });
    token.woken = None;
    run.staying.push(token);
}

fn leave_one(run: &mut Run, why: Leaving) {
    if let Some(token) = run.tokens.pop_front() {
        let step = TraceStep { node: token.node, outcome: trace::LEFT, detail: Detail::Left(why) };
        run.done.trace.push(step);
    }
}

/// Sends the first token on by the links of the outcome: itself by the first, copies by the others. All of them come
/// before the tokens that wait, so that a branch is finished before the next one begins.
fn pass(run: &mut Run, journey: &Journey, number: u16, passage: Passage) {
    run.visited(number);
    if journey.node(number).limits.any() {
        run.done.passed.push(number);
    }
    let Some(mut token) = run.tokens.pop_front() else { return };
    token.stay = None;
    token.woken = None;
    for (name, datum) in passage.exports {
        token.exports.put(number, name, datum);
    }
    let next = journey.node(number).next.get(usize::from(passage.outcome)).map_or(&[][..], Vec::as_slice);
    match next.len().cmp(&1) {
        Ordering::Less => {}
        Ordering::Equal => run.tokens.push_front(Token { node: next[0], ..token }),
        Ordering::Greater => {
            for to in next.iter().rev() {
                run.tokens.push_front(Token { node: *to, ..token.clone() });
            }
        }
    }
    run.done.trace.push(TraceStep { node: number, outcome: passage.outcome, detail: passage.detail });
}
