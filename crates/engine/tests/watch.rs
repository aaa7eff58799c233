//! Segments and RFM kept true by the living engine: whatever arrives, in whatever order, however the batches are cut,
//! refused or begun again, what is kept equals what the whole base says from scratch, at every instant.

#[path = "watch/people.rs"]
mod people;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use engine::{
    live::{
        Ground,
        nightly::Jobs,
        watch::{Seen, Watch},
        work,
    },
    segments::{self, Workspace, bulk, silent},
};
use model::{Consent, ConsentState, ContactId, Timestamp, event::kind};
use segment::SegmentFile;
use storage::{
    imports::{ImportBatch, ImportRefund, ImportStore, RefundOf},
    live::{Done, LiveStore, StepCommit, StepOutcome},
    orders::OrderStore,
    rfm::RfmStore,
    segments::SegmentStore,
};
use testkit::{Store, at, block_on, cart, contact, event, order, product};

const CONTACTS: u64 = 12;

/// Conditions of every kind, with windows short and long.
const CONDITIONS: &[&str] = &[
    "{did: Product Viewed, within: P7D}",
    "{not: {segment: s0}}",
    "{did: Product Viewed, count: {at_least: 2}, within: PT2H}",
    "{did: Product Viewed, count: {at_most: 1}, within: P2D}",
    "{did: Product Viewed, count: {is: 3}}",
    "{did: Product Viewed, count: {at_least: 1}, where: {property: product_id, is: B}, within: P1D}",
    "{did: Product Viewed, where: {product: {field: unit_price, greater_than: 15}}, within: P3D}",
    "{did_not: Product Viewed, between_ago: [P1D, P3D]}",
    "{did: Product Viewed, calendar: today}",
    "{did: Order Completed, within: P3D}",
    "{did: Order Completed, count: {at_least: 2}}",
    "{did: Order Completed, sum: total, greater_than: 60, within: P30D}",
    "{did: Order Completed, sum: line_quantity, at_least: 4}",
    "{did: Order Completed, average: total, at_least: 40}",
    "{did: Order Completed, last: {more_than_ago: P1D}}",
    "{did: Order Completed, where: {product: {field: external_id, is: B}}}",
    "{field: order_total, at_least: 50}",
    "{field: last_order_at, within_last: P1D}",
    "{field: country, is: France}",
    "{consent: newsletter, is: subscribed}",
    "{list: vip}",
    "{cart: {state: abandoned, total: {greater_than: 9}}}",
    "{cart: {state: active}, within: PT1H}",
    "{rfm: {model: classic-11, group: [champions, loyal_customers, potentially_loyal]}}",
    "{rfm: {model: classic-11, group: none}}",
    "{rfm: {model: classic-11, monetary: {at_least: 3}, since: {within_last: P1D}}}",
    "{all: [{segment: s2}, {not: {segment: s9}}]}",
    "{any: [{segment: s24}, {all: [{segment: s17}, {field: country, is: Spain}]}]}",
    // Where behaviour alone says no for long enough, profiles are not read.
    "{all: [{consent: newsletter, is: subscribed}, {did: Product Viewed, count: {at_least: 2}, within: P7D}]}",
    "{all: [{field: country, is: France}, {did_not: Product Viewed, within: P2D}]}",
    "{all: [{list: vip}, {did_not: Product Viewed, within: P5D}, {did: Order Completed, within: P30D}]}",
];

/// Numbers that look random and are the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn seconds(&mut self, n: u64) -> i64 {
        self.below(n).cast_signed() * Timestamp::SECOND
    }
}

fn who(chance: &mut Chance) -> String {
    format!("c{}", chance.below(CONTACTS))
}

/// Something that happens now, or happened within `span` and arrives now.
fn happens(chance: &mut Chance, batch: &mut ImportBatch, now: Timestamp, span: i64, number: u64) {
    let when = now.plus(-chance.seconds((span / Timestamp::SECOND).max(1).unsigned_abs()));
    let lines = [("A", 1 + chance.below(3).cast_signed(), 10), ("B", 1, 20), ("C", 1, 30)];
    let lines = &lines[..1 + chance.below(3) as usize];
    let who = who(chance);
    match chance.below(8) {
        0..=3 => {
            let id = ["A", "B", "C", "new"][chance.below(4) as usize];
            batch.events.push(event(&who, "Product Viewed", when, "product_id", id));
        }
        4 | 5 => order(batch, &format!("o{number}"), &who, when, lines),
        6 => cart(batch, &format!("cart{}", chance.below(6)), &who, when, lines),
        _ => {
            let mut patch = contact(&who);
            patch.country = Some(["France", "Spain"][chance.below(2) as usize].to_owned());
            if chance.below(3) == 0 {
                patch.lists = vec![model::Slug::parse("vip").unwrap()];
            }
            let state = [ConsentState::Subscribed, ConsentState::Unsubscribed][chance.below(2) as usize];
            let purpose = model::Slug::parse("newsletter").unwrap();
            let (source, proof) = ("form".into(), "test".into());
            patch.consents = vec![Consent { purpose, state, at: now, source, proof }];
            batch.contacts.push(patch);
        }
    }
}

async fn refunds(store: &Store, chance: &mut Chance, batch: &mut ImportBatch, number: u64) {
    let ids = store.load_contact_ids().await.unwrap();
    let ids: Vec<ContactId> = ids.iter().map(|id| ContactId(id.cast_signed())).collect();
    let orders = store.load_orders(ids, Timestamp::MIN, Timestamp::MAX).await.unwrap();
    if orders.is_empty() {
        return;
    }
    let order = &orders[chance.below(orders.len() as u64) as usize];
    let whole = chance.below(2) == 0;
    let line = storage::imports::ImportLine {
        product: batch.code("A"),
        quantity: 1,
        unit_price: model::Amount::units(10),
    };
    batch.refunds.push(ImportRefund {
        external_id: format!("refund{number}"),
        of: RefundOf::Order(order.external_id.clone()),
        at: batch.now,
        amount: None,
        lines: if whole { Vec::new() } else { vec![line] },
    });
}

/// The engine's shell around the watch, with all that may go wrong.
struct House {
    store: Store,
    ground: Ground,
    watch: Watch,
    /// What was told of each contact and segment: the last word.
    told: BTreeMap<(String, ContactId), bool>,
}

impl House {
    async fn new(conditions: &[&str], now: Timestamp) -> Self {
        let store = testkit::store();
        let mut batch = ImportBatch::new(now);
        batch.products = vec![product("A", 10), product("B", 20), product("C", 30)];
        let mut chance = Chance(7);
        for n in 0..CONTACTS - 3 {
            batch.contacts.push(contact(&format!("c{n}")));
        }
        for n in 0..20 {
            happens(&mut chance, &mut batch, now.plus(-1), 20 * Timestamp::DAY, 10_000 + n);
        }
        store.import(batch).await.unwrap();
        let model = rfm::RfmModel::built_in("classic-11").unwrap();
        engine::rfm::score(&store.db, &model, now, false).await.unwrap();
        let mut workspace = Workspace::load(&store.db).await.unwrap();
        workspace.schema.segments = segment::Known::Any;
        let read = |(n, condition): (usize, &&str)| {
            let text = format!("format: 1\nsegment: s{n}\ncondition: {condition}");
            SegmentFile::parse(&text, None, &workspace.schema)
                .unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
                .0
        };
        let files: Vec<SegmentFile> = conditions.iter().enumerate().map(read).collect();
        segments::save(&store.db, &files, now).await.unwrap();
        let ground = work::ground(&store.db, now).await.unwrap();
        let mut house = Self {
            watch: Watch::load(&store.db, &ground.workspace).await.unwrap(),
            ground,
            store,
            told: BTreeMap::new(),
        };
        assert_eq!(house.watch.unbuilt().len(), conditions.len());
        for slug in house.watch.unbuilt().to_vec() {
            let build = house.watch.begin(slug.as_str()).unwrap();
            let built = build.run(&house.store.db, now, silent()).await.unwrap();
            let moved = house.watch.finish(&house.store.db, built, Default::default(), now).await.unwrap();
            for id in &moved.ok().unwrap().entered {
                house.told.insert((slug.to_string(), ContactId(id.cast_signed())), true);
            }
        }
        house
    }

    async fn restart(&mut self) {
        let workspace = Arc::new(Workspace::load(&self.store.db).await.unwrap());
        self.watch = Watch::load(&self.store.db, &workspace).await.unwrap();
        self.ground.workspace = workspace;
    }

    async fn commit(&mut self, seen: &Seen, done: Done, now: Timestamp) -> bool {
        let mut step = StepCommit::new(now, done);
        step.members = seen.members.clone();
        step.scores = seen.scores.clone();
        if !matches!(self.store.commit_step(step).await.unwrap(), StepOutcome::Committed { .. }) {
            return false;
        }
        self.watch.committed(seen);
        for (event, _) in &seen.events {
            let entered = match event.kind.as_str() {
                kind::SEGMENT_ENTERED => true,
                kind::SEGMENT_EXITED => false,
                _ => continue,
            };
            let slug = event.properties["segment"].as_str().unwrap().to_owned();
            let before = self.told.insert((slug.clone(), event.contact), entered);
            assert_ne!(before, Some(entered), "told twice: {} {slug} {entered}", event.contact);
        }
        true
    }

    /// Works on everything that waits, in batches of at most `size`.
    async fn inputs(&mut self, chance: &mut Chance, size: usize, now: Timestamp) {
        loop {
            let inputs = self.store.take_inputs(i64::MAX, size).await.unwrap();
            if inputs.is_empty() {
                return;
            }
            let seen = self.watch.see(&self.store.db, &self.ground, &inputs, now).await.unwrap();
            if chance.below(4) == 0 {
                // Refused, or the engine was killed before the commit.
                if chance.below(2) == 0 {
                    self.restart().await;
                }
                continue;
            }
            let numbers: Vec<i64> = inputs.iter().map(|input| input.no).collect();
            assert!(self.commit(&seen, Done::Inputs(numbers.clone()), now).await);
            if chance.below(6) == 0 {
                // The same again: nothing of it is written.
                assert!(!self.commit(&seen, Done::Inputs(numbers), now).await);
            }
            if chance.below(6) == 0 {
                self.restart().await;
            }
        }
    }

    async fn flips(&mut self, now: Timestamp) -> usize {
        let mut all = 0;
        loop {
            let due = self.store.load_due_flips(now, 7).await.unwrap();
            if due.is_empty() {
                return all;
            }
            all += due.len();
            let seen = self.watch.flip(&self.store.db, &self.ground, &due, now).await.unwrap();
            assert!(self.commit(&seen, Done::Alarms, now).await);
        }
    }

    /// The work of the night, if it is due; what it moves is told by waves.
    async fn night(&mut self, jobs: &mut Jobs, now: Timestamp) {
        while jobs.turn(&self.store.db, &mut self.watch, &self.ground, now, true).await.unwrap() {}
        self.told.clear();
        for slug in self.ground.workspace.segments.keys() {
            for id in self.watch.members(slug).unwrap() {
                self.told.insert((slug.clone(), ContactId(id.cast_signed())), true);
            }
        }
    }

    async fn check(&self, now: Timestamp, what: &str) {
        let workspace = &self.ground.workspace;
        for (slug, file) in &workspace.segments {
            let scratch =
                bulk::find(&self.store.db, workspace, &file.condition, now, silent()).await.unwrap();
            let text = file.condition.to_json();
            assert_eq!(self.watch.members(slug).unwrap(), &scratch.members, "{what} at {now}: {slug} {text}");
            let (_, stored) = self.store.load_members(file.slug.clone()).await.unwrap().unwrap();
            assert_eq!(stored, scratch.members, "{what} at {now}: stored {slug} {text}");
        }
        for ((slug, contact), entered) in &self.told {
            assert_eq!(
                self.watch.is_member(slug, *contact),
                Some(*entered),
                "{what}: {slug} {contact} was told"
            );
        }
    }
}

#[test]
fn what_is_kept_equals_what_the_base_says() {
    block_on(async {
        for seed in 0..6 {
            let mut chance = Chance(seed + 1);
            let mut now = at("2026-03-05 10:00:00");
            let mut house = House::new(CONDITIONS, now).await;
            house.check(now, "built").await;
            let mut jobs = Jobs::load(&house.store.db, &house.watch, now, Arc::default()).await.unwrap();
            for number in 0..14 {
                let most = [60, 7_200, 90_000][chance.below(3) as usize];
                now = now.plus(1 + chance.seconds(most));
                house.flips(now).await;
                if jobs.next_due(now) == Some(now) {
                    house.night(&mut jobs, now).await;
                }
                let mut batch = ImportBatch::new(now);
                batch.live = true;
                for n in 0..1 + chance.below(6) {
                    let span = [1, 3_600, 6 * 86_400][chance.below(3) as usize] * Timestamp::SECOND;
                    happens(&mut chance, &mut batch, now, span, 100 * number + n);
                }
                if chance.below(2) == 0 {
                    refunds(&house.store, &mut chance, &mut batch, number).await;
                }
                house.store.import(batch).await.unwrap();
                if chance.below(3) == 0 {
                    // More arrives before anything is worked on: histories are ahead of the inputs.
                    continue;
                }
                let size = [1, 2, 50][chance.below(3) as usize];
                house.inputs(&mut chance, size, now).await;
                house.flips(now).await;
                house.check(now, &format!("seed {seed}, step {number}")).await;
            }
        }
    });
}

#[test]
fn a_flip_is_exact_to_the_microsecond() {
    block_on(async {
        let now = at("2026-03-05 10:00:00");
        let mut house = House::new(&["{did: Product Viewed, within: PT1H}"], now).await;
        let mut batch = ImportBatch::new(now);
        batch.live = true;
        batch.events.push(event("c0", "Product Viewed", now, "product_id", "A"));
        house.store.import(batch).await.unwrap();
        let mut chance = Chance(3);
        house.inputs(&mut chance, 10, now.plus(1)).await;
        let entered: BTreeSet<ContactId> =
            house.told.iter().filter(|(_, now)| **now).map(|(key, _)| key.1).collect();
        assert_eq!(entered.len(), 1);
        let due = house.store.next_alarm().await.unwrap().unwrap();
        assert_eq!(house.flips(due.plus(-1)).await, 0);
        house.check(due.plus(-1), "before").await;
        assert_eq!(house.flips(due).await, 1);
        house.check(due, "at").await;
        assert!(due.since(now) - Timestamp::HOUR <= 1);
        assert_eq!(house.store.next_alarm().await.unwrap(), None);
    });
}

#[test]
fn an_order_rescores_its_contact_and_moves_segments_in_the_same_batch() {
    block_on(async {
        let now = at("2026-03-05 10:00:00");
        let mut house = House::new(&["{rfm: {model: classic-11, group: none}}"], now).await;
        let mut batch = ImportBatch::new(now);
        batch.live = true;
        order(&mut batch, "first", "c11", now.plus(-5), &[("C", 9, 30)]);
        house.store.import(batch).await.unwrap();
        let inputs = house.store.take_inputs(i64::MAX, 100).await.unwrap();
        let seen = house.watch.see(&house.store.db, &house.ground, &inputs, now).await.unwrap();
        let kinds: Vec<&str> = seen.events.iter().map(|(event, _)| event.kind.as_str()).collect();
        assert_eq!(kinds, [kind::RFM_GROUP_CHANGED]);
        assert!(seen.events.iter().all(|(_, causes)| *causes == 1));
        let contact = seen.events[0].0.contact;
        assert_eq!(house.watch.is_member_after(&seen, "s0", contact), Some(false));
        let numbers = inputs.iter().map(|input| input.no).collect();
        assert!(house.commit(&seen, Done::Inputs(numbers), now).await);
        let placed = house.store.load_placements(vec![contact]).await.unwrap();
        assert_eq!(seen.events[0].0.properties["to"], placed[0][0].group.as_str());
        house.check(now.plus(1), "after").await;
    });
}

#[test]
fn a_night_moves_groups_and_segments_and_a_build_takes_in_what_happens_meanwhile() {
    block_on(async {
        let mut now = at("2026-03-05 10:00:00");
        let mut house = House::new(CONDITIONS, now).await;
        let mut jobs = Jobs::load(&house.store.db, &house.watch, now, Arc::default()).await.unwrap();
        let due = jobs.next_due(now).unwrap();
        assert_eq!(due, at("2026-03-06 01:00:00"));
        let mut chance = Chance(11);
        now = due;
        house.flips(now).await;
        let mut number = 500;
        while jobs.turn(&house.store.db, &mut house.watch, &house.ground, now, true).await.unwrap() {
            // Batches go on between the pieces, and a piece may be given up.
            let mut batch = ImportBatch::new(now);
            batch.live = true;
            number += 1;
            happens(&mut chance, &mut batch, now, 3_600 * Timestamp::SECOND, number);
            house.store.import(batch).await.unwrap();
            now = now.plus(Timestamp::SECOND);
            house.told.clear();
            let inputs = house.store.take_inputs(i64::MAX, 100).await.unwrap();
            let seen = house.watch.see(&house.store.db, &house.ground, &inputs, now).await.unwrap();
            let numbers = inputs.iter().map(|input| input.no).collect();
            assert!(house.commit(&seen, Done::Inputs(numbers), now).await);
            if chance.below(12) == 0 {
                house.restart().await;
                jobs = Jobs::load(&house.store.db, &house.watch, now, Arc::default()).await.unwrap();
            }
        }
        house.told.clear();
        house.flips(now).await;
        house.check(now, "after the night").await;
        assert_eq!(jobs.next_due(now), Some(at("2026-03-07 01:00:00")));
        let runs = house.store.load_rfm_runs(model::Slug::parse("classic-11").unwrap(), 10).await.unwrap();
        assert_eq!(runs.len(), 2, "one run a night, whatever was given up");
    });
}

#[test]
fn a_file_of_the_past_is_taken_in_when_its_contact_is_asked_again() {
    block_on(async {
        let mut now = at("2026-03-05 10:00:00");
        let conditions =
            ["{did: Product Viewed, count: {at_least: 3}}", "{did: Order Completed, count: {at_least: 2}}"];
        let mut house = House::new(&conditions, now).await;
        let mut chance = Chance(2);
        for live in [true, false, true] {
            now = now.plus(Timestamp::HOUR);
            let mut batch = ImportBatch::new(now);
            batch.live = live;
            for n in 0..CONTACTS {
                let who = format!("c{n}");
                batch.events.push(event(&who, "Product Viewed", now.plus(-9), "product_id", "A"));
                order(&mut batch, &format!("p{n}-{now}"), &who, now.plus(-8), &[("A", 1, 10)]);
            }
            house.store.import(batch).await.unwrap();
            house.inputs(&mut chance, 5, now).await;
        }
        house.check(now, "after the file").await;
    });
}
