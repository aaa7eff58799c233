//! Seed 002: nearly lost customers get a coupon in the morning.

use model::{ConsentState, Timestamp};
use storage::coupons::CouponStore;
use testkit::{at, block_on, order};

use crate::{
    support::Shop,
    world::{Letterbox, consent, example, message, messages, slug, subscriber, told},
};

const JOURNEY: &str = "reactivation-coupon";
/// The good customers who will not have bought for long.
const AWAY: [&str; 6] = ["ann", "bob", "cid", "dan", "eve", "fay"];
/// How many others keep buying.
const OTHERS: i64 = 30;

/// A shop in which those of [`AWAY`] bought once, for much, sixty days ago; the others often, for little. `eve` is not
/// subscribed. Nobody can be lost yet: in the night after the others bought again, those of [`AWAY`] are the oldest.
async fn shop(codes: usize) -> Shop {
    let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
    let now = shop.now;
    shop.past(|batch| {
        for (place, id) in AWAY.iter().enumerate() {
            let mut patch = subscriber(id, if *id == "bob" { "fr-FR" } else { "en-GB" });
            if *id == "eve" {
                patch.consents = vec![consent("newsletter", ConsentState::NotSubscribed, Timestamp(0))];
            }
            batch.contacts.push(patch);
            let days = 60 + i64::try_from(place).unwrap();
            order(batch, &format!("big-{id}"), id, now.plus_days(-days), &[("lamp", 1, 500)]);
        }
        for other in 0..OTHERS {
            let id = format!("c{other}");
            batch.contacts.push(subscriber(&id, "en-GB"));
            for again in 0..3 {
                let at = now.plus_days(-100 - other - again * 30);
                order(batch, &format!("old-{id}-{again}"), &id, at, &[("mug", 1, 10 + other)]);
            }
        }
    })
    .await;
    shop.publish(&example("s2")).await;
    let codes = (0..codes).map(|number| format!("BACK-{number:04}")).collect();
    shop.store.db.add_codes(slug("reactivation"), codes, now).await.unwrap();
    shop
}

/// The others buy now; `round` tells their orders apart.
async fn others_buy(shop: &mut Shop, round: u32) {
    shop.happen(|batch, now| {
        for other in 0..OTHERS {
            let (id, order_id) = (format!("c{other}"), format!("new-{round}-{other}"));
            order(batch, &order_id, &id, now, &[("mug", 1, 10 + other)]);
        }
    })
    .await;
}

#[test]
fn who_is_nearly_lost_at_one_in_the_night_is_written_to_at_nine() {
    block_on(async {
        let mut shop = shop(100).await;
        let letterbox = Letterbox::of(&shop);
        others_buy(&mut shop, 1).await;
        shop.until(at("2026-03-02T00:59:59Z")).await;
        assert!(shop.ways("ann", JOURNEY).await.is_empty(), "nobody is scored before one o'clock");
        shop.until(at("2026-03-02T01:00:00Z")).await;
        assert_eq!(
            shop.ways("ann", JOURNEY).await,
            ["start: always → morning: stays (until 2026-03-02T09:00:00Z)"]
        );
        shop.restart().await;
        shop.until(at("2026-03-02T08:59:59Z")).await;
        assert_eq!(shop.messages().await, 0);
        shop.until(at("2026-03-02T09:00:00Z")).await;
        assert_eq!(
            shop.ways("ann", JOURNEY).await,
            ["start: always → morning: stays (until 2026-03-02T09:00:00Z) → morning: always → bought: no → \
              coupon: assigned (BACK-0000) → mail: sent"]
        );
        assert!(shop.ways("eve", JOURNEY).await.is_empty(), "not subscribed: not in the segment");
        assert_eq!(shop.messages().await, 5, "one to each of the others");
        letterbox.deliver(&mut shop).await;
        for (contact, language) in [("ann", "en"), ("bob", "fr")] {
            let mail = message(&shop, contact, "mail").await;
            insta::assert_snapshot!(format!("s2.{language}"), letterbox.read(&mail));
        }
        let counts = shop.store.db.count_codes(slug("reactivation"), shop.now).await.unwrap();
        assert_eq!((counts.assigned, counts.free), (5, 95));
        shop.until(at("2026-03-10T00:00:00Z")).await;
        assert_eq!(shop.messages().await, 5, "further nights bring nothing to who is in the segment already");
    });
}

#[test]
fn who_bought_in_the_eight_hours_is_left_alone() {
    block_on(async {
        let mut shop = shop(100).await;
        others_buy(&mut shop, 1).await;
        // At the very instant of the entry, in between, and at the very instant of the decision.
        shop.until(at("2026-03-02T01:00:00Z")).await;
        shop.happen(|batch, now| order(batch, "back-ann", "ann", now, &[("mug", 1, 10)])).await;
        shop.until(at("2026-03-02T05:00:00Z")).await;
        shop.happen(|batch, now| order(batch, "back-bob", "bob", now, &[("mug", 1, 10)])).await;
        // One that is older than the eight hours by a second and comes late does not count: it is not within them.
        let before = at("2026-03-02T00:59:59Z");
        shop.happen(|batch, _| order(batch, "back-dan", "dan", before, &[("mug", 1, 10)])).await;
        shop.until(at("2026-03-02T08:59:59.999999Z")).await;
        shop.now = at("2026-03-02T09:00:00Z");
        shop.happen(|batch, now| order(batch, "back-cid", "cid", now, &[("mug", 1, 10)])).await;
        for id in ["ann", "bob", "cid"] {
            let way = shop.ways(id, JOURNEY).await;
            assert!(way[0].ends_with("bought: yes → already: always"), "{id}: {way:?}");
            assert_eq!(told(&shop, id).await, [""; 0]);
        }
        for id in ["dan", "fay"] {
            assert_eq!(told(&shop, id).await, ["mail 2026-03-02T09:00:00Z"]);
        }
        assert_eq!(shop.store.db.count_codes(slug("reactivation"), shop.now).await.unwrap().assigned, 2);
    });
}

#[test]
fn a_cancelled_order_is_no_purchase() {
    block_on(async {
        let mut shop = shop(100).await;
        others_buy(&mut shop, 1).await;
        shop.until(at("2026-03-02T03:00:00Z")).await;
        shop.happen(|batch, now| order(batch, "back-ann", "ann", now, &[("mug", 1, 10)])).await;
        shop.happen(|batch, now| {
            order(batch, "back-ann", "ann", now, &[("mug", 1, 10)]);
            batch.orders[0].status = model::OrderStatus::Cancelled;
        })
        .await;
        shop.until(at("2026-03-02T09:00:00Z")).await;
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-02T09:00:00Z"]);
    });
}

#[test]
fn who_leaves_the_group_and_comes_back_is_written_to_again_after_a_month() {
    block_on(async {
        let mut shop = shop(100).await;
        others_buy(&mut shop, 1).await;
        shop.until(at("2026-03-02T10:00:00Z")).await;
        assert_eq!(told(&shop, "ann").await.len(), 1);
        // She buys, and so leaves the group at once; the others go on buying, and she is among the oldest again.
        for (round, day, written) in [(2, "2026-03-09", 1), (3, "2026-04-09", 2)] {
            shop.happen(|batch, now| {
                order(batch, &format!("back-{round}"), "ann", now, &[("lamp", 1, 500)]);
            })
            .await;
            shop.until(at(&format!("{day}T12:00:00Z"))).await;
            others_buy(&mut shop, round).await;
            shop.pass(2 * Timestamp::DAY).await;
            assert_eq!(shop.ways("ann", JOURNEY).await.len(), written, "{day}");
            assert_eq!(told(&shop, "ann").await.len(), written, "{day}");
        }
        // A run is given a code of its own.
        let ways = shop.ways("ann", JOURNEY).await;
        assert_ne!(ways[0], ways[1]);
    });
}

#[test]
fn when_the_codes_are_used_up_the_shop_is_told_and_nobody_gets_an_empty_mail() {
    block_on(async {
        let mut shop = shop(2).await;
        let letterbox = Letterbox::of(&shop);
        others_buy(&mut shop, 1).await;
        shop.until(at("2026-03-02T09:00:00Z")).await;
        let mut nodes = Vec::new();
        for id in AWAY {
            nodes.extend(messages(&shop, id).await.into_iter().map(|row| row.message.send.node.clone()));
        }
        nodes.sort();
        assert_eq!(nodes, ["exhausted", "exhausted", "exhausted", "mail", "mail"]);
        assert!(shop.ways("fay", JOURNEY).await[0].contains("coupon: none_left → exhausted"));
        let low = shop.engine.take_low_stock();
        assert_eq!(low.len(), 1, "told once");
        letterbox.deliver(&mut shop).await;
        let alert = message(&shop, "fay", "exhausted").await;
        insta::assert_snapshot!("s2.exhausted", letterbox.read(&alert));
    });
}
