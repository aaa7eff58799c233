//! Conditions as journeys ask them, answered for a batch: what is committed now counts, what a run wrote goes before what
//! is stored, references lead to the run's data; and for random histories the answers are those of counting by hand.

use std::collections::BTreeMap;

use engine::{
    live::conditions::{Ask, CLOCKS_APART, answer, find},
    segments::Workspace,
};
use journey::{Found, Person};
use model::{ContactId, ProductId, Slug, Timestamp, Value};
use proptest::prelude::*;
use recommend::Catalogue;
use segment::{Condition, Data, Kind, NoData, RefPath, Refs, Schema, SegmentFile};
use storage::{
    Storage,
    catalogue::CatalogueStore,
    contacts::{ContactStore, IdentifierKind},
    imports::{ImportBatch, ImportStore},
};
use testkit::{Store, at, block_on, cart, contact, event, order, product};

const NOW: &str = "2026-03-05 10:00:00";

/// Data of a run, by path.
struct RunData(BTreeMap<&'static str, Value>);

impl Data for RunData {
    fn value(&self, path: &RefPath) -> Option<Value> {
        self.0.get(path.to_string().as_str()).cloned()
    }
    fn products(&self, _: &RefPath) -> Vec<ProductId> {
        Vec::new()
    }
}

impl Refs for RunData {
    fn kind(&self, path: &RefPath) -> Option<Kind> {
        self.0.get(path.to_string().as_str()).map(Kind::of_value)
    }
    fn known(&self) -> Vec<String> {
        self.0.keys().map(|key| (*key).to_owned()).collect()
    }
}

fn run_data() -> RunData {
    RunData(BTreeMap::from([
        ("run.entered_at", Value::Instant(at("2026-03-05 02:00:00"))),
        ("run.key", Value::Text("cart-1".into())),
        ("trigger.total", Value::Decimal(model::Amount::units(50))),
        ("trigger.day", Value::Date(20_517)),
    ]))
}

fn read(text: &str) -> Condition {
    let data = run_data();
    let mut schema = Schema::with_fields([]);
    schema.refs = Some(&data);
    let node = model::doc::parse(text).unwrap();
    Condition::parse(&node, &schema, "condition").unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

async fn catalogue(store: &Store) -> Catalogue {
    Catalogue::new(store.load_products().await.unwrap(), Vec::new(), at(NOW))
}

async fn id_of(store: &Store, name: &str) -> ContactId {
    let keys = vec![(IdentifierKind::ExternalId, name.to_owned())];
    store.resolve(keys).await.unwrap()[0].unwrap()
}

fn shop() -> ImportBatch {
    let mut batch = ImportBatch::new(at(NOW));
    batch.products = vec![product("A", 10), product("B", 20), product("C", 30)];
    batch
}

/// Asks one question of a contact.
async fn ask(store: &Store, who: ContactId, condition: &Condition, data: &RunData) -> bool {
    let workspace = Workspace::load(&store.db).await.unwrap();
    let question = Ask { condition, contact: who, person: None, data };
    answer(&store.db, &workspace, &catalogue(store).await, &[question], at(NOW)).await.unwrap()[0]
}

/// One contact's history, and questions with their answers.
#[test]
fn what_journeys_ask() {
    let cases = [
        // Windows roll to the second; what lies in the very instant counts; clocks may differ a little.
        ("{did: Order Completed, within: PT8H, count: {is: 3}}", true),
        ("{did: Order Completed, within: PT7H59M59S, count: {is: 2}}", true),
        ("{did: Order Completed, where: {property: order_id, is: now}}", true),
        ("{did: Order Completed, where: {property: order_id, is: ahead}}", true),
        ("{did: Order Completed, where: {property: order_id, is: far-ahead}}", false),
        ("{did: Order Completed, calendar: today, count: {is: 3}}", true),
        ("{did: Order Completed, until: \"2026-03-05T10:00:00Z\", count: {is: 1}}", true),
        // Since entering the journey; of this cart.
        ("{did: Order Completed, since: {ref: run.entered_at}, count: {is: 3}}", true),
        ("{did: Order Completed, until: {ref: run.entered_at}}", false),
        ("{did: Order Completed, since: {ref: trigger.day}, count: {is: 3}}", true),
        ("{did: Order Completed, where: {property: cart_id, is: {ref: run.key}}}", true),
        ("{did: Order Completed, where: {property: total, greater_than: {ref: trigger.total}}}", false),
        ("{did: Order Completed, where: {property: total, at_least: {ref: trigger.total}}}", true),
        (
            "{did: Order Completed, where: {product: {field: unit_price, less_than: {ref: trigger.total}}}}",
            true,
        ),
        (
            "{did: Order Completed, sum: line_total, is: 50, where: {product: {field: external_id, is: A}}}",
            true,
        ),
        // Events, with paths, products and counts.
        (
            "{did: Page Viewed, within: P1D, where: {property: url, starts_with: \"https://shop.test/sale\"}}",
            true,
        ),
        ("{did: Page Viewed, within: P1D, count: {at_least: 2}}", false),
        ("{did: Product Viewed, where: {product: {field: unit_price, greater_than: 15}}}", true),
        ("{did_not: Products Searched, within: P1D}", true),
        ("{did: Something of our own, where: {property: size, is: 7}}", true),
        // Carts, by id too; an order is a cart that was bought.
        ("{cart: {state: abandoned, id: {is: cart-2}}}", true),
        ("{cart: {state: active, id: {is: cart-2}}}", false),
        ("{cart: {state: active, id: {is: cart-3}, total: {greater_than: 10}}}", true),
        ("{cart: {state: purchased, id: {is: {ref: run.key}}}}", true),
        ("{cart: {state: abandoned, id: {is: {ref: run.key}}}}", false),
        ("{cart: {state: purchased, count: {is: 3}}}", true),
        // Profile and data beside it.
        (
            "{all: [{field: order_count, at_least: 3}, {ref: trigger.total, is: 50}, {did: Page Viewed}]}",
            true,
        ),
        ("{any: [{list: vip}, {did_not: Page Viewed}]}", false),
        ("{segment: buyers}", true),
        ("{not: {segment: buyers}}", false),
    ];
    block_on(async {
        let store = testkit::store();
        let now = at(NOW);
        let mut batch = shop();
        batch.contacts = vec![contact("ann"), contact("bob")];
        order(&mut batch, "eight", "ann", now.plus(-8 * Timestamp::HOUR), &[("B", 1, 20)]);
        order(&mut batch, "now", "ann", now, &[("A", 5, 10)]);
        batch.orders.last_mut().unwrap().cart_id = Some("cart-1".into());
        order(&mut batch, "ahead", "ann", now.plus(CLOCKS_APART), &[("B", 1, 20)]);
        order(&mut batch, "far-ahead", "ann", now.plus(CLOCKS_APART + 1), &[("B", 1, 20)]);
        cart(&mut batch, "cart-2", "ann", now.plus(-30 * Timestamp::MINUTE), &[("A", 1, 10)]);
        cart(&mut batch, "cart-3", "ann", now, &[("A", 2, 10)]);
        let page = event("ann", "Page Viewed", now, "url", "https://shop.test/sale/1");
        batch.events.push(page);
        batch.events.push(event("ann", "Product Viewed", now.plus(-1), "product_id", "B"));
        let mut own = event("ann", "Something of our own", now.plus(-1), "", "");
        own.properties.insert("size".into(), 7.into());
        batch.events.push(own);
        batch.events.push(event("bob", "Page Viewed", now.plus(-1), "url", "https://shop.test/sale/1"));
        store.import(batch).await.unwrap();
        let workspace = Workspace::load(&store.db).await.unwrap();
        let text = "format: 1\nsegment: buyers\ncondition: {did: Order Completed, count: {at_least: 2}}";
        let (buyers, _) = SegmentFile::parse(text, None, &workspace.schema).unwrap();
        let workspace = workspace.with([buyers]).unwrap();
        let (ann, bob) = (id_of(&store, "ann").await, id_of(&store, "bob").await);
        let data = run_data();
        let conditions: Vec<Condition> = cases.iter().map(|(text, _)| read(text)).collect();
        let asks: Vec<Ask<'_>> = conditions
            .iter()
            .map(|condition| Ask { condition, contact: ann, person: None, data: &data })
            .collect();
        let catalogue = catalogue(&store).await;
        let holds = answer(&store.db, &workspace, &catalogue, &asks, now).await.unwrap();
        for ((text, expected), holds) in cases.iter().zip(holds) {
            assert_eq!(holds, *expected, "{text}");
        }
        // Somebody else's history is not hers; who does not exist satisfies nothing.
        let bought = read("{did: Order Completed}");
        let never = read("{did_not: Order Completed}");
        let of = |condition, contact| Ask { condition, contact, person: None, data: &data };
        let asks = [of(&bought, bob), of(&never, bob), of(&bought, ContactId(99)), of(&never, ContactId(99))];
        let holds = answer(&store.db, &workspace, &catalogue, &asks, now).await.unwrap();
        assert_eq!(holds, [false, true, false, false]);
    });
}

#[test]
fn what_a_run_wrote_goes_before_what_is_stored() {
    block_on(async {
        let store = testkit::store();
        let mut batch = shop();
        batch.contacts = vec![contact("ann")];
        batch.events.push(event("ann", "Page Viewed", at(NOW), "", ""));
        store.import(batch).await.unwrap();
        let workspace = Workspace::load(&store.db).await.unwrap();
        let ann = id_of(&store, "ann").await;
        let condition = read("{all: [{list: vip}, {field: country, is: France}, {did: Page Viewed}]}");
        let mut person =
            Person { contact: store.load_contacts(vec![ann]).await.unwrap().remove(0), ..Person::default() };
        person.contact.lists.push(Slug::parse("vip").unwrap());
        person.contact.country = Some("France".into());
        let ask = |person| Ask { condition: &condition, contact: ann, person, data: &NoData };
        let asks = [ask(None), ask(Some(&person))];
        let catalogue = catalogue(&store).await;
        let holds = answer(&store.db, &workspace, &catalogue, &asks, at(NOW)).await.unwrap();
        assert_eq!(holds, [false, true]);
    });
}

#[test]
fn the_last_that_counts_is_found() {
    block_on(async {
        let store = testkit::store();
        let now = at(NOW);
        let mut batch = shop();
        batch.contacts = vec![contact("ann")];
        order(&mut batch, "small", "ann", now, &[("A", 1, 10)]);
        order(&mut batch, "large", "ann", now.plus_days(-1), &[("C", 3, 30)]);
        order(&mut batch, "older", "ann", now.plus_days(-2), &[("C", 3, 30)]);
        batch.events.push(event("ann", "Product Viewed", now.plus(-9), "product_id", "A"));
        batch.events.push(event("ann", "Product Viewed", now.plus(-3), "product_id", "B"));
        store.import(batch).await.unwrap();
        let workspace = Workspace::load(&store.db).await.unwrap();
        let ann = id_of(&store, "ann").await;
        let conditions = [
            read("{did: Order Completed}"),
            read("{did: Order Completed, where: {property: total, greater_than: 50}}"),
            read("{did: Order Completed, where: {property: total, greater_than: 500}}"),
            read("{did: Product Viewed}"),
            read("{did: Product Viewed, where: {product: {field: unit_price, is: 10}}}"),
        ];
        let asks: Vec<Ask<'_>> = conditions
            .iter()
            .map(|condition| Ask { condition, contact: ann, person: None, data: &NoData })
            .collect();
        let catalogue = catalogue(&store).await;
        let found = find(&store.db, &workspace, &catalogue, &asks, now).await.unwrap();
        let told: Vec<String> = found
            .iter()
            .map(|found| match found {
                Some(Found::Order(order)) => order.external_id.clone(),
                Some(Found::Event(event)) => event.properties["product_id"].to_string(),
                None => "-".into(),
            })
            .collect();
        assert_eq!(told, ["small", "large", "-", "\"B\"", "\"A\""]);
    });
}

/// An order as the test remembers it: hours before now, units of A at 10.
#[derive(Clone, Debug)]
struct Bought {
    hours: i64,
    units: i64,
    cart: u8,
}

#[derive(Clone, Debug)]
struct Question {
    who: usize,
    orders: bool,
    window: u8,
    hours: i64,
    filter: u8,
    operator: usize,
    n: i64,
    sum: bool,
}

type History = (Vec<Bought>, Vec<(i64, u8)>);

/// An operator's word, and what it means.
type Operator = (&'static str, fn(i64, i64) -> bool);

const OPERATORS: [Operator; 5] = [
    ("greater_than", |a, b| a > b),
    ("at_least", |a, b| a >= b),
    ("less_than", |a, b| a < b),
    ("is", |a, b| a == b),
    ("at_most", |a, b| a <= b),
];

impl Question {
    fn text(&self) -> String {
        let (kind, hours) = (if self.orders { "Order Completed" } else { "Product Viewed" }, self.hours);
        let window = match self.window {
            0 => String::new(),
            1 => format!(", within: PT{hours}H"),
            2 => format!(", older_than: PT{hours}H"),
            3 => format!(", between_ago: [PT{hours}H, PT{}H]", hours * 2),
            _ => ", since: {ref: run.entered_at}".into(),
        };
        let filter = match (self.filter, self.orders) {
            (0, _) => "",
            (1, true) => ", where: {property: total, at_least: {ref: trigger.total}}",
            (_, true) => ", where: {property: cart_id, is: {ref: run.key}}",
            (1, false) => ", where: {property: product_id, is: A}",
            (_, false) => ", where: {product: {field: unit_price, greater_than: 15}}",
        };
        let (operator, n) = (OPERATORS[self.operator].0, self.n);
        let measure = match self.sum && self.orders {
            true => format!(", sum: total, {operator}: {}", n * 10),
            false => format!(", count: {{{operator}: {n}}}"),
        };
        format!("{{did: {kind}{measure}{window}{filter}}}")
    }

    /// Counted by hand. Entry was eight hours ago, the trigger's total is 50, the run's key `cart-1`.
    fn holds(&self, (orders, views): &History) -> bool {
        let inside = |hours: i64| match self.window {
            0 => true,
            1 => hours <= self.hours,
            2 => hours > self.hours,
            3 => hours > self.hours && hours <= self.hours * 2,
            _ => hours <= 8,
        };
        let passes = |order: &&Bought| match self.filter {
            0 => true,
            1 => order.units >= 5,
            _ => order.cart == 1,
        };
        let seen = |(_, product): &&(i64, u8)| match self.filter {
            0 => true,
            1 => *product == 0,
            _ => *product == 1,
        };
        let counted = if self.orders {
            let mine = orders.iter().filter(|order| inside(order.hours)).filter(passes);
            if self.sum { mine.map(|order| order.units).sum() } else { mine.count() as i64 }
        } else {
            views.iter().filter(|(hours, _)| inside(*hours)).filter(seen).count() as i64
        };
        OPERATORS[self.operator].1(counted, self.n)
    }
}

fn history() -> impl Strategy<Value = History> {
    let bought =
        (0..30_i64, 1..9_i64, 0..3_u8).prop_map(|(hours, units, cart)| Bought { hours, units, cart });
    (prop::collection::vec(bought, 0..6), prop::collection::vec((0..30_i64, 0..3_u8), 0..8))
}

fn question() -> impl Strategy<Value = Question> {
    (0..4_usize, any::<bool>(), 0..5_u8, 1..20_i64, 0..3_u8, 0..OPERATORS.len(), 0..6_i64, any::<bool>())
        .prop_map(|(who, orders, window, hours, filter, operator, n, sum)| Question {
            who,
            orders,
            window,
            hours,
            filter,
            operator,
            n,
            sum,
        })
}

async fn told<S: Storage>(store: &S, histories: &[History], questions: &[Question]) -> Vec<bool> {
    let now = at(NOW);
    let mut batch = shop();
    for (who, (orders, views)) in histories.iter().enumerate() {
        let name = format!("c{who}");
        batch.contacts.push(contact(&name));
        for (number, one) in orders.iter().enumerate() {
            let when = now.plus(-one.hours * Timestamp::HOUR);
            order(&mut batch, &format!("{name}-{number}"), &name, when, &[("A", one.units, 10)]);
            // Ids of carts are known once; what matters is that one is the run's.
            let first = orders.iter().position(|other| other.cart == one.cart) == Some(number) && who == 0;
            if one.cart == 1 && first {
                batch.orders.last_mut().unwrap().cart_id = Some("cart-1".into());
            }
        }
        for (hours, product) in views {
            let id = ["A", "B", "gone"][usize::from(*product)];
            let when = now.plus(-hours * Timestamp::HOUR);
            batch.events.push(event(&name, "Product Viewed", when, "product_id", id));
        }
    }
    store.import(batch).await.unwrap();
    let workspace = Workspace::load(store).await.unwrap();
    let catalogue = Catalogue::new(store.load_products().await.unwrap(), Vec::new(), now);
    let keys = (0..histories.len()).map(|who| (IdentifierKind::ExternalId, format!("c{who}"))).collect();
    let ids: Vec<ContactId> = store.resolve(keys).await.unwrap().into_iter().flatten().collect();
    let conditions: Vec<Condition> = questions.iter().map(|question| read(&question.text())).collect();
    let data = run_data();
    let asks: Vec<Ask<'_>> = questions
        .iter()
        .zip(&conditions)
        .map(|(question, condition)| Ask { condition, contact: ids[question.who], person: None, data: &data })
        .collect();
    let together = answer(store, &workspace, &catalogue, &asks, now).await.unwrap();
    // What is loaded for others changes nothing.
    for (ask, holds) in asks.iter().zip(&together).take(3) {
        let alone = answer(store, &workspace, &catalogue, std::slice::from_ref(ask), now).await.unwrap();
        assert_eq!(alone, [*holds]);
    }
    together
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_those_of_counting_by_hand(
        mut histories in prop::collection::vec(history(), 4),
        questions in prop::collection::vec(question(), 40),
    ) {
        // The run's cart was bought at most once, by the first contact.
        for (who, (orders, _)) in histories.iter_mut().enumerate() {
            let first = orders.iter().position(|order| order.cart == 1).filter(|_| who == 0);
            for (number, order) in orders.iter_mut().enumerate() {
                if order.cart == 1 && Some(number) != first {
                    order.cart = 2;
                }
            }
        }
        let store = testkit::store();
        let holds = block_on(told(&store.db, &histories, &questions));
        for (question, holds) in questions.iter().zip(holds) {
            let history = &histories[question.who];
            prop_assert_eq!(holds, question.holds(history), "{} of {:?}", question.text(), history);
        }
    }
}

#[test]
fn a_future_of_answers_may_go_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let store = testkit::store();
    block_on(async {
        let workspace = Workspace::load(&store.db).await.unwrap();
        let catalogue = catalogue(&store).await;
        let asks = [];
        let future = answer(&store.db, &workspace, &catalogue, &asks, at(NOW));
        is_send(&future);
        assert!(future.await.unwrap().is_empty());
        assert!(!ask(&store, ContactId(1), &read("{did_not: Page Viewed}"), &run_data()).await);
    });
}
