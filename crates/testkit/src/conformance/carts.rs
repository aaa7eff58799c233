//! Carts that are changed line by line, orders that are changed afterwards, products of which only gaps are filled, and
//! refused messages.

use model::{Amount, Cart, ContactId, Currency, Problem, Timestamp, event::kind};
use storage::{
    contacts::IdentifierKind,
    imports::{
        CartChange, CartStep, ContactKey, ImportBatch, ImportEvent, ImportLine, ImportOutcome, ProductPatch,
        Tally,
    },
    orders::CartChoice,
    refused::{NewRefused, REFUSED_MAX, RefusedStore},
};

use super::live::Live;
use crate::{dated, order, product};

/// What these tests need.
pub trait Tracked: Live + RefusedStore {}

impl<T: Live + RefusedStore> Tracked for T {}

#[derive(Clone, Copy)]
enum Do {
    Set,
    Add,
    Remove,
}

fn now() -> ImportBatch {
    let mut batch = ImportBatch::new(dated(9));
    batch.live = true;
    batch
}

/// Adds a change of a cart, of lines (product, quantity, price in whole units).
fn change(
    batch: &mut ImportBatch,
    (who, cart, at): (&str, Option<&str>, Timestamp),
    what: Do,
    lines: &[(&str, i64, i64)],
) {
    let lines = lines
        .iter()
        .map(|(product, quantity, price)| ImportLine {
            product: batch.code(product),
            quantity: *quantity,
            unit_price: Amount::units(*price),
        })
        .collect();
    let step = match what {
        Do::Set => CartStep::Set(lines),
        Do::Add => CartStep::Add(lines),
        Do::Remove => CartStep::Remove(lines),
    };
    batch.cart_changes.push(CartChange {
        cart_id: cart.map(str::to_owned),
        contact: ContactKey::ExternalId(who.into()),
        at,
        currency: Currency::EUR,
        recovery_url: None,
        message_id: None,
        step,
    });
}

async fn id(db: &impl Tracked, who: &str) -> ContactId {
    db.resolve(vec![(IdentifierKind::ExternalId, who.into())]).await.unwrap()[0].unwrap()
}

/// The last cart of a contact and what is in it: (product, quantity, price).
async fn cart_of(db: &impl Tracked, who: &str) -> Option<(Cart, Vec<(String, i64, Amount)>)> {
    let contact = id(db, who).await;
    let carts = db.load_last_carts(vec![contact], CartChoice::Active, dated(9), i64::MAX).await.unwrap();
    let cart = carts.into_iter().next()?;
    let products = db.load_products().await.unwrap();
    let name = |line: &model::Line| {
        products.iter().find(|product| product.id == line.product).unwrap().external_id.clone()
    };
    let lines = cart.lines.iter().map(|line| (name(line), line.quantity, line.unit_price)).collect();
    Some((cart, lines))
}

fn line(product: &str, quantity: i64, price: i64) -> (String, i64, Amount) {
    (product.to_owned(), quantity, Amount::units(price))
}

async fn bring(db: &impl Tracked, fill: impl FnOnce(&mut ImportBatch)) -> ImportOutcome {
    let mut batch = now();
    fill(&mut batch);
    db.import(batch).await.unwrap()
}

/// Additions and removals are put together, whatever their order; a whole cart replaces; one that was bought stays so.
pub async fn carts_are_changed_line_by_line(db: &impl Tracked) {
    let of = |day| ("a", Some("k"), dated(day));
    bring(db, |batch| {
        batch.products = vec![product("cup", 4)];
        change(batch, of(1), Do::Add, &[("mug", 1, 5)]);
        change(batch, of(3), Do::Add, &[("mug", 2, 6)]);
        // The catalogue knows the price that the event does not.
        change(batch, of(2), Do::Add, &[("cup", 1, 0)]);
    })
    .await;
    let (cart, lines) = cart_of(db, "a").await.unwrap();
    assert_eq!((cart.external_id.as_str(), cart.updated_at), ("k", dated(3)));
    assert_eq!((lines, cart.total), (vec![line("mug", 3, 6), line("cup", 1, 4)], Amount::units(22)));

    let inputs = db.take_inputs(i64::MAX, 100).await.unwrap();
    let last = inputs.last().unwrap();
    assert_eq!(last.event.kind, kind::CART_UPDATED);
    assert_eq!(last.event.properties["item_count"], 4);
    assert_eq!(last.event.properties["products"][1]["product_id"], "cup");

    let outcome = bring(db, |batch| {
        change(batch, of(4), Do::Remove, &[("mug", 1, 0)]);
        change(batch, of(4), Do::Remove, &[("cup", 1_000_000_000, 0)]);
        change(batch, of(4), Do::Remove, &[("plate", 1, 0)]);
    })
    .await;
    assert_eq!(outcome.carts, Tally { changed: 2, known: 1, ..Tally::default() });
    assert_eq!(cart_of(db, "a").await.unwrap().1, [line("mug", 2, 6)]);

    bring(db, |batch| {
        change(batch, of(6), Do::Set, &[("cup", 2, 3)]);
        change(batch, of(5), Do::Set, &[("mug", 9, 9)]);
    })
    .await;
    assert_eq!(
        cart_of(db, "a").await.unwrap().1,
        [line("cup", 2, 3)],
        "the older whole cart changes nothing"
    );

    bring(db, |batch| {
        order(batch, "o", "a", dated(7), &[("cup", 2, 3)]);
        batch.orders[0].cart_id = Some("k".into());
        change(batch, of(7), Do::Add, &[("mug", 1, 5)]);
    })
    .await;
    assert!(cart_of(db, "a").await.is_none(), "it is bought, and a late addition does not open it again");
}

/// A change that comes twice counts once: by the message of its event.
pub async fn cart_changes_are_known_by_their_message(db: &impl Tracked) {
    let message = |batch: &mut ImportBatch| {
        change(batch, ("a", Some("k"), dated(1)), Do::Add, &[("mug", 1, 5)]);
        batch.cart_changes[0].message_id = Some("m".into());
        let again = batch.cart_changes[0].clone();
        batch.cart_changes.push(again);
        batch.events.push(ImportEvent {
            contact: ContactKey::ExternalId("a".into()),
            at: dated(1),
            kind: kind::PRODUCT_ADDED.into(),
            message_id: Some("m".into()),
            properties: serde_json::Map::new(),
        });
    };
    bring(db, message).await;
    bring(db, message).await;
    assert_eq!(cart_of(db, "a").await.unwrap().1, [line("mug", 1, 5)]);
}

/// A shop that gives its carts no ids: a contact has one current cart, which the next order buys.
pub async fn carts_without_an_id_are_the_contacts_current_one(db: &impl Tracked) {
    let of = |day| ("a", None, dated(day));
    bring(db, |batch| {
        change(batch, of(1), Do::Add, &[("mug", 1, 5)]);
        change(batch, ("b", None, dated(1)), Do::Add, &[("mug", 7, 5)]);
    })
    .await;
    bring(db, |batch| change(batch, of(2), Do::Add, &[("cup", 1, 4)])).await;
    let (cart, lines) = cart_of(db, "a").await.unwrap();
    assert_eq!(lines, [line("mug", 1, 5), line("cup", 1, 4)]);
    bring(db, |batch| {
        order(batch, "o", "a", dated(3), &[("mug", 1, 5)]);
        // What came before the order and arrives with it is in the order; what came after is a new cart.
        change(batch, of(2), Do::Add, &[("plate", 1, 1)]);
        change(batch, of(4), Do::Add, &[("fork", 1, 2)]);
    })
    .await;
    let a = id(db, "a").await;
    let orders = db.load_orders(vec![a], Timestamp::MIN, Timestamp::MAX).await.unwrap();
    assert_eq!(orders[0].cart_id, cart.external_id, "the order bought the current cart");
    let (next, lines) = cart_of(db, "a").await.unwrap();
    assert_eq!(lines, [line("fork", 1, 2)]);
    assert_ne!(next.external_id, cart.external_id);
    assert_eq!(cart_of(db, "b").await.unwrap().1, [line("mug", 7, 5)], "another contact has another cart");
}

/// A cart has bounds.
pub async fn carts_are_not_endless(db: &impl Tracked) {
    let many: Vec<String> = (0..1_001).map(|n| format!("p{n}")).collect();
    let lines: Vec<(&str, i64, i64)> = many.iter().map(|name| (name.as_str(), 1, 1)).collect();
    let of = ("a", Some("k"), dated(1));
    let outcome = bring(db, |batch| change(batch, of, Do::Set, &lines[..1_000])).await;
    assert_eq!(outcome.refusals, []);
    let outcome = bring(db, |batch| change(batch, of, Do::Add, &lines[1_000..])).await;
    assert_eq!(outcome.refusals[0].problem.code, "cart.too_many_lines");
    assert_eq!(cart_of(db, "a").await.unwrap().1.len(), 1_000);
}

/// An order that is changed afterwards is what it is now, in its contact's totals, too; what came back stays so.
pub async fn orders_are_updated(db: &impl Tracked) {
    let update = |batch: &mut ImportBatch, lines: &[(&str, i64, i64)]| {
        order(batch, "o", "a", dated(2), lines);
        batch.order_updates.append(&mut batch.orders);
    };
    let outcome = bring(db, |batch| update(batch, &[("mug", 2, 5)])).await;
    assert_eq!(outcome.orders.new, 1, "one that is not known is an order like others");
    let outcome = bring(db, |batch| update(batch, &[("mug", 3, 5), ("cup", 1, 4)])).await;
    assert_eq!(outcome.orders.changed, 1);
    let outcome = bring(db, |batch| update(batch, &[("mug", 3, 5), ("cup", 1, 4)])).await;
    assert_eq!(outcome.orders.known, 1);
    let a = id(db, "a").await;
    let orders = db.load_orders(vec![a], Timestamp::MIN, Timestamp::MAX).await.unwrap();
    assert_eq!((orders.len(), orders[0].total, orders[0].lines.len()), (1, Amount::units(19), 2));
    let totals = db.load_totals(vec![a]).await.unwrap();
    assert_eq!((totals[0].orders, totals[0].spent), (1, Amount::units(19).0));
    let days = db.load_product_days(dated(2).day_utc(), dated(2).day_utc() + 1).await.unwrap();
    assert_eq!(days.iter().map(|day| day.units).sum::<i64>(), 4);
    let kinds: Vec<String> =
        db.take_inputs(i64::MAX, 100).await.unwrap().into_iter().map(|input| input.event.kind).collect();
    assert_eq!(kinds, [kind::CONTACT_CREATED, kind::ORDER_COMPLETED, kind::ORDER_UPDATED]);
}

/// Who may only fill gaps does not change what the shop's own catalogue says, but for a newer price.
pub async fn products_are_filled_where_they_have_gaps(db: &impl Tracked) {
    let said = |name: &str, price: i64, day: i64| ProductPatch {
        external_id: "mug".into(),
        name: Some(name.into()),
        url: Some(format!("https://shop.example/{name}")),
        unit_price: Some(Amount::units(price)),
        price_at: Some(dated(day)),
        only_missing: true,
        ..ProductPatch::default()
    };
    bring(db, |batch| {
        batch.products = vec![ProductPatch { price_at: Some(dated(2)), ..product("mug", 5) }];
    })
    .await;
    bring(db, |batch| batch.products = vec![said("first", 6, 3), said("second", 9, 1)]).await;
    let mug = db.load_products().await.unwrap().remove(0);
    assert_eq!(mug.name, "Product mug");
    assert_eq!(mug.url.as_deref(), Some("https://shop.example/first"));
    assert_eq!(mug.unit_price, Some(Amount::units(6)));
}

/// Refused messages are kept up to a bound, the latest first.
pub async fn refused_messages_are_kept_within_bounds(db: &impl Tracked) {
    let refused = |n: u64| NewRefused {
        received_at: dated(1),
        sent_at: Some(dated(0)),
        key: "k".into(),
        call: Some("track".into()),
        problem: Problem::new("event.kind", "why").field("event"),
        body: format!("{{\"n\":{n}}}"),
    };
    db.save_refused((1..=REFUSED_MAX + 2).map(refused).collect()).await.unwrap();
    let page = db.list_refused(None, 3).await.unwrap();
    assert_eq!(page[0].message, refused(REFUSED_MAX + 2));
    let numbers: Vec<i64> = page.iter().map(|refused| refused.no).collect();
    assert_eq!(db.list_refused(Some(numbers[1]), 1).await.unwrap()[0].no, numbers[2]);
    let (first, second) = (numbers[0] - REFUSED_MAX as i64, numbers[0] - REFUSED_MAX as i64 + 1);
    assert_eq!(db.load_refused(vec![first, second]).await.unwrap().len(), 1, "the oldest went");
    db.update_refused(second, Problem::new("event.reserved", "why now")).await.unwrap();
    assert_eq!(db.load_refused(vec![second]).await.unwrap()[0].message.problem.code, "event.reserved");
    assert_eq!(db.drop_refused(vec![first, second]).await.unwrap(), 1);
    assert!(db.load_refused(vec![second]).await.unwrap().is_empty());
}
