//! Segments through storage: the whole base at once, contact by contact, and kept up to date as things happen and time
//! passes, all give the same members.

use std::{collections::BTreeSet, sync::Arc};

use engine::segments::{self, Changes, Workspace, bulk, contacts, silent};
use model::{Consent, ConsentState, ContactId, Timestamp};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use segment::SegmentFile;
use storage::{
    contacts::IdentifierKind,
    imports::{ImportBatch, ImportRefund, ImportStore, RefundOf},
    segments::{FLIPS_AHEAD, SegmentStore},
};
use testkit::{at, block_on, cart, contact, event, order, product};

const CONTACTS: usize = 24;
const CONDITIONS: usize = 50;
const STEPS: usize = 10;

fn window() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (1..40_u32).prop_map(|days| format!(", within: P{days}D")),
        (1..72_u32).prop_map(|hours| format!(", within: PT{hours}H")),
        Just(", within: P1M".to_owned()),
        (1..30_u32).prop_map(|days| format!(", older_than: P{days}D")),
        (1..20_u32, 21..60_u32).prop_map(|(near, far)| format!(", between_ago: [P{near}D, P{far}D]")),
        Just(", since: 2026-01-10, until: 2026-02-20".to_owned()),
        prop::sample::select(vec![
            "today",
            "yesterday",
            "this_week",
            "last_week",
            "this_month",
            "last_month",
            "this_year"
        ])
        .prop_map(|word| format!(", calendar: {word}")),
    ]
}

fn leaf() -> impl Strategy<Value = String> {
    let numbers =
        prop::sample::select(vec!["at_least", "greater_than", "less_than", "at_most", "is", "is_not"]);
    let event_filter = prop::sample::select(vec![
        "",
        ", where: {property: product_id, is: a}",
        ", where: {product: {field: unit_price, greater_than: 15}}",
        ", where: {property: product_id, is_not: B}",
    ]);
    let order_filter = prop::sample::select(vec![
        "",
        "",
        ", where: {property: total, greater_than: 25}",
        ", where: {product: {field: external_id, is: B}}",
        ", where: {line: {quantity: {at_least: 2}, product: {field: unit_price, at_most: 15}}}",
        ", where: {not: {product: {field: external_id, is: A}}}",
    ]);
    let order_measure =
        (numbers.clone(), 0..4_i64, 0..9_usize).prop_map(|(operator, n, which)| match which {
            0..=3 => format!(", count: {{{operator}: {n}}}"),
            4 => format!(", sum: total, {operator}: {}", n * 20),
            5 => format!(", sum: line_total, {operator}: {}", n * 20),
            6 => format!(", sum: line_quantity, {operator}: {n}"),
            7 => format!(", last: {{more_than_ago: P{}D}}", n + 3),
            _ => format!(", average: total, {operator}: {}", n * 15),
        });
    prop_oneof![
        4 => (numbers.clone(), 0..4_i64, window(), event_filter.clone())
            .prop_map(|(op, n, w, f)| format!("{{did: Product Viewed, count: {{{op}: {n}}}{w}{f}}}")),
        1 => (window(), event_filter).prop_map(|(w, f)| format!("{{did_not: Product Viewed{w}{f}}}")),
        4 => (order_measure, window(), order_filter).prop_map(|(m, w, f)| format!("{{did: Order Completed{m}{w}{f}}}")),
        2 => prop::sample::select(vec![
            "{field: country, is: france}", "{field: country, is_not: France}", "{field: country, has_value: false}",
            "{field: birth_date, anniversary_within: 20}", "{field: birth_date, anniversary_in: 2}",
            "{field: last_order_at, within_last: P10D}", "{field: order_count, at_least: 2}",
            "{field: average_order, greater_than: {ref: contact.order_total}}", "{field: order_total, less_than: 60}",
            "{consent: newsletter, is: subscribed}", "{consent: newsletter, is_not: unsubscribed}", "{list: vip}",
        ])
        .prop_map(str::to_owned),
        1 => prop::sample::select(vec![
            "{rfm: {model: classic-11, group: [champions, lost, hibernating]}}",
            "{rfm: {model: classic-11, group: none}}", "{rfm: {model: classic-11, group: [none, at_risk]}}",
            "{rfm: {model: classic-11, recency: {at_least: 3}}}",
            "{rfm: {model: classic-11, monetary: {less_than: 3}, since: {within_last: P5D}}}",
        ])
        .prop_map(str::to_owned),
        1 => (prop::sample::select(vec!["abandoned", "active", "purchased", "[abandoned, purchased]"]), window())
            .prop_map(|(state, w)| format!("{{cart: {{state: {state}, total: {{greater_than: 9}}}}{w}}}")),
        1 => Just("{segment: base-a}".to_owned()),
        1 => Just("{segment: base-b}".to_owned()),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    leaf().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|parts| format!("{{all: [{}]}}", parts.join(", "))),
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|parts| format!("{{any: [{}]}}", parts.join(", "))),
            inner.prop_map(|part| format!("{{not: {part}}}")),
        ]
    })
}

struct Chance(TestRunner);

impl Chance {
    fn new() -> Self {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        Self(TestRunner::new_with_rng(Config::default(), rng))
    }

    fn draw<T: std::fmt::Debug>(&mut self, strategy: impl Strategy<Value = T>) -> T {
        strategy.new_tree(&mut self.0).unwrap().current()
    }

    fn below(&mut self, n: i64) -> i64 {
        self.draw(0..n)
    }
}

fn first_batch(chance: &mut Chance, now: Timestamp) -> ImportBatch {
    let mut batch = ImportBatch::new(now);
    batch.products = vec![product("A", 10), product("B", 20), product("C", 30)];
    for n in 0..CONTACTS {
        let mut patch = contact(&format!("c{n}"));
        patch.country = [Some("France"), Some("Spain"), None][n % 3].map(str::to_owned);
        patch.birth_date = (n % 4 != 0).then(|| 9_000 + chance.below(366) as i32);
        patch.created_at = Some(now.plus_days(-chance.below(100)));
        if n % 5 == 0 {
            patch.lists = vec![model::Slug::parse("vip").unwrap()];
        }
        let state =
            [ConsentState::Subscribed, ConsentState::Unsubscribed, ConsentState::NotSubscribed][n % 3];
        patch.consents = vec![Consent {
            purpose: model::Slug::parse("newsletter").unwrap(),
            state,
            at: now.plus_days(-50),
            source: "import".into(),
            proof: "test".into(),
        }];
        batch.contacts.push(patch);
    }
    for n in 0..70 {
        happens(chance, &mut batch, now, 80 * Timestamp::DAY, n);
    }
    batch
}

/// Something of the last so long: an event, an order, a cart.
fn happens(chance: &mut Chance, batch: &mut ImportBatch, now: Timestamp, span: i64, number: usize) {
    let who = format!("c{}", chance.below(CONTACTS as i64 - 3));
    let when = now.plus(-chance.below(span / Timestamp::SECOND) * Timestamp::SECOND);
    let lines = [("A", 1 + chance.below(3), 10), ("B", 1, 20), ("C", 1, 30)];
    let lines = &lines[..1 + chance.below(3) as usize];
    match chance.below(5) {
        0 | 1 => {
            let id = ["A", "B", "C", "unknown"][chance.below(4) as usize];
            batch.events.push(event(&who, "Product Viewed", when, "product_id", id));
        }
        2 | 3 => order(batch, &format!("o{number}"), &who, when, lines),
        _ => cart(batch, &format!("cart{number}"), &who, when, lines),
    }
}

async fn ids_of<S: storage::Storage>(
    store: &S,
    names: impl IntoIterator<Item = String>,
) -> BTreeSet<ContactId> {
    let keys = names.into_iter().map(|name| (IdentifierKind::ExternalId, name)).collect();
    store.resolve(keys).await.unwrap().into_iter().flatten().collect()
}

/// More happens, some of it is sent back; what is new is handed to the segments.
async fn step<S: storage::Storage>(store: &S, chance: &mut Chance, now: Timestamp, number: usize) -> Changes {
    let mut batch = ImportBatch::new(now);
    for n in 0..3 {
        happens(chance, &mut batch, now, 5 * Timestamp::DAY, 1_000 + number * 10 + n);
    }
    let everybody = ids_of(store, (0..CONTACTS).map(|n| format!("c{n}"))).await;
    let before =
        store.load_orders(everybody.iter().copied().collect(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    if let Some(order) = before.get(chance.below(before.len() as i64) as usize).filter(|order| order.counts())
    {
        let code = batch.code(if chance.below(2) == 0 { "A" } else { "B" });
        let whole = chance.below(2) == 0;
        let line = storage::imports::ImportLine {
            product: code,
            quantity: 1,
            unit_price: model::Amount::units(if code.index() == 0 { 10 } else { 20 }),
        };
        batch.refunds.push(ImportRefund {
            external_id: format!("refund{number}"),
            of: RefundOf::Order(order.external_id.clone()),
            at: now,
            amount: None,
            lines: if whole { Vec::new() } else { vec![line] },
        });
    }
    let events = batch.events.clone();
    store.import(batch).await.unwrap();
    let after =
        store.load_orders(everybody.iter().copied().collect(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    let mut changes = Changes { contacts: everybody, ..Changes::default() };
    for order in after {
        match before.iter().find(|old| old.no == order.no) {
            Some(old) if *old == order => {}
            Some(_) => changes.orders.push((order, true)),
            None => changes.orders.push((order, false)),
        }
    }
    for event in events {
        let storage::imports::ContactKey::ExternalId(name) = &event.contact else { continue };
        let Some(contact) = ids_of(store, [name.clone()]).await.into_iter().next() else { continue };
        changes.events.push(model::Event {
            contact,
            at: event.at,
            received_at: now,
            kind: event.kind,
            message_id: event.message_id,
            properties: event.properties,
        });
    }
    changes
}

async fn check<S: storage::Storage>(store: &S, workspace: &Arc<Workspace>, now: Timestamp, what: &str) {
    let everybody: Vec<ContactId> =
        store.load_contact_ids().await.unwrap().iter().map(|id| ContactId(id.cast_signed())).collect();
    for (slug, file) in &workspace.segments {
        let found = bulk::find(store, workspace, &file.condition, now, silent()).await.unwrap();
        let text = file.condition.to_json();
        let one_by_one =
            contacts::evaluate(store, workspace, &[&file.condition], everybody.clone(), now).await.unwrap();
        for (contact, outcomes) in one_by_one {
            let id = contact.0.cast_unsigned();
            assert_eq!(found.members.contains(id), outcomes[0].member, "{what}: contact {contact} in {text}");
            if outcomes[0].next_flip.is_some_and(|at| at.since(now) <= FLIPS_AHEAD) {
                assert!(found.near.contains(id), "{what}: contact {contact} flips soon in {text}");
            }
        }
        let (record, kept) = store.load_members(file.slug.clone()).await.unwrap().unwrap();
        let differ: Vec<u64> = (&kept ^ &found.members).iter().collect();
        assert_eq!(differ, Vec::<u64>::new(), "{what}: kept members of {slug}: {text}");
        assert_eq!(record.members, kept.len(), "{what}");
    }
}

#[test]
fn whole_base_single_contacts_and_kept_members_agree() {
    block_on(async {
        let store = testkit::store();
        let mut chance = Chance::new();
        let mut now = at("2026-03-05 10:00:00");
        store.import(first_batch(&mut chance, now)).await.unwrap();
        let model = rfm::RfmModel::built_in("classic-11").unwrap();
        engine::rfm::score(&store.db, &model, now, false).await.unwrap();
        let mut workspace = Workspace::load(&store.db).await.unwrap();
        workspace.schema.segments = segment::Known::Any;
        let read = |slug: &str, condition: &str, schema: &segment::Schema<'_>| {
            let text = format!("format: 1\nsegment: {slug}\ncondition: {condition}");
            SegmentFile::parse(&text, None, schema)
                .unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
                .0
        };
        let mut files = vec![
            read("base-a", "{did: Product Viewed, within: P7D}", &workspace.schema),
            read("base-b", "{not: {segment: base-a}}", &workspace.schema),
        ];
        for n in 0..CONDITIONS {
            files.push(read(&format!("s{n}"), &chance.draw(condition()), &workspace.schema));
        }
        segments::save(&store.db, &files, now).await.unwrap();
        let workspace = Arc::new(workspace.with(files).unwrap());
        let slugs: Vec<&str> = workspace.segments.keys().map(String::as_str).collect();
        for slug in &slugs {
            segments::build(&store.db, &workspace, slug, now, silent()).await.unwrap();
        }
        check(&store.db, &workspace, now, "after building").await;
        for number in 0..STEPS {
            now = now.plus(chance.below(3 * 3_600) * Timestamp::SECOND);
            let (_, due) = segments::flip_due(&store.db, &workspace, now, 10_000).await.unwrap();
            check(&store.db, &workspace, now, &format!("after {due} flips at {now}")).await;
            let changes = step(&store.db, &mut chance, now, number).await;
            segments::update(&store.db, &workspace, &slugs, &changes, now).await.unwrap();
            check(&store.db, &workspace, now, &format!("after step {number} at {now}")).await;
        }
        let moves =
            store.load_member_moves(model::Slug::parse("base-a").unwrap(), Timestamp::MIN, Timestamp::MAX);
        let moves = moves.await.unwrap();
        let entered: u64 = moves.iter().map(|moved| moved.entered.len()).sum();
        let left: u64 = moves.iter().map(|moved| moved.left.len()).sum();
        assert_eq!(moves.last().unwrap().members, entered - left);
    });
}

#[test]
fn circles_of_segments_are_refused() {
    block_on(async {
        let store = testkit::store();
        let mut workspace = Workspace::load(&store.db).await.unwrap();
        workspace.schema.segments = segment::Known::Any;
        let read = |slug: &str, other: &str| {
            let text = format!("format: 1\nsegment: {slug}\ncondition: {{segment: {other}}}");
            SegmentFile::parse(&text, None, &workspace.schema).unwrap().0
        };
        let (a, b) = (read("a", "b"), read("b", "a"));
        let problems = workspace.clone().with([a.clone(), b]).err().unwrap();
        assert_eq!(problems[0].code, "segment.cycle");
        assert_eq!(workspace.with([a]).err().unwrap()[0].code, "segment.unknown");
    });
}
