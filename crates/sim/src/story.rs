//! What happens in a shop, chosen beforehand: the same story can be told with failures and without.

use std::collections::HashMap;

use engine::rules::Folder;
use model::{Amount, Consent, ConsentState, Dice, PushSubscription, Slug, Timestamp};
use storage::imports::{
    ContactKey, ContactPatch, ImportBatch, ImportCart, ImportEvent, ImportLine, ImportRefund, RefundOf,
};
use testkit::{contact, event, order, product};

use crate::{grammar::Grammar, sending::Sending};

/// How a story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Steps of it.
    pub steps: usize,
    /// Contacts at the beginning.
    pub contacts: u64,
    /// Journeys.
    pub journeys: usize,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Item {
    /// Somebody does something.
    Event(ImportEvent),
    /// A browser of a contact takes push messages from now on.
    Push(String, u64),
    /// Somebody buys: order, contact, lines, cart.
    Order(String, String, Vec<(&'static str, i64, i64)>, Option<String>),
    /// A cart changes.
    Cart(String, String, Vec<(&'static str, i64, i64)>),
    /// A contact's country, or a new contact.
    Country(String, &'static str),
    /// A consent is given or taken back.
    Consent(String, &'static str, bool),
    /// An order is refunded, wholly or one of its lines.
    Refund(String, String, bool),
    /// A product costs so much, and so many are left.
    Product(&'static str, i64, i64),
}

/// Something with when it was.
pub type Told = (Timestamp, Item);

/// A step of a story.
#[derive(Clone, Debug)]
pub enum Act {
    /// These things are told now, in this order, each with when it was.
    Happen(Vec<Told>),
    /// The worker delivers what is due.
    Deliver,
    /// Somebody does something with the message at this place.
    Interact(u64, bool),
    /// The engine begins anew.
    Restart,
    /// A journey is paused.
    Pause(usize),
    /// A journey goes on.
    Resume(usize),
    /// A journey is stopped.
    Stop(usize),
    /// Another version of a journey is published; whether those inside are moved.
    Publish(usize, bool),
    /// A contact enters by API.
    Enter(usize, String),
    /// Nothing but time.
    Pass,
}

/// A story.
pub struct Story {
    /// When it begins.
    pub start: Timestamp,
    /// What was there before.
    pub past: Vec<Told>,
    /// Who was there before.
    pub contacts: u64,
    /// The journeys: their versions.
    pub folders: Vec<Vec<Folder>>,
    /// The rules of sending.
    pub sending: Sending,
    /// What happens, by instant.
    pub acts: Vec<(Timestamp, Act)>,
}

const PRODUCTS: [(&str, i64); 3] = [("A", 10), ("B", 20), ("C", 30)];

/// An external id of a contact.
fn name(n: u64) -> String {
    format!("c{n}")
}

struct Teller {
    dice: Dice,
    contacts: u64,
    number: u64,
    orders: u64,
}

impl Teller {
    fn who(&mut self) -> String {
        name(self.dice.below(self.contacts))
    }

    fn lines(&mut self) -> Vec<(&'static str, i64, i64)> {
        let n = 1 + self.dice.below(2) as usize;
        let first = self.dice.below(3) as usize;
        let line = |place: usize, quantity| {
            let (id, price) = PRODUCTS[place % 3];
            (id, quantity, price)
        };
        (0..n).map(|k| line(first + k, 1 + self.dice.below(3).cast_signed())).collect()
    }

    fn event(&mut self, kind: &str, property: &str, value: serde_json::Value, at: Timestamp) -> Item {
        let who = self.who();
        let mut event = event(&who, kind, at, "", "");
        if !property.is_empty() {
            event.properties.insert(property.to_owned(), value);
        }
        self.number += 1;
        event.message_id = Some(format!("m{}", self.number));
        Item::Event(event)
    }

    /// Something that happens at `now`, or happened a little before.
    fn item(&mut self, now: Timestamp) -> Item {
        let late = match self.dice.below(8) {
            0 => self.dice.below(20_000).cast_signed() * Timestamp::SECOND,
            1 => self.dice.below(400_000).cast_signed() * Timestamp::SECOND,
            _ => 0,
        };
        let at = now.plus(-late);
        match self.dice.below(26) {
            20 | 21 => {
                let product = ["A", "B", "C"][self.dice.below(3) as usize];
                let kind = ["Product Added", "Subscribed to Back in Stock"][self.dice.below(2) as usize];
                self.event(kind, "product_id", product.into(), at)
            }
            22 => {
                let lines = self.lines();
                let lines = lines.iter().map(|(id, ..)| serde_json::json!({"product_id": id})).collect();
                self.event("Checkout Started", "products", serde_json::Value::Array(lines), at)
            }
            23 => {
                let browser = self.dice.below(3);
                Item::Push(self.who(), browser)
            }
            0..=4 => {
                let product = ["A", "B", "C"][self.dice.below(3) as usize];
                self.event("Product Viewed", "product_id", product.into(), at)
            }
            5..=7 => {
                let total = 10 * self.dice.below(10);
                let mut item = self.event("Checkout Left", "total", total.into(), at);
                if let Item::Event(event) = &mut item {
                    let cart = format!("k{}", self.dice.below(3));
                    event.properties.insert("cart_id".into(), cart.into());
                }
                item
            }
            8 => {
                let points = self.dice.below(100);
                self.event("Points Earned", "points", points.into(), at)
            }
            9..=11 => {
                self.orders += 1;
                let (who, lines) = (self.who(), self.lines());
                let cart = (self.dice.below(2) == 0).then(|| format!("cart-{who}-{}", self.dice.below(2)));
                Item::Order(format!("o{}", self.orders), who, lines, cart)
            }
            12..=14 => {
                let who = self.who();
                let lines = if self.dice.below(5) == 0 { Vec::new() } else { self.lines() };
                Item::Cart(format!("cart-{who}-{}", self.dice.below(2)), who, lines)
            }
            15 => {
                if self.dice.below(3) == 0 && self.contacts < 14 {
                    self.contacts += 1;
                }
                let country = ["France", "Spain", "Italy"][self.dice.below(3) as usize];
                let last = self.dice.below(2) == 0;
                let who = if last { name(self.contacts - 1) } else { self.who() };
                Item::Country(who, country)
            }
            16 | 17 => {
                let purpose = ["newsletter", "newsletter", "promo"][self.dice.below(3) as usize];
                Item::Consent(self.who(), purpose, self.dice.below(2) == 0)
            }
            18 if self.orders > 0 => {
                self.number += 1;
                let of = format!("o{}", 1 + self.dice.below(self.orders));
                Item::Refund(format!("r{}", self.number), of, self.dice.below(2) == 0)
            }
            _ => {
                let (id, price) = PRODUCTS[self.dice.below(3) as usize];
                let price = price - self.dice.below(5).cast_signed();
                Item::Product(id, price, self.dice.below(4).cast_signed())
            }
        }
    }

    fn act(&mut self, now: Timestamp, journeys: usize) -> Act {
        let journey = self.dice.below(journeys as u64) as usize;
        match self.dice.below(40) {
            0..=21 => {
                let n = 1 + self.dice.below(8);
                Act::Happen((0..n).map(|_| (now, self.item(now))).collect())
            }
            22..=27 => Act::Deliver,
            28..=31 => Act::Interact(self.dice.below(1_000), self.dice.below(2) == 0),
            32 => Act::Restart,
            33 => Act::Pause(journey),
            34 => Act::Resume(journey),
            35 if self.dice.below(4) == 0 => Act::Stop(journey),
            36 => Act::Publish(journey, self.dice.below(2) == 0),
            37 => Act::Enter(journey, self.who()),
            _ => Act::Pass,
        }
    }
}

impl Story {
    /// The story of a seed.
    #[must_use]
    pub fn new(seed: u64, bounds: &Bounds) -> Self {
        let mut dice = Dice::of(&[seed, 1]);
        let start =
            Timestamp(1_772_614_800_000_000).plus(dice.below(30 * 24).cast_signed() * Timestamp::HOUR);
        let contacts = 2 + dice.below(bounds.contacts.max(1));
        let journeys = 1 + dice.below(bounds.journeys as u64) as usize;
        let sending = Sending::new(&mut dice);
        let grammar = Grammar::new(&sending, &mut dice);
        let mut folders = Vec::new();
        for n in 0..journeys {
            let name = format!("j{n}");
            folders.push((0..2).map(|_| grammar.folder(&name, journeys, &mut dice)).collect());
        }
        let mut teller = Teller { dice: Dice::of(&[seed, 2]), contacts, number: 0, orders: 0 };
        let mut past = Vec::new();
        for _ in 0..teller.dice.below(12) {
            let at = start.plus(-1 - teller.dice.below(20 * 86_400).cast_signed() * Timestamp::SECOND);
            past.push((at, teller.item(at)));
        }
        let mut now = start;
        let mut acts = Vec::new();
        for _ in 0..1 + bounds.steps {
            let most = [1, 300, 7_200, 40_000, 100_000][teller.dice.below(5) as usize];
            now = now.plus(teller.dice.below(most).cast_signed() * Timestamp::SECOND);
            acts.push((now, teller.act(now, journeys)));
        }
        Self { start, past, contacts, folders, sending, acts }
    }

    /// Who and what is there at the beginning.
    #[must_use]
    pub fn base(&self, seed: u64) -> ImportBatch {
        let mut dice = Dice::of(&[seed, 3]);
        let mut batch = ImportBatch::new(self.start.plus(-1));
        batch.products = PRODUCTS.iter().map(|(id, price)| product(id, *price)).collect();
        for n in 0..self.contacts {
            let mut patch = contact(&name(n));
            if dice.below(8) == 0 {
                patch.email = None;
            }
            if dice.below(2) == 0 {
                patch.phone = Some(format!("+336000000{n:02}"));
            }
            patch.push = (0..dice.below(3)).map(|browser| browser_of(&name(n), browser)).collect();
            patch.country = Some(["France", "Spain"][dice.below(2) as usize].to_owned());
            patch.locale = Some(["en", "fr-FR"][dice.below(2) as usize].to_owned());
            let zone = ["", "Europe/Paris", "America/New_York", "Asia/Tokyo"][dice.below(4) as usize];
            patch.time_zone = (!zone.is_empty()).then(|| zone.to_owned());
            let day =
                self.start.0.div_euclid(Timestamp::DAY) + dice.below(9).cast_signed() - 2 - 365 * 30 - 8;
            patch.birth_date = (dice.below(4) > 0).then_some(day as i32);
            for purpose in ["newsletter", "promo"] {
                if dice.below(5) > 0 {
                    patch.consents.push(consent(purpose, dice.below(6) > 0, self.start.plus(-100)));
                }
            }
            batch.contacts.push(patch);
        }
        batch
    }
}

fn browser_of(who: &str, n: u64) -> PushSubscription {
    let endpoint = format!("https://push.example/{who}/{n}");
    PushSubscription { endpoint, p256dh: String::new(), auth: String::new() }
}

fn consent(purpose: &str, yes: bool, at: Timestamp) -> Consent {
    let state = if yes { ConsentState::Subscribed } else { ConsentState::Unsubscribed };
    let purpose = Slug::parse(purpose).unwrap_or_else(|problem| panic!("{problem}"));
    Consent { purpose, state, at, source: "form".into(), proof: "test".into() }
}

/// Puts things into a batch. The order of a batch is that of the base: contacts, products, orders …
pub fn fill(batch: &mut ImportBatch, items: &[Told]) {
    // Of what says how something stands, the latest counts: a batch that contradicts itself is no other when repeated.
    let mut last: HashMap<String, (Timestamp, usize)> = HashMap::new();
    let about = |item: &Item| match item {
        Item::Country(who, _) => Some(format!("country {who}")),
        Item::Consent(who, purpose, _) => Some(format!("consent {who} {purpose}")),
        Item::Cart(id, ..) => Some(format!("cart {id}")),
        Item::Product(id, ..) => Some(format!("product {id}")),
        Item::Push(who, _) => Some(format!("push {who}")),
        _ => None,
    };
    for (place, (at, item)) in items.iter().enumerate() {
        if let Some(about) = about(item) {
            let known = last.entry(about).or_insert((*at, place));
            *known = (*at, place).max(*known);
        }
    }
    for (place, (at, item)) in items.iter().enumerate() {
        if about(item).is_none_or(|about| last[&about].1 == place) {
            put(batch, *at, item);
        }
    }
}

fn put(batch: &mut ImportBatch, at: Timestamp, item: &Item) {
    let patch = |who: &String| ContactPatch { external_id: Some(who.clone()), ..Default::default() };
    match item {
        Item::Event(event) => batch.events.push(event.clone()),
        Item::Push(who, browser) => {
            batch.contacts.push(ContactPatch { push: vec![browser_of(who, *browser)], ..patch(who) });
        }
        Item::Order(id, who, lines, cart) => {
            order(batch, id, who, at, lines);
            if let Some(order) = batch.orders.last_mut() {
                order.cart_id.clone_from(cart);
            }
        }
        Item::Cart(id, who, lines) if lines.is_empty() => batch.carts.push(ImportCart {
            external_id: id.clone(),
            contact: ContactKey::ExternalId(who.clone()),
            updated_at: at,
            currency: model::Currency::EUR,
            recovery_url: None,
            lines: Vec::new(),
        }),
        Item::Cart(id, who, lines) => testkit::cart(batch, id, who, at, lines),
        Item::Country(who, country) => {
            batch.contacts.push(ContactPatch { country: Some((*country).to_owned()), ..patch(who) });
        }
        Item::Consent(who, purpose, yes) => {
            batch.contacts.push(ContactPatch { consents: vec![consent(purpose, *yes, at)], ..patch(who) });
        }
        Item::Refund(id, of, whole) => {
            let line = ImportLine { product: batch.code("A"), quantity: 1, unit_price: Amount::units(10) };
            batch.refunds.push(ImportRefund {
                external_id: id.clone(),
                of: RefundOf::Order(of.clone()),
                at,
                amount: None,
                lines: if *whole { Vec::new() } else { vec![line] },
            });
        }
        Item::Product(id, price, stock) => {
            let mut patch = product(id, *price);
            patch.price_at = Some(at);
            patch.stock = Some(*stock);
            batch.products.push(patch);
        }
    }
}
