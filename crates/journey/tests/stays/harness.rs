//! Journeys driven by hand under a virtual clock: answers by need, signals, alarms; kept and resumed at every stay or
//! never dropped.

use std::{collections::BTreeMap, sync::Arc};

use journey::{
    Beside, Document, Effects, Entry, FrozenProducts, Journey, Need, Person, Progress, Run, World, advance,
    check::Content, compile, trace,
};
use model::{
    Amount, Consent, ConsentState, Contact, ContactId, Currency, Event, Product, ProductId, Slug, Timestamp,
    Value, Zone,
};
use recommend::{Catalogue, ContactFacts};
use template::{CompileContext, Document as Page, Template};

const TEMPLATE: &str = "format: 1
template: hello
name: Hello
languages: [en]
subject: {en: Hello}
blocks:
  - {kind: text, text: {en: Hello}}
  - {kind: footer, address: \"Shop, Street 1\"}
";

pub fn beside() -> Beside {
    let fields = "fields: {steps: {type: integer, default: 0}, due_on: {type: date}, plan: {type: text}}";
    let page = Page::parse(TEMPLATE, "hello.yaml").unwrap_or_else(|problems| panic!("{problems:?}"));
    let template = Template::compile(&page, &CompileContext::default()).unwrap_or_else(|p| panic!("{p:?}"));
    Beside {
        fields: journey::fields::parse(fields, "fields.yaml").unwrap(),
        segments: vec!["vip".into(), "cold".into()],
        templates: BTreeMap::from([("hello".to_owned(), Content::Ready(Arc::new(template)))]),
        journeys: vec!["next".into()],
        ..Beside::default()
    }
}

pub fn check(text: &str) -> Result<(Journey, model::Problems), model::Problems> {
    Document::parse(text, "journey.yaml").and_then(|document| compile(&document, &beside()))
}

pub fn compiled(text: &str) -> Journey {
    check(text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}")).0
}

/// A journey of nodes and links, as a text.
pub fn journey(nodes: &str, links: &str) -> String {
    format!("journey: j\naudience: {{who: all}}\nnodes:\n{nodes}\nlinks:\n{links}\n")
}

pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text, &Zone::UTC).unwrap()
}

pub struct Shop {
    pub catalogue: Catalogue,
    pub frozen: FrozenProducts,
    pub defaults: Vec<(String, Value)>,
}

pub fn shop() -> Shop {
    let product = Product {
        id: ProductId(1),
        external_id: "P1".into(),
        name: "Thing".into(),
        unit_price: Some(Amount::units(1)),
        ..Product::default()
    };
    let catalogue = Catalogue::new(vec![product], Vec::new(), Timestamp(0));
    let frozen = FrozenProducts::new(&catalogue, Currency::EUR);
    Shop { catalogue, frozen, defaults: vec![("steps".into(), Value::Integer(0))] }
}

pub fn person(id: i64) -> Person {
    let consent = Consent {
        purpose: Slug::parse("newsletter").unwrap(),
        state: ConsentState::Subscribed,
        at: Timestamp(0),
        source: "test".into(),
        proof: "test".into(),
    };
    let contact = Contact {
        id: ContactId(id),
        email: Some(format!("c{id}@example.test")),
        consents: vec![consent],
        ..Contact::default()
    };
    Person { contact, ..Person::default() }
}

/// An event; properties as JSON.
pub fn event(kind: &str, when: Timestamp, properties: &serde_json::Value) -> Arc<Event> {
    Arc::new(Event {
        contact: ContactId(1),
        at: when,
        received_at: when,
        kind: kind.to_owned(),
        message_id: None,
        properties: properties.as_object().cloned().unwrap_or_default(),
    })
}

/// One contact's run under a clock.
pub struct Ride<'a> {
    pub journey: &'a Journey,
    pub shop: &'a Shop,
    pub zone: Zone,
    pub now: Timestamp,
    pub seed: u64,
    /// Places of the segments that the contact is in.
    pub members: Vec<u16>,
    pub winners: Vec<(u16, u8)>,
    pub passed: u64,
    /// Whether the run is put away and taken up at each stay.
    pub drops: bool,
    /// Whether what is answered changes from hour to hour.
    pub flips: bool,
    /// Between stays.
    run: Option<Run>,
    kept: Option<Vec<u8>>,
    pub person: Person,
    pub effects: Effects,
    pub goal_at: Option<Timestamp>,
}

impl<'a> Ride<'a> {
    pub fn new(journey: &'a Journey, shop: &'a Shop, now: Timestamp) -> Self {
        Self {
            journey,
            shop,
            zone: Zone::UTC,
            now,
            seed: 7,
            members: Vec::new(),
            winners: Vec::new(),
            passed: 0,
            drops: true,
            flips: false,
            run: None,
            kept: None,
            person: person(1),
            effects: Effects::default(),
            goal_at: None,
        }
    }

    /// Comes in, and goes as far as it goes.
    pub fn enter(mut self, entry: Entry) -> Self {
        let run = Run::new(self.person.clone(), entry);
        self.go(run);
        self
    }

    /// Goes on in another version.
    pub fn move_to(&mut self, to: &'a Journey) {
        let Some(run) = self.take() else { return };
        let moved = run.moved(run.entry().ordinal, self.journey, to);
        self.journey = to;
        self.effects = Effects::default();
        if let Some(run) = moved {
            self.put_away(run);
        }
    }

    /// Stays as these bytes say.
    pub fn take_up(&mut self, kept: Vec<u8>) {
        self.kept = Some(kept);
    }

    pub fn start(self) -> Self {
        let now = self.now;
        self.enter(Entry::first(now))
    }

    fn with<T>(&self, act: impl FnOnce(&World<'_>) -> T) -> T {
        act(&World {
            journey: self.journey,
            catalogue: &self.shop.catalogue,
            frozen: &self.shop.frozen,
            defaults: &self.shop.defaults,
            now: self.now,
            zone: &self.zone,
            seed: self.seed,
            run: 1,
            sending: &policy::SendingRules::default(),
            winners: &self.winners,
            paused: false,
        })
    }

    fn take(&mut self) -> Option<Run> {
        if let Some(run) = self.run.take() {
            return Some(run);
        }
        let kept = self.kept.take()?;
        Some(Run::resume(self.person.clone(), &kept).unwrap_or_else(|| panic!("cannot be read again")))
    }

    fn go(&mut self, mut run: Run) {
        let flip = |n: u16| self.flips && (self.now.0 / Timestamp::HOUR + i64::from(n)) % 2 == 0;
        while let Progress::Needs(needs) = self.with(|world| advance(&mut run, world)) {
            for need in needs {
                match need {
                    Need::Member(slot) => {
                        let member = self.members.contains(&slot) || flip(slot);
                        run.answers().set_member(slot, member);
                    }
                    Need::LastCart(choice) => run.answers().set_last_cart(choice, None),
                    Need::Facts(needs) => run.answers().set_facts(needs, ContactFacts::default()),
                    Need::Condition(condition) => run.answers().set_condition(condition, flip(condition)),
                    Need::Passages(node) => {
                        let passages = journey::run::Passages {
                            own: self.passed,
                            total: self.passed,
                            taken: self.passed,
                        };
                        run.answers().set_passages(node, passages);
                    }
                    Need::Coupon(need) => run.answers().set_coupon(need, None),
                    Need::Found(condition) => run.answers().set_found(condition, None),
                }
            }
        }
        if run.is_over() || self.drops {
            self.put_away(run);
        } else {
            self.run = Some(run);
        }
    }

    fn put_away(&mut self, run: Run) {
        let done = run.finish();
        self.person = done.person;
        let more = done.effects;
        self.effects.trace.extend(more.trace);
        self.effects.messages.extend(more.messages);
        self.effects.raised.extend(more.raised);
        self.kept = done.kept;
        self.goal_at = done.goal_at;
    }

    pub fn due(&self) -> Option<Timestamp> {
        match (&self.run, &self.kept) {
            (Some(run), _) => run.due(),
            (None, Some(kept)) => Run::resume(self.person.clone(), kept)?.due(),
            _ => None,
        }
    }

    /// The run as it is kept while it stays.
    pub fn kept(&self) -> Option<Vec<u8>> {
        self.run.as_ref().map(Run::keep).or_else(|| self.kept.clone())
    }

    /// At how many places it stays.
    pub fn places(&self) -> usize {
        let kept = self.kept().and_then(|kept| Run::resume(self.person.clone(), &kept));
        kept.map_or(0, |run| run.stays().count())
    }

    pub fn is_over(&self) -> bool {
        self.run.is_none() && self.kept.is_none()
    }

    /// A signal arrives now.
    pub fn hear(&mut self, signal: &Arc<Event>) -> bool {
        let Some(mut run) = self.take() else { return false };
        let asleep = self.sleeps(&run, signal);
        let heard = self.with(|world| run.hear(signal, world));
        assert!(!(asleep && heard), "{signal:?} was heard by a run that sleeps through it");
        self.go(run);
        heard
    }

    /// Whether the run surely does not hear a signal, as far as it can be told without the contact.
    fn sleeps(&self, run: &Run, signal: &Event) -> bool {
        let mut alone = run.clone();
        alone.lend(Person::default());
        self.with(|world| alone.sleeps_through(signal, world))
    }

    /// As [`Ride::happens`], but it only asks whether the run sleeps through it.
    pub fn sleeps_through(&mut self, kind: &str, properties: &serde_json::Value) -> bool {
        let Some(run) = self.take() else { return false };
        let asleep = self.sleeps(&run, &event(kind, self.now, properties));
        self.put_away(run);
        asleep
    }

    /// A kind of event with properties, that happens and arrives now.
    pub fn happens(&mut self, kind: &str, properties: &serde_json::Value) -> bool {
        self.hear(&event(kind, self.now, properties))
    }

    pub fn leave(&mut self, why: journey::Leaving) {
        if let Some(mut run) = self.take() {
            run.leave(why);
            self.put_away(run);
        }
    }

    /// Lets time pass; alarms ring when they are due.
    pub fn until(&mut self, to: Timestamp) {
        while let Some(due) = self.due().filter(|due| *due <= to) {
            self.now = self.now.max(due);
            let Some(mut run) = self.take() else { break };
            let rang = run.ring(self.now);
            assert!(rang, "an alarm that is due wakes somebody");
            self.go(run);
        }
        self.now = self.now.max(to);
    }

    /// What it did, in one line.
    pub fn told(&mut self) -> String {
        if let Some(run) = self.run.take() {
            self.put_away(run);
        }
        let steps = self.effects.trace.clone();
        trace::describe(&[trace::Record { at: self.now, steps }], self.journey)
    }

    /// The hexadecimal id of a message that the run decided, by its place.
    pub fn message_id(&self, place: usize) -> String {
        let message = &self.effects.messages[place];
        let node = &self.journey.node(message.node).id;
        model::MessageId::derive(1, 1, 1, node, message.visit).to_string()
    }
}
