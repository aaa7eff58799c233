//! Seed 001: what each RFM group gets to see, in one mail, in a flow, and when the group changes.

use model::Timestamp;
use storage::imports::ImportBatch;
use testkit::{at, block_on, order, product};

use crate::{
    support::Shop,
    world::{Letterbox, example, message, subscriber, told},
};

/// How much, how often, and how many days ago for the last time: champions `ann`, loyal `dan`, recent `cid`, inactive `bob`.
const CUSTOMERS: [(&str, &str, i64, i64, i64); 9] = [
    ("ann", "en-GB", 5, 100, 10),
    ("bob", "fr-FR", 1, 5, 400),
    ("cid", "fr-FR", 1, 10, 20),
    ("dan", "en-GB", 5, 100, 364),
    ("eve", "en-GB", 2, 30, 200),
    ("fay", "en-GB", 2, 31, 210),
    ("gus", "en-GB", 2, 32, 220),
    ("hal", "en-GB", 1, 6, 500),
    ("ivy", "en-GB", 1, 7, 510),
];
const PRODUCTS: [(&str, i64); 6] =
    [("lamp", 75), ("rug", 150), ("clock", 80), ("mug", 6), ("bell", 3), ("bowl", 12)];

fn bought(batch: &mut ImportBatch, id: &str, times: i64, price: i64, last: Timestamp) {
    for again in 0..times {
        order(batch, &format!("{id}-{}-{again}", last.0), id, last.plus_days(-again), &[("mug", 1, price)]);
    }
}

/// It is 1 March, ten o'clock.
async fn shop() -> Shop {
    let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
    let now = shop.now;
    shop.past(|batch| {
        for (id, price) in PRODUCTS {
            let mut patch = product(id, price);
            patch.url = Some(format!("https://shop.example.test/p/{id}"));
            patch.published_at = Some(now.plus_days(-price));
            batch.products.push(patch);
        }
        for (id, locale, times, price, days) in CUSTOMERS {
            batch.contacts.push(subscriber(id, locale));
            bought(batch, id, times, price, now.plus_days(-days));
        }
        batch.contacts.push(subscriber("joy", "en-GB"));
    })
    .await;
    shop
}

#[test]
fn one_mail_shows_each_group_its_own_part() {
    block_on(async {
        let mut shop = shop().await;
        let letterbox = Letterbox::of(&shop);
        shop.publish(&example("s1/campaign")).await;
        assert_eq!(shop.messages().await, 9, "joy never bought: she is in no group");
        letterbox.deliver(&mut shop).await;
        let mut texts = Vec::new();
        for (id, ..) in CUSTOMERS {
            texts.push(letterbox.read(&message(&shop, id, "mail").await));
        }
        let sees = |place: usize, what: &str| texts[place].contains(what);
        assert!(
            sees(0, "Before anybody else") && sees(0, "Our finest") && !sees(0, "Just in"),
            "champion: {}",
            texts[0]
        );
        assert!(!sees(0, "Free delivery"), "hidden from champions, and from nobody else");
        assert!(!sees(0, "Welcome back"), "she always was one");
        assert!(sees(1, "Petits prix") && !sees(1, "Avant tout le monde") && sees(1, "Livraison offerte"));
        assert!(sees(2, "Tout juste arrivés") && !sees(2, "Petits prix") && !sees(2, "Nos plus belles"));
        assert!(sees(3, "Our finest") && sees(3, "Just in"), "loyal: {}", texts[3]);
        insta::assert_snapshot!("s1.champion.en", texts[0]);
        insta::assert_snapshot!("s1.inactive.fr", texts[1]);
    });
}

#[test]
fn a_week_after_an_order_the_flow_parts_by_group() {
    block_on(async {
        let mut shop = shop().await;
        let letterbox = Letterbox::of(&shop);
        shop.publish(&example("s1/flow")).await;
        shop.happen(|batch, now| {
            order(batch, "new-ann", "ann", now, &[("rug", 1, 150)]);
            order(batch, "new-cid", "cid", now, &[("bell", 1, 3)]);
            order(batch, "new-joy", "joy", now, &[("bell", 1, 3)]);
            order(batch, "new-hal", "hal", now.plus_days(-1), &[("bell", 1, 3)]);
        })
        .await;
        shop.pass(2 * Timestamp::DAY).await;
        // Another order of the same week starts nothing anew.
        shop.happen(|batch, now| order(batch, "more-ann", "ann", now, &[("bell", 1, 3)])).await;
        shop.until(at("2026-03-08T09:59:59Z")).await;
        assert_eq!(shop.messages().await, 0);
        shop.until(at("2026-03-08T10:00:00Z")).await;
        assert_eq!(told(&shop, "ann").await, ["review 2026-03-08T10:00:00Z"]);
        assert_eq!(told(&shop, "cid").await, ["cross 2026-03-08T10:00:00Z"]);
        assert_eq!(told(&shop, "hal").await, [""; 0], "an order of yesterday is no news: it starts nothing");
        letterbox.deliver(&mut shop).await;
        let mails = [("review.en", "ann", "review"), ("cross.fr", "cid", "cross")];
        for (name, contact, node) in mails {
            insta::assert_snapshot!(
                format!("s1.{name}"),
                letterbox.read(&message(&shop, contact, node).await)
            );
        }
        shop.pass(20 * Timestamp::DAY).await;
        assert_eq!(told(&shop, "ann").await.len(), 1);
    });
}

#[test]
fn a_fall_and_a_rise_are_noticed_when_they_happen() {
    block_on(async {
        let mut shop = shop().await;
        let letterbox = Letterbox::of(&shop);
        // The model is scored because somebody asks for it; who is where already is no news.
        shop.publish(&example("s1/flow")).await;
        shop.publish(&example("s1/group-changes")).await;
        shop.until(at("2026-03-04T00:59:59Z")).await;
        assert_eq!(shop.messages().await, 0);
        // On the 366th day the last order of dan is long ago: loyal becomes needs_attention.
        shop.until(at("2026-03-04T01:00:00Z")).await;
        assert_eq!(told(&shop, "dan").await, ["we_care 2026-03-04T01:00:00Z"]);
        // Bob comes back with many orders: inactive becomes champions, with the order that brings it about.
        shop.until(at("2026-03-05T15:30:00Z")).await;
        shop.happen(|batch, now| {
            for number in 0..6 {
                order(batch, &format!("back-{number}"), "bob", now, &[("rug", 1, 150)]);
            }
        })
        .await;
        assert_eq!(told(&shop, "bob").await, ["thanks 2026-03-05T15:30:00Z"]);
        letterbox.deliver(&mut shop).await;
        for (name, contact, node) in [("thanks.fr", "bob", "thanks"), ("we-care.en", "dan", "we_care")] {
            insta::assert_snapshot!(
                format!("s1.{name}"),
                letterbox.read(&message(&shop, contact, node).await)
            );
        }
        // One mail shows where somebody came from, too.
        shop.publish(&example("s1/campaign")).await;
        letterbox.deliver(&mut shop).await;
        let picks = letterbox.read(&message(&shop, "bob", "mail").await);
        assert!(picks.contains("Vous revoilà parmi nos champions"), "{picks}");
        let picks = letterbox.read(&message(&shop, "ann", "mail").await);
        assert!(!picks.contains("Welcome back among"), "{picks}");
    });
}
