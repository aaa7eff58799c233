//! Seed 003: reminders of a cart by mail, text message and push, until it is bought.

use engine::live::outcomes::standing;
use model::{ConsentState, PushSubscription, Timestamp, event::kind};
use serde_json::{Map, Value as Json, json};
use storage::{
    contacts::ContactStore,
    imports::{ContactPatch, ImportEvent},
    journeys::{AudienceFilter, JourneyStore},
    outbox::MessageState,
};
use testkit::{at, block_on, event, product};

use crate::{
    support::Shop,
    world::{Letterbox, consent, example, interact, message, slug, subscriber, told, ways},
};

const JOURNEY: &str = "cart-reminders";
const OPENED: &str =
    "start: always → mail: sent → opened: stays (until 2026-03-02T10:00:00Z) → opened: yes → read: always";
const TO_SMS: &str = "start: always → mail: sent → opened: stays (until 2026-03-02T10:00:00Z) → opened: no → sms: sent → \
                      a_day: stays (until 2026-03-03T10:00:00Z)";

/// Somebody who can be reached in all three ways.
fn reachable(id: &str, locale: &str) -> ContactPatch {
    let mut patch = subscriber(id, locale);
    patch.phone = Some(format!("+4420794600{:02}", id.bytes().map(u32::from).sum::<u32>() % 100));
    patch.push.push(PushSubscription {
        endpoint: format!("https://push.example.test/{id}"),
        ..PushSubscription::default()
    });
    for purpose in ["sms", "push"] {
        patch.consents.push(consent(purpose, ConsentState::Subscribed, Timestamp(0)));
    }
    patch
}

/// It is 1 March, ten o'clock.
async fn shop(contacts: &[&str]) -> Shop {
    let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
    shop.past(|batch| {
        for id in contacts {
            batch.contacts.push(reachable(id, if *id == "bob" { "fr-FR" } else { "en-GB" }));
        }
        for (id, price) in [("lamp", 45), ("mug", 6)] {
            let mut patch = product(id, price);
            patch.url = Some(format!("https://shop.example.test/p/{id}"));
            batch.products.push(patch);
        }
    })
    .await;
    shop.publish(&example("s3")).await;
    shop
}

fn left(contact: &str, cart: &str, total: &str, now: Timestamp) -> ImportEvent {
    let mut event = event(contact, "Abandoned cart", now, "cart_id", cart);
    event.properties.insert("cart_total".into(), serde_json::from_str(total).unwrap());
    event.properties.insert("cart_url".into(), json!(format!("https://shop.example.test/cart/{cart}")));
    let lines = json!([
        {"product_id": "lamp", "quantity": 1, "price": 45},
        {"product_id": "mug", "quantity": 1, "price": 6},
    ]);
    event.properties.insert("products".into(), lines);
    event
}

fn bought(contact: &str, cart: &str, now: Timestamp) -> ImportEvent {
    event(contact, "Purchase completed", now, if cart.is_empty() { "" } else { "cart_id" }, cart)
}

/// Ann leaves cart `k1` of 51 now.
async fn ann_leaves(shop: &mut Shop) {
    shop.happen(|batch, now| batch.events.push(left("ann", "k1", "51", now))).await;
}

async fn opens(shop: &mut Shop, contact: &str, properties: Map<String, Json>) {
    let mail = message(shop, contact, "mail").await;
    interact(shop, mail.message.id, kind::EMAIL_OPENED, properties).await;
}

#[test]
fn who_opens_within_the_day_gets_no_text_message() {
    block_on(async {
        let mut shop = shop(&["ann", "bob", "cid"]).await;
        let letterbox = Letterbox::of(&shop);
        shop.happen(|batch, now| {
            for id in ["ann", "bob", "cid"] {
                batch.events.push(left(id, &format!("k-{id}"), "51", now));
            }
        })
        .await;
        assert_eq!(letterbox.deliver(&mut shop).await[&MessageState::Sent], 3);
        shop.pass(5 * Timestamp::HOUR).await;
        opens(&mut shop, "ann", Map::new()).await;
        assert_eq!(ways(&shop, "ann", JOURNEY).await, [OPENED], "at once");
        // A machine that fetches the pictures is no reader.
        opens(&mut shop, "cid", [("machine".to_owned(), json!(true))].into_iter().collect()).await;
        shop.until(at("2026-03-02T09:59:59.999999Z")).await;
        opens(&mut shop, "bob", Map::new()).await;
        assert_eq!(ways(&shop, "bob", JOURNEY).await, [OPENED], "a microsecond before the limit");
        shop.pass(10 * Timestamp::DAY).await;
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-01T10:00:00Z"]);
        assert_eq!(told(&shop, "bob").await, ["mail 2026-03-01T10:00:00Z"]);
        assert_eq!(told(&shop, "cid").await.len(), 3);
    });
}

#[test]
fn who_does_not_open_gets_a_text_message_and_a_push_a_day_later() {
    block_on(async {
        let mut shop = shop(&["ann", "bob"]).await;
        let letterbox = Letterbox::of(&shop);
        shop.happen(|batch, now| {
            batch.events.push(left("ann", "k1", "51", now));
            batch.events.push(left("bob", "k2", "1234.5", now));
        })
        .await;
        letterbox.deliver(&mut shop).await;
        shop.until(at("2026-03-02T09:59:59Z")).await;
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-01T10:00:00Z"]);
        shop.restart().await;
        shop.until(at("2026-03-02T10:00:00Z")).await;
        assert_eq!(ways(&shop, "ann", JOURNEY).await, [TO_SMS]);
        letterbox.deliver(&mut shop).await;
        // Too late to be read: it changes nothing any more.
        opens(&mut shop, "ann", Map::new()).await;
        shop.until(at("2026-03-03T09:59:59Z")).await;
        assert_eq!(told(&shop, "ann").await.len(), 2);
        shop.until(at("2026-03-03T10:00:00Z")).await;
        assert_eq!(
            told(&shop, "ann").await,
            ["mail 2026-03-01T10:00:00Z", "sms 2026-03-02T10:00:00Z", "push 2026-03-03T10:00:00Z"]
        );
        assert_eq!(ways(&shop, "ann", JOURNEY).await, [format!("{TO_SMS} → a_day: always → push: sent")]);
        assert_eq!(letterbox.deliver(&mut shop).await[&MessageState::Sent], 2);
        for (contact, language) in [("ann", "en"), ("bob", "fr")] {
            for node in ["mail", "sms", "push"] {
                let row = message(&shop, contact, node).await;
                insta::assert_snapshot!(format!("s3.{node}.{language}"), letterbox.read(&row));
            }
        }
    });
}

#[test]
fn a_purchase_ends_the_reminders_at_once_at_each_step() {
    block_on(async {
        // When they buy, and what was written by then: in the very instant of a next message the purchase goes before it.
        let moments = [
            ("2026-03-01T10:00:00Z", 1),
            ("2026-03-01T15:00:00Z", 1),
            ("2026-03-02T10:00:00Z", 1),
            ("2026-03-02T16:00:00Z", 2),
            ("2026-03-03T10:00:00Z", 2),
        ];
        for (when, written) in moments {
            let mut shop = shop(&["ann"]).await;
            ann_leaves(&mut shop).await;
            shop.until(at(when).plus(-1)).await;
            shop.now = at(when);
            shop.happen(|batch, now| batch.events.push(bought("ann", "k1", now))).await;
            let way = ways(&shop, "ann", JOURNEY).await;
            assert!(way[0].ends_with("left (exit_event)"), "{when}: {way:?}");
            shop.pass(10 * Timestamp::DAY).await;
            assert_eq!(told(&shop, "ann").await.len(), written, "{when}");
        }
    });
}

#[test]
fn a_purchase_in_the_same_batch_as_the_cart_goes_by_the_order_of_arrival() {
    block_on(async {
        let mut shop = shop(&["ann", "bob"]).await;
        shop.happen(|batch, now| {
            batch.events.push(bought("ann", "k1", now));
            batch.events.push(left("ann", "k1", "51", now));
            batch.events.push(left("bob", "k2", "51", now));
            batch.events.push(bought("bob", "k2", now));
        })
        .await;
        assert_eq!(told(&shop, "ann").await.len(), 1, "bought before, and left again");
        let way = ways(&shop, "bob", JOURNEY).await;
        assert!(way[0].ends_with("left (exit_event)"), "{way:?}");
    });
}

#[test]
fn fifty_is_not_more_than_fifty() {
    block_on(async {
        let mut shop = shop(&["ann", "bob", "cid", "dan"]).await;
        shop.happen(|batch, now| {
            batch.events.push(left("ann", "k1", "50", now));
            batch.events.push(left("bob", "k2", "50.01", now));
            batch.events.push(left("cid", "k3", "\"50.01\"", now));
            batch.events.push(left("dan", "k4", "50.0000", now));
        })
        .await;
        assert!(ways(&shop, "ann", JOURNEY).await.is_empty());
        assert_eq!(ways(&shop, "bob", JOURNEY).await.len(), 1);
        assert_eq!(ways(&shop, "cid", JOURNEY).await.len(), 1, "a number that came as a text");
        assert!(ways(&shop, "dan", JOURNEY).await.is_empty());
    });
}

#[test]
fn two_carts_of_one_contact_are_two_runs() {
    block_on(async {
        let mut shop = shop(&["ann"]).await;
        shop.happen(|batch, now| {
            batch.events.push(left("ann", "k1", "51", now));
            batch.events.push(left("ann", "k2", "80", now));
        })
        .await;
        assert_eq!(told(&shop, "ann").await.len(), 2);
        shop.pass(Timestamp::HOUR).await;
        // The same cart once more, with more in it: nobody is reminded twice of one cart.
        shop.happen(|batch, now| batch.events.push(left("ann", "k1", "90", now))).await;
        assert_eq!(told(&shop, "ann").await.len(), 2);
        shop.happen(|batch, now| batch.events.push(bought("ann", "k1", now))).await;
        let mut ways = ways(&shop, "ann", JOURNEY).await;
        ways.sort();
        let (inside, out): (Vec<_>, Vec<_>) =
            ways.iter().partition(|way| way.contains("stays") && !way.contains("left ("));
        assert_eq!((inside.len(), out.len()), (1, 1), "{ways:?}");
        shop.pass(3 * Timestamp::DAY).await;
        assert_eq!(told(&shop, "ann").await.len(), 4, "text message and push of the other cart");
        shop.happen(|batch, now| batch.events.push(left("ann", "k1", "90", now))).await;
        assert_eq!(told(&shop, "ann").await.len(), 4, "one run for each key, ever");
    });
}

#[test]
fn a_purchase_that_names_no_cart_ends_all() {
    block_on(async {
        let mut shop = shop(&["ann"]).await;
        shop.happen(|batch, now| {
            batch.events.push(left("ann", "k1", "51", now));
            batch.events.push(left("ann", "k2", "80", now));
        })
        .await;
        shop.happen(|batch, now| batch.events.push(bought("ann", "", now))).await;
        shop.pass(3 * Timestamp::DAY).await;
        assert_eq!(told(&shop, "ann").await.len(), 2);
    });
}

#[test]
fn the_goal_is_half_of_them() {
    block_on(async {
        let mut shop = shop(&["ann", "bob", "cid", "dan"]).await;
        shop.happen(|batch, now| {
            for id in ["ann", "bob", "cid", "dan"] {
                batch.events.push(left(id, &format!("k-{id}"), "51", now));
            }
        })
        .await;
        shop.pass(Timestamp::HOUR).await;
        shop.happen(|batch, now| batch.events.push(bought("ann", "k-ann", now))).await;
        // After its end a run can still reach the goal, for three days.
        shop.until(at("2026-03-06T09:59:59Z")).await;
        shop.happen(|batch, now| batch.events.push(bought("bob", "k-bob", now))).await;
        shop.happen(|batch, now| batch.events.push(bought("cid", "another", now))).await;
        shop.pass(10 * Timestamp::DAY).await;
        shop.happen(|batch, now| batch.events.push(bought("dan", "k-dan", now))).await;
        let (standings, _) = standing(&shop.store.db, &slug(JOURNEY), 1).await.unwrap();
        assert_eq!(
            (standings[0].totals.entered, standings[0].totals.goals),
            (4, 2),
            "cid bought another cart, dan too late"
        );
        assert_eq!(standings[0].goal_share(), Some(5_000));
    });
}

#[test]
fn a_push_goes_to_whoever_has_a_browser_that_takes_it() {
    block_on(async {
        let mut shop = shop(&["ann"]).await;
        let browser = |n: usize| PushSubscription {
            endpoint: format!("https://push.example.test/browser-{n}"),
            ..PushSubscription::default()
        };
        shop.past(|batch| {
            for id in ["bob", "cid"] {
                let mut patch = reachable(id, "en-GB");
                patch.push.clear();
                batch.contacts.push(patch);
            }
        })
        .await;
        shop.happen(|batch, now| {
            for id in ["ann", "bob", "cid"] {
                batch.events.push(left(id, &format!("k-{id}"), "51", now));
            }
        })
        .await;
        // Cid says yes in more browsers than are kept, in one of them twice.
        shop.happen(|batch, _| {
            let mut patch = testkit::contact("cid");
            patch.push = (0..=PushSubscription::MAX).chain([5]).map(browser).collect();
            batch.contacts.push(patch);
        })
        .await;
        let (ann, cid) = (shop.contact("ann").await, shop.contact("cid").await);
        let contacts = shop.store.db.load_contacts(vec![cid]).await.unwrap();
        let kept: Vec<&str> = contacts[0].push.iter().map(|push| push.endpoint.as_str()).collect();
        assert_eq!(kept.len(), PushSubscription::MAX);
        assert_eq!(kept[0], browser(1).endpoint, "the oldest went");
        assert_eq!(kept[PushSubscription::MAX - 1], browser(5).endpoint, "said again: the latest");
        let subscribers = shop.store.db.scan_audience(AudienceFilter::PushSubscribers).await.unwrap();
        let subscribers: Vec<u64> = subscribers.into_iter().collect();
        assert_eq!(subscribers, [ann.0.cast_unsigned(), cid.0.cast_unsigned()]);
        shop.pass(3 * Timestamp::DAY).await;
        for (id, end) in [("ann", "push: sent"), ("bob", "push: not_sent"), ("cid", "push: sent")] {
            let way = ways(&shop, id, JOURNEY).await;
            assert!(way[0].ends_with(end), "{id}: {way:?}");
        }
    });
}
