//! Runs that go on from the run before against the orders themselves, and scores between two runs.

use std::collections::BTreeMap;

use engine::rfm::{Rescorer, Standing, score, standings};
use model::{Amount, ContactId, Currency, Dice, OrderStatus, Slug, Timestamp};
use rfm::{CutPoints, Figures, NO_GROUP, RfmModel, Scorer, recency_days};
use storage::{
    contacts::ContactStore,
    imports::{ContactKey, ImportBatch, ImportOrder, ImportRefund, ImportStore, RefundOf},
    orders::OrderStore,
    rfm::{NewRun, RfmStore, Window},
};
use testkit::dated;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(future)
}

fn order(number: u64, contact: u64, at: Timestamp, total: i64) -> ImportOrder {
    ImportOrder {
        external_id: format!("o{number}"),
        contact: (contact > 0).then(|| ContactKey::ExternalId(format!("c{contact}"))),
        at,
        total: Amount(total),
        refunded: Amount::ZERO,
        currency: Currency::EUR,
        status: OrderStatus::Completed,
        cart_id: None,
        coupons: Vec::new(),
        lines: Vec::new(),
    }
}

fn batch(orders: Vec<ImportOrder>) -> ImportBatch {
    let mut batch = ImportBatch::new(dated(0));
    batch.orders = orders;
    batch
}

/// Two levels, a window of one month whose length changes, cut points by value and by quantile.
fn monthly() -> RfmModel {
    RfmModel::parse(
        "{model: monthly, window: P1M, levels: 2, recency: {quantiles: [1/2]}, frequency: {values: [1]},
          monetary: {measure: sum, quantiles: [1/2]}, groups: [
          {slug: good, codes: [222, 221, 212, 122]}, {slug: rest, codes: [211, 121, 112, 111]}]}",
    )
    .unwrap()
}

fn quarterly() -> RfmModel {
    let mut model = RfmModel::built_in("classic-11").unwrap();
    model.window = RfmModel::parse_window("P90D").unwrap();
    model
}

/// Scores from the orders themselves. Contacts without an order in the window are left out.
async fn from_orders(
    store: &(impl OrderStore + ContactStore + Sync),
    model: &RfmModel,
    at: Timestamp,
) -> BTreeMap<ContactId, Standing> {
    let (_, last) = store.count_contacts().await.unwrap();
    let ids: Vec<ContactId> = (1..=last.0).map(ContactId).collect();
    let mut sums: BTreeMap<ContactId, (u32, i64, Timestamp)> = BTreeMap::new();
    for order in store.load_orders(ids, model.window_start(at), at).await.unwrap() {
        if order.counts() && (!model.positive_orders_only || order.net() > Amount::ZERO) {
            let one = sums.entry(order.contact.unwrap()).or_insert((0, 0, order.at));
            *one = (one.0 + 1, one.1 + order.net().0, one.2.max(order.at));
        }
    }
    let mut figures = Figures::default();
    for (orders, spent, last) in sums.values() {
        figures.push(recency_days(*last, at), *orders, *spent);
    }
    let scorer = Scorer::new(model, &CutPoints::of(model, &figures));
    sums.into_iter()
        .map(|(contact, (orders, spent, last))| {
            let days = recency_days(last, at);
            let code = scorer.score(days, orders, spent);
            let group = model.groups[scorer.group(code)].slug.to_string();
            (contact, Standing { contact, days, orders, spent, code: code.digits(), group })
        })
        .collect()
}

/// What happens to a shop between two runs, at random.
async fn happenings(store: &(impl ImportStore + Sync), dice: &mut Dice, made: &mut u64, now: Timestamp) {
    let mut batch = ImportBatch::new(now);
    for _ in 0..dice.below(50) {
        *made += 1;
        // Mostly of the last days, sometimes late, sometimes of the future; few contacts order often.
        let back = match dice.below(12) {
            0 => dice.below(150),
            1 => 0,
            _ => dice.below(3),
        };
        let at = now.plus(-(dice.below(86_400) as i64 * Timestamp::SECOND)).plus_days(-(back as i64));
        let at = if dice.below(40) == 0 { now.plus_days(dice.below(3) as i64) } else { at };
        let contact = dice.below(400).min(dice.below(400));
        batch.orders.push(order(*made, contact, at, dice.below(6) as i64 * 33_300));
    }
    for _ in 0..dice.below(4) {
        let of = 1 + dice.below((*made).max(1));
        batch.refunds.push(ImportRefund {
            external_id: format!("r{}", dice.next_u64()),
            of: RefundOf::Order(format!("o{of}")),
            at: now,
            amount: (dice.below(2) == 0).then_some(Amount(dice.below(70_000) as i64)),
            lines: Vec::new(),
        });
    }
    if dice.below(3) == 0 {
        let of = 1 + dice.below((*made).max(1));
        let mut cancelled = order(of, 1, now, 0);
        cancelled.status = OrderStatus::Cancelled;
        batch.orders.push(cancelled);
    }
    store.import(batch).await.unwrap();
}

#[test]
fn runs_that_go_on_equal_scoring_from_the_orders() {
    block_on(async {
        let (mut went_on, mut with_dirty, mut with_flow) = (0, 0, 0);
        for seed in 0..3 {
            let store = testkit::store();
            let mut dice = Dice::new(seed);
            let models = [quarterly(), monthly(), RfmModel::built_in("groups-6").unwrap()];
            let (mut made, mut now) = (0, dated(0));
            for _ in 0..14 {
                // Sometimes the same instant again, sometimes more than a window.
                now =
                    now.plus_days([0, 1, 1, 1, 2, 7, 40][dice.below(7) as usize]).plus(dice.below(2) as i64);
                for _ in 0..1 + dice.below(3) {
                    happenings(&store.db, &mut dice, &mut made, now).await;
                }
                // Not every model every time, so that each has a past of its own.
                for model in models.iter().filter(|_| dice.below(3) > 0) {
                    let scored = score(&store.db, model, now, false).await.unwrap();
                    went_on += u32::from(!scored.rebuilt);
                    with_dirty += u32::from(!scored.rebuilt && scored.flow.1 > 0);
                    with_flow += u32::from(!scored.rebuilt && scored.flow.0 > 0);
                    let expected = from_orders(&store.db, model, now).await;
                    let list = standings(&store.db, &model.slug).await.unwrap();
                    let found: BTreeMap<ContactId, Standing> = list
                        .into_iter()
                        .filter(|one| one.group != NO_GROUP)
                        .map(|one| (one.contact, one))
                        .collect();
                    assert_eq!(found, expected, "seed {seed}, {} at {now}", model.slug);
                    let again = score(&store.db, model, now, true).await.unwrap();
                    assert!(again.rebuilt);
                    assert_eq!((again.moved(), &again.cuts), (0, &scored.cuts), "seed {seed}");
                    assert_eq!(again.groups, scored.groups, "seed {seed}");
                }
            }
        }
        // The test is worth something only when all ways were gone.
        assert!(went_on > 20 && with_dirty > 5 && with_flow > 10, "{went_on} {with_dirty} {with_flow}");
    });
}

/// Two hundred contacts with an order each, a day apart from one another, and `extra` orders.
async fn shop(store: &(impl ImportStore + Sync), extra: Vec<ImportOrder>) {
    let mut orders: Vec<ImportOrder> =
        (1..=200).map(|n| order(n, n, dated(-(n as i64 % 80)), 10_000 * n as i64)).collect();
    orders.extend(extra);
    store.import(batch(orders)).await.unwrap();
}

#[test]
fn an_order_rescores_its_contact_at_once() {
    block_on(async {
        let store = testkit::store();
        shop(&store.db, Vec::new()).await;
        let model = quarterly();
        // The slowest contact that has an order 79 days ago.
        let who = ContactId(79);
        assert!(
            Rescorer::load(&store.db)
                .await
                .unwrap()
                .rescore(&store.db, vec![who], dated(1))
                .await
                .unwrap()
                .is_empty()
        );
        score(&store.db, &model, dated(1), false).await.unwrap();
        let before = store.db.load_placements(vec![who]).await.unwrap().remove(0).remove(0);
        assert_eq!((before.recency, before.previous_group.as_deref()), (1, None));

        let rescorer = Rescorer::load(&store.db).await.unwrap();
        let now = dated(1).plus(Timestamp::HOUR);
        store.db.import(batch(vec![order(1_000, 79, now, 90_000_000)])).await.unwrap();
        // Asked twice for the same contact, and for one of whom nothing is known.
        let moves = rescorer.rescore(&store.db, vec![who, ContactId(9_999)], now).await.unwrap();
        assert_eq!(moves.len(), 1);
        assert_eq!((moves[0].from.as_deref(), moves[0].contact), (Some(before.group.as_str()), who));
        assert!(rescorer.rescore(&store.db, vec![who], now).await.unwrap().is_empty());

        let after = store.db.load_placements(vec![ContactId(1), who]).await.unwrap().remove(1).remove(0);
        assert_eq!((after.recency, after.frequency, after.monetary), (5, 5, 5));
        assert_eq!(
            (after.group.as_str(), after.previous_group.as_deref()),
            ("champions", Some(before.group.as_str()))
        );
        assert_eq!(after.since, now);
        let members = |group: &str| store.db.contacts_in_groups("classic-11".into(), vec![group.to_owned()]);
        assert!(members("champions").await.unwrap().contains(79));
        assert!(!members(&before.group).await.unwrap().contains(79));

        // The next run takes it in: nothing moves by that, and the book holds both moves once.
        let scored = score(&store.db, &model, dated(2), false).await.unwrap();
        assert!(!scored.rebuilt && scored.still_live.is_empty());
        assert!(scored.moves().all(|one| one.contact != who));
        let kept = store.db.load_placements(vec![who]).await.unwrap().remove(0).remove(0);
        assert_eq!((kept.group.as_str(), kept.since), ("champions", now));
        let book = store.db.load_moves(who).await.unwrap();
        let steps: Vec<_> = book.iter().map(|one| (one.from.as_deref(), one.to.as_str(), one.at)).collect();
        assert_eq!(
            steps,
            [(None, before.group.as_str(), dated(1)), (Some(before.group.as_str()), "champions", now)]
        );
    });
}

#[test]
fn contacts_whose_orders_left_the_window_are_in_no_group() {
    block_on(async {
        let store = testkit::store();
        // One has only an order of long ago before the first run, one loses its order to time, one to a refund.
        shop(&store.db, vec![order(300, 300, dated(-500), 10_000)]).await;
        let model = quarterly();
        score(&store.db, &model, dated(1), false).await.unwrap();
        let lone = store
            .db
            .resolve(vec![(storage::contacts::IdentifierKind::ExternalId, "c300".into())])
            .await
            .unwrap()[0]
            .unwrap();
        let refund = ImportRefund {
            external_id: "r1".into(),
            of: RefundOf::Order("o5".into()),
            at: dated(2),
            amount: None,
            lines: Vec::new(),
        };
        let mut refunds = ImportBatch::new(dated(2));
        refunds.refunds.push(refund);
        store.db.import(refunds).await.unwrap();
        let scored = score(&store.db, &model, dated(15), false).await.unwrap();
        assert!(!scored.rebuilt);
        for contact in [lone, ContactId(79), ContactId(5)] {
            let place = store.db.load_placements(vec![contact]).await.unwrap().remove(0).remove(0);
            assert_eq!((place.group.as_str(), place.recency, place.monetary), (NO_GROUP, 0, 0), "{contact}");
            assert_eq!(place.previous_group.is_some(), contact != lone);
        }
        let nobody = store.db.contacts_in_groups("classic-11".into(), vec![NO_GROUP.into()]).await.unwrap();
        let figures = scored.groups.last().unwrap();
        assert_eq!((figures.group.as_str(), figures.contacts), (NO_GROUP, nobody.len()));
        // Contacts without any order have no placement at all.
        assert!(store.db.load_placements(vec![ContactId(9_999)]).await.unwrap()[0].is_empty());
    });
}

#[test]
fn what_arrives_during_a_run_is_taken_in_by_the_next() {
    block_on(async {
        let store = testkit::store();
        shop(&store.db, Vec::new()).await;
        let model = quarterly();
        score(&store.db, &model, dated(1), false).await.unwrap();
        // A run that begins and reads; then orders of its time arrive, one contact is rescored; nothing is committed.
        let begin = |at: Timestamp| {
            store.db.begin_rfm_run(NewRun {
                model: model.slug.clone(),
                definition: model.to_json(),
                groups: Vec::new(),
                window: Window { since: model.window_start(at), until: at, positive_only: false },
                anew: false,
            })
        };
        let ticket = begin(dated(3)).await.unwrap();
        assert!(!store.db.load_rfm_run(ticket).await.unwrap().rebuilt);
        store
            .db
            .import(batch(vec![order(500, 7, dated(2), 5_000), order(501, 8, dated(3), 5_000)]))
            .await
            .unwrap();
        let scored = score(&store.db, &model, dated(4), false).await.unwrap();
        assert!(!scored.rebuilt);
        assert_eq!(scored.flow.1, 1, "the one of before the broken run is dirty, the other is in time");
        let list = standings(&store.db, &model.slug).await.unwrap();
        let found: BTreeMap<_, _> =
            list.into_iter().filter(|one| one.group != NO_GROUP).map(|one| (one.contact, one)).collect();
        assert_eq!(found, from_orders(&store.db, &model, dated(4)).await);
    });
}

#[test]
fn another_definition_or_an_earlier_instant_sums_anew_and_keeps_history() {
    block_on(async {
        let store = testkit::store();
        shop(&store.db, Vec::new()).await;
        let mut model = quarterly();
        assert!(score(&store.db, &model, dated(1), false).await.unwrap().rebuilt);
        assert!(!score(&store.db, &model, dated(2), false).await.unwrap().rebuilt);
        assert!(score(&store.db, &model, dated(1), false).await.unwrap().rebuilt);
        model.window = None;
        let all = score(&store.db, &model, dated(2), false).await.unwrap();
        assert!(all.rebuilt);
        assert!(score(&store.db, &model, dated(400), false).await.unwrap().ticket.run_no > all.ticket.run_no);
        let slug = Slug::parse("classic-11").unwrap();
        let runs = store.db.load_rfm_runs(slug.clone(), 100).await.unwrap();
        assert_eq!(runs.len(), 5);
        assert_eq!(runs.iter().map(|run| run.at).collect::<Vec<_>>(), [400, 2, 1, 2, 1].map(dated));
        assert!(runs.iter().all(|run| CutPoints::from_json(&run.cuts).is_some()));
        let models = store.db.load_rfm_models().await.unwrap();
        assert_eq!((models.len(), models[0].last_run.at), (1, dated(400)));
        // Groups of a definition that is gone stay readable in history.
        let text = model.to_json().to_string().replace("new_customers", "newcomers");
        let renamed = RfmModel::parse(&text).unwrap();
        score(&store.db, &renamed, dated(400), false).await.unwrap();
        let members =
            store.db.contacts_in_groups("classic-11".into(), vec!["newcomers".into()]).await.unwrap();
        let one = ContactId(members.min().unwrap() as i64);
        let book = store.db.load_moves(one).await.unwrap();
        assert_eq!(
            book.last().map(|last| (last.from.as_deref(), last.to.as_str())),
            Some((Some("new_customers"), "newcomers"))
        );
    });
}

#[test]
fn nobody_and_one() {
    block_on(async {
        let store = testkit::store();
        let model = quarterly();
        let nobody = score(&store.db, &model, dated(1), false).await.unwrap();
        assert_eq!((nobody.cuts.contacts, nobody.moved()), (0, 0));
        assert!(standings(&store.db, &model.slug).await.unwrap().is_empty());
        // Orders at or after the instant do not count.
        store.db.import(batch(vec![order(1, 1, dated(2), 10_000)])).await.unwrap();
        assert_eq!(score(&store.db, &model, dated(2), false).await.unwrap().cuts.contacts, 0);
        // Between two runs the first contact ever is scored like a base of one.
        let rescorer = Rescorer::load(&store.db).await.unwrap();
        let moves = rescorer.rescore(&store.db, vec![ContactId(1)], dated(2)).await.unwrap();
        assert_eq!((moves.len(), moves[0].to.as_str()), (1, "new_customers"));
        score(&store.db, &model, dated(2).plus(1), false).await.unwrap();
        let list = standings(&store.db, &model.slug).await.unwrap();
        assert_eq!((list.len(), list[0].code, list[0].days), (1, 511, 0));
    });
}

#[test]
fn names_agree() {
    assert_eq!(storage::rfm::NO_GROUP, NO_GROUP);
}
