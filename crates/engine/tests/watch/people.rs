//! A person whose history came in under several names and was joined is the person that it would have been from the
//! start; and whatever the engine keeps of it equals what the base says, at every instant.

use std::sync::Arc;

use engine::live::{nightly::Jobs, watch::Watch};
use model::{Cart, Contact, ContactId, Event, Order, Slug, Timestamp, Totals};
use storage::{
    catalogue::CatalogueStore,
    contacts::{ContactStore, IdentifierKind},
    events::EventStore,
    imports::{ContactKey, ImportBatch, ImportEvent, ImportStore},
    live::LiveStore,
    orders::OrderStore,
    people::{Merged, PeopleStore},
    rfm::{NO_GROUP, RfmStore},
    segments::SegmentStore,
};
use testkit::{at, block_on};

use super::{CONDITIONS, CONTACTS, Chance, House, happens, refunds};

/// Segments that read scores: cut points of a night come from who the contacts were then.
const OF_SCORES: &[&str] = &["s23", "s24", "s25", "s27"];
/// Browsers of each person.
const BROWSERS: u64 = 2;

fn browser(who: &str, chance: &mut Chance) -> String {
    format!("{who}-{}", chance.below(BROWSERS))
}

/// What names a person plainly names one of its browsers instead, or both.
fn split(key: &mut ContactKey, chance: &mut Chance) {
    let ContactKey::ExternalId(who) = key else { return };
    let anonymous_id = browser(who, chance);
    match chance.below(8) {
        0..=4 => *key = ContactKey::Anonymous(anonymous_id),
        5 => *key = ContactKey::SignedIn { known: Box::new(key.clone()), anonymous_id },
        _ => {}
    }
}

fn split_all(batch: &mut ImportBatch, chance: &mut Chance) {
    batch.events.iter_mut().for_each(|event| split(&mut event.contact, chance));
    batch.orders.iter_mut().filter_map(|order| order.contact.as_mut()).for_each(|key| split(key, chance));
    batch.carts.iter_mut().for_each(|cart| split(&mut cart.contact, chance));
    for patch in &mut batch.contacts {
        if chance.below(4) == 0 {
            let who = patch.external_id.clone().unwrap();
            patch.anonymous_ids = vec![browser(&who, chance)];
        }
    }
}

async fn work(house: &mut House, chance: &mut Chance, now: Timestamp) {
    let size = [1, 2, 50][chance.below(3) as usize];
    house.inputs(chance, size, now).await;
    house.flips(now).await;
    // Who is no more was told nothing of it.
    let told: Vec<ContactId> = house.told.keys().map(|(_, contact)| *contact).collect();
    let today = house.store.successors(told.clone()).await.unwrap();
    let gone: Vec<ContactId> =
        told.into_iter().zip(today).filter(|(was, is)| was != is).map(|(was, _)| was).collect();
    house.told.retain(|(_, contact), _| !gone.contains(contact));
}

/// Everything that a person is, without its number.
#[derive(Debug, PartialEq)]
struct Portrait {
    totals: Totals,
    events: Vec<Event>,
    orders: Vec<Order>,
    carts: Vec<Cart>,
    segments: Vec<String>,
}

async fn portrait(house: &House, who: &str) -> Option<Portrait> {
    let db = &house.store.db;
    let found = db.resolve(vec![(IdentifierKind::ExternalId, who.to_owned())]).await.unwrap()[0];
    let id = found?;
    let of = vec![id];
    let mut events = db.load_events(of.clone(), Vec::new(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    events.iter_mut().for_each(|event| event.contact = ContactId(0));
    // Of one instant: in the order of their arrival, which is the same in both.
    let mut orders = db.load_orders(of.clone(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    orders.iter_mut().for_each(|order| order.contact = None);
    let mut carts = db.load_open_carts(of.clone()).await.unwrap();
    carts.iter_mut().for_each(|cart| cart.contact = ContactId(0));
    let slugs = house.ground.workspace.segments.keys().filter(|slug| !OF_SCORES.contains(&slug.as_str()));
    let segments = slugs.filter(|slug| house.watch.is_member(slug, id) == Some(true)).cloned().collect();
    let totals = db.load_totals(of).await.unwrap().remove(0);
    Some(Portrait { totals, events, orders, carts, segments })
}

/// Where a person stands: scores and group.
async fn scores(house: &House, who: &str) -> Vec<(String, u8, u8, u8, String)> {
    let db = &house.store.db;
    let found = db.resolve(vec![(IdentifierKind::ExternalId, who.to_owned())]).await.unwrap()[0];
    let placed = db.load_placements(vec![found.unwrap()]).await.unwrap().remove(0);
    // Whether somebody who stands in no group was ever in one is history.
    let placed = placed.into_iter().filter(|p| p.group != NO_GROUP);
    placed.map(|p| (p.model, p.recency, p.frequency, p.monetary, p.group)).collect()
}

#[test]
fn a_joined_person_is_the_one_it_would_have_been() {
    block_on(async {
        let mut merges = 0;
        for seed in 0..3 {
            let (mut chance, mut other) = (Chance(seed + 40), Chance(seed + 90));
            let mut now = at("2026-03-05 10:00:00");
            let mut whole = House::new(CONDITIONS, now).await;
            let mut parts = House::new(CONDITIONS, now).await;
            let mut jobs = Jobs::load(&whole.store.db, &whole.watch, now, Arc::default()).await.unwrap();
            let mut jobs_of_parts =
                Jobs::load(&parts.store.db, &parts.watch, now, Arc::default()).await.unwrap();
            for number in 0..12 {
                let most = [60, 7_200, 90_000][chance.below(3) as usize];
                now = now.plus(1 + chance.seconds(most));
                for house in [&mut whole, &mut parts] {
                    house.flips(now).await;
                }
                if jobs.next_due(now) == Some(now) {
                    whole.night(&mut jobs, now).await;
                    parts.night(&mut jobs_of_parts, now).await;
                }
                let mut batch = ImportBatch::new(now);
                batch.live = true;
                for n in 0..2 + chance.below(6) {
                    let span = [1, 3_600, 6 * 86_400][chance.below(3) as usize] * Timestamp::SECOND;
                    happens(&mut chance, &mut batch, now, span, 100 * number + n);
                }
                if chance.below(3) == 0 {
                    refunds(&whole.store, &mut chance, &mut batch, number).await;
                }
                let mut split = batch.clone();
                split_all(&mut split, &mut other);
                whole.store.import(batch).await.unwrap();
                parts.store.import(split).await.unwrap();
                if other.below(3) > 0 {
                    work(&mut parts, &mut other, now).await;
                    parts.check(now, &format!("seed {seed}, step {number}")).await;
                }
            }
            // In the end everybody has signed in everywhere.
            now = now.plus(Timestamp::MINUTE);
            let mut batch = ImportBatch::new(now);
            batch.live = true;
            for who in (0..CONTACTS).map(|n| format!("c{n}")) {
                for n in 0..BROWSERS {
                    let contact = ContactKey::ExternalId(who.clone());
                    let kind = model::event::kind::SIGNED_IN.to_owned();
                    let properties = serde_json::Map::new();
                    batch.events.push(ImportEvent {
                        contact,
                        at: now,
                        kind,
                        message_id: Some(format!("{who}-{n}")),
                        properties,
                    });
                }
            }
            whole.store.import(batch.clone()).await.unwrap();
            for event in &mut batch.events {
                let anonymous_id = event.message_id.clone().unwrap();
                event.contact = ContactKey::SignedIn { known: Box::new(event.contact.clone()), anonymous_id };
            }
            parts.store.import(batch).await.unwrap();
            for house in [&mut whole, &mut parts] {
                work(house, &mut other, now).await;
                house.check(now, &format!("seed {seed}, in the end")).await;
            }
            merges += parts.store.last_departure().await.unwrap();
            assert_eq!(parts.store.count_contacts().await.unwrap().0, CONTACTS);
            let everybody = || (0..CONTACTS).map(|n| format!("c{n}"));
            for who in everybody() {
                assert_eq!(portrait(&parts, &who).await, portrait(&whole, &who).await, "seed {seed}: {who}");
            }
            let (own, others) = (&whole.store.db, &parts.store.db);
            assert_eq!(
                own.load_product_days(0, 100_000).await.unwrap(),
                others.load_product_days(0, 100_000).await.unwrap()
            );
            for anew in [false, true] {
                let model = rfm::RfmModel::built_in("classic-11").unwrap();
                now = now.plus(Timestamp::SECOND);
                for house in [&mut whole, &mut parts] {
                    engine::rfm::score(&house.store.db, &model, now, anew).await.unwrap();
                    let scored = engine::rfm::standings(&house.store.db, &model.slug).await.unwrap();
                    let ids: Vec<ContactId> = scored.iter().map(|one| one.contact).collect();
                    let known = house.store.load_contacts(ids.clone()).await.unwrap();
                    assert_eq!(known.len(), ids.len(), "nobody who is gone is scored");
                }
                for who in everybody() {
                    assert_eq!(scores(&parts, &who).await, scores(&whole, &who).await, "seed {seed}: {who}");
                }
            }
        }
        assert!(merges > 30, "{merges}");
    });
}

#[test]
fn two_known_contacts_are_joined_by_hand() {
    block_on(async {
        for seed in 0..3 {
            let mut chance = Chance(seed + 7);
            let mut now = at("2026-03-05 10:00:00");
            let mut house = House::new(CONDITIONS, now).await;
            for number in 0..CONTACTS - 1 {
                now = now.plus(1 + chance.seconds(7_200));
                house.flips(now).await;
                let mut batch = ImportBatch::new(now);
                batch.live = true;
                for n in 0..4 {
                    happens(&mut chance, &mut batch, now, 86_400 * Timestamp::SECOND, 100 * number + n);
                }
                house.store.import(batch).await.unwrap();
                let all = house.store.scan_contacts(ContactId(0), 100).await.unwrap();
                let any =
                    |chance: &mut Chance| -> Contact { all[chance.below(all.len() as u64) as usize].clone() };
                let (winner, loser) = (any(&mut chance), any(&mut chance));
                let merged = house.store.merge_contacts(winner.id, loser.id, now).await.unwrap();
                assert_eq!(merged, if winner.id == loser.id { Merged::Same } else { Merged::Done });
                if chance.below(3) == 0 {
                    // The engine was away meanwhile.
                    house.restart().await;
                }
                work(&mut house, &mut chance, now).await;
                house.check(now, &format!("seed {seed}, step {number}")).await;
            }
        }
    });
}

#[test]
fn a_batch_that_was_taken_before_a_merge_is_taken_again() {
    block_on(async {
        let now = at("2026-03-05 10:00:00");
        let mut house = House::new(&["{did: Product Viewed, count: {at_least: 1}, within: PT1H}"], now).await;
        let mut batch = ImportBatch::new(now);
        batch.live = true;
        batch.events = vec![testkit::event("c1", "Product Viewed", now.plus(-1), "product_id", "A")];
        house.store.import(batch).await.unwrap();
        let as_of = house.store.last_departure().await.unwrap();
        let inputs = house.store.take_inputs(i64::MAX, 10).await.unwrap();
        let seen = house.watch.see(&house.store.db, &house.ground, &inputs, now).await.unwrap();
        let ids =
            [(IdentifierKind::ExternalId, "c0".to_owned()), (IdentifierKind::ExternalId, "c1".to_owned())];
        let found = house.store.resolve(ids.to_vec()).await.unwrap();
        let (winner, loser) = (found[0].unwrap(), found[1].unwrap());
        house.store.merge_contacts(winner, loser, now).await.unwrap();
        let mut step = storage::live::StepCommit::new(
            now,
            storage::live::Done::Inputs(inputs.iter().map(|input| input.no).collect()),
        );
        step.as_of = Some(as_of);
        step.members.clone_from(&seen.members);
        let outcome = house.store.commit_step(step).await.unwrap();
        assert_eq!(outcome, storage::live::StepOutcome::Moved);
        house.inputs(&mut Chance(1), 10, now).await;
        house.check(now, "taken again").await;
        assert_eq!(house.watch.is_member("s0", winner), Some(true));
        let watch = Watch::load(&house.store.db, &house.ground.workspace).await.unwrap();
        assert_eq!(watch.is_member("s0", loser), Some(false));
        let slug = Slug::parse("s0").unwrap();
        let (_, members) = house.store.load_members(slug).await.unwrap().unwrap();
        assert!(members.contains(winner.0.cast_unsigned()) && !members.contains(loser.0.cast_unsigned()));
    });
}
