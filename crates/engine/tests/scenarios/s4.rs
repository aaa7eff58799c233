//! Seed 004: an abandoned cart, a reminder, and a look at whether it worked.

use engine::live::outcomes::standing;
use model::{Timestamp, event::kind};
use serde_json::{Map, json};
use storage::{imports::ImportBatch, outbox::MessageState};
use testkit::{at, block_on, cart, order, product};

use crate::{
    support::Shop,
    world::{Letterbox, example, interact, message, slug, subscriber, told, ways},
};

const JOURNEY: &str = "abandoned-cart";
/// What is in the carts.
const LINES: &[(&str, i64, i64)] = &[("lamp", 1, 45), ("mug", 2, 6), ("tray", 1, 20), ("vase", 1, 30)];
/// The first hour of somebody who left a cart at ten o'clock.
const DELAY: &str = "start: always → delay: stays (until 2026-03-01T12:00:00Z)";

/// It is 1 March, ten o'clock.
async fn shop() -> Shop {
    let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
    shop.past(|batch| {
        for (id, locale) in [("ann", "en-GB"), ("bob", "fr-FR"), ("cid", "en-GB"), ("dan", "en-GB")] {
            batch.contacts.push(subscriber(id, locale));
        }
        for (id, _, price) in LINES {
            let mut patch = product(id, *price);
            patch.url = Some(format!("https://shop.example.test/p/{id}"));
            batch.products.push(patch);
        }
    })
    .await;
    shop.publish(&example("s4")).await;
    shop
}

/// A cart as it stands now.
fn fill(batch: &mut ImportBatch, contact: &str, now: Timestamp, lines: &[(&str, i64, i64)]) {
    cart(batch, &format!("k-{contact}"), contact, now, lines);
    let last = batch.carts.last_mut().unwrap();
    last.recovery_url = Some(format!("https://shop.example.test/cart/k-{contact}"));
}

/// The purchase of the cart.
fn buy(batch: &mut ImportBatch, contact: &str, at: Timestamp) {
    order(batch, &format!("o-{contact}"), contact, at, LINES);
    batch.orders.last_mut().unwrap().cart_id = Some(format!("k-{contact}"));
}

/// They fill their carts now, and do nothing more.
async fn leave(shop: &mut Shop, contacts: &[&str]) {
    shop.happen(|batch, now| contacts.iter().for_each(|id| fill(batch, id, now, LINES))).await;
}

#[test]
fn a_cart_left_alone_is_shown_in_a_mail_two_hours_later() {
    block_on(async {
        let mut shop = shop().await;
        let letterbox = Letterbox::of(&shop);
        leave(&mut shop, &["ann", "bob"]).await;
        shop.until(at("2026-03-01T10:59:59.999999Z")).await;
        assert!(ways(&shop, "ann", JOURNEY).await.is_empty());
        shop.until(at("2026-03-01T11:00:00Z")).await;
        assert_eq!(ways(&shop, "ann", JOURNEY).await, [DELAY]);
        shop.restart().await;
        shop.until(at("2026-03-01T12:00:00Z")).await;
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-01T12:00:00Z"]);
        assert_eq!(letterbox.deliver(&mut shop).await[&MessageState::Sent], 2);
        for (contact, language) in [("ann", "en"), ("bob", "fr")] {
            let mail = message(&shop, contact, "mail").await;
            insta::assert_snapshot!(format!("s4.{language}"), letterbox.read(&mail));
        }
        shop.until(at("2026-03-03T12:00:00Z")).await;
        let way = ways(&shop, "ann", JOURNEY).await;
        assert!(way[0].ends_with("bought_now: no → clicked: no → not_reached: always"), "{way:?}");
        shop.pass(30 * Timestamp::DAY).await;
        assert_eq!(ways(&shop, "ann", JOURNEY).await.len(), 1, "the same cart is told of once");
        assert_eq!(told(&shop, "ann").await.len(), 1);
    });
}

#[test]
fn each_change_of_the_cart_begins_the_hour_anew() {
    block_on(async {
        let mut shop = shop().await;
        leave(&mut shop, &["ann"]).await;
        for _ in 0..5 {
            shop.pass(59 * Timestamp::MINUTE).await;
            leave(&mut shop, &["ann"]).await;
        }
        assert!(ways(&shop, "ann", JOURNEY).await.is_empty());
        shop.pass(Timestamp::HOUR).await;
        assert_eq!(ways(&shop, "ann", JOURNEY).await.len(), 1);
    });
}

#[test]
fn an_empty_cart_is_never_abandoned() {
    block_on(async {
        let mut shop = shop().await;
        shop.happen(|batch, now| fill(batch, "ann", now, &[])).await;
        leave(&mut shop, &["bob"]).await;
        shop.pass(30 * Timestamp::MINUTE).await;
        shop.happen(|batch, now| fill(batch, "bob", now, &[])).await;
        shop.pass(10 * Timestamp::DAY).await;
        assert!(ways(&shop, "ann", JOURNEY).await.is_empty());
        assert!(ways(&shop, "bob", JOURNEY).await.is_empty(), "emptied before the hour was over");
    });
}

#[test]
fn who_buys_is_not_reminded() {
    block_on(async {
        let mut shop = shop().await;
        leave(&mut shop, &["ann", "bob", "cid", "dan"]).await;
        shop.until(at("2026-03-01T10:30:00Z")).await;
        shop.happen(|batch, now| buy(batch, "ann", now)).await;
        // Something else, in the shop: the cart stays, but they have bought.
        shop.happen(|batch, now| order(batch, "till-1", "bob", now, &[("mug", 1, 6)])).await;
        shop.until(at("2026-03-01T11:59:59.999999Z")).await;
        assert!(ways(&shop, "ann", JOURNEY).await.is_empty(), "the cart is no cart any more");
        shop.now = at("2026-03-01T12:00:00Z");
        shop.happen(|batch, now| buy(batch, "cid", now)).await;
        for id in ["bob", "cid"] {
            let way = ways(&shop, id, JOURNEY).await;
            assert!(way[0].ends_with("bought: yes → no_need: always"), "{id}: {way:?}");
        }
        assert_eq!(told(&shop, "dan").await.len(), 1);
        assert_eq!(shop.messages().await, 1);
    });
}

#[test]
fn who_comes_back_to_the_cart_is_reminded_when_it_is_left_again() {
    block_on(async {
        let mut shop = shop().await;
        leave(&mut shop, &["ann"]).await;
        shop.until(at("2026-03-01T11:30:00Z")).await;
        shop.happen(|batch, now| fill(batch, "ann", now, &LINES[..2])).await;
        shop.until(at("2026-03-01T12:00:00Z")).await;
        let way = ways(&shop, "ann", JOURNEY).await;
        assert!(way[0].ends_with("as_it_was: no → no_need: always"), "{way:?}");
        shop.until(at("2026-03-01T13:30:00Z")).await;
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-01T13:30:00Z"]);
        let mail = message(&shop, "ann", "mail").await;
        assert!(!mail.message.variables.contains("vase"), "what is in it now: {}", mail.message.variables);
    });
}

#[test]
fn a_purchase_or_a_click_reaches_the_goal() {
    block_on(async {
        let mut shop = shop().await;
        let letterbox = Letterbox::of(&shop);
        leave(&mut shop, &["ann", "bob", "cid", "dan"]).await;
        shop.until(at("2026-03-01T12:00:00Z")).await;
        letterbox.deliver(&mut shop).await;
        shop.until(at("2026-03-02T08:00:00Z")).await;
        shop.happen(|batch, now| buy(batch, "ann", now)).await;
        let link = |url: &str| -> Map<_, _> {
            [("link".to_owned(), json!("Basket")), ("url".to_owned(), json!(url))].into_iter().collect()
        };
        let mail = message(&shop, "bob", "mail").await;
        interact(
            &mut shop,
            mail.message.id,
            kind::EMAIL_CLICKED,
            link("https://shop.example.test/cart/k-bob"),
        )
        .await;
        let mail = message(&shop, "cid", "mail").await;
        interact(&mut shop, mail.message.id, kind::EMAIL_OPENED, Map::new()).await;
        shop.until(at("2026-03-03T12:00:00Z")).await;
        let ends = [
            ("ann", "bought_now: yes → reached: always"),
            ("bob", "bought_now: no → clicked: yes → reached: always"),
            ("cid", "bought_now: no → clicked: no → not_reached: always"),
            ("dan", "bought_now: no → clicked: no → not_reached: always"),
        ];
        for (id, end) in ends {
            let way = ways(&shop, id, JOURNEY).await;
            assert!(way[0].ends_with(end), "{id}: {way:?}");
        }
        let (standings, _) = standing(&shop.store.db, &slug(JOURNEY), 1).await.unwrap();
        assert_eq!((standings[0].totals.entered, standings[0].totals.goals), (4, 2));
        assert_eq!(standings[0].goal_share(), Some(5_000));
    });
}

#[test]
fn what_comes_late_and_out_of_order_counts_where_it_belongs() {
    block_on(async {
        let mut shop = shop().await;
        let ten = shop.now;
        // A cart of half past nine comes at ten: its hour is over at half past ten.
        shop.happen(|batch, now| fill(batch, "ann", now.plus(-30 * Timestamp::MINUTE), LINES)).await;
        // An older state of a cart comes after a newer one: it changes nothing.
        leave(&mut shop, &["bob"]).await;
        shop.happen(|batch, now| fill(batch, "bob", now.plus(-Timestamp::HOUR), &[])).await;
        // A purchase comes before the cart that it bought.
        shop.happen(|batch, now| buy(batch, "cid", now)).await;
        shop.happen(|batch, now| fill(batch, "cid", now.plus(-Timestamp::MINUTE), LINES)).await;
        // A cart of last week is no news.
        shop.happen(|batch, now| fill(batch, "dan", now.plus_days(-7), LINES)).await;
        shop.until(at("2026-03-01T10:30:00Z")).await;
        assert_eq!(ways(&shop, "ann", JOURNEY).await.len(), 1);
        shop.until(at("2026-03-01T11:30:00Z")).await;
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-01T11:30:00Z"]);
        assert_eq!(ways(&shop, "bob", JOURNEY).await, [DELAY]);
        // A purchase of the hour before last comes only now, and in time.
        shop.happen(|batch, _| buy(batch, "bob", ten.plus(15 * Timestamp::MINUTE))).await;
        shop.pass(Timestamp::DAY).await;
        assert_eq!(told(&shop, "bob").await, [""; 0]);
        assert!(ways(&shop, "cid", JOURNEY).await.is_empty());
        assert!(ways(&shop, "dan", JOURNEY).await.is_empty(), "{:?}", ways(&shop, "dan", JOURNEY).await);
    });
}

#[test]
fn a_repeated_cart_or_click_changes_nothing() {
    block_on(async {
        let mut shop = shop().await;
        let ten = shop.now;
        leave(&mut shop, &["ann"]).await;
        // The shop's connector sends the same state again, later.
        shop.pass(30 * Timestamp::MINUTE).await;
        shop.happen(|batch, _| fill(batch, "ann", ten, LINES)).await;
        shop.until(at("2026-03-01T11:00:00Z")).await;
        assert_eq!(ways(&shop, "ann", JOURNEY).await, [DELAY]);
        shop.happen(|batch, _| fill(batch, "ann", ten, LINES)).await;
        shop.pass(Timestamp::DAY).await;
        shop.happen(|batch, _| fill(batch, "ann", ten, LINES)).await;
        shop.pass(10 * Timestamp::DAY).await;
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-01T12:00:00Z"]);
    });
}
