//! Ends of enrolments and what comes after them: goals reached later, carts that somebody else paid, consents taken back,
//! versions that break and are mended, journeys that start each other, and days on which nothing happens.

mod support;

use std::sync::{Arc, Mutex};

use delivery::{
    Answer, Delivery, Keys, Lane, Links, Mail, Mailbox, Sender, Transport, pace::Retries, worker,
};
use engine::live::outcomes::{self, Standing};
use model::{Clock, Consent, ConsentState, Slug, Timestamp, Zone, time::FixedClock};
use storage::{
    imports::ContactPatch,
    live::LiveStore,
    lives::{LifeChange, LifeCommit, LifeStore},
    outbox::{MessageFilter, OutboxStore},
};
use support::{MAIL, Shop, folder};
use testkit::{block_on, cart, contact, event, order};

const START: &str = "2026-03-02T10:00:00Z";

async fn shop(names: &[&str]) -> Shop {
    let mut shop = Shop::open(START).await;
    shop.past(|batch| batch.contacts = names.iter().map(|name| contact(name)).collect()).await;
    shop
}

async fn publish(shop: &mut Shop, journey: &str) {
    shop.publish(&folder(journey, &[("templates/hello.yaml", MAIL)])).await;
}

async fn standing(shop: &Shop, journey: &str) -> Standing {
    let slug = Slug::parse(journey).unwrap();
    outcomes::standing(&shop.store.db, &slug, 9).await.unwrap().0.remove(0)
}

const GREETING: &str = "
format: 1
journey: greeting
audience: {who: all}
triggers: [{event: Came}]
goal: {event: Order Completed, share: 50, within: P3D}
reentry: after_exit
nodes:
  mail: {kind: send_email, template: hello, purpose: transactional}
links: [{from: start, to: mail}]
";

#[test]
fn a_goal_counts_for_a_time_after_the_end_once_for_each_contact() {
    block_on(async {
        let mut shop = shop(&["ann", "bob", "cid", "dan"]).await;
        publish(&mut shop, GREETING).await;
        shop.happen(|batch, now| {
            batch.events.extend(["ann", "bob", "cid"].map(|name| event(name, "Came", now, "", "")));
        })
        .await;
        shop.pass(2 * Timestamp::DAY).await;
        // Ann comes twice, buys twice; who never came buys too.
        shop.happen(|batch, now| batch.events.push(event("ann", "Came", now, "", ""))).await;
        shop.pass(Timestamp::DAY - 1).await;
        shop.restart().await;
        for (id, who) in [("o1", "ann"), ("o2", "ann"), ("o3", "bob"), ("o4", "dan")] {
            shop.happen(|batch, now| order(batch, id, who, now, &[("mug", 1, 60)])).await;
        }
        shop.pass(1).await;
        shop.happen(|batch, now| order(batch, "o5", "cid", now, &[("mug", 1, 60)])).await;
        let standing = standing(&shop, "greeting").await;
        let totals = standing.totals;
        assert_eq!((totals.entered, totals.goals), (4, 2), "ann's last enrolment, and bob's");
        assert_eq!((totals.contacts, totals.goal_contacts), (3, 2));
        assert_eq!(standing.goal_share(), Some(6_666));
    });
}

#[test]
fn a_broadcast_that_is_finished_still_counts_its_goal() {
    block_on(async {
        let mut shop = shop(&["ann", "bob"]).await;
        let text = GREETING
            .replace("{who: all}\ntriggers: [{event: Came}]\n", "{who: all, source: existing}\n")
            .replace("reentry: after_exit", "reentry: never")
            .replace("kind: send_email, template: hello, purpose: transactional", "kind: end");
        publish(&mut shop, &text).await;
        assert_eq!(standing(&shop, "greeting").await.record.life.word(), "finished");
        shop.pass(Timestamp::DAY).await;
        shop.restart().await;
        shop.happen(|batch, now| order(batch, "o1", "ann", now, &[("mug", 1, 60)])).await;
        shop.pass(2 * Timestamp::DAY).await;
        shop.happen(|batch, now| order(batch, "o2", "bob", now, &[("mug", 1, 60)])).await;
        assert_eq!(standing(&shop, "greeting").await.totals.goal_contacts, 1);
    });
}

#[test]
fn a_cart_that_somebody_else_paid_ends_its_series_and_no_other() {
    const CARTS: &str = "
format: 1
journey: carts
audience: {who: all}
triggers: [{on: cart_abandoned, after: PT30M}]
exit: [{event: Order Completed, key: trigger.cart_id}]
goal: {event: Order Completed, key: trigger.cart_id}
reentry: per_key
nodes:
  pause: {kind: wait, for: PT2H}
  mail: {kind: send_email, template: hello, purpose: transactional}
links: [{from: start, to: pause}, {from: pause, to: mail}]
";
    const OTHER: &str = "
format: 1
journey: other
audience: {who: all}
triggers: [{event: Came}]
exit: [{event: Order Completed}]
nodes:
  pause: {kind: wait, for: PT2H}
links: [{from: start, to: pause}]
";
    const THANKS: &str = "
format: 1
journey: thanks
audience: {who: all}
triggers: [{event: Order Completed}]
nodes:
  end: {kind: end}
links: [{from: start, to: end}]
";
    block_on(async {
        let mut shop = shop(&["ann", "guest"]).await;
        for text in [CARTS, OTHER, THANKS] {
            publish(&mut shop, text).await;
        }
        shop.happen(|batch, now| {
            cart(batch, "k1", "ann", now, &[("mug", 1, 60)]);
            cart(batch, "k2", "ann", now, &[("cup", 1, 60)]);
            batch.events.push(event("ann", "Came", now, "", ""));
        })
        .await;
        shop.pass(20 * Timestamp::MINUTE).await;
        // A third cart is paid before anybody calls it abandoned.
        shop.happen(|batch, now| cart(batch, "k3", "ann", now, &[("jug", 1, 60)])).await;
        shop.pass(20 * Timestamp::MINUTE).await;
        assert_eq!(shop.ways("ann", "carts").await.len(), 2);
        shop.happen(|batch, now| {
            for (id, of) in [("o1", "k1"), ("o3", "k3")] {
                order(batch, id, "guest", now, &[("mug", 1, 60)]);
                batch.orders.last_mut().unwrap().cart_id = Some(of.into());
            }
        })
        .await;
        let ways = shop.ways("ann", "carts").await;
        assert_eq!(ways.iter().filter(|way| way.contains("left (exit_event)")).count(), 1, "{ways:?}");
        assert_eq!(standing(&shop, "carts").await.totals.goals, 1);
        assert!(!shop.ways("ann", "other").await[0].contains("left"), "ann bought nothing");
        assert!(shop.ways("ann", "thanks").await.is_empty());
        assert_eq!(shop.ways("guest", "thanks").await.len(), 2, "one for each order");
        shop.pass(3 * Timestamp::HOUR).await;
        assert_eq!(shop.ways("ann", "carts").await.len(), 2, "the timers of the third cart are gone");
        assert_eq!(shop.messages().await, 1, "for the second cart");
    });
}

#[test]
fn a_version_that_breaks_and_is_mended_goes_on() {
    const SLOW: &str = "
format: 1
journey: slow
audience: {who: all}
triggers: [{event: Came}]
nodes:
  pause: {kind: wait, for: PT8H}
  mail: {kind: send_email, template: hello, purpose: transactional}
links: [{from: start, to: pause}, {from: pause, to: mail}]
";
    block_on(async {
        let mut shop = shop(&["ann", "bob"]).await;
        publish(&mut shop, SLOW).await;
        publish(&mut shop, &SLOW.replace("slow", "other").replace("Came", "Looked").replace("PT8H", "PT1H"))
            .await;
        shop.happen(|batch, now| {
            batch.events.extend(["ann", "bob"].map(|name| event(name, "Came", now, "", "")));
        })
        .await;
        let change = async |shop: &Shop, version: u32| {
            let lives = shop.store.db.load_lives(false).await.unwrap();
            let before = lives.into_iter().find(|life| life.journey.as_str() == "slow").unwrap();
            let mut after = before.clone();
            after.pinned["templates"]["hello"] = version.into();
            let changes = vec![LifeChange { before, after }];
            assert!(
                shop.store.db.change_lives(LifeCommit { changes, ..LifeCommit::default() }).await.unwrap()
            );
        };
        change(&shop, 9).await;
        shop.settle().await;
        // Ann is touched by another journey while hers is broken; it is mended in time.
        shop.happen(|batch, now| batch.events.push(event("ann", "Looked", now, "", ""))).await;
        shop.pass(2 * Timestamp::HOUR).await;
        assert_eq!(shop.messages().await, 1);
        change(&shop, 1).await;
        shop.until(testkit::at("2026-03-02T18:00:00Z")).await;
        assert_eq!(shop.messages().await, 3, "both at their hour");

        // Again, and this time their hour comes while it is broken.
        shop.happen(|batch, now| batch.events.push(event("bob", "Came", now, "", ""))).await;
        change(&shop, 9).await;
        shop.pass(Timestamp::DAY).await;
        shop.restart().await;
        assert_eq!(shop.messages().await, 3, "it waits, and rings for nothing");
        change(&shop, 1).await;
        shop.settle().await;
        assert_eq!(shop.messages().await, 4, "what came due is done");
    });
}

/// Takes everything and counts it.
#[derive(Clone, Default)]
struct Taker(Arc<Mutex<Vec<Mail>>>);

impl Transport for Taker {
    type Lane = Self;
    const KEEPS_PAGES: bool = false;
    fn lanes(&self) -> usize {
        1
    }
    fn lane(&self) -> Self {
        self.clone()
    }
    async fn finish(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Lane for Taker {
    async fn hand_over(&mut self, mail: &Mail) -> Answer {
        self.0.lock().unwrap().push(mail.clone());
        Answer::Taken { detail: "250 ok".into() }
    }
    async fn close(self) {}
}

/// How many messages leave now.
async fn deliver(shop: &Shop) -> usize {
    let taker = Taker::default();
    let delivery = Delivery {
        sender: Arc::new(Sender {
            from: Mailbox::parse("Shop <news@shop.example>").unwrap(),
            reply_to: None,
            links: Links::new("https://mail.shop.example", Keys::new([1; 32])).unwrap(),
            unsubscribe_mailto: None,
            zone: Zone::UTC,
        }),
        clock: Arc::new(FixedClock(shop.now)) as Arc<dyn Clock>,
        machine: Arc::new(FixedClock(Timestamp(0))),
        rate: None,
        per_domain: None,
        retries: Retries { tries: 1, ..Retries::default() },
        shaper: Arc::default(),
        stop: Arc::default(),
    };
    worker::run(&shop.store.db, &Arc::new(taker.clone()), &delivery, |_| ()).await.unwrap();
    taker.0.lock().unwrap().len()
}

fn consents(name: &str, state: ConsentState, at: Timestamp) -> ContactPatch {
    let mut patch = contact(name);
    let (source, proof) = ("test".into(), String::new());
    let purpose = Slug::parse("newsletter").unwrap();
    patch.consents.push(Consent { purpose, state, at, source, proof });
    patch
}

#[test]
fn nothing_leaves_after_a_consent_was_taken_back() {
    const NEWS: &str = "
format: 1
journey: news
audience: {who: all}
triggers: [{event: Came}]
exit: [{event: Unsubscribed, where: {ref: trigger.purpose, is: newsletter}}]
nodes:
  first: {kind: send_email, template: hello, purpose: newsletter}
  pause: {kind: wait, for: P1D}
  second: {kind: send_email, template: hello, purpose: newsletter}
links: [{from: start, to: first}, {from: first, to: pause}, {from: pause, to: second}]
";
    const GOODBYE: &str = "
format: 1
journey: goodbye
audience: {who: all}
triggers: [{event: Unsubscribed}]
nodes:
  end: {kind: end}
links: [{from: start, to: end}]
";
    block_on(async {
        let mut shop = shop(&[]).await;
        shop.past(|batch| {
            let names = ["ann", "bob"];
            batch.contacts = names.map(|name| consents(name, ConsentState::Subscribed, Timestamp(0))).into();
        })
        .await;
        publish(&mut shop, NEWS).await;
        publish(&mut shop, GOODBYE).await;
        shop.happen(|batch, now| {
            batch.events.extend(["ann", "bob"].map(|name| event(name, "Came", now, "", "")));
        })
        .await;
        assert_eq!(shop.messages().await, 2);
        // Decided, not handed over: one of them takes the consent back, and says so twice.
        for _ in 0..2 {
            shop.pass(Timestamp::MINUTE).await;
            shop.happen(|batch, now| batch.contacts.push(consents("ann", ConsentState::Unsubscribed, now)))
                .await;
        }
        assert!(shop.ways("ann", "news").await[0].ends_with("pause: left (exit_event)"));
        assert_eq!(shop.ways("ann", "goodbye").await.len(), 1);
        assert_eq!(deliver(&shop).await, 1, "bob's");
        let rows = shop.store.db.list_messages(MessageFilter::default(), 0, 10).await.unwrap();
        let ann = shop.contact("ann").await;
        let hers = rows.iter().find(|row| row.message.contact == ann).unwrap();
        assert_eq!((hers.state.word(), hers.reason.as_deref()), ("skipped", Some("unsubscribed")));
        shop.pass(2 * Timestamp::DAY).await;
        assert_eq!((deliver(&shop).await, shop.messages().await), (1, 3));
    });
}

#[test]
fn events_that_journeys_raise_without_end_are_dropped_and_counted() {
    const ECHO: &str = "
format: 1
journey: echo
audience: {who: all}
triggers: [{event: Called}]
reentry: after_exit
nodes:
  again: {kind: raise_event, event: Called}
links: [{from: start, to: again}]
";
    block_on(async {
        let mut shop = shop(&["ann"]).await;
        publish(&mut shop, ECHO).await;
        shop.happen(|batch, now| batch.events.push(event("ann", "Called", now, "", ""))).await;
        let standing = standing(&shop, "echo").await;
        assert_eq!(standing.report.dropped, 1);
        assert_eq!(standing.totals.entered, u64::from(storage::live::CAUSES_MAX));
        let held = shop.store.db.count_held(Slug::parse("echo").unwrap()).await.unwrap();
        assert_eq!((held.held, held.dropped), (0, 0));
    });
}

#[test]
fn a_day_on_which_nothing_is_due_costs_nothing() {
    const SLOW: &str = "
format: 1
journey: slow
audience: {who: all}
triggers: [{event: Came}]
goal: {event: Order Completed, share: 50}
nodes:
  test: {kind: ab_test, variants: [a, b], metric: goal}
  pause: {kind: wait, for: P9D}
links: [{from: start, to: test}, {from: test, to: pause}]
";
    block_on(async {
        let names: Vec<String> = (0..300).map(|n| format!("c{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut shop = shop(&names).await;
        publish(&mut shop, SLOW).await;
        shop.happen(|batch, now| {
            batch.events.extend(names.iter().map(|name| event(name, "Came", now, "", "")));
        })
        .await;
        // The hour in which the test is looked at once more, as its tallies changed.
        shop.pass(Timestamp::HOUR).await;
        let end = shop.now.plus_days(3);
        let mut woken = Vec::new();
        while let Some(due) = shop.engine.next_due(shop.now).await.unwrap().filter(|due| *due <= end) {
            assert!(due > shop.now, "it sleeps until {due}");
            shop.now = due;
            let worked = shop.settle().await;
            assert_eq!((worked.inputs, worked.alarms, worked.waves, worked.steps), (0, 0, 0, 0));
            woken.push(due.to_string());
        }
        assert_eq!(
            woken,
            ["03", "04", "05"].map(|day| format!("2026-03-{day}T01:00:00Z")),
            "only its nights"
        );
    });
}
