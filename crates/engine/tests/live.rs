//! The living engine through its own door: live imports in, messages and traces out, under a virtual clock.

mod support;

use model::{Consent, ConsentState, Slug, Timestamp};
use storage::imports::ImportEvent;
use support::{MAIL, Shop, folder};
use testkit::{block_on, contact, event, order};

fn subscriber(id: &str, now: Timestamp) -> storage::imports::ContactPatch {
    let mut patch = contact(id);
    patch.consents.push(Consent {
        purpose: Slug::parse("newsletter").unwrap(),
        state: ConsentState::Subscribed,
        at: now,
        source: "test".into(),
        proof: "test".into(),
    });
    patch
}

const REMINDER: &str = r#"
format: 1
journey: reminder
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
"#;

fn left(contact: &str, now: Timestamp, total: i64) -> ImportEvent {
    let mut event = event(contact, "Checkout Left", now, "", "");
    event.properties.insert("total".into(), total.into());
    event
}

#[test]
fn an_event_starts_a_journey_that_waits_and_writes_unless_they_buy() {
    block_on(async {
        let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
        shop.past(|batch| {
            for id in ["ann", "bob", "cid"] {
                batch.contacts.push(subscriber(id, Timestamp(0)));
            }
        })
        .await;
        shop.publish(&folder(REMINDER, &[("templates/hello.yaml", MAIL)])).await;
        shop.happen(|batch, now| {
            batch.events.push(left("ann", now, 51));
            batch.events.push(left("bob", now, 51));
            batch.events.push(left("cid", now, 50));
        })
        .await;
        shop.pass(30 * Timestamp::MINUTE).await;
        shop.happen(|batch, now| order(batch, "o1", "bob", now, &[("mug", 1, 60)])).await;
        shop.pass(29 * Timestamp::MINUTE).await;
        assert_eq!(shop.messages().await, 0, "the hour is not over");
        shop.restart().await;
        shop.pass(Timestamp::MINUTE).await;
        assert_eq!(shop.messages().await, 1);
        assert_eq!(
            shop.ways("ann", "reminder").await,
            ["start: always → pause: stays (until 2026-03-01T11:00:00Z) → pause: always → mail: sent"]
        );
        assert_eq!(
            shop.ways("bob", "reminder").await,
            ["start: always → pause: stays (until 2026-03-01T11:00:00Z) → pause: left (exit_event)"]
        );
        assert!(shop.ways("cid", "reminder").await.is_empty(), "50 is not greater than 50");
    });
}
