//! What follows from reports.

use model::{AddressStatus, Channel, ConsentState, ContactId, MessageId, Timestamp, event::kind};
use serde_json::json;
use storage::{
    contacts::ContactStore,
    events::EventStore,
    outbox::{AddressHash, MessageState, OutboxStore, SuppressionReason},
    post::{About, PostStore, Report, ReportKind, Reported, SETTING, SoftRow},
    settings::SettingsStore,
};

use crate::{
    support::{Manners, Sink},
    world::World,
};

fn report(about: About, kind: ReportKind, at: Timestamp) -> Report {
    let status = "5.1.1".to_owned();
    Report {
        about,
        kind,
        at,
        source: "dsn".into(),
        status,
        detail: "550 <ann@example.test>".into(),
        once: None,
    }
}

async fn say(world: &World, message: MessageId, kind: ReportKind) -> Reported {
    let one = report(About::Message(message), kind, world.now());
    world.store.report(world.now(), vec![one]).await.unwrap()[0]
}

async fn row(world: &World) -> SoftRow {
    let address = AddressHash::of(Channel::Email, "ann@example.test");
    world.store.load_soft_rows(vec![address]).await.unwrap()[0]
}

async fn events(world: &World, contact: ContactId, kind: &str) -> usize {
    let all = world.store.load_events(vec![contact], vec![kind.into()], Timestamp(0), Timestamp::MAX).await;
    all.unwrap().len()
}

async fn sent(world: &World, sink: &Sink, contact: ContactId, node: &str) -> MessageId {
    let id = world.decide(contact, node).await;
    world.deliver(World::smtp(sink), &world.delivery()).await;
    id
}

#[tokio::test]
async fn what_a_server_takes_may_still_come_back() {
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    let ann = world.contact("ann@example.test").await;
    // Each mail is taken and comes back hours later: the row grows although every hand-over went well.
    for (n, node) in (1..).zip(["a", "b"]) {
        let id = sent(&world, &sink, ann, node).await;
        world.pass(6 * Timestamp::HOUR);
        assert_eq!(say(&world, id, ReportKind::Soft).await, Reported::Taken(Some(ann)));
        assert_eq!(say(&world, id, ReportKind::Soft).await, Reported::Repeated);
        assert_eq!(row(&world).await.in_a_row, n);
        world.pass(7 * Timestamp::DAY);
    }
    // One that nobody sends back: after five days it has arrived, and the next mail finds a new row.
    sent(&world, &sink, ann, "c").await;
    world.pass(4 * Timestamp::DAY);
    sent(&world, &sink, ann, "d").await;
    assert_eq!(row(&world).await.in_a_row, 2, "too early to say");
    world.pass(Timestamp::DAY);
    sent(&world, &sink, ann, "e").await;
    assert_eq!(row(&world).await.in_a_row, 0);
}

#[tokio::test]
async fn the_setting_says_how_many_and_for_how_long() {
    let world = World::new().await;
    world
        .store
        .save_setting(SETTING.into(), json!({"soft_in_a_row": 1, "pause_days": [2, 9], "hard_days": 30}))
        .await
        .unwrap();
    let sink = Sink::start(Manners::default()).await;
    let ann = world.contact("ann@example.test").await;
    let address = AddressHash::of(Channel::Email, "ann@example.test");
    for (node, days) in [("a", 2), ("b", 9), ("c", 9)] {
        let id = sent(&world, &sink, ann, node).await;
        say(&world, id, ReportKind::Soft).await;
        let found = world.store.suppressions(vec![address], world.now()).await.unwrap().remove(0).unwrap();
        assert_eq!(
            (found.reason, found.until),
            (SuppressionReason::SoftBounces, Some(world.now().plus_days(days)))
        );
        world.pass(days * Timestamp::DAY);
    }
    let id = sent(&world, &sink, ann, "d").await;
    say(&world, id, ReportKind::Hard).await;
    let found = world.store.suppressions(vec![address], world.now()).await.unwrap().remove(0).unwrap();
    assert_eq!((found.reason, found.until), (SuppressionReason::HardBounce, Some(world.now().plus_days(30))));
    assert_eq!(found.detail, "5.1.1", "no address is kept");
}

#[tokio::test]
async fn a_report_is_about_the_address_that_was_written_to() {
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    let ann = world.contact("ann@example.test").await;
    let id = sent(&world, &sink, ann, "a").await;
    // She changes her address before the bounce comes.
    let mut batch = storage::imports::ImportBatch::new(world.now().plus(1));
    batch.contacts.push(storage::imports::ContactPatch {
        external_id: Some("ann@example.test".into()),
        email: Some("new@example.test".into()),
        ..Default::default()
    });
    storage::imports::ImportStore::import(&world.store.db, batch).await.unwrap();
    assert_eq!(say(&world, id, ReportKind::Hard).await, Reported::Taken(Some(ann)));
    let hash = |email: &str| AddressHash::of(Channel::Email, email);
    let both = vec![hash("ann@example.test"), hash("new@example.test")];
    let found = world.store.suppressions(both, world.now()).await.unwrap();
    assert!(found[0].is_some() && found[1].is_none());
    let contact = &world.store.load_contacts(vec![ann]).await.unwrap()[0];
    assert_eq!(contact.email_status, AddressStatus::Active);
}

#[tokio::test]
async fn messages_are_marked_and_unknown_ones_are_said_to_be() {
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    let ann = world.contact("ann@example.test").await;
    assert_eq!(say(&world, MessageId([9; 16]), ReportKind::Hard).await, Reported::Unknown);
    let id = sent(&world, &sink, ann, "a").await;
    for (kind, reason) in [
        (ReportKind::Delivered, None),
        (ReportKind::Hard, Some("bounce.hard")),
        (ReportKind::Soft, Some("bounce.hard")),
        (ReportKind::Complaint, Some("complaint")),
        (ReportKind::Unsubscribed, Some("complaint")),
    ] {
        say(&world, id, kind).await;
        let row = &world.rows().await[0];
        assert_eq!((row.state, row.reason.as_deref()), (MessageState::Sent, reason), "{kind:?}");
    }
    let contact = &world.store.load_contacts(vec![ann]).await.unwrap()[0];
    assert_eq!(contact.consent("newsletter"), ConsentState::Unsubscribed);
    assert_eq!(events(&world, ann, kind::UNSUBSCRIBED).await, 1, "the second no changes nothing");
    assert_eq!(events(&world, ann, kind::EMAIL_BOUNCED).await, 2);
    assert_eq!(world.store.load_reports(id).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_newer_yes_stands_against_an_older_complaint() {
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    let ann = world.contact("ann@example.test").await;
    let id = sent(&world, &sink, ann, "a").await;
    let old = report(About::Message(id), ReportKind::Unsubscribed, world.now().plus(-Timestamp::DAY));
    world.store.report(world.now(), vec![old]).await.unwrap();
    let contact = &world.store.load_contacts(vec![ann]).await.unwrap()[0];
    assert_eq!(contact.consent("newsletter"), ConsentState::Subscribed);
}

#[tokio::test]
async fn an_address_stands_for_the_last_message_to_it() {
    let world = World::new().await;
    let sink = Sink::start(Manners::default()).await;
    let ann = world.contact("ann@example.test").await;
    let first = sent(&world, &sink, ann, "a").await;
    world.pass(Timestamp::HOUR);
    let last = sent(&world, &sink, ann, "b").await;
    let mut one = report(About::Address("Ann@example.test".into()), ReportKind::Hard, world.now());
    one.once = Some("service:1".into());
    let mut stranger =
        report(About::Address("stranger@example.test".into()), ReportKind::Complaint, world.now());
    stranger.once = Some("service:2".into());
    let both = vec![one, stranger];
    let reported = world.store.report(world.now(), both.clone()).await.unwrap();
    assert_eq!(reported, [Reported::Taken(Some(ann)), Reported::Taken(None)]);
    assert_eq!(world.store.report(world.now(), both).await.unwrap(), [Reported::Repeated; 2]);
    assert!(world.store.load_reports(first).await.unwrap().is_empty());
    assert_eq!(world.store.load_reports(last).await.unwrap()[0].kind, ReportKind::Hard);
    let address = AddressHash::of(Channel::Email, "stranger@example.test");
    assert!(world.store.suppressions(vec![address], world.now()).await.unwrap()[0].is_some());
}
