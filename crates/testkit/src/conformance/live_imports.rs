//! What a live import tells the living engine.

use model::{Amount, Consent, ConsentState, ContactId, OrderStatus, Timestamp, Value, event::kind};
use serde_json::json;
use storage::imports::{ImportBatch, ImportLine, ImportRefund, RefundOf};

use super::live::{Live, ready, slug};
use crate::{cart, contact, dated, event, order, product};

/// What waits, as (contact, kind), and everything about it.
async fn waiting(db: &impl Live) -> Vec<(i64, String, serde_json::Value)> {
    let inputs = db.take_inputs(i64::MAX, 1_000).await.unwrap();
    let seen = |input: storage::live::Input| {
        assert_eq!((input.causes, input.event.received_at), (0, dated(9)));
        (input.event.contact.0, input.event.kind, serde_json::Value::Object(input.event.properties))
    };
    inputs.into_iter().map(seen).collect()
}

fn now() -> ImportBatch {
    let mut batch = ImportBatch::new(dated(9));
    batch.live = true;
    batch
}

fn kinds(inputs: &[(i64, String, serde_json::Value)]) -> Vec<(i64, &str)> {
    inputs.iter().map(|(contact, kind, _)| (*contact, kind.as_str())).collect()
}

/// A batch of the past makes no input; a live one makes one of everything that is new in it, and none when it is repeated.
pub async fn live_imports_make_inputs_once(db: &impl Live) {
    ready(db).await;
    assert_eq!(waiting(db).await, [], "a file of the past only fills the base");
    let batch = || {
        let mut batch = now();
        batch.contacts = vec![contact("a"), contact("new")];
        order(&mut batch, "o1", "a", dated(8), &[("mug", 2, 5)]);
        cart(&mut batch, "k1", "b", dated(8), &[("cup", 3, 2)]);
        let mut viewed = event("c", kind::PRODUCT_VIEWED, dated(7), "product_id", "cup");
        viewed.message_id = Some("m1".into());
        let mut again = viewed.clone();
        again.at = dated(8);
        batch.events = vec![viewed, again, event("who", kind::PAGE_VIEWED, dated(8), "", "")];
        batch
    };
    db.import(batch()).await.unwrap();
    let inputs = waiting(db).await;
    let expected = [
        (6, kind::CONTACT_CREATED),
        (1, kind::ORDER_COMPLETED),
        (2, kind::CART_UPDATED),
        (3, kind::PRODUCT_VIEWED),
        (7, kind::CONTACT_CREATED),
        (7, kind::PAGE_VIEWED),
    ];
    assert_eq!(kinds(&inputs), expected);
    assert_eq!(inputs[0].2, json!({"fields": ["external_id", "email", "first_name", "last_name"]}));
    let products = json!([{"product_id": "mug", "quantity": 2, "price": 5}]);
    let bought =
        json!({"order_id": "o1", "cart_id": "o1", "total": 10, "currency": "EUR", "products": products});
    assert_eq!(inputs[1].2, bought);
    let products = json!([{"product_id": "cup", "quantity": 3, "price": 2}]);
    let cart = json!({
        "cart_id": "k1", "total": 6, "currency": "EUR", "recovery_url": null, "item_count": 3, "products": products
    });
    assert_eq!(inputs[2].2, cart);
    let first = db.take_inputs(i64::MAX, 4).await.unwrap().pop().unwrap();
    assert_eq!((first.event.message_id.as_deref(), first.event.at), (Some("m1"), dated(7)));
    let history =
        db.load_events(vec![ContactId(1)], Vec::new(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    assert_eq!(history, [], "an order is an order, and no event of the history");

    let last = db.last_input().await.unwrap();
    let mut again = batch();
    again.events.pop(); // it has no id to be known by
    db.import(again).await.unwrap();
    assert_eq!(db.last_input().await.unwrap(), last, "what is known is no news");
}

/// Changes of what is known: profiles, orders, carts, products.
pub async fn live_imports_say_what_changed(db: &impl Live) {
    ready(db).await;
    let mut past = ImportBatch::new(dated(0));
    order(&mut past, "o1", "a", dated(0), &[("mug", 2, 5), ("cup", 1, 7)]);
    order(&mut past, "o2", "b", dated(0), &[("mug", 1, 5)]);
    cart(&mut past, "k1", "b", dated(0), &[("cup", 1, 7)]);
    cart(&mut past, "k2", "c", dated(0), &[("cup", 1, 7)]);
    past.products = vec![product("mug", 5), product("cup", 7)];
    past.products[0].stock = Some(0);
    past.products[1].stock = Some(9);
    db.import(past).await.unwrap();
    db.add_codes(slug("ten"), vec!["X1".into()], dated(0)).await.unwrap();

    let mut batch = now();
    let mut changed = contact("a");
    changed.first_name = Some("Anna".into());
    changed.fields.insert("size".into(), Some(Value::Integer(42)));
    changed.lists = vec![slug("l")];
    changed.consents = vec![Consent {
        purpose: slug("newsletter"),
        state: ConsentState::Unsubscribed,
        at: dated(8),
        source: "form".into(),
        proof: String::new(),
    }];
    batch.contacts = vec![changed, contact("b")];
    batch.products = vec![product("mug", 4), product("cup", 8)];
    batch.products[0].stock = Some(3);
    batch.products[1].stock = Some(2);
    order(&mut batch, "o3", "a", dated(8), &[("mug", 1, 4)]);
    batch.orders[0].cart_id = Some("k1".into());
    batch.orders[0].coupons = vec!["x1".into(), "unknown".into()];
    order(&mut batch, "o2", "b", dated(0), &[("mug", 1, 5)]);
    batch.orders[1].status = OrderStatus::Cancelled;
    let mug = batch.code("mug");
    batch.refunds = vec![ImportRefund {
        external_id: "r1".into(),
        of: RefundOf::Order("o1".into()),
        at: dated(8),
        amount: None,
        lines: vec![ImportLine { product: mug, quantity: 1, unit_price: Amount::units(5) }],
    }];
    cart(&mut batch, "k2", "d", dated(8), &[("cup", 1, 8)]);
    db.import(batch.clone()).await.unwrap();
    let inputs = waiting(db).await;
    let expected = [
        (1, kind::CONTACT_UPDATED),
        (1, kind::UNSUBSCRIBED),
        (0, kind::PRICE_DROPPED),
        (0, kind::BACK_IN_STOCK),
        (0, kind::LOW_STOCK),
        (1, kind::ORDER_COMPLETED),
        (2, kind::ORDER_COMPLETED),
        (1, kind::COUPON_REDEEMED),
        (2, kind::ORDER_CANCELLED),
        (1, kind::ORDER_REFUNDED),
        (3, kind::CART_UPDATED),
        (4, kind::CART_UPDATED),
    ];
    assert_eq!(kinds(&inputs), expected);
    assert_eq!(inputs[0].2, json!({"fields": ["first_name", "consent.newsletter", "list.l", "size"]}));
    assert_eq!(inputs[1].2, json!({"purpose": "newsletter"}));
    let mug = json!({"product_id": "mug", "price": 4, "price_before": 5, "stock": 3, "stock_before": 0});
    assert_eq!((&inputs[2].2, &inputs[3].2), (&mug, &mug));
    assert_eq!(inputs[4].2["stock"], 2);
    assert_eq!((&inputs[5].2["cart_id"], &inputs[5].2["coupons"]), (&json!("k1"), &json!(["x1", "unknown"])));
    assert_eq!(inputs[5].2["paid_by_other"], serde_json::Value::Null);
    assert_eq!(inputs[6].2["paid_by_other"], true, "whose cart it was hears that it was bought");
    assert_eq!(inputs[7].2, json!({"set": "ten", "code": "X1", "order_id": "o3", "net": 4}));
    assert_eq!(inputs[8].2["order_id"], "o2");
    let back = json!([{"product_id": "mug", "quantity": 1, "price": 5}]);
    let refund = json!({
        "order_id": "o1", "cart_id": "o1", "total": 17, "currency": "EUR", "refunded": 5, "amount": 5,
        "products": back, "refund_id": "r1"
    });
    assert_eq!(inputs[9].2, refund);
    assert_eq!((&inputs[10].2["item_count"], &inputs[11].2["item_count"]), (&json!(0), &json!(1)));

    let last = db.last_input().await.unwrap();
    db.import(batch).await.unwrap();
    assert_eq!(db.last_input().await.unwrap(), last, "again: nothing changed");
}
