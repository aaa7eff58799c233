//! Contacts, orders, carts, events and the catalogue as an import leaves them.

use std::sync::{Arc, Mutex};

use model::{Amount, CartState, Consent, ConsentState, ContactId, OrderStatus, Slug, Timestamp, Value};
use storage::{
    contacts::IdentifierKind,
    imports::{Checkpoint, ContactPatch, ImportBatch, ItemKind, ProductPatch, Tally},
    orders::CartChoice,
};

use super::Base;
use crate::{cart, contact, dated, event, order, product};

fn tally(new: u64, changed: u64, known: u64, refused: u64) -> Tally {
    Tally { new, changed, known, refused }
}

pub(super) async fn id_of(db: &impl Base, external_id: &str) -> ContactId {
    let found = db.resolve(vec![(IdentifierKind::ExternalId, external_id.to_owned())]).await.unwrap();
    found[0].unwrap_or_else(|| panic!("{external_id} is not known"))
}

fn small_shop() -> ImportBatch {
    let mut batch = ImportBatch::new(dated(10));
    batch.contacts = vec![contact("anna"), contact("ben")];
    batch.products = vec![product("mug", 5), product("cup", 3)];
    order(&mut batch, "o1", "anna", dated(1), &[("mug", 2, 5), ("cup", 1, 3)]);
    order(&mut batch, "o2", "anna", dated(3), &[("pot", 1, 20)]);
    order(&mut batch, "o3", "carl", dated(2), &[("mug", 1, 5), ("mug", 1, 4)]);
    order(&mut batch, "o4", "", dated(2), &[("cup", 4, 3)]);
    cart(&mut batch, "k1", "ben", dated(4), &[("cup", 2, 3)]);
    let mut viewed = event("ben", "Product Viewed", dated(4), "product_id", "cup");
    viewed.message_id = Some("m1".into());
    batch.events = vec![viewed, event("dora", "Page Viewed", dated(5), "", "")];
    batch
}

/// Everything of a batch is there afterwards, and giving the batch again changes nothing.
pub async fn import_makes_everything_once(db: &impl Base) {
    let first = db.import(small_shop()).await.unwrap();
    assert_eq!(first.contacts, tally(4, 0, 0, 0), "two given, two named");
    assert_eq!(first.products, tally(3, 0, 0, 0));
    assert_eq!(
        (first.orders, first.carts, first.events),
        (tally(4, 0, 0, 0), tally(1, 0, 0, 0), tally(2, 0, 0, 0))
    );
    let before = everything(db).await;
    let mut again = small_shop();
    again.events.remove(1); // without a message id a repeat cannot be told
    let second = db.import(again).await.unwrap();
    assert_eq!((second.contacts, second.products), (tally(0, 0, 2, 0), tally(0, 0, 2, 0)));
    assert_eq!(
        (second.orders, second.carts, second.events),
        (tally(0, 0, 4, 0), tally(0, 0, 1, 0), tally(0, 0, 1, 0))
    );
    assert_eq!(everything(db).await, before);

    let ids = [id_of(db, "anna").await, id_of(db, "carl").await, id_of(db, "ben").await];
    let orders = db.load_orders(vec![ids[1], ids[0]], dated(0), dated(3)).await.unwrap();
    let names: Vec<&str> = orders.iter().map(|order| order.external_id.as_str()).collect();
    assert_eq!(names, ["o3", "o1"], "by contact in the order asked, and before the end of the window");
    assert_eq!((orders[1].total, orders[1].contact), (Amount::units(13), Some(ids[0])));
    assert_eq!(
        (orders[1].cart_id.as_str(), orders[1].status, orders[1].lines.len()),
        ("o1", OrderStatus::Completed, 2)
    );
    let totals = db.load_totals(ids.to_vec()).await.unwrap();
    assert_eq!((totals[0].orders, totals[0].spent), (2, Amount::units(33).0));
    assert_eq!((totals[0].first_order_at, totals[0].last_order_at), (Some(dated(1)), Some(dated(3))));
    assert_eq!(totals[2], model::Totals::default());
    assert_eq!(db.last_order_at().await.unwrap(), Some(dated(3)));
    assert_eq!(db.count_contacts().await.unwrap(), (4, ContactId(4)));
    assert_eq!(db.scan_contacts(ContactId(1), 2).await.unwrap().len(), 2);
    assert_eq!(db.scan_contacts(ContactId(4), 2).await.unwrap(), []);

    let mug =
        db.load_products().await.unwrap().into_iter().find(|product| product.external_id == "mug").unwrap();
    let day = dated(2).day_utc();
    let days = db.load_product_days(day, day + 1).await.unwrap();
    let of_mug = days.iter().find(|figure| figure.product == mug.id).unwrap();
    assert_eq!((of_mug.units, of_mug.orders, of_mug.revenue, of_mug.visits), (2, 1, Amount::units(9).0, 0));
    let visits: i64 =
        db.load_product_days(0, 100_000).await.unwrap().iter().map(|figure| figure.visits).sum();
    assert_eq!(visits, 1, "a repeat is no second visit");
}

async fn everything(db: &impl Base) -> String {
    let contacts = db.scan_contacts(ContactId(0), 100).await.unwrap();
    let ids: Vec<ContactId> = contacts.iter().map(|contact| contact.id).collect();
    let orders = db.load_orders(ids.clone(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    let events = db.load_events(ids.clone(), vec![], Timestamp::MIN, Timestamp::MAX).await.unwrap();
    let totals = db.load_totals(ids).await.unwrap();
    let days = db.load_product_days(0, 100_000).await.unwrap();
    format!("{contacts:?} {orders:?} {events:?} {totals:?} {days:?} {:?}", db.load_products().await.unwrap())
}

/// What is given overwrites, what is absent stays; consents keep the latest answer.
pub async fn contacts_keep_what_is_absent(db: &impl Base) {
    let newsletter = |state, day| Consent {
        purpose: Slug::parse("newsletter").unwrap(),
        state,
        at: dated(day),
        source: "import".into(),
        proof: "import:1".into(),
    };
    let mut batch = ImportBatch::new(dated(1));
    let mut anna = contact("anna");
    anna.consents = vec![newsletter(ConsentState::Subscribed, 0)];
    anna.fields.insert("points".into(), Some(Value::Integer(7)));
    anna.fields.insert("tier".into(), Some(Value::Text("gold".into())));
    batch.contacts = vec![anna];
    db.import(batch).await.unwrap();

    let mut batch = ImportBatch::new(dated(2));
    let mut change = ContactPatch {
        external_id: Some("anna".into()),
        email: Some("NEW@example.test".into()),
        country: Some("France".into()),
        consents: vec![newsletter(ConsentState::Unsubscribed, 1), newsletter(ConsentState::Subscribed, 0)],
        ..ContactPatch::default()
    };
    change.fields.insert("tier".into(), None);
    batch.contacts = vec![change];
    assert_eq!(db.import(batch).await.unwrap().contacts, tally(0, 1, 0, 0));
    let id = id_of(db, "anna").await;
    let anna = db.load_contacts(vec![id, ContactId(99)]).await.unwrap().remove(0);
    assert_eq!(anna.first_name.as_deref(), Some("First anna"));
    assert_eq!((anna.country.as_deref(), anna.email.as_deref()), (Some("France"), Some("NEW@example.test")));
    assert_eq!(anna.consent("newsletter"), ConsentState::Unsubscribed);
    assert_eq!((anna.field("points"), anna.field("tier")), (Some(Value::Integer(7)), None));
    assert_eq!((anna.created_at, anna.updated_at), (dated(1), dated(2)));
    let found = db
        .resolve(vec![
            (IdentifierKind::Email, " new@EXAMPLE.test".into()),
            (IdentifierKind::Email, "anna@example.test".into()),
        ])
        .await
        .unwrap();
    assert_eq!(found, [Some(id), None], "the old address points nowhere");
}

/// A contact that cannot be taken is refused, and the rest of the batch is taken.
pub async fn contacts_are_refused_alone(db: &impl Base) {
    let mut batch = ImportBatch::new(dated(1));
    let mut thief = contact("ben");
    thief.email = Some("Anna@Example.test".into());
    let mut late_id = contact("eve");
    late_id.email = Some("eve@example.test".into());
    let only_email = ContactPatch { external_id: None, ..late_id.clone() };
    batch.contacts =
        vec![contact("anna"), thief, ContactPatch::default(), only_email, late_id, contact(&"x".repeat(256))];
    let outcome = db.import(batch).await.unwrap();
    assert_eq!(outcome.contacts, tally(2, 1, 0, 3), "the address took the id that came later");
    let codes: Vec<(usize, &str)> =
        outcome.refusals.iter().map(|refusal| (refusal.index, refusal.problem.code.as_ref())).collect();
    assert_eq!(codes, [(1, "contact.identifier_taken"), (2, "contact.no_identifier"), (5, "import.long_id")]);
    assert!(outcome.refusals.iter().all(|refusal| refusal.kind == ItemKind::Contact));
    assert_eq!(db.count_contacts().await.unwrap().0, 2);
}

/// An older price does not replace a later one, and what a line made is filled by the catalogue.
pub async fn prices_follow_their_time(db: &impl Base) {
    let mut batch = ImportBatch::new(dated(1));
    order(&mut batch, "o1", "anna", dated(1), &[("mug", 1, 5)]);
    let priced = |price, day| ProductPatch { price_at: Some(dated(day)), ..product("mug", price) };
    batch.products = vec![priced(7, 5), priced(6, 4)];
    let outcome = db.import(batch).await.unwrap();
    assert_eq!(outcome.products, tally(1, 0, 1, 0));
    let mut batch = ImportBatch::new(dated(1));
    batch.products =
        vec![ProductPatch { external_id: "mug".into(), out_of_stock: Some(true), ..ProductPatch::default() }];
    assert_eq!(db.import(batch).await.unwrap().products, tally(0, 1, 0, 0));
    let products = db.load_products().await.unwrap();
    assert_eq!(products.len(), 1);
    assert_eq!((products[0].unit_price, products[0].out_of_stock), (Some(Amount::units(7)), true));
    assert_eq!((products[0].name.as_str(), products[0].external_id.as_str()), ("Product mug", "mug"));
}

/// The last cart in each state; a cart that is bought is its order.
pub async fn last_carts_by_state(db: &impl Base) {
    let mut batch = ImportBatch::new(dated(9));
    order(&mut batch, "o1", "anna", dated(1), &[("mug", 1, 5)]);
    order(&mut batch, "o2", "anna", dated(2), &[("cup", 1, 3)]);
    order(&mut batch, "o3", "anna", dated(5), &[]);
    cart(&mut batch, "k1", "anna", dated(3), &[("pot", 1, 20)]);
    cart(&mut batch, "k2", "anna", dated(4), &[]);
    cart(&mut batch, "k3", "ben", dated(4), &[("pot", 1, 20)]);
    db.import(batch).await.unwrap();
    let ids = vec![id_of(db, "ben").await, id_of(db, "anna").await];
    let last = async |choice, now| {
        let carts = db.load_last_carts(ids.clone(), choice, now, Timestamp::HOUR).await.unwrap();
        carts.into_iter().map(|cart| cart.external_id).collect::<Vec<_>>()
    };
    assert_eq!(last(CartChoice::Purchased, dated(9)).await, ["o2"], "an order without lines is no cart");
    assert_eq!(last(CartChoice::Purchased, dated(1)).await, ["o1"], "as of then");
    assert_eq!(last(CartChoice::Abandoned, dated(9)).await, ["k3", "k1"]);
    assert_eq!(last(CartChoice::Active, dated(9)).await, ["k2"], "an empty cart is never abandoned");
    assert_eq!(last(CartChoice::Active, dated(4).plus(Timestamp::MINUTE)).await, ["k3", "k2"]);
    assert_eq!(last(CartChoice::Any, dated(9)).await, ["k3", "k2"]);

    let mut batch = ImportBatch::new(dated(9));
    order(&mut batch, "o4", "anna", dated(6), &[("pot", 2, 20)]);
    batch.orders[0].cart_id = Some("k1".into());
    db.import(batch).await.unwrap();
    let mut batch = ImportBatch::new(dated(9));
    cart(&mut batch, "k1", "anna", dated(7), &[("pot", 9, 20)]);
    cart(&mut batch, "o2", "anna", dated(7), &[("pot", 9, 20)]);
    cart(&mut batch, "k3", "ben", dated(3), &[("pot", 9, 20)]);
    assert_eq!(db.import(batch).await.unwrap().carts, tally(0, 0, 3, 0), "bought, bought, older");
    assert_eq!(last(CartChoice::Any, dated(9)).await, ["k3", "k1"]);
    let carts = db.load_last_carts(ids.clone(), CartChoice::Purchased, dated(9), 0).await.unwrap();
    assert_eq!((carts[0].external_id.as_str(), carts[0].total), ("k1", Amount::units(40)));
    assert_eq!(carts[0].state(dated(9), 0), CartState::Purchased);
    assert_eq!(last(CartChoice::Abandoned, dated(9)).await, ["k3"]);
}

/// A known message id is not written again; kinds and windows select.
pub async fn events_are_known_by_their_message(db: &impl Base) {
    let with_id = |contact, kind, day, id: &str| {
        let mut event = event(contact, kind, dated(day), "colour", "blue");
        event.message_id = Some(id.to_owned());
        event
    };
    let mut batch = ImportBatch::new(dated(9));
    batch.events = vec![
        with_id("anna", "Tea Poured", 3, "m1"),
        with_id("anna", "Tea Poured", 1, "m2"),
        with_id("anna", "Tea Poured", 1, "m2"),
        event("ben", "Page Viewed", dated(2), "", ""),
        event("anna", "Cake Cut", dated(2), "", ""),
        event("anna", &"x".repeat(101), dated(2), "", ""),
    ];
    let outcome = db.import(batch).await.unwrap();
    assert_eq!(outcome.events, tally(4, 0, 1, 1));
    let ids = vec![id_of(db, "ben").await, id_of(db, "anna").await];
    let load = async |kinds: &[&str], until| {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        db.load_events(ids.clone(), kinds, dated(1), until).await.unwrap()
    };
    let all = load(&[], dated(4)).await;
    let kinds: Vec<&str> = all.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["Page Viewed", "Tea Poured", "Cake Cut", "Tea Poured"]);
    assert_eq!((all[1].message_id.as_deref(), all[1].received_at), (Some("m2"), dated(9)));
    assert_eq!(all[1].properties["colour"], "blue");
    assert_eq!(load(&["Tea Poured", "Nothing"], dated(3)).await.len(), 1, "the window's end is outside");
    assert_eq!(load(&["Nothing"], dated(4)).await, []);
}

/// A scan brings every order of a window once, whichever way it takes, and stops when told.
pub async fn orders_can_be_scanned(db: &impl Base) {
    let mut batch = ImportBatch::new(dated(400));
    for number in 0..300_i64 {
        let contact = if number % 7 == 0 { String::new() } else { format!("c{}", number % 50) };
        order(&mut batch, &format!("o{number}"), &contact, dated(number), &[("mug", 1 + number, 1)]);
    }
    db.import(batch).await.unwrap();
    let scan = async |since, until| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&seen);
        db.scan_orders(since, until, move |orders| {
            theirs.lock().unwrap().extend(orders.iter().map(|order| order.total.0 / Amount::SCALE - 1));
            true
        })
        .await
        .unwrap();
        let mut seen = std::mem::take(&mut *seen.lock().unwrap());
        seen.sort_unstable();
        seen
    };
    assert_eq!(scan(Timestamp::MIN, Timestamp::MAX).await, (0..300).collect::<Vec<i64>>());
    assert_eq!(scan(dated(100), dated(110)).await, (100..110).collect::<Vec<i64>>());
    assert_eq!(scan(dated(299), Timestamp::MAX).await, [299]);
    assert_eq!(scan(dated(300), Timestamp::MAX).await, Vec::<i64>::new());
    let calls = Arc::new(Mutex::new(0));
    let theirs = Arc::clone(&calls);
    db.scan_orders(Timestamp::MIN, Timestamp::MAX, move |_| {
        *theirs.lock().unwrap() += 1;
        false
    })
    .await
    .unwrap();
    assert_eq!(*calls.lock().unwrap(), 1);
}

/// A checkpoint is there exactly when its rows are.
pub async fn checkpoints_come_with_their_rows(db: &impl Base) {
    assert_eq!(db.load_checkpoint("file".into()).await.unwrap(), None);
    let checkpoint = |rows_done| Checkpoint {
        key: "file".into(),
        rows_done,
        finished: false,
        state: serde_json::json!({"names": 3}),
    };
    for rows in [10, 20] {
        let mut batch = ImportBatch::new(dated(1));
        batch.contacts = vec![contact(&format!("c{rows}"))];
        batch.checkpoint = Some(checkpoint(rows));
        db.import(batch).await.unwrap();
    }
    assert_eq!(db.load_checkpoint("file".into()).await.unwrap(), Some(checkpoint(20)));
    db.drop_checkpoint("file".into()).await.unwrap();
    assert_eq!(db.load_checkpoint("file".into()).await.unwrap(), None);
}
