//! What comes back reduces its order, its contact's totals and its products' days.

use model::{Amount, OrderStatus, Timestamp, Totals};
use storage::imports::{ContactKey, ImportBatch, ImportLine, ImportRefund, RefundOf};

use super::{Base, base::id_of};
use crate::{dated, order};

fn refund(batch: &mut ImportBatch, id: &str, of: RefundOf, day: i64, given: &[(&str, i64, i64)]) {
    let lines = given
        .iter()
        .map(|(product, quantity, price)| ImportLine {
            product: batch.code(product),
            quantity: *quantity,
            unit_price: Amount::units(*price),
        })
        .collect();
    batch.refunds.push(ImportRefund { external_id: id.into(), of, at: dated(day), amount: None, lines });
}

async fn totals(db: &impl Base, contact: &str) -> Totals {
    db.load_totals(vec![id_of(db, contact).await]).await.unwrap().remove(0)
}

async fn units(db: &impl Base, day: i64) -> (i64, i64, i64) {
    let day = dated(day).day_utc();
    db.load_product_days(day, day + 1).await.unwrap().iter().fold((0, 0, 0), |sum, figure| {
        (sum.0 + figure.units, sum.1 + figure.orders, sum.2 + figure.revenue / Amount::SCALE)
    })
}

/// Refunds of a named order: in part, in full, unknown, repeated.
pub async fn refunds_reduce_their_order(db: &impl Base) {
    let mut batch = ImportBatch::new(dated(9));
    order(&mut batch, "o1", "anna", dated(1), &[("mug", 3, 5), ("cup", 1, 3)]);
    order(&mut batch, "o2", "anna", dated(2), &[("pot", 1, 20)]);
    refund(&mut batch, "r1", RefundOf::Order("o1".into()), 3, &[("mug", 2, 5)]);
    refund(&mut batch, "r2", RefundOf::Order("o2".into()), 3, &[]);
    refund(&mut batch, "r3", RefundOf::Order("o9".into()), 3, &[]);
    let outcome = db.import(batch).await.unwrap();
    assert_eq!((outcome.refunds.new, outcome.refunds.refused), (2, 1));
    assert_eq!(outcome.refusals[0].problem.code, "refund.order_unknown");

    let anna = id_of(db, "anna").await;
    let orders = db.load_orders(vec![anna], Timestamp::MIN, Timestamp::MAX).await.unwrap();
    assert_eq!(
        (orders[0].net(), orders[0].refunded, orders[0].counts()),
        (Amount::units(8), Amount::units(10), true)
    );
    assert_eq!((orders[1].net(), orders[1].status), (Amount::ZERO, OrderStatus::Cancelled));
    let after = totals(db, "anna").await;
    assert_eq!((after.orders, after.spent, after.last_order_at), (1, Amount::units(8).0, Some(dated(1))));
    assert_eq!(units(db, 1).await, (2, 2, 8));
    assert_eq!(units(db, 2).await, (0, 0, 0));

    let mut batch = ImportBatch::new(dated(9));
    refund(&mut batch, "r1", RefundOf::Order("o1".into()), 3, &[("mug", 2, 5)]);
    assert_eq!(db.import(batch).await.unwrap().refunds.known, 1);
    assert_eq!(totals(db, "anna").await, after, "a refund counts once");

    let mut batch = ImportBatch::new(dated(9));
    refund(&mut batch, "r4", RefundOf::Order("o1".into()), 4, &[]);
    batch.refunds[0].amount = Some(Amount::units(100));
    db.import(batch).await.unwrap();
    assert_eq!(
        totals(db, "anna").await,
        Totals::default(),
        "an amount beyond what is left pays back in full"
    );
    assert_eq!(units(db, 1).await, (0, 0, 0));
}

/// Cancellations that name no order come off the latest ones that hold the product, and say what they did not find.
pub async fn cancellations_find_their_orders(db: &impl Base) {
    let anna = || RefundOf::LatestOf(ContactKey::ExternalId("anna".into()));
    let mut batch = ImportBatch::new(dated(9));
    order(&mut batch, "o1", "anna", dated(1), &[("mug", 3, 5)]);
    order(&mut batch, "o2", "anna", dated(2), &[("mug", 2, 5), ("cup", 1, 3)]);
    order(&mut batch, "o3", "anna", dated(5), &[("mug", 9, 5)]);
    refund(&mut batch, "C1", anna(), 3, &[("mug", 4, 5)]);
    refund(&mut batch, "C2", anna(), 3, &[("mug", 2, 5), ("cup", 1, 3)]);
    refund(&mut batch, "C3", anna(), 3, &[("pot", 1, 5)]);
    let outcome = db.import(batch).await.unwrap();
    assert_eq!((outcome.refunds.new, outcome.refunds.refused), (2, 1));
    let found: Vec<_> =
        outcome.refusals.iter().map(|r| (r.index, r.problem.is_error(), r.problem.value.clone())).collect();
    assert_eq!(
        found,
        [(1, false, Some("1".into())), (2, true, Some("1".into()))],
        "one mug too many; no pot at all"
    );
    let id = id_of(db, "anna").await;
    let orders = db.load_orders(vec![id], Timestamp::MIN, Timestamp::MAX).await.unwrap();
    let counting: Vec<&str> = orders.iter().filter(|o| o.counts()).map(|o| o.external_id.as_str()).collect();
    assert_eq!(counting, ["o3"], "nothing is left of the others, and a later order is not touched");
    assert_eq!(totals(db, "anna").await.spent, Amount::units(45).0);
    assert_eq!((units(db, 1).await, units(db, 2).await), ((0, 0, 0), (0, 0, 0)));
}

/// Cancelling a known order, and raising what was paid back, through a repeated import.
pub async fn totals_follow_orders(db: &impl Base) {
    let shop = |cancelled: bool, refunded: i64| {
        let mut batch = ImportBatch::new(dated(9));
        order(&mut batch, "o1", "anna", dated(1), &[("mug", 2, 5)]);
        order(&mut batch, "o2", "anna", dated(2), &[("cup", 1, 3)]);
        batch.orders[0].refunded = Amount::units(refunded);
        if cancelled {
            batch.orders[1].status = OrderStatus::Cancelled;
        }
        batch
    };
    db.import(shop(false, 0)).await.unwrap();
    let outcome = db.import(shop(true, 4)).await.unwrap();
    assert_eq!((outcome.orders.changed, outcome.orders.known), (2, 0));
    let outcome = db.import(shop(true, 4)).await.unwrap();
    assert_eq!((outcome.orders.changed, outcome.orders.known), (0, 2));
    let after = totals(db, "anna").await;
    assert_eq!((after.orders, after.spent, after.last_order_at), (1, Amount::units(6).0, Some(dated(1))));
    assert_eq!(after.average(), Some(Amount::units(6)));
    let outcome = db.import(shop(true, 10)).await.unwrap();
    assert_eq!(outcome.orders.changed, 1);
    assert_eq!(totals(db, "anna").await, Totals::default());
}

/// Many small additions to one day come to one figure per product.
pub async fn product_days_fold(db: &impl Base) {
    for number in 0..60 {
        let mut batch = ImportBatch::new(dated(9));
        order(
            &mut batch,
            &format!("o{number}"),
            "anna",
            dated(1),
            &[("mug", 2, 5), (&format!("p{}", number % 3), 1, 1)],
        );
        db.import(batch).await.unwrap();
    }
    let day = dated(1).day_utc();
    let days = db.load_product_days(day, day + 1).await.unwrap();
    assert_eq!(days.len(), 4);
    assert_eq!(units(db, 1).await, (180, 120, 660));
}
