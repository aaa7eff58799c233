//! A simulation goes the way that the living engine went on the same history.

mod support;

use engine::{
    campaign::launch::Silent,
    rules::{self, Folder, Workspace},
    simulate::{self, Options, Simulation, Why},
};
use model::{Consent, ConsentState, Dice, Slug, Timestamp};
use serde_json::json;
use storage::imports::{ContactPatch, ImportEvent};
use support::{MAIL, Shop, folder};
use testkit::{block_on, contact, event, order};

const START: &str = "2026-03-01T10:00:00Z";

fn subscriber(id: &str, at: Timestamp) -> ContactPatch {
    let mut patch = contact(id);
    patch.created_at = Some(at.plus_days(-400));
    patch.consents.push(Consent {
        purpose: Slug::parse("newsletter").unwrap(),
        state: ConsentState::Subscribed,
        at: at.plus_days(-400),
        source: "test".into(),
        proof: "test".into(),
    });
    patch
}

fn left(contact: &str, now: Timestamp, total: i64, cart: &str) -> ImportEvent {
    let mut event = event(contact, "Checkout Left", now, "", "");
    event.properties.insert("total".into(), json!(total));
    event.properties.insert("cart_id".into(), json!(cart));
    event
}

async fn play(shop: &Shop, folder: &Folder, options: Options) -> Simulation {
    let workspace = Workspace::load(&shop.store.db).await.unwrap();
    let rules = rules::compile(folder, &workspace).unwrap_or_else(|problems| panic!("{problems:?}"));
    simulate::run(&shop.store.db, rules, options, &Silent).await.unwrap()
}

fn ways(played: &Simulation, name: &str) -> Vec<String> {
    let part = played.parts.iter().find(|part| part.name == name);
    let enrolments = part.into_iter().flat_map(|part| &part.enrolments);
    enrolments.map(|own| journey::trace::describe(&own.trace, played.journey())).collect()
}

fn options(from: Timestamp, to: Timestamp) -> Options {
    // The seed that journeys are published with here.
    Options { from, to, seed: 0, keep: true, ..Options::before(to) }
}

/// Journeys of which each uses something else.
const JOURNEYS: [(&str, &[(&str, &str)]); 6] = [
    (
        r#"
format: 1
journey: played
audience: {who: with_email, source: existing_and_new}
triggers:
  - {on: event, event: Checkout Left, where: {ref: trigger.total, greater_than: 50}}
exit:
  - {on: event, event: Order Completed}
reentry: after_exit
nodes:
  pause: {kind: wait, for: PT1H}
  mail: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: pause}
  - {from: pause, to: mail}
"#,
        &[],
    ),
    (
        r#"
format: 1
journey: played
audience: {who: all, source: existing_and_new}
triggers:
  - {on: event, event: Checkout Left, key: trigger.cart_id}
reentry: per_key
nodes:
  bought: {kind: wait_for, event: Order Completed, limit: P2D}
  coin: {kind: split, branches: {a: 50, b: 50}}
  mail_a: {kind: send_email, template: hello, purpose: newsletter}
  mail_b: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: bought}
  - {from: bought, when: "no", to: coin}
  - {from: coin, when: a, to: mail_a}
  - {from: coin, when: b, to: mail_b}
"#,
        &[],
    ),
    (
        r#"
format: 1
journey: played
audience: {who: all, source: existing_and_new}
triggers:
  - {on: segment_entered, segment: curious}
reentry: after_exit
nodes:
  pause: {kind: wait, for: PT3H}
  again: {kind: has_done, did: Product Viewed, within: PT2H}
  mail: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: pause}
  - {from: pause, to: again}
  - {from: again, when: "yes", to: mail}
"#,
        &[(
            "segments/curious.yaml",
            "{format: 1, segment: curious, condition: {did: Product Viewed, count: {at_least: 2}, within: P1D}}",
        )],
    ),
    (
        r#"
format: 1
journey: played
audience: {segment: buyers, source: existing_and_new}
nodes:
  pause: {kind: wait, for: P1D}
  mail: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: pause}
  - {from: pause, to: mail}
"#,
        &[(
            "segments/buyers.yaml",
            "{format: 1, segment: buyers, condition: {did: Order Completed, within: P3D}}",
        )],
    ),
    (
        r#"
format: 1
journey: played
audience: {who: all, source: existing_and_new}
triggers:
  - {on: cart_abandoned, after: PT2H}
reentry: per_key
nodes:
  cart: {kind: get_last_cart, state: abandoned}
  mail: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: cart}
  - {from: cart, when: "yes", to: mail}
"#,
        &[],
    ),
    (
        r#"
format: 1
journey: played
audience: {who: all, source: existing_and_new}
triggers:
  - {on: event, event: Order Completed}
  - {on: event, event: Checkout Left}
goal: {on: event, event: Order Completed}
exit:
  - {on: segment_entered, segment: curious}
reentry: after_exit
nodes:
  held: {kind: holdout, share: 30}
  until: {kind: wait, until: {at: "09:00"}}
  mail: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: held}
  - {from: held, when: go_on, to: until}
  - {from: until, to: mail}
"#,
        &[(
            "segments/curious.yaml",
            "{format: 1, segment: curious, condition: {did: Product Viewed, count: {at_least: 2}, within: P1D}}",
        )],
    ),
];

const PEOPLE: [&str; 6] = ["ann", "bob", "cid", "dan", "eve", "fay"];

#[test]
fn a_simulation_goes_the_way_that_the_engine_went() {
    for (number, (text, files)) in JOURNEYS.iter().enumerate() {
        for seed in 0..2_u64 {
            block_on(compare(text, files, number as u64, seed));
        }
    }
}

async fn compare(text: &str, files: &[(&str, &str)], number: u64, seed: u64) {
    let mut shop = Shop::open(START).await;
    shop.past(|batch| {
        let at = batch.now;
        for id in PEOPLE {
            batch.contacts.push(subscriber(id, at));
        }
        batch.products.push(testkit::product("mug", 60));
        for (place, id) in PEOPLE.iter().enumerate() {
            let at = at.plus(-(place as i64 + 1) * 13 * Timestamp::HOUR);
            order(batch, &format!("old{place}"), id, at, &[("mug", 1, 60)]);
            batch.events.push(event(id, "Product Viewed", at, "product_id", "mug"));
        }
    })
    .await;
    let from = shop.now;
    let files = [files, &[("templates/hello.yaml", MAIL)]].concat();
    let folder = folder(text, &files);
    shop.publish(&folder).await;
    let mut dice = Dice::of(&[number, seed, 77]);
    for step in 0..40 {
        shop.pass(1 + dice.below(9 * 3_600_000_000).cast_signed()).await;
        let (who, what, total) = (dice.below(6) as usize, dice.below(10), dice.below(100).cast_signed());
        let who = PEOPLE[who];
        shop.happen(|batch, now| match what {
            0..=2 => batch.events.push(left(who, now, total, &format!("k{step}"))),
            3..=6 => batch.events.push(event(who, "Product Viewed", now, "product_id", "mug")),
            7 => testkit::cart(batch, &format!("cart{step}"), who, now, &[("mug", 1, 60)]),
            _ => order(batch, &format!("o{step}"), who, now, &[("mug", 1, 60)]),
        })
        .await;
    }
    shop.pass(3 * Timestamp::DAY).await;
    let played = play(&shop, &folder, options(from, shop.now.plus(1))).await;
    let mut entered = 0;
    for id in PEOPLE {
        let lived = shop.ways(id, "played").await;
        entered += lived.len() as u64;
        assert_eq!(ways(&played, id), lived, "{id} in journey {number}, seed {seed}");
    }
    assert!(entered > 0, "nobody entered journey {number}");
    assert_eq!(played.entered, entered);
    let messages: u64 = played.messages.values().map(|(sent, _)| sent).sum();
    assert_eq!(messages, shop.messages().await);
    assert!(played.counts.mismatches(played.journey(), entered).is_empty() || !played.waiting.is_empty());
}

#[test]
fn nothing_is_written_and_the_future_is_invisible() {
    block_on(async {
        let mut shop = Shop::open(START).await;
        let from = shop.now;
        shop.past(|batch| {
            let at = batch.now;
            batch.contacts.extend([subscriber("ann", at), subscriber("bob", at)]);
            for id in ["ann", "bob"] {
                batch.events.push(left(id, at.plus(Timestamp::HOUR), 51, "k"));
            }
            // Ann buys before the hour is over, Bob just after the question was asked.
            order(batch, "o1", "ann", at.plus(90 * Timestamp::MINUTE), &[("mug", 1, 60)]);
            order(batch, "o2", "bob", at.plus(2 * Timestamp::HOUR + 1), &[("mug", 1, 60)]);
        })
        .await;
        shop.pass(Timestamp::DAY).await;
        let text = JOURNEYS[0].0.replace("exit:\n  - {on: event, event: Order Completed}\n", "");
        let text = text.replace("links:", "  bought: {kind: has_purchased, within: P1D}\nlinks:").replace(
            "  - {from: pause, to: mail}",
            "  - {from: pause, to: bought}\n  - {from: bought, when: \"no\", to: mail}",
        );
        let folder = folder(&text, &[("templates/hello.yaml", MAIL)]);
        let before = std::fs::read(shop.store.file()).unwrap();
        let played = play(&shop, &folder, options(from, shop.now)).await;
        assert!(ways(&played, "ann")[0].ends_with("bought: yes"), "{:?}", ways(&played, "ann"));
        assert!(ways(&played, "bob")[0].ends_with("mail: sent"), "{:?}", ways(&played, "bob"));
        assert_eq!(shop.messages().await, 0);
        assert!(shop.ways("ann", "played").await.is_empty());
        assert_eq!(std::fs::read(shop.store.file()).unwrap(), before);
        // What they bought afterwards: both did, one order each within a week.
        assert_eq!((played.purchases.entered.people, played.purchases.entered.orders), (2, 2.0));
        assert_eq!(played.purchases.messaged.orders, 1.0);
        // The same question is answered the same way, and a sample is a part of the whole.
        let again = play(&shop, &folder, options(from, shop.now)).await;
        assert_eq!(again.parts, played.parts);
        let sample = play(&shop, &folder, Options { sample: Some(1), ..options(from, shop.now) }).await;
        assert!(sample.parts.iter().all(|part| played.parts.contains(part)));
    });
}

#[test]
fn says_why_an_event_started_nothing() {
    block_on(async {
        let mut shop = Shop::open(START).await;
        let from = shop.now;
        shop.past(|batch| {
            let at = batch.now;
            batch.contacts.push(subscriber("ann", at));
            batch.contacts.push(ContactPatch { email: None, ..subscriber("bob", at) });
            let hour = |n: i64| at.plus(n * Timestamp::HOUR);
            batch.events.push(left("ann", hour(1), 50, "a"));
            batch.events.push(left("ann", hour(2), 51, "b"));
            batch.events.push(left("ann", hour(2).plus(60), 52, "c"));
            batch.events.push(left("bob", hour(3), 99, "d"));
        })
        .await;
        shop.pass(Timestamp::DAY).await;
        let folder = folder(JOURNEYS[0].0, &[("templates/hello.yaml", MAIL)]);
        let asked = Options { explain: true, ..options(from, shop.now) };
        let played = play(&shop, &folder, asked).await;
        let why = |name: &str| {
            let part = played.parts.iter().find(|part| part.name == name).unwrap();
            part.refused.iter().map(|refused| refused.why.clone()).collect::<Vec<_>>()
        };
        let ann = why("ann");
        assert_eq!(ann[0], Why::Condition(vec![("trigger.total".into(), "50".into())]));
        assert_eq!(ann[1].word(), "reentry");
        assert_eq!(ann.len(), 2);
        assert_eq!(why("bob")[0].word(), "audience");
    });
}
