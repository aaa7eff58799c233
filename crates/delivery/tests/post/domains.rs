//! Shares of recipients' domains, through the worker.

use std::sync::Arc;

use delivery::{Delivery, pace::shape::Shaper};
use model::Timestamp;
use serde_json::json;
use storage::{outbox::MessageState, settings::SettingsStore};

use crate::{
    support::{Manners, Sink},
    world::World,
};

#[tokio::test]
async fn a_domain_over_its_share_waits_and_holds_up_nobody() {
    let world = World::new().await;
    let rules = json!({"domains": {"slow.example": {"per_minute": 1}}});
    world.store.save_setting(policy::SETTING.into(), rules).await.unwrap();
    let sink = Sink::start(Manners::default()).await;
    for n in 0..40 {
        let domain = if n < 30 { "slow.example" } else { "quick.example" };
        let contact = world.contact(&format!("c{n}@{domain}")).await;
        world.decide(contact, "a").await;
    }
    let summary = world.deliver(World::smtp(&sink), &world.delivery()).await;
    assert_eq!(summary.count(MessageState::Sent), 11);
    let rows = world.rows().await;
    let waiting: Vec<_> = rows.iter().filter(|row| row.state == MessageState::Waiting).collect();
    assert_eq!(waiting.len(), 29);
    assert!(waiting.iter().all(|row| row.reason.as_deref() == Some("domain.pace") && row.at > world.now()));
    world.pass(Timestamp::HOUR);
    world.store.save_setting(policy::SETTING.into(), json!({})).await.unwrap();
    world.deliver(World::smtp(&sink), &world.delivery()).await;
    assert!(world.rows().await.iter().all(|row| row.state == MessageState::Sent));
}

#[tokio::test]
async fn a_domain_that_says_not_now_is_left_alone_while_others_go_on() {
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    for n in 0..60 {
        let address =
            if n % 2 == 0 { format!("soft9{n}@grey.example") } else { format!("c{n}@quick.example") };
        let contact = world.contact(&address).await;
        world.decide(contact, "a").await;
    }
    // Once the pauses are long the rest is put off; the test does not wait for them.
    let shaper = Arc::new(Shaper::patient());
    for _ in 0..12 {
        shaper.enter("grey.example", policy::DomainLimit::default()).ok();
        shaper.leave("grey.example", delivery::pace::shape::Heard::Slow);
    }
    let delivery = Delivery { shaper, ..world.delivery() };
    let summary = world.deliver(World::smtp(&sink), &delivery).await;
    assert_eq!(summary.count(MessageState::Sent), 30);
    assert_eq!((0..60).map(|n| sink.tries(&format!("soft9{n}@grey.example"))).sum::<u32>(), 0);
    let put_off = world.rows().await;
    assert_eq!(put_off.iter().filter(|row| row.reason.as_deref() == Some("domain.pace")).count(), 30);
}
