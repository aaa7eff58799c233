//! What users of other systems complain of (issue numbers in the comments): none of it happens here.

use model::{AddressStatus, ConsentState, Timestamp};
use serde_json::{Value as Json, json};
use storage::{
    imports::{ImportEvent, ImportStore},
    outbox::MessageState,
};
use testkit::{block_on, event};

use crate::{
    support::{MAIL, Shop, folder},
    world::{Letterbox, consent, subscriber, told, ways},
};

const WITH_MAIL: &[(&str, &str)] = &[("templates/hello.yaml", MAIL)];

async fn shop(contacts: &[&str]) -> Shop {
    let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
    shop.past(|batch| contacts.iter().for_each(|id| batch.contacts.push(subscriber(id, "en-GB")))).await;
    shop
}

fn of_cart(contact: &str, kind: &str, now: Timestamp, cart: Json) -> ImportEvent {
    let mut event = event(contact, kind, now, "", "");
    event.properties.insert("cart_id".into(), cart);
    event
}

/// Enters with an event, waits for another of the same cart.
const KEYED: &str = "
format: 1
journey: keyed
audience: {who: all}
triggers: [{on: event, event: Cart Left, properties: {cart_id: integer}, key: trigger.cart_id}]
reentry: per_key
nodes:
  paid: {kind: wait_for, event: Cart Paid, limit: P1D}
  mail: {kind: send_email, template: hello, purpose: newsletter}
  thanks: {kind: end}
links:
  - {from: start, to: paid}
  - {from: paid, to: thanks, when: 'yes'}
  - {from: paid, to: mail, when: 'no'}
";

// Dittofeed #682 (entry by event and a wait in one journey refused), #1463, #1596 (wrong key after the entry), #1787 (keys
// that are whole numbers).
#[test]
fn a_journey_that_an_event_begins_waits_for_another_of_the_same_cart() {
    block_on(async {
        let mut shop = shop(&["ann", "bob"]).await;
        shop.publish(&folder(KEYED, WITH_MAIL)).await;
        shop.happen(|batch, now| {
            batch.events.push(of_cart("ann", "Cart Left", now, json!(17)));
            batch.events.push(of_cart("ann", "Cart Left", now, json!(18)));
            batch.events.push(of_cart("bob", "Cart Left", now, json!(17)));
        })
        .await;
        shop.pass(Timestamp::HOUR).await;
        shop.restart().await;
        // The cart's id as a text this time: it is the same cart. And nobody else's.
        shop.happen(|batch, now| batch.events.push(of_cart("ann", "Cart Paid", now, json!("17")))).await;
        shop.pass(Timestamp::DAY).await;
        let mut ann = ways(&shop, "ann", "keyed").await;
        ann.sort();
        assert_eq!(ann.len(), 2);
        assert!(ann[0].ends_with("paid: no → mail: sent"), "{ann:?}");
        assert!(ann[1].ends_with("paid: yes → thanks: always"), "{ann:?}");
        assert_eq!(told(&shop, "bob").await.len(), 1, "the same number, but another's cart");
    });
}

/// Writes once to whoever comes.
const ONCE: &str = "
format: 1
journey: once
audience: {who: all}
triggers: [{on: event, event: Signed Up}]
nodes:
  mail: {kind: send_email, template: hello, purpose: newsletter}
  pause: {kind: wait, for: PT1H}
  again: {kind: send_email, template: hello, purpose: newsletter}
links: [{from: start, to: mail}, {from: mail, to: pause}, {from: pause, to: again}]
";

// Parcelvoy #462 (entered four times), Mautic #2215 #7226 #8802, Dittofeed #1729 (events delivered twice), #958.
#[test]
fn what_is_told_twice_is_written_once() {
    block_on(async {
        let mut shop = shop(&["ann"]).await;
        shop.publish(&folder(ONCE, WITH_MAIL)).await;
        let letterbox = Letterbox::of(&shop);
        let began = shop.now;
        for _ in 0..3 {
            shop.happen(|batch, _| {
                let mut event = event("ann", "Signed Up", began, "", "");
                event.message_id = Some("m1".into());
                batch.events.push(event);
            })
            .await;
            shop.restart().await;
            shop.settle().await;
            shop.publish(&folder(ONCE, WITH_MAIL)).await;
            letterbox.deliver(&mut shop).await;
            shop.pass(10 * Timestamp::MINUTE).await;
        }
        // The same thing again, not only the same event: they are inside, so nothing begins.
        shop.happen(|batch, now| batch.events.push(event("ann", "Signed Up", now, "", ""))).await;
        shop.pass(Timestamp::DAY).await;
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-01T10:00:00Z", "again 2026-03-01T11:00:00Z"]);
        assert_eq!(letterbox.deliver(&mut shop).await[&MessageState::Sent], 1);
        assert!(letterbox.deliver(&mut shop).await.is_empty(), "nothing is left to hand over");
    });
}

// Parcelvoy #442 (mail after unsubscribe), Notifuse #304 (unsubscribed still in automation).
#[test]
fn nobody_is_written_to_after_they_said_no() {
    block_on(async {
        let mut shop = shop(&["ann", "bob"]).await;
        shop.publish(&folder(ONCE, WITH_MAIL)).await;
        let letterbox = Letterbox::of(&shop);
        shop.happen(|batch, now| {
            for id in ["ann", "bob"] {
                batch.events.push(event(id, "Signed Up", now, "", ""));
            }
        })
        .await;
        // Decided, not yet handed over; and another that would be decided later.
        shop.happen(|batch, now| {
            let mut patch = subscriber("ann", "en-GB");
            patch.consents = vec![consent("newsletter", ConsentState::Unsubscribed, now)];
            batch.contacts.push(patch);
        })
        .await;
        let states = letterbox.deliver(&mut shop).await;
        assert_eq!((states[&MessageState::Sent], states[&MessageState::Skipped]), (1, 1));
        shop.pass(Timestamp::DAY).await;
        let states = letterbox.deliver(&mut shop).await;
        assert_eq!(states.get(&MessageState::Sent), Some(&1), "bob's second mail alone");
        // What was decided is recorded with why it did not leave; what was refused already stands in the trace.
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-01T10:00:00Z (unsubscribed)"]);
        let way = shop.ways("ann", "once").await;
        assert!(way[0].contains("again: not_sent") && way[0].contains("unsubscribed"), "{way:?}");
    });
}

const FIELDS: &str = "fields: {flag: {name: Flag, type: boolean}, reached: {name: Reached, type: boolean}}";
const FLAGGED: &str = "
format: 1
segment: flagged
name: Flagged
condition: {field: flag, is: true}
";
const DOWN: &str = "
format: 1
journey: down
audience: {who: all}
triggers: [{on: segment_entered, segment: flagged}]
nodes: {clear: {kind: set_field, field: flag, value: false}}
links: [{from: start, to: clear}]
";
const UP: &str = "
format: 1
journey: up
audience: {who: all}
triggers: [{on: segment_exited, segment: flagged}]
nodes: {set: {kind: set_field, field: flag, value: true}}
links: [{from: start, to: set}]
";

// Notifuse #332 #333 (a trigger that queued itself again took the server down).
#[test]
fn journeys_that_chase_each_other_through_a_segment_come_to_an_end() {
    block_on(async {
        let mut shop = shop(&["ann", "bob"]).await;
        let files = [("fields.yaml", FIELDS), ("segments/flagged.yaml", FLAGGED)];
        shop.publish(&folder(DOWN, &files)).await;
        shop.publish(&folder(UP, &files)).await;
        shop.publish(&folder(ONCE, WITH_MAIL)).await;
        shop.happen(|batch, now| {
            let mut patch = subscriber("ann", "en-GB");
            patch.fields.insert("flag".into(), Some(model::Value::Boolean(true)));
            batch.contacts.push(patch);
            batch.events.push(event("bob", "Signed Up", now, "", ""));
        })
        .await;
        let turns = shop.ways("ann", "down").await.len();
        assert!((1..=25).contains(&turns), "{turns} turns");
        assert_eq!(told(&shop, "bob").await.len(), 1, "others are served all the same");
        let before = turns;
        shop.pass(10 * Timestamp::DAY).await;
        assert_eq!(shop.ways("ann", "down").await.len(), before, "and it does not begin again by itself");
    });
}

/// Writes, then notes that it came by.
const BEYOND: &str = "
format: 1
journey: beyond
audience: {who: all}
triggers: [{on: event, event: Signed Up}]
nodes:
  mail: {kind: send_email, template: hello, purpose: newsletter}
  note: {kind: set_field, field: reached, value: true}
  pause: {kind: wait, for: PT1H}
  last: {kind: end}
links: [{from: start, to: mail}, {from: mail, to: note}, {from: note, to: pause}, {from: pause, to: last}]
";

// Parcelvoy #432 #434 (the journey stalls on a failed send), Notifuse #327 (automation stops after the e-mail node).
#[test]
fn a_message_that_cannot_be_sent_ends_nobodys_journey() {
    block_on(async {
        let mut shop = shop(&["ann", "bob", "cid"]).await;
        shop.past(|batch| {
            let mut patch = subscriber("bob", "en-GB");
            patch.email_status = Some(AddressStatus::Bounced);
            batch.contacts.push(patch);
            let mut patch = subscriber("dan", "en-GB");
            patch.email = None;
            batch.contacts.push(patch);
        })
        .await;
        let mut files = WITH_MAIL.to_vec();
        files.push(("fields.yaml", FIELDS));
        shop.publish(&folder(BEYOND, &files)).await;
        shop.happen(|batch, now| {
            for id in ["ann", "bob", "dan"] {
                batch.events.push(event(id, "Signed Up", now, "", ""));
            }
        })
        .await;
        shop.pass(Timestamp::DAY).await;
        for (id, outcome) in [("ann", "mail: sent"), ("bob", "mail: not_sent"), ("dan", "mail: not_sent")] {
            let way = ways(&shop, id, "beyond").await;
            assert!(way[0].contains(outcome) && way[0].ends_with("last: always"), "{id}: {way:?}");
        }
    });
}

// Parcelvoy #627 (nothing starts until a restart), #336 #512 (events are seen but the journey is not entered), Notifuse
// #190 (triggers never fire), Dittofeed #1657 (a signal that came too early was lost).
#[test]
fn what_happens_while_nobody_works_is_worked_on_afterwards() {
    block_on(async {
        let mut shop = shop(&["ann"]).await;
        shop.publish(&folder(ONCE, WITH_MAIL)).await;
        // Nobody works: the event, of a contact that nobody knew before, waits in the base.
        let mut batch = storage::imports::ImportBatch::new(shop.now);
        batch.live = true;
        batch.contacts.push(subscriber("new", "en-GB"));
        for id in ["ann", "new"] {
            batch.events.push(event(id, "Signed Up", shop.now, "", ""));
        }
        shop.store.db.import(batch).await.unwrap();
        shop.now = shop.now.plus(2 * Timestamp::HOUR);
        shop.restart().await;
        shop.settle().await;
        for id in ["ann", "new"] {
            assert_eq!(told(&shop, id).await.len(), 1, "{id}");
        }
        // The alarm of a wait that was due while nobody worked rings then, too.
        shop.now = shop.now.plus(3 * Timestamp::DAY);
        shop.restart().await;
        shop.settle().await;
        for id in ["ann", "new"] {
            assert_eq!(told(&shop, id).await.len(), 2, "{id}");
        }
    });
}

/// Comes by the same node three times.
const LOOP: &str = "
format: 1
journey: loop
audience: {who: all}
triggers: [{on: event, event: Signed Up}]
nodes:
  pause: {kind: wait, for: P1D}
  count: {kind: set_field, field: visits, operator: add, value: 1}
  enough: {kind: has_field, field: visits, at_least: 3}
  mail: {kind: send_email, template: hello, purpose: newsletter}
links:
  - {from: start, to: pause}
  - {from: pause, to: count}
  - {from: count, to: enough}
  - {from: enough, to: pause, when: 'no'}
  - {from: enough, to: mail, when: 'yes'}
";

// Parcelvoy ends the journey of who comes by a step again as a "circular reference"; Mautic #14034 #16107 (stuck, looping).
#[test]
fn who_comes_by_a_node_again_goes_on() {
    block_on(async {
        let mut shop = shop(&["ann"]).await;
        let files = [
            ("templates/hello.yaml", MAIL),
            ("fields.yaml", "fields: {visits: {name: Visits, type: integer}}"),
        ];
        shop.publish(&folder(LOOP, &files)).await;
        shop.happen(|batch, now| batch.events.push(event("ann", "Signed Up", now, "", ""))).await;
        shop.pass(10 * Timestamp::DAY).await;
        assert_eq!(told(&shop, "ann").await, ["mail 2026-03-04T10:00:00Z"]);
    });
}

/// To everybody who is there now.
const BROADCAST: &str = "
format: 1
journey: broadcast
audience: {who: with_email, source: existing}
nodes: {mail: {kind: send_email, template: hello, purpose: newsletter}}
links: [{from: start, to: mail}]
";

// Notifuse #157 (completed, but not all sent: pages by offset while contacts change), Plunk #348, listmonk #2313.
#[test]
fn a_broadcast_reaches_everybody_once_whatever_changes_meanwhile() {
    block_on(async {
        let mut shop = shop(&[]).await;
        shop.past(|batch| {
            (0..2_500).for_each(|n| batch.contacts.push(subscriber(&format!("c{n}"), "en-GB")))
        })
        .await;
        let letterbox = Letterbox::of(&shop);
        shop.publish(&folder(BROADCAST, WITH_MAIL)).await;
        // Somebody comes, somebody changes, and it is started over.
        shop.happen(|batch, _| {
            batch.contacts.push(subscriber("late", "en-GB"));
            let mut patch = subscriber("c7", "en-GB");
            patch.first_name = Some("Renamed".into());
            batch.contacts.push(patch);
        })
        .await;
        shop.restart().await;
        shop.publish(&folder(BROADCAST, WITH_MAIL)).await;
        assert_eq!(letterbox.deliver(&mut shop).await, [(MessageState::Sent, 2_500)].into_iter().collect());
        assert_eq!(told(&shop, "late").await, [""; 0], "the audience is frozen at the start");
        shop.pass(3 * Timestamp::DAY).await;
        assert_eq!(shop.messages().await, 2_500);
    });
}
