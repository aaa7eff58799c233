//! Whom it concerns that a product costs less, is back, or is nearly gone.
//!
//! Such a change arrives as an input of contact 0. For each trigger of an open journey that means it, the contacts with an
//! interest in the product become a wave of its own, whose event names the journey and the trigger. Nobody is looked for
//! where no journey asks.
//!
//! Left out are who bought the product since it interested them, and everybody when it cannot be bought (no stock, said
//! to be out of stock, not on sale yet) or is never to be shown. Of those who asked to hear when a product is back, the
//! oldest go first, [`TOLD_PER_UNIT`] for each unit in stock: the others hear when there is more.

use std::collections::{BTreeMap, BTreeSet};

use journey::entry::{Interest, On, ProductTrigger};
use model::{Amount, ContactId, Event, Period, Product, Timestamp, event::kind};
use roaring::RoaringTreemap;
use serde_json::{Map, Value, json};
use storage::{
    Result, Storage,
    events::Interested,
    live::{Input, NewWave},
};

use super::Ground;
use crate::segments::BATCH;

/// How many of those who wait for a product are told for each unit that is back.
pub const TOLD_PER_UNIT: i64 = 5;

/// Whom changes of products concern.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Concerned {
    /// To commit in the transaction that marks the inputs as done.
    pub waves: Vec<NewWave>,
    /// Up to which subscription those who wait were told, as settings: to commit in the same transaction, so that nobody
    /// hears of a later restocking who has heard of this one.
    pub told: Vec<(String, Value)>,
}

/// Whom the changes of products among these inputs concern; the other inputs are left aside.
///
/// # Errors
/// What storage says.
pub async fn concerned<S: Storage>(
    store: &S,
    ground: &Ground,
    inputs: &[Input],
    now: Timestamp,
) -> Result<Concerned> {
    let mut concerned = Concerned::default();
    let kinds = [kind::PRICE_DROPPED, kind::BACK_IN_STOCK, kind::LOW_STOCK];
    let changes = inputs.iter().filter(|input| {
        input.event.contact == ContactId(0)
            && kinds.contains(&input.event.kind.as_str())
            && ground.book.kinds.contains(&input.event.kind)
    });
    // A product that changed several times is told of once, as it is now.
    let mut last: BTreeMap<(&str, &str), &Input> = BTreeMap::new();
    for change in changes {
        if let Some(product) = product_of(&change.event) {
            last.insert((change.event.kind.as_str(), product), change);
        }
    }
    let mut products: Option<BTreeMap<String, Product>> = None;
    let min_stock = if last.is_empty() { 0 } else { crate::catalogue::min_stock(store).await? };
    for ((_, id), change) in last {
        let triggers = triggers(ground, change, min_stock);
        if triggers.is_empty() {
            continue;
        }
        if products.is_none() {
            let all = store.load_products().await?.into_iter();
            products = Some(all.map(|product| (product.external_id.clone(), product)).collect());
        }
        let Some(product) = products.iter().flatten().find(|(known, _)| *known == id).map(|(_, one)| one)
        else {
            continue;
        };
        if !can_be_bought(product, now) {
            continue;
        }
        for (journey, place, trigger) in triggers {
            let key = format!("told_back_in_stock:{journey}:{place}:{id}");
            let wave = wave(store, (change, product), trigger, (&journey, place), &key, now).await?;
            concerned.told.extend(wave.1.map(|at| (key, json!(at.0))));
            concerned.waves.extend(wave.0);
        }
    }
    Ok(concerned)
}

fn product_of(event: &Event) -> Option<&str> {
    event.properties.get("product_id").and_then(Value::as_str)
}

fn can_be_bought(product: &Product, now: Timestamp) -> bool {
    !product.out_of_stock
        && !product.blacklisted
        && !product.service
        && product.stock.is_none_or(|units| units > 0)
        && product.published_at.is_none_or(|at| at <= now)
}

/// The triggers of open journeys that a change means, where the workspace's minimum stock is `min_stock`.
fn triggers<'g>(
    ground: &'g Ground,
    change: &Input,
    min_stock: i64,
) -> Vec<(String, usize, &'g ProductTrigger)> {
    let mut found = Vec::new();
    for live in ground.book.journeys.iter().filter(|live| live.open) {
        let journey = &live.rules.journey;
        for (place, listener) in journey.triggers.iter().enumerate() {
            let (On::PriceDrop(trigger) | On::BackInStock(trigger) | On::LowStock(trigger)) = &listener.on
            else {
                continue;
            };
            if listener.on.event_kind() == change.event.kind
                && means(&listener.on, trigger, &change.event, min_stock)
            {
                found.push((journey.slug.to_string(), place, trigger));
            }
        }
    }
    found
}

/// An amount as events hold it.
fn amount(event: &Event, name: &str) -> Option<Amount> {
    let number = event.properties.get(name)?.as_f64()?;
    Some(Amount((number * Amount::SCALE as f64).round() as i64))
}

/// Whether a change is as great as a trigger asks.
fn means(on: &On, trigger: &ProductTrigger, event: &Event, min_stock: i64) -> bool {
    match on {
        On::PriceDrop(_) => {
            let prices = amount(event, "price").zip(amount(event, "price_before"));
            let Some((now, before)) = prices.filter(|(now, before)| now < before && before.0 > 0) else {
                return false;
            };
            let less = i128::from(before.0) - i128::from(now.0);
            let percent = |percent: Amount| {
                // Both sides in ten-thousandths of a per cent of the former price: no fraction is lost.
                less * 100 * i128::from(Amount::SCALE) >= i128::from(percent.0) * i128::from(before.0)
            };
            trigger.amount.is_none_or(|amount| less >= i128::from(amount.0))
                && trigger.percent.is_none_or(percent)
        }
        On::LowStock(_) => {
            let units = |name: &str| event.properties.get(name).and_then(Value::as_i64);
            let Some(left) = units("stock") else { return false };
            // Told when the mark is passed, not at each unit that is sold below it.
            let most = trigger.at_most.unwrap_or(min_stock);
            left <= most && units("stock_before").is_none_or(|before| before > most)
        }
        _ => true,
    }
}

/// The wave for one trigger, and up to which subscription it tells those who wait.
async fn wave<S: Storage>(
    store: &S,
    (change, product): (&Input, &Product),
    trigger: &ProductTrigger,
    (journey, place): (&str, usize),
    key: &str,
    now: Timestamp,
) -> Result<(Option<NewWave>, Option<Timestamp>)> {
    let id = product.external_id.clone();
    let since = before(now, trigger.within);
    let waits = change.event.kind == kind::BACK_IN_STOCK;
    let heard = match waits {
        true => store.load_setting(key.to_owned()).await?.and_then(|json| json.as_i64()).map(Timestamp),
        false => None,
    };
    let mut interested = interested(store, &id, trigger, since, now, heard).await?;
    without_buyers(store, product, &mut interested, now).await?;
    let mut told = None;
    if waits {
        // Who asked first is told first.
        interested.sort_by_key(|one| (one.first, one.contact));
        let most = product.stock.map_or(usize::MAX, |units| {
            usize::try_from(units.saturating_mul(TOLD_PER_UNIT)).unwrap_or(usize::MAX)
        });
        interested.truncate(most);
        told = interested.last().map(|one| one.first);
    }
    let contacts: RoaringTreemap = interested.iter().map(|one| one.contact.0.cast_unsigned()).collect();
    if contacts.is_empty() {
        return Ok((None, None));
    }
    let mut properties: Map<String, Value> = change.event.properties.clone();
    properties.insert("journey".to_owned(), journey.into());
    properties.insert("trigger".to_owned(), place.into());
    let event = Event { properties, ..change.event.clone() };
    Ok((Some(NewWave { event, causes: change.causes, contacts }), told))
}

fn before(now: Timestamp, period: Period) -> Timestamp {
    // A month back is the month's own length: forward from there must not be before now.
    let days = i64::from(period.months).saturating_mul(31 * Timestamp::DAY);
    Timestamp(now.0.saturating_sub(days).saturating_sub(period.micros))
}

/// Who did with the product what the trigger asks, since then; of subscriptions only those after `heard`.
async fn interested<S: Storage>(
    store: &S,
    id: &str,
    trigger: &ProductTrigger,
    since: Timestamp,
    now: Timestamp,
    heard: Option<Timestamp>,
) -> Result<Vec<Interested>> {
    let name = |interest: &Interest| match interest {
        Interest::Viewed => kind::PRODUCT_VIEWED,
        Interest::Added => kind::PRODUCT_ADDED,
        Interest::CheckoutStarted => kind::CHECKOUT_STARTED,
        Interest::Subscribed => kind::BACK_IN_STOCK_SUBSCRIBED,
    };
    let kinds: BTreeSet<&str> = trigger.interest.iter().map(name).collect();
    let since = heard.map_or(since, |heard| since.max(heard.plus(1)));
    let names = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let mut found = store.find_by_product(id.to_owned(), names, since, now.plus(1)).await?;
    if kinds.contains(kind::CHECKOUT_STARTED) {
        // A check-out names its products in a list, which no index knows; check-outs are few.
        let wanted = id.to_owned();
        let fold = move |found: &mut Vec<Interested>, event: &Event| {
            let lines = event.properties.get("products").and_then(Value::as_array);
            let named = |line: &Value| line.get("product_id").and_then(Value::as_str) == Some(&wanted);
            if lines.is_some_and(|lines| lines.iter().any(named)) {
                found.push(Interested { contact: event.contact, first: event.at, last: event.at });
            }
        };
        let everybody = 1..=store.count_contacts().await?.1.0;
        let kind = kind::CHECKOUT_STARTED.to_owned();
        found.extend(store.fold_events(kind, everybody, since, now.plus(1), Vec::new(), fold).await?);
    }
    let mut all: BTreeMap<ContactId, Interested> = BTreeMap::new();
    for one in found {
        let known = all.entry(one.contact).or_insert(one);
        (known.first, known.last) = (known.first.min(one.first), known.last.max(one.last));
    }
    Ok(all.into_values().collect())
}

/// Leaves out who bought the product since it first interested them, and did not send it back.
async fn without_buyers<S: Storage>(
    store: &S,
    product: &Product,
    interested: &mut Vec<Interested>,
    now: Timestamp,
) -> Result<()> {
    let mut bought: BTreeSet<ContactId> = BTreeSet::new();
    for batch in interested.chunks(BATCH) {
        let Some(first) = batch.iter().map(|one| one.first).min() else { continue };
        let ids = batch.iter().map(|one| one.contact).collect();
        let orders = store.load_orders(ids, first, now.plus(1)).await?;
        for order in orders.into_iter().filter(model::Order::counts) {
            let Some(contact) = order.contact else { continue };
            let Ok(place) = batch.binary_search_by_key(&contact, |one| one.contact) else { continue };
            let kept = storage::codec::net_lines(order.lines);
            if order.at >= batch[place].first
                && kept.iter().any(|line| line.product == product.id && line.quantity > 0)
            {
                bought.insert(contact);
            }
        }
    }
    interested.retain(|one| !bought.contains(&one.contact));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: &str, properties: Value) -> Event {
        let Value::Object(properties) = properties else { panic!("an object") };
        let (at, kind) = (Timestamp(0), kind.to_owned());
        Event { contact: ContactId(0), at, received_at: at, kind, message_id: None, properties }
    }

    fn trigger(amount: Option<i64>, percent: Option<i64>, at_most: Option<i64>) -> ProductTrigger {
        ProductTrigger {
            amount: amount.map(Amount::units),
            percent: percent.map(Amount::units),
            at_most,
            interest: Vec::new(),
            within: Period::default(),
        }
    }

    #[test]
    fn a_drop_is_measured_exactly_at_its_edges() {
        let drop = |was: f64, is: f64| change(kind::PRICE_DROPPED, json!({"price": is, "price_before": was}));
        let means = |trigger: ProductTrigger, event: &Event| {
            means(&On::PriceDrop(trigger.clone()), &trigger, event, 0)
        };
        assert!(means(trigger(None, Some(10), None), &drop(30.0, 27.0)));
        assert!(!means(trigger(None, Some(10), None), &drop(30.0, 27.0001)));
        assert!(means(trigger(Some(3), None, None), &drop(29.99, 26.99)));
        assert!(!means(trigger(Some(3), None, None), &drop(29.99, 27.0)));
        assert!(!means(trigger(None, None, None), &drop(10.0, 10.0)), "no drop");
        assert!(!means(trigger(None, None, None), &drop(0.0, -1.0)));
    }

    #[test]
    fn low_stock_is_told_when_the_mark_is_passed() {
        let fall = |was: i64, is: i64| change(kind::LOW_STOCK, json!({"stock": is, "stock_before": was}));
        let trigger = trigger(None, None, Some(5));
        let means = |event: &Event| means(&On::LowStock(trigger.clone()), &trigger, event, 0);
        assert!(means(&fall(6, 5)));
        assert!(means(&fall(9, 1)));
        assert!(!means(&fall(5, 4)), "told already");
        assert!(!means(&fall(7, 6)));
    }

    #[test]
    fn low_stock_without_a_number_means_the_minimum_stock_of_the_workspace() {
        let fall = |was: i64, is: i64| change(kind::LOW_STOCK, json!({"stock": is, "stock_before": was}));
        let trigger = trigger(None, None, None);
        let means = |event: &Event| means(&On::LowStock(trigger.clone()), &trigger, event, 4);
        assert!(means(&fall(5, 4)));
        assert!(!means(&fall(6, 5)));
        assert!(!means(&fall(4, 3)), "told already");
    }

    #[test]
    fn those_with_an_interest_who_did_not_buy_are_told_and_the_oldest_subscribers_first() {
        testkit::block_on(async {
            let store = testkit::store();
            let now = testkit::at("2026-03-05 10:00:00");
            let hours = |n: i64| now.plus(-n * Timestamp::HOUR);
            let mut batch = storage::imports::ImportBatch::new(now);
            let mut mug = testkit::product("mug", 10);
            mug.stock = Some(1);
            batch.products = vec![mug, testkit::product("cup", 5)];
            for n in 0..9 {
                let (who, viewed) = (format!("c{n}"), if n == 8 { "cup" } else { "mug" });
                let at = if n == 7 { hours(40 * 24) } else { hours(10 - n) };
                batch.events.push(testkit::event(&who, kind::PRODUCT_VIEWED, at, "product_id", viewed));
                let subscribed = kind::BACK_IN_STOCK_SUBSCRIBED;
                batch.events.push(testkit::event(&who, subscribed, hours(20 + n), "product_id", viewed));
            }
            let mut checkout = testkit::event("c9", kind::CHECKOUT_STARTED, hours(3), "", "");
            checkout
                .properties
                .insert("products".into(), json!([{"product_id": "cup"}, {"product_id": "mug"}]));
            batch.events.push(checkout);
            // One bought it after, one before, one bought something else.
            testkit::order(&mut batch, "o1", "c1", hours(2), &[("mug", 1, 10)]);
            testkit::order(&mut batch, "o2", "c2", hours(500), &[("mug", 1, 10)]);
            testkit::order(&mut batch, "o3", "c3", hours(1), &[("cup", 1, 5)]);
            storage::imports::ImportStore::import(&store.db, batch).await.unwrap();
            let found = storage::catalogue::CatalogueStore::load_products(&store.db).await.unwrap();
            let mug = found.iter().find(|product| product.external_id == "mug").unwrap();
            let names = async |wave: &NewWave| -> Vec<String> {
                let ids = wave.contacts.iter().map(|id| ContactId(id.cast_signed())).collect();
                let contacts = storage::contacts::ContactStore::load_contacts(&store.db, ids).await.unwrap();
                let mut names: Vec<String> = contacts.into_iter().filter_map(|one| one.external_id).collect();
                names.sort();
                names
            };
            let trigger = ProductTrigger {
                interest: vec![Interest::Viewed, Interest::CheckoutStarted],
                within: Period::parse("P30D").unwrap(),
                ..trigger(None, None, None)
            };
            let drop =
                change(kind::PRICE_DROPPED, json!({"product_id": "mug", "price": 1, "price_before": 2}));
            let drop = Input { no: 1, event: drop, causes: 0 };
            let (told, _) = wave(&store.db, (&drop, mug), &trigger, ("j", 1), "key", now).await.unwrap();
            let told = told.unwrap();
            assert_eq!(names(&told).await, ["c0", "c2", "c3", "c4", "c5", "c6", "c9"]);
            assert_eq!(
                (&told.event.properties["journey"], &told.event.properties["trigger"]),
                (&json!("j"), &json!(1))
            );
            // One unit is back: the five who asked first, then the others, then nobody.
            let trigger = ProductTrigger { interest: vec![Interest::Subscribed], ..trigger };
            let back = change(kind::BACK_IN_STOCK, json!({"product_id": "mug", "stock": 1}));
            let back = Input { no: 2, event: back, causes: 0 };
            for expected in [&["c3", "c4", "c5", "c6", "c7"][..], &["c0", "c2"], &[]] {
                let (told, until) =
                    wave(&store.db, (&back, mug), &trigger, ("j", 1), "key", now).await.unwrap();
                match told {
                    Some(told) => assert_eq!(names(&told).await, expected),
                    None => assert!(expected.is_empty()),
                }
                if let Some(at) = until {
                    let (db, key) = (&store.db, "key".to_owned());
                    storage::settings::SettingsStore::save_setting(db, key, json!(at.0)).await.unwrap();
                }
            }
            assert!(can_be_bought(mug, now));
            for broken in [
                Product { stock: Some(0), ..mug.clone() },
                Product { published_at: Some(now.plus(1)), ..mug.clone() },
                Product { blacklisted: true, ..mug.clone() },
            ] {
                assert!(!can_be_bought(&broken, now));
            }
        });
    }
}
