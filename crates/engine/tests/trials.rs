//! A/B tests through the engine: counted once, decided, and those who wait for the winner let go.

mod support;

use engine::live::lives::Memo;
use model::{Timestamp, event::kind};
use serde_json::json;
use storage::{
    imports::{ImportBatch, ImportEvent},
    live::{LifeRecord, LiveStore, TrialTally},
    outbox::{MessageFilter, MessageRow, OutboxStore},
};
use support::{MAIL, Shop, folder};
use testkit::{block_on, contact, event, order};

const START: &str = "2026-03-02T10:00:00Z";

/// A mass mailing with a test; `test` are its settings.
fn mailing(source: &str, test: &str) -> String {
    format!(
        "
format: 1
journey: mailing
audience: {{who: all, source: {source}}}
reentry: never
nodes:
  t: {{kind: ab_test, variants: {{a: 50, b: 50}}, {test}}}
  one: {{kind: send_email, template: hello, purpose: transactional}}
  two: {{kind: send_email, template: hello, purpose: transactional}}
links:
  - {{from: start, to: t}}
  - {{from: t, to: one, when: a}}
  - {{from: t, to: two, when: b}}
"
    )
}

async fn shop(n: usize) -> Shop {
    let mut shop = Shop::open(START).await;
    shop.past(|batch| batch.contacts = (0..n).map(|n| contact(&format!("c{n}"))).collect()).await;
    shop
}

async fn publish(shop: &mut Shop, source: &str, test: &str) {
    shop.publish(&folder(&mailing(source, test), &[("templates/hello.yaml", MAIL)])).await;
}

async fn life(shop: &Shop) -> LifeRecord {
    shop.store.db.load_lives(true).await.unwrap().remove(0)
}

/// By variant: entered and converted.
async fn tallies(shop: &Shop) -> Vec<(u64, u64)> {
    let tallies = shop.store.db.load_tallies(life(shop).await.run).await.unwrap();
    tallies.iter().map(|TrialTally { entered, converted, .. }| (*entered, *converted)).collect()
}

async fn sent(shop: &Shop, node: &str) -> Vec<MessageRow> {
    let all = shop.store.db.list_messages(MessageFilter::default(), 0, 10_000).await.unwrap();
    all.into_iter().filter(|row| row.message.send.node == node).collect()
}

async fn stays(shop: &Shop) -> u64 {
    let run = life(shop).await.run;
    shop.store.db.count_stays(run).await.unwrap().iter().map(|count| count.n).sum()
}

/// Contacts click in their mail.
fn clicks(batch: &mut ImportBatch, mails: &[MessageRow], now: Timestamp) {
    for mail in mails {
        let name = format!("c{}", mail.message.contact.0 - 1);
        let mut event = event(&name, kind::EMAIL_CLICKED, now, "", "");
        event.properties.insert("message_id".into(), json!(mail.message.id.to_string()));
        batch.events.push(event);
    }
}

#[test]
fn a_mass_mailing_waits_for_its_test() {
    block_on(async {
        let mut shop = shop(2_500).await;
        publish(&mut shop, "existing", "metric: clicks, within: P1D, end: {sample: 300}").await;
        let before = tallies(&shop).await;
        assert_eq!(before.iter().map(|(entered, _)| entered).sum::<u64>(), 300, "{before:?}");
        assert_eq!((shop.messages().await, stays(&shop).await), (300, 2_200));
        // Everybody who got the second one clicks, some of them twice; a tenth of the others.
        let (one, two) = (sent(&shop, "one").await, sent(&shop, "two").await);
        shop.pass(30 * Timestamp::MINUTE).await;
        shop.happen(|batch, now| {
            clicks(batch, &two, now);
            clicks(batch, &two[..5], now);
            clicks(batch, &one[..20], now);
        })
        .await;
        let after = tallies(&shop).await;
        assert_eq!((after[0].1, after[1].1), (20, two.len() as u64));
        assert_eq!(shop.messages().await, 300, "it is looked at once an hour");
        // Level 95 % decides within the hour; a restart loses nothing.
        shop.restart().await;
        shop.pass(Timestamp::HOUR).await;
        let memo = Memo::of(&life(&shop).await);
        assert_eq!(memo.winners["t"], "b");
        assert_eq!(memo.decided["t"].why, "significant");
        assert_eq!((shop.messages().await, stays(&shop).await), (2_500, 0));
        assert_eq!(sent(&shop, "two").await.len(), 2_500 - one.len());
        assert_eq!(tallies(&shop).await, after, "what comes after the decision is no part of the test");
    });
}

#[test]
fn a_test_ends_when_its_sample_had_its_time() {
    block_on(async {
        let mut shop = shop(50).await;
        publish(&mut shop, "existing", "metric: clicks, within: PT6H, significance: none, end: {sample: 20}")
            .await;
        let one = sent(&shop, "one").await;
        shop.pass(Timestamp::HOUR).await;
        shop.happen(|batch, now| clicks(batch, &one[..2], now)).await;
        shop.pass(5 * Timestamp::HOUR - 1).await;
        assert_eq!(shop.messages().await, 20);
        shop.pass(1).await;
        let memo = Memo::of(&life(&shop).await);
        assert_eq!((memo.winners["t"].as_str(), memo.decided["t"].why.as_str()), ("a", "end"));
        assert_eq!(shop.messages().await, 50);
        // Clicks after their time count for nothing, and nobody is at work any more.
        assert_eq!(tallies(&shop).await[0].1, 2);
    });
}

#[test]
fn a_test_that_nobody_wins_ends_at_its_date() {
    block_on(async {
        let mut shop = shop(10).await;
        publish(&mut shop, "existing", "metric: opens, end: {on: 2026-03-04T09:00, sample: 4}").await;
        shop.until(testkit::at("2026-03-04T08:59:59Z")).await;
        assert_eq!(shop.messages().await, 4);
        shop.until(testkit::at("2026-03-04T09:00:00Z")).await;
        assert_eq!(Memo::of(&life(&shop).await).decided["t"].why, "tie");
        assert_eq!(shop.messages().await, 10);
    });
}

#[test]
fn without_a_sample_all_take_part_and_purchases_count_after_the_end() {
    block_on(async {
        let mut shop = shop(40).await;
        publish(&mut shop, "existing", "metric: purchases, within: P2D").await;
        assert_eq!(shop.messages().await, 40);
        let buyer = |rows: &[MessageRow]| format!("c{}", rows[0].message.contact.0 - 1);
        let buyers = [buyer(&sent(&shop, "one").await), buyer(&sent(&shop, "two").await)];
        shop.pass(Timestamp::DAY).await;
        shop.happen(|batch, now| {
            order(batch, "o1", &buyers[0], now, &[("mug", 1, 60)]);
            order(batch, "o2", &buyers[0], now, &[("mug", 1, 60)]);
        })
        .await;
        shop.pass(Timestamp::DAY).await;
        shop.happen(|batch, now| order(batch, "o3", &buyers[1], now, &[("mug", 1, 60)])).await;
        let counted: Vec<u64> = tallies(&shop).await.into_iter().map(|(_, converted)| converted).collect();
        assert_eq!(counted, [1, 0], "once for each contact, and only in time");
    });
}

#[test]
fn an_event_of_the_shop_is_what_is_wanted() {
    block_on(async {
        let mut shop = shop(6).await;
        publish(
            &mut shop,
            "existing_and_new",
            "metric: {event: Signed Up}, significance: none, end: {after: P3D}",
        )
        .await;
        let signed = |name: &str, now| -> ImportEvent { event(name, "Signed Up", now, "", "") };
        shop.happen(|batch, now| batch.events.push(signed("c3", now))).await;
        let sum: u64 = tallies(&shop).await.iter().map(|(_, converted)| converted).sum();
        assert_eq!(sum, 1);
        shop.pass(3 * Timestamp::DAY).await;
        let winner = Memo::of(&life(&shop).await).winners["t"].clone();
        // Who comes later takes the winner, and is no part of the test.
        let before = tallies(&shop).await;
        shop.happen(|batch, _| batch.contacts.extend((10..20).map(|n| contact(&format!("c{n}"))))).await;
        assert_eq!(tallies(&shop).await, before);
        let way = shop.ways("c12", "mailing").await;
        assert!(way[0].contains(&format!("t: {winner} (winner)")), "{way:?}");
    });
}
