//! The interpreter: takes one contact through a journey until it is done or needs something.
//!
//! A contact's run is a queue of tokens, one for each branch that it is on (several links may leave by the same
//! outcome). Tokens are taken one after the other, in the order of the links, each with the data of its own path; what
//! one writes into the contact the next reads.
//!
//! A token may *stay* at a node: until an instant, until a signal (an event, an interaction with a message), or whichever
//! comes first. A run of which every token stays is kept ([`Run::keep`]) with its data and taken up again
//! ([`Run::resume`]) when its alarm rings or a signal comes that one of its nodes hears.

mod advance;
mod context;
mod kept;
mod moved;
mod needs;

use std::{collections::VecDeque, sync::Arc};

use model::{
    Channel, Contact, Event, MessageId, ProductId, RfmPlacement, Slug, Timestamp, Totals, Value, Zone,
};
use recommend::Catalogue;

use crate::{
    data::{Datum, Products},
    freeze::FrozenProducts,
    graph::Journey,
    trace::{self, Detail, TraceStep},
};

pub use advance::advance;
pub use context::{Context, Data, Ear};
pub use needs::{Answers, CartChoice, Coupon, CouponNeed, Found, Need, Passages};

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

/// At how many places a run may stand at once. A loop that sends a branch off on each round has one more after each;
/// branches beyond so many leave at once, as [`Leaving::Branches`].
pub const TOKENS_MAX: usize = 100;

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
    /// The run stands at [`TOKENS_MAX`] places already: its branches multiply.
    Branches = 10,
}

impl Leaving {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::ExitEvent,
        Self::ExitSegment,
        Self::While,
        Self::Removed,
        Self::Stopped,
        Self::Gone,
        Self::Limit,
        Self::Moved,
        Self::ExitNode,
        Self::Branches,
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
            Self::Branches => "too_many_branches",
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

    /// The lists that it put the contact on or took it off so far.
    #[must_use]
    pub fn list_changes(&self) -> &[ListChange] {
        &self.done.lists
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

    /// Whether a signal surely leaves the run as it is, though the contact is not loaded: [`Run::hear`] would answer no.
    #[must_use]
    pub fn sleeps_through(&self, signal: &Event, world: &World<'_>) -> bool {
        let (entry, person, sent) = (&self.entry, &self.person, &self.sent);
        let may_hear = |token: &Token| {
            let Some(stay) = token.stay.as_ref() else { return true };
            let step = &world.journey.node(token.node).step;
            let data = Data { world, exports: &token.exports, person, entry, sent };
            step.hears_by_contact(&signal.kind) || step.hears(signal, &Ear { data, stay, sent })
        };
        let message = crate::nodes::wait_for::message_of(signal);
        let is_about_its_message = message.is_some_and(|id| sent.iter().any(|(_, known)| *known == id));
        self.tokens.is_empty() && !is_about_its_message && !self.staying.iter().any(may_hear)
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
