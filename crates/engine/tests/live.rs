//! The living engine through its own door: live imports in, messages and traces out, under a virtual clock.

mod support;

use model::{Consent, ConsentState, Slug, Timestamp, event::kind};
use sha2::{Digest, Sha256};
use storage::{
    contacts::ContactStore,
    events::EventStore,
    imports::{ContactKey, ImportEvent},
    people::PeopleStore,
    segments::{MemberAnswer, NewMembers, SegmentRecord, SegmentStore, Tell},
    settings::SettingsStore,
};
use support::{MAIL, Shop, folder};
use testkit::{block_on, cart, contact, event, order};

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

#[test]
fn two_who_become_one_are_written_to_once() {
    block_on(async {
        let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
        shop.past(|batch| {
            batch.contacts = vec![subscriber("ann", Timestamp(0)), subscriber("anna", Timestamp(0))]
        })
        .await;
        shop.publish(&folder(REMINDER, &[("templates/hello.yaml", MAIL)])).await;
        shop.happen(|batch, now| batch.events.push(left("anna", now, 60))).await;
        shop.pass(10 * Timestamp::MINUTE).await;
        shop.happen(|batch, now| batch.events.push(left("ann", now, 60))).await;
        let (ann, anna) = (shop.contact("ann").await, shop.contact("anna").await);
        shop.store.merge_contacts(ann, anna, shop.now).await.unwrap();
        shop.restart().await;
        shop.pass(2 * Timestamp::HOUR).await;
        assert_eq!(shop.messages().await, 1);
        assert_eq!(
            shop.ways("ann", "reminder").await,
            [
                "start: always → pause: stays (until 2026-03-01T11:10:00Z) → pause: left (gone)",
                "start: always → pause: stays (until 2026-03-01T11:00:00Z) → pause: always → mail: sent",
            ],
            "who entered first goes on"
        );
        assert_eq!(shop.contact("anna").await, ann);
    });
}

const CART: &str = r#"
format: 1
journey: cart
audience: {who: with_email, source: existing_and_new}
triggers: [{on: cart_abandoned, after: PT30M}]
reentry: per_key
nodes:
  mail: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: mail}
"#;

#[test]
fn a_cart_of_before_signing_in_is_remembered() {
    block_on(async {
        let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
        shop.past(|batch| batch.contacts = vec![subscriber("ann", Timestamp(0))]).await;
        shop.publish(&folder(CART, &[("templates/hello.yaml", MAIL)])).await;
        shop.happen(|batch, now| {
            cart(batch, "k1", "", now, &[("mug", 1, 5)]);
            batch.carts[0].contact = ContactKey::Anonymous("browser".into());
        })
        .await;
        shop.pass(20 * Timestamp::MINUTE).await;
        shop.happen(|batch, now| {
            let mut signs_in = event("", "Signed In", now, "", "");
            signs_in.contact = ContactKey::SignedIn {
                known: Box::new(ContactKey::ExternalId("ann".into())),
                anonymous_id: "browser".into(),
            };
            batch.events.push(signs_in);
        })
        .await;
        shop.pass(10 * Timestamp::MINUTE - 1).await;
        assert_eq!(shop.messages().await, 0);
        shop.pass(1).await;
        assert_eq!(shop.messages().await, 1, "half an hour after the cart's last change");
        shop.pass(3 * Timestamp::HOUR).await;
        assert_eq!(shop.messages().await, 1);
    });
}

const VISITS: &str = "fields:\n  visits: {type: integer}\n";

const WAITS: &str = r#"
format: 1
journey: waits
audience: {who: with_email, source: existing_and_new}
triggers: [{on: event, event: Product Viewed}]
nodes:
  pause: {kind: wait, for: PT30M}
  count: {kind: set_field, field: visits, operator: add, value: 1}
  list: {kind: remove_from_list, list: regulars}
  again: {kind: wait, for: PT1S}
  more: {kind: set_field, field: visits, operator: add, value: 1}
links:
  - {from: start, to: pause}
  - {from: pause, to: count}
  - {from: count, to: list}
  - {from: list, to: again}
  - {from: again, to: more}
"#;

const BEGINS: &str = r#"
format: 1
journey: begins
audience: {who: with_email, source: existing_and_new}
triggers: [{on: cart_abandoned, after: PT30M}]
nodes:
  count: {kind: set_field, field: visits, operator: add, value: 1}
  list: {kind: add_to_list, list: regulars}
links:
  - {from: start, to: count}
  - {from: count, to: list}
"#;

#[test]
fn runs_of_one_contact_write_one_field_in_the_order_in_which_they_go() {
    block_on(async {
        let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
        shop.past(|batch| batch.contacts = vec![contact("ann")]).await;
        for journey in [WAITS, BEGINS] {
            shop.publish(&folder(journey, &[("fields.yaml", VISITS)])).await;
        }
        shop.happen(|batch, now| {
            batch.events.push(event("ann", "Product Viewed", now, "product_id", "mug"));
            cart(batch, "k1", "ann", now, &[("mug", 1, 5)]);
        })
        .await;
        // One alarm: the cart is abandoned, which begins a run that writes before the one that waited does.
        shop.pass(30 * Timestamp::MINUTE).await;
        let ann = shop.contact("ann").await;
        let after = shop.store.load_contacts(vec![ann]).await.unwrap().remove(0);
        assert_eq!(after.fields["visits"], model::Value::Integer(2));
        assert_eq!(after.lists, Vec::<Slug>::new(), "who went last took it off");
        shop.pass(Timestamp::SECOND).await;
        let after = shop.store.load_contacts(vec![ann]).await.unwrap().remove(0);
        assert_eq!(after.fields["visits"], model::Value::Integer(3));
    });
}

#[test]
fn the_night_forgets_what_was_kept_long_enough() {
    block_on(async {
        let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
        shop.past(|batch| {
            batch.contacts = vec![contact("ann")];
            let now = batch.now;
            batch.events.push(event("ann", "Product Viewed", now.plus_days(-40), "product_id", "mug"));
            batch.events.push(event("ann", "Product Viewed", now.plus_days(-3), "product_id", "mug"));
        })
        .await;
        let kept = serde_json::json!({"events": 30});
        shop.store.save_setting(engine::people::RETENTION.into(), kept).await.unwrap();
        shop.pass(Timestamp::DAY).await;
        let ann = shop.contact("ann").await;
        let left =
            shop.store.load_events(vec![ann], Vec::new(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
        assert_eq!(left.len(), 1);
    });
}

const READERS: &str = "format: 1\nsegment: readers\ncondition: {did: Email Opened, within: P30D}\n";
const PLACE: &str = "format: 1\nsegment: place\ncondition: {field: country, is: France}\n";
const MOVES: &str = r#"
format: 1
journey: moves
audience: {who: with_email, source: existing_and_new}
triggers:
  - {on: segment_entered, segment: readers}
  - {on: segment_exited, segment: readers}
  - {on: segment_exited, segment: place}
reentry: after_exit
nodes:
  mail: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: mail}
"#;

async fn built(shop: &Shop, slug: &str) -> (SegmentRecord, Vec<u64>) {
    let (record, members) =
        shop.store.load_members(Slug::parse(slug).unwrap()).await.unwrap().expect("it is built");
    (record, members.into_iter().collect())
}

#[test]
fn a_segment_that_an_older_version_counted_otherwise_is_built_anew_and_nobody_is_told() {
    block_on(async {
        let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
        shop.past(|batch| {
            batch.contacts = vec![subscriber("ann", Timestamp(0)), subscriber("bob", Timestamp(0))];
            let mut by_machine = event("ann", kind::EMAIL_OPENED, batch.now.plus_days(-1), "", "");
            by_machine.properties.insert("machine".into(), true.into());
            batch.events =
                vec![by_machine, event("bob", kind::EMAIL_OPENED, batch.now.plus_days(-1), "", "")];
        })
        .await;
        let files = [
            ("segments/readers.yaml", READERS),
            ("segments/place.yaml", PLACE),
            ("templates/hello.yaml", MAIL),
        ];
        shop.publish(&folder(MOVES, &files)).await;
        let (ann, bob) =
            (shop.contact("ann").await.0.unsigned_abs(), shop.contact("bob").await.0.unsigned_abs());
        let (now_so, members) = built(&shop, "readers").await;
        assert_eq!(members, [bob]);
        let place = built(&shop, "place").await;

        // As it stood in the base before: ann's machine counted, and her membership would have ended by itself.
        let condition = serde_json::json!({"did": "Email Opened", "within": "P30D"});
        let digest = Sha256::new_with_prefix(condition.to_string()).chain_update(r#"Some("UTC")"#).finalize();
        let before: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let readers = now_so.slug.clone();
        let ends = shop.now.plus(Timestamp::HOUR);
        let old = NewMembers {
            slug: readers.clone(),
            fingerprint: before.clone(),
            members: [ann, bob].into_iter().collect(),
            flips: vec![(shop.contact("ann").await, ends)],
            at: shop.now,
            tell: Tell::default(),
        };
        shop.store.commit_members(old).await.unwrap();
        let kept = MemberAnswer {
            contact: shop.contact("ann").await,
            member: true,
            flip: Some(ends),
            state: Some(vec![1, 2, 3]),
        };
        shop.store.update_members(vec![(readers.clone(), before, vec![kept])], shop.now).await.unwrap();
        let states = async |shop: &Shop| {
            let ann = shop.contact("ann").await;
            shop.store.load_member_states(vec![readers.clone()], vec![ann]).await.unwrap().concat()
        };
        assert_eq!(states(&shop).await, [Some(vec![1, 2, 3])]);

        // The server stood still beyond that instant, and begins again as the newer version.
        shop.now = ends.plus(Timestamp::HOUR);
        shop.restart().await;
        shop.settle().await;
        let (record, members) = built(&shop, "readers").await;
        assert_eq!((record.fingerprint, record.built_at, members), (now_so.fingerprint, shop.now, vec![bob]));
        assert_eq!(states(&shop).await, [None]);
        assert_eq!(built(&shop, "place").await, place, "what means the same is left as it is");
        shop.pass(Timestamp::HOUR).await;
        assert_eq!(shop.messages().await, 0, "nobody has done anything");

        shop.happen(|batch, now| batch.events.push(event("ann", kind::EMAIL_OPENED, now, "", ""))).await;
        shop.pass(Timestamp::SECOND).await;
        assert_eq!(built(&shop, "readers").await.1, [ann, bob]);
        assert_eq!(shop.ways("ann", "moves").await, ["start: always → mail: sent"]);
    });
}

#[test]
fn a_segment_that_nobody_kept_true_for_a_while_is_built_anew_though_its_condition_is_the_same_again() {
    block_on(async {
        let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
        shop.past(|batch| {
            batch.contacts = vec![subscriber("ann", Timestamp(0))];
            batch.events = vec![event("ann", kind::EMAIL_OPENED, batch.now.plus_days(-29), "", "")];
        })
        .await;
        let files = [
            ("segments/readers.yaml", READERS),
            ("segments/place.yaml", PLACE),
            ("templates/hello.yaml", MAIL),
        ];
        shop.publish(&folder(MOVES, &files)).await;
        assert_eq!(built(&shop, "readers").await.1.len(), 1);
        // As it is while the condition cannot be read: time passes, and nobody is asked.
        shop.store.lay_segments_aside(vec![Slug::parse("readers").unwrap()]).await.unwrap();
        shop.now = shop.now.plus_days(2);
        shop.restart().await;
        shop.settle().await;
        let (record, members) = built(&shop, "readers").await;
        assert_eq!((record.built_at, members.len()), (shop.now, 0));
        shop.pass(Timestamp::HOUR).await;
        assert_eq!(shop.messages().await, 0);
    });
}
