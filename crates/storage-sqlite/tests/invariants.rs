//! Whatever is imported, in whatever batches, repeated or not: totals and days are what the orders say.

use std::collections::BTreeMap;

use model::{Amount, ContactId, Order, OrderStatus, Timestamp, Totals};
use proptest::prelude::*;
use storage::{
    catalogue::{CatalogueStore, ProductDay},
    codec,
    contacts::ContactStore,
    imports::{ContactKey, ImportBatch, ImportLine, ImportRefund, ImportStore, RefundOf},
    orders::OrderStore,
};
use storage_sqlite::Sqlite;
use testkit::{block_on, dated, order, store};

/// Something that a file may hold. Orders and refunds with the same number are the same one.
#[derive(Clone, Debug)]
enum Row {
    Order { number: u8, contact: u8, day: u8, lines: Vec<(u8, u8)> },
    Cancelled { number: u8, contact: u8, day: u8 },
    Refund { number: u8, of: Option<u8>, contact: u8, day: u8, lines: Vec<(u8, u8)>, amount: Option<u8> },
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let lines = || proptest::collection::vec((0..4_u8, 1..5_u8), 0..4);
    let row = prop_oneof![
        4 => (0..30_u8, 0..5_u8, 0..20_u8, lines())
            .prop_map(|(number, contact, day, lines)| Row::Order { number, contact, day, lines }),
        1 => (0..30_u8, 0..5_u8, 0..20_u8)
            .prop_map(|(number, contact, day)| Row::Cancelled { number, contact, day }),
        3 => (0..30_u8, proptest::option::of(0..30_u8), 1..5_u8, 0..20_u8, lines(), proptest::option::of(0..60_u8))
            .prop_map(|(number, of, contact, day, lines, amount)| {
                Row::Refund { number, of, contact, day, lines, amount }
            }),
    ];
    proptest::collection::vec(row, 1..60)
}

fn add(batch: &mut ImportBatch, row: &Row) {
    let contact_name = |contact: u8| if contact == 0 { String::new() } else { format!("c{contact}") };
    let named = |lines: &[(u8, u8)]| -> Vec<(String, i64, i64)> {
        lines.iter().map(|(p, q)| (format!("p{p}"), i64::from(*q), 1 + i64::from(*p))).collect()
    };
    match row {
        Row::Order { number, contact, day, lines } => {
            let lines = named(lines);
            let lines: Vec<(&str, i64, i64)> = lines.iter().map(|(p, q, u)| (p.as_str(), *q, *u)).collect();
            order(batch, &format!("o{number}"), &contact_name(*contact), dated(i64::from(*day)), &lines);
        }
        Row::Cancelled { number, contact, day } => {
            order(
                batch,
                &format!("o{number}"),
                &contact_name(*contact),
                dated(i64::from(*day)),
                &[("p1", 1, 2)],
            );
            if let Some(order) = batch.orders.last_mut() {
                order.status = OrderStatus::Cancelled;
            }
        }
        Row::Refund { number, of, contact, day, lines, amount } => {
            let lines = named(lines)
                .into_iter()
                .map(|(product, quantity, price)| ImportLine {
                    product: batch.code(&product),
                    quantity,
                    unit_price: Amount::units(price),
                })
                .collect();
            batch.refunds.push(ImportRefund {
                external_id: format!("r{number}"),
                of: of.map_or_else(
                    || RefundOf::LatestOf(ContactKey::ExternalId(contact_name(*contact))),
                    |order| RefundOf::Order(format!("o{order}")),
                ),
                at: dated(i64::from(*day)),
                amount: amount.map(|amount| Amount::units(i64::from(amount))),
                lines,
            });
        }
    }
}

async fn import(db: &Sqlite, rows: &[Row]) {
    let mut batch = ImportBatch::new(dated(50));
    for row in rows {
        add(&mut batch, row);
    }
    db.import(batch).await.unwrap();
}

async fn all_orders(db: &Sqlite) -> Vec<Order> {
    let mut ids = vec![ContactId(0)]; // those without a contact lie there
    ids.extend(db.scan_contacts(ContactId(0), 100).await.unwrap().iter().map(|contact| contact.id));
    db.load_orders(ids, Timestamp::MIN, Timestamp::MAX).await.unwrap()
}

fn totals_of(orders: &[&Order]) -> Totals {
    Totals {
        first_order_at: orders.iter().map(|order| order.at).min(),
        last_order_at: orders.iter().map(|order| order.at).max(),
        orders: orders.len() as u32,
        spent: orders.iter().map(|order| order.net().0).sum(),
    }
}

fn days_of(orders: &[Order]) -> Vec<ProductDay> {
    let mut days: BTreeMap<(i32, model::ProductId), ProductDay> = BTreeMap::new();
    for order in orders.iter().filter(|order| order.counts()) {
        let mut of_order: BTreeMap<model::ProductId, (i64, i64)> = BTreeMap::new();
        for line in codec::net_lines(order.lines.clone()) {
            let sums = of_order.entry(line.product).or_default();
            *sums = (sums.0 + line.quantity, sums.1 + line.quantity * line.unit_price.0);
        }
        for (product, (units, revenue)) in of_order {
            let day = order.at.day_utc();
            let figure =
                days.entry((day, product)).or_insert(ProductDay { product, day, ..ProductDay::default() });
            figure.units += units;
            figure.orders += 1;
            figure.revenue += revenue;
        }
    }
    days.into_values().collect()
}

async fn check(db: &Sqlite) -> Result<(), TestCaseError> {
    let orders = all_orders(db).await;
    for contact in db.scan_contacts(ContactId(0), 100).await.unwrap() {
        let counting: Vec<&Order> =
            orders.iter().filter(|order| order.contact == Some(contact.id) && order.counts()).collect();
        let stored = db.load_totals(vec![contact.id]).await.unwrap().remove(0);
        prop_assert_eq!(stored, totals_of(&counting), "contact {}", contact.id);
    }
    for order in &orders {
        prop_assert!(order.refunded >= Amount::ZERO && order.refunded <= order.total);
        prop_assert!(order.contact.is_none_or(|contact| contact.0 > 0));
    }
    let days = db.load_product_days(i32::MIN, i32::MAX).await.unwrap();
    prop_assert_eq!(days, days_of(&orders));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn totals_and_days_are_what_the_orders_say(rows in rows(), size in 1..20_usize) {
        let db = store();
        block_on(async {
            for part in rows.chunks(size) {
                import(&db, part).await;
            }
            check(&db).await?;
            // Again from the start: every order is known, and every refund that was applied.
            import(&db, &rows).await;
            check(&db).await
        })?;
    }

    #[test]
    fn a_repeat_changes_nothing(rows in rows()) {
        let db = store();
        block_on(async {
            let orders_only: Vec<Row> =
                rows.into_iter().filter(|row| !matches!(row, Row::Refund { .. })).collect();
            import(&db, &orders_only).await;
            import(&db, &orders_only).await;
            let before = all_orders(&db).await;
            import(&db, &orders_only).await;
            prop_assert_eq!(all_orders(&db).await, before);
            check(&db).await
        })?;
    }
}
