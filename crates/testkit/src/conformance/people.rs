//! Contacts as people: who is meant, and what a merge moves. The rules are those of docs/identity.md.

use model::{Contact, ContactId, Timestamp, event::kind};
use serde_json::{Map, json};
use storage::{
    contacts::IdentifierKind,
    imports::{ContactKey, ContactPatch, ImportBatch, ImportEvent, ImportOutcome},
    people::{Merged, PeopleStore},
};

use super::live::Live;
use crate::{cart, contact, dated, event, order};

/// What tests of people need.
pub trait People: Live + PeopleStore {}

impl<T: Live + PeopleStore> People for T {}

fn anonymous(id: &str) -> ContactKey {
    ContactKey::Anonymous(id.into())
}

fn signed_in(known: &str, id: &str) -> ContactKey {
    ContactKey::SignedIn { known: Box::new(ContactKey::ExternalId(known.into())), anonymous_id: id.into() }
}

fn did(who: ContactKey, what: &str, at: Timestamp) -> ImportEvent {
    ImportEvent { contact: who, at, kind: what.into(), message_id: None, properties: Map::new() }
}

fn in_browsers(patch: ContactPatch, ids: &[&str]) -> ContactPatch {
    ContactPatch { anonymous_ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..patch }
}

/// Brings a batch of what happens now.
async fn bring(db: &impl People, day: i64, fill: impl FnOnce(&mut ImportBatch)) -> ImportOutcome {
    let mut batch = ImportBatch::new(dated(day));
    batch.live = true;
    fill(&mut batch);
    db.import(batch).await.unwrap()
}

async fn who(db: &impl People, kind: IdentifierKind, value: &str) -> Option<ContactId> {
    db.resolve(vec![(kind, value.to_owned())]).await.unwrap()[0]
}

async fn browser(db: &impl People, id: &str) -> Option<ContactId> {
    who(db, IdentifierKind::Anonymous, id).await
}

async fn shop_id(db: &impl People, id: &str) -> ContactId {
    who(db, IdentifierKind::ExternalId, id).await.unwrap()
}

async fn profile(db: &impl People, id: ContactId) -> Contact {
    db.load_contacts(vec![id]).await.unwrap().remove(0)
}

/// Kinds of what a contact did, in order.
async fn history(db: &impl People, id: ContactId) -> Vec<String> {
    let all = db.load_events(vec![id], Vec::new(), Timestamp::MIN, Timestamp::MAX).await.unwrap();
    all.into_iter().map(|event| event.kind).collect()
}

/// A browser is a contact before anybody signs in, and becomes part of the one who does.
pub async fn people_anonymous_contacts_become_known(db: &impl People) {
    bring(db, 1, |batch| {
        batch.events = vec![did(anonymous("b1"), "A", dated(1)), did(anonymous("b2"), "B", dated(1))];
        cart(batch, "k1", "", dated(1), &[("mug", 1, 5)]);
        batch.carts[0].contact = anonymous("b1");
    })
    .await;
    let (one, two) = (browser(db, "b1").await.unwrap(), browser(db, "b2").await.unwrap());
    assert_eq!(profile(db, one).await.external_id, None);
    assert_ne!(one, two);

    // Nobody known yet: the anonymous contact itself becomes known.
    let outcome = bring(db, 2, |batch| batch.contacts = vec![in_browsers(contact("anna"), &["b1"])]).await;
    assert_eq!((outcome.contacts.new, outcome.contacts.changed), (0, 1));
    assert_eq!(shop_id(db, "anna").await, one);

    // Known already: the anonymous contact of the other browser goes into it.
    bring(db, 3, |batch| batch.events = vec![did(signed_in("anna", "b2"), "C", dated(3))]).await;
    assert_eq!((browser(db, "b2").await, browser(db, "b1").await), (Some(one), Some(one)));
    assert_eq!(history(db, one).await, ["A", "B", "C"]);
    assert_eq!(db.count_contacts().await.unwrap().0, 1);
    assert_eq!(db.successors(vec![two, one, ContactId(77)]).await.unwrap(), [one, one, ContactId(77)]);
    assert_eq!(db.load_open_carts(vec![one]).await.unwrap().len(), 1);

    // The same once more changes nothing, and a browser without a name leads to her.
    let outcome = bring(db, 4, |batch| {
        batch.contacts = vec![in_browsers(contact("anna"), &["b1", "b2"])];
        batch.events = vec![did(anonymous("b2"), "D", dated(4)), did(signed_in("anna", "b2"), "E", dated(4))];
    })
    .await;
    assert_eq!(outcome.contacts.known, 1);
    assert_eq!(history(db, one).await, ["A", "B", "C", "D", "E"]);
}

/// Two people in one browser stay two: it belongs to whoever signed in last.
pub async fn people_share_a_computer(db: &impl People) {
    bring(db, 1, |batch| {
        batch.contacts = vec![in_browsers(contact("anna"), &["b"]), contact("ben")];
        batch.events = vec![did(anonymous("b"), "hers", dated(1))];
    })
    .await;
    let (anna, ben) = (shop_id(db, "anna").await, shop_id(db, "ben").await);
    bring(db, 2, |batch| batch.events = vec![did(signed_in("ben", "b"), "his", dated(2))]).await;
    bring(db, 3, |batch| batch.events = vec![did(anonymous("b"), "his too", dated(3))]).await;
    assert_eq!(history(db, anna).await, ["hers"]);
    assert_eq!(history(db, ben).await, ["his", "his too"]);
    // Somebody new in a browser of somebody known is somebody new.
    bring(db, 4, |batch| batch.contacts = vec![in_browsers(contact("eve"), &["b"])]).await;
    let eve = shop_id(db, "eve").await;
    assert!(eve != ben && eve != anna);
    assert_eq!(browser(db, "b").await, Some(eve));
    // A browser that says nothing of who signs in takes nobody's browser.
    bring(db, 5, |batch| {
        let patch = ContactPatch { country: Some("France".into()), ..ContactPatch::default() };
        batch.contacts = vec![in_browsers(patch, &["b", "c"])];
    })
    .await;
    assert_eq!(profile(db, eve).await.country.as_deref(), Some("France"));
    assert_eq!((browser(db, "b").await, browser(db, "c").await), (Some(eve), Some(eve)));
    assert_eq!(db.last_departure().await.unwrap(), 0, "nobody was merged");
}

/// An address without a shop's id and a shop's id that are named together are one person; former ids are, too.
pub async fn people_are_joined_by_what_names_both(db: &impl People) {
    let only_email = |email: &str| ContactPatch { email: Some(email.into()), ..ContactPatch::default() };
    bring(db, 1, |batch| {
        let mut subscriber = only_email("Anna@example.test");
        subscriber.country = Some("France".into());
        batch.contacts = vec![subscriber];
    })
    .await;
    bring(db, 2, |batch| {
        let shopper = ContactPatch { external_id: Some("anna".into()), ..ContactPatch::default() };
        batch.contacts = vec![shopper, contact("old")];
        batch.events = vec![did(ContactKey::Email("anna@example.test".into()), "mail", dated(2))];
    })
    .await;
    let outcome = bring(db, 3, |batch| batch.contacts = vec![contact("anna")]).await;
    assert_eq!((outcome.contacts.changed, outcome.refusals.len()), (1, 0));
    let anna = shop_id(db, "anna").await;
    assert_eq!(who(db, IdentifierKind::Email, "anna@example.test").await, Some(anna));
    assert_eq!(profile(db, anna).await.country.as_deref(), Some("France"), "gaps are filled");
    assert_eq!(history(db, anna).await, ["mail"]);

    // The shop says that it called her otherwise before; the younger contact goes into the older.
    let outcome = bring(db, 4, |batch| {
        let mut patch = contact("anna");
        patch.former_ids = vec!["old".into(), "older".into()];
        batch.contacts = vec![patch];
    })
    .await;
    assert_eq!((outcome.contacts.changed, outcome.refusals.len()), (1, 0));
    for id in ["old", "older", "anna"] {
        assert_eq!(shop_id(db, id).await, anna, "{id}");
    }
    let known = profile(db, anna).await;
    assert_eq!(
        (known.external_id.as_deref(), known.email.as_deref()),
        (Some("anna"), Some("anna@example.test"))
    );
    assert_eq!(who(db, IdentifierKind::Email, "old@example.test").await, Some(anna), "her former address");
    // A file that still has the former id speaks of her, and does not call her so again.
    bring(db, 5, |batch| {
        let late = ContactPatch {
            external_id: Some("old".into()),
            country: Some("Spain".into()),
            ..ContactPatch::default()
        };
        batch.contacts = vec![late];
    })
    .await;
    let known = profile(db, anna).await;
    assert_eq!((known.external_id.as_deref(), known.country.as_deref()), (Some("anna"), Some("Spain")));
    assert_eq!(db.count_contacts().await.unwrap().0, 1);
}

/// A merge moves what a contact has, wherever it lies; repeated it does nothing.
pub async fn people_merge_everything(db: &impl People) {
    bring(db, 1, |batch| {
        batch.contacts = vec![contact("anna"), contact("ann")];
        order(batch, "o1", "anna", dated(1), &[("mug", 1, 5)]);
        order(batch, "o2", "ann", dated(2), &[("cup", 2, 5)]);
        cart(batch, "k1", "ann", dated(1), &[("mug", 1, 5)]);
        let mut viewed = event("ann", kind::PRODUCT_VIEWED, dated(1), "product_id", "mug");
        viewed.message_id = Some("m1".into());
        batch.events = vec![viewed];
    })
    .await;
    let (anna, ann) = (shop_id(db, "anna").await, shop_id(db, "ann").await);
    let inputs = db.take_inputs(i64::MAX, 100).await.unwrap();
    assert!(inputs.iter().any(|input| input.event.contact == ann));
    assert_eq!(
        db.merge_contacts(anna, ContactId(99), dated(3)).await.unwrap(),
        Merged::Unknown(ContactId(99))
    );
    assert_eq!(db.merge_contacts(anna, anna, dated(3)).await.unwrap(), Merged::Same);
    assert_eq!(db.merge_contacts(anna, ann, dated(3)).await.unwrap(), Merged::Done);
    assert_eq!(db.merge_contacts(anna, ann, dated(4)).await.unwrap(), Merged::Already);
    assert_eq!(db.merge_contacts(ann, anna, dated(4)).await.unwrap(), Merged::Already);
    assert_eq!(db.last_departure().await.unwrap(), 1);

    assert_eq!(db.load_contacts(vec![ann]).await.unwrap(), []);
    let totals = db.load_totals(vec![anna, ann]).await.unwrap();
    assert_eq!((totals[0].orders, totals[0].spent), (2, 150_000));
    assert_eq!((totals[0].first_order_at, totals[0].last_order_at), (Some(dated(1)), Some(dated(2))));
    assert_eq!(totals[1].orders, 0);
    let orders = db.load_orders(vec![anna], Timestamp::MIN, Timestamp::MAX).await.unwrap();
    assert_eq!(orders.iter().map(|order| order.external_id.as_str()).collect::<Vec<_>>(), ["o1", "o2"]);
    assert_eq!(history(db, anna).await, [kind::PRODUCT_VIEWED]);
    assert_eq!(db.load_open_carts(vec![anna]).await.unwrap().len(), 1);

    // What waited for the loser is the winner's, and the merge itself is the last.
    let after = db.take_inputs(i64::MAX, 100).await.unwrap();
    assert_eq!(after.len(), inputs.len() + 1);
    assert!(after.iter().all(|input| input.event.contact == anna));
    let last = after.last().unwrap();
    assert_eq!(
        (last.event.kind.as_str(), &last.event.properties["merged"]),
        (kind::CONTACT_MERGED, &json!([ann]))
    );

    // Repeats and changes of what the loser did find it.
    let outcome = bring(db, 5, |batch| {
        order(batch, "o2", "ann", dated(2), &[("cup", 2, 5)]);
        batch.orders[0].refunded = batch.orders[0].total;
        order(batch, "o3", "ann", dated(4), &[("cup", 1, 5)]);
        cart(batch, "k1", "ann", dated(4), &[("cup", 1, 5)]);
        let mut again = event("ann", kind::PRODUCT_VIEWED, dated(1), "product_id", "mug");
        again.message_id = Some("m1".into());
        batch.events = vec![again];
    })
    .await;
    assert_eq!((outcome.orders.changed, outcome.orders.new, outcome.carts.changed), (1, 1, 1));
    assert_eq!((outcome.events.known, outcome.contacts.new), (1, 0));
    let totals = db.load_totals(vec![anna]).await.unwrap();
    assert_eq!((totals[0].orders, totals[0].spent), (2, 100_000));
}

/// A chain of merges leads to its end, also within one batch whose orders came before.
pub async fn people_merges_follow_each_other(db: &impl People) {
    bring(db, 1, |batch| {
        batch.contacts = vec![contact("a"), contact("b"), contact("c")];
        order(batch, "o1", "c", dated(1), &[("mug", 1, 5)]);
    })
    .await;
    let [a, b, c] = [shop_id(db, "a").await, shop_id(db, "b").await, shop_id(db, "c").await];
    db.merge_contacts(b, c, dated(2)).await.unwrap();
    db.merge_contacts(a, c, dated(3)).await.unwrap();
    assert_eq!(db.successors(vec![a, b, c]).await.unwrap(), [a, a, a]);
    assert_eq!(db.load_totals(vec![a]).await.unwrap()[0].orders, 1);
    bring(db, 4, |batch| {
        order(batch, "o2", "", dated(4), &[("mug", 1, 7)]);
        batch.orders[0].contact = Some(anonymous("x"));
        order(batch, "o3", "", dated(4), &[("mug", 1, 8)]);
        batch.orders[1].contact = Some(anonymous("y"));
        order(batch, "o4", "a", dated(4), &[("mug", 1, 9)]);
        batch.events = vec![did(signed_in("a", "x"), "A", dated(4)), did(signed_in("a", "y"), "B", dated(4))];
    })
    .await;
    let totals = db.load_totals(vec![a]).await.unwrap();
    assert_eq!((totals[0].orders, totals[0].spent), (4, (5 + 7 + 8 + 9) * 10_000));
    let last = db.take_inputs(i64::MAX, 100).await.unwrap().pop().unwrap();
    assert_eq!(last.event.properties["merged"].as_array().unwrap().len(), 2, "one input tells of both");
}
