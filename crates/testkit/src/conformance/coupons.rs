//! Coupon codes: added once, given once, used once.

use model::{Amount, ContactId, CouponSet, Slug, Zone, event::kind};
use storage::{
    coupons::{CouponStock, HeldCode, Redemption},
    imports::ImportBatch,
    live::{CouponUse, Done, StepCommit, StepOutcome},
    settings::{DefinitionKind, NewDefinition},
};

use super::Live;
use crate::{contact, dated, event, order};

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

async fn define(db: &impl Live, name: &str, terms: &str) {
    let text = format!("format: 1\ncoupons: {name}\n{terms}\n");
    let set = CouponSet::parse(&text, None, &Zone::UTC).unwrap_or_else(|problems| panic!("{problems:?}"));
    let kind = DefinitionKind::CouponSet;
    let new = NewDefinition { kind, slug: slug(name), content: set.to_json() };
    db.save_definitions(vec![new], dated(0)).await.unwrap();
}

async fn add(db: &impl Live, set: &str, codes: &[&str]) -> (u64, Vec<(usize, String)>) {
    let codes = codes.iter().map(|code| (*code).to_owned()).collect();
    let added = db.add_codes(slug(set), codes, dated(0)).await.unwrap();
    (
        added.added,
        added.refused.into_iter().map(|(place, problem)| (place, problem.code.to_string())).collect(),
    )
}

fn given(set: &str, code: &str, contact: i64) -> CouponUse {
    CouponUse {
        set: slug(set),
        code: code.into(),
        contact: ContactId(contact),
        run: 1,
        ordinal: 1,
        node: "code".into(),
        expires_at: Some(dated(9)),
    }
}

async fn give(db: &impl Live, at: i64, uses: &[CouponUse]) -> StepOutcome {
    let mut step = StepCommit::new(dated(at), Done::Alarms);
    step.coupons = uses.to_vec();
    db.commit_step(step).await.unwrap()
}

const COMMITTED: StepOutcome = StepOutcome::Committed { messages: 0 };

/// A code is known once in all sets, whatever its case; what is refused says why, everything else is taken.
pub async fn coupon_codes_are_added_once(db: &impl Live) {
    define(db, "all", "kind: shared\ncode: SPRING").await;
    define(db, "ten", "kind: single_use").await;
    let long = "x".repeat(CouponSet::CODE_LEN_MAX);
    let longer = "x".repeat(CouponSet::CODE_LEN_MAX + 1);
    let codes = ["A1", "a1", "B 1", "", &long, &longer, "spring", "C1"];
    let refused = [
        (1, "coupon.duplicate"),
        (2, "coupon.code_invalid"),
        (3, "coupon.code_empty"),
        (5, "coupon.code_too_long"),
        (6, "coupon.other_set"),
    ];
    let refused: Vec<(usize, String)> = refused.iter().map(|(n, code)| (*n, (*code).to_owned())).collect();
    assert_eq!(add(db, "ten", &codes).await, (3, refused));
    assert_eq!(add(db, "ten", &["c1"]).await.1[0].1, "coupon.duplicate");
    assert_eq!(add(db, "twenty", &["c1"]).await.1[0].1, "coupon.other_set");
    let free = db.free_codes(slug("ten"), 0, 2).await.unwrap();
    assert_eq!(free.iter().map(|free| free.code.as_str()).collect::<Vec<_>>(), ["A1", &long]);
    let rest = db.free_codes(slug("ten"), free[1].no, 10).await.unwrap();
    assert_eq!(rest.iter().map(|free| free.code.as_str()).collect::<Vec<_>>(), ["C1"]);
    let stocks = db.coupon_stocks(vec![slug("ten"), slug("nothing")]).await.unwrap();
    assert_eq!(stocks, [CouponStock { free: 3, given: 0 }, CouponStock::default()]);
    assert_eq!(db.free_codes(slug("nothing"), 0, 10).await.unwrap(), []);
}

/// A code is given to one contact; a set's limit and a contact's limit hold in the transaction that gives.
pub async fn coupon_codes_are_given_once(db: &impl Live) {
    define(db, "ten", "kind: single_use\nper_contact: 2\nlow_stock: 1").await;
    define(db, "all", "kind: shared\ncode: ALL\nlimit: 2").await;
    add(db, "ten", &["A1", "A2", "A3", "A4"]).await;
    assert_eq!(give(db, 1, &[given("ten", "A1", 1)]).await, COMMITTED);
    let conflict = |contact| StepOutcome::Conflict(vec![ContactId(contact)]);
    assert_eq!(give(db, 1, &[given("ten", "A2", 3), given("ten", "a1", 2)]).await, conflict(2));
    assert_eq!(db.coupon_stocks(vec![slug("ten")]).await.unwrap()[0], CouponStock { free: 3, given: 1 });
    assert_eq!(
        give(db, 1, &[given("ten", "A2", 3), given("ten", "A2", 2)]).await,
        conflict(2),
        "in one step"
    );
    assert_eq!(give(db, 1, &[given("ten", "none", 2)]).await, conflict(2), "no such code");
    assert_eq!(db.take_low_stock().await.unwrap(), []);
    let three = [given("ten", "A2", 1), given("ten", "A3", 1)];
    assert_eq!(give(db, 2, &three).await, conflict(1), "one contact's limit, in one step");
    assert_eq!(give(db, 2, &[given("ten", "A2", 1), given("ten", "A3", 2)]).await, COMMITTED);
    assert_eq!(give(db, 2, &[given("ten", "A4", 1)]).await, conflict(1), "one contact's limit");
    let held = db.held_codes(slug("ten"), vec![ContactId(2), ContactId(9), ContactId(1)]).await.unwrap();
    let code = |code: &str, at| HeldCode {
        code: code.into(),
        at: dated(at),
        expires_at: Some(dated(9)),
        redeemed: false,
    };
    assert_eq!(held, [vec![code("A3", 2)], vec![], vec![code("A2", 2), code("A1", 1)]]);

    let low = db.take_low_stock().await.unwrap();
    assert_eq!((low.len(), low[0].set.as_str(), low[0].left, low[0].since), (1, "ten", 1, dated(2)));
    assert_eq!(db.take_low_stock().await.unwrap(), [], "told once");
    assert_eq!(add(db, "ten", &["A5", "A6"]).await.0, 2);
    assert_eq!(db.count_codes(slug("ten"), dated(3)).await.unwrap().low_since, None);
    assert_eq!(give(db, 3, &[given("ten", "A4", 3), given("ten", "A5", 3)]).await, COMMITTED);
    assert_eq!(db.take_low_stock().await.unwrap().len(), 1, "low again");

    let all = [given("all", "ALL", 1), given("all", "ALL", 2), given("all", "ALL", 3)];
    assert_eq!(give(db, 3, &all).await, conflict(3), "the limit of uses");
    assert_eq!(give(db, 3, &all[..2]).await, COMMITTED);
    assert_eq!(give(db, 3, &all[2..]).await, conflict(3));
    assert_eq!(db.coupon_stocks(vec![slug("all")]).await.unwrap()[0], CouponStock { free: 0, given: 2 });
}

/// An order marks the codes that it names, once, and tells it; a code that nobody was given is free no more.
pub async fn coupons_are_redeemed_by_orders(db: &impl Live) {
    define(db, "ten", "kind: single_use").await;
    define(db, "all", "kind: shared\ncode: ALL").await;
    let mut batch = ImportBatch::new(dated(0));
    batch.contacts = vec![contact("a"), contact("b")];
    db.import(batch).await.unwrap();
    let ids = [1, 2];
    add(db, "ten", &["A1", "A2", "A3"]).await;
    let uses = [given("ten", "A1", ids[0]), given("ten", "A2", ids[0]), given("all", "ALL", ids[0])];
    assert_eq!(give(db, 1, &uses).await, COMMITTED);

    let mut batch = ImportBatch::new(dated(2));
    batch.live = true;
    order(&mut batch, "O1", "b", dated(2), &[("P", 1, 20)]);
    batch.orders[0].coupons = vec![" a1 ".into(), "ALL".into(), "unknown".into()];
    batch.orders[0].refunded = Amount::units(5);
    order(&mut batch, "O2", "b", dated(2), &[("P", 1, 20)]);
    batch.orders[1].coupons = vec!["A1".into()];
    order(&mut batch, "O3", "b", dated(2), &[("P", 1, 20)]);
    batch.orders[2].coupons = vec!["A3".into()];
    let again = batch.clone();
    db.import(batch).await.unwrap();
    db.import(again).await.unwrap();
    let counts = db.count_codes(slug("ten"), dated(3)).await.unwrap();
    assert_eq!((counts.assigned, counts.free, counts.redeemed, counts.expired), (2, 0, 2, 0));
    assert_eq!(db.count_codes(slug("ten"), dated(9)).await.unwrap().expired, 1, "A2 at its end");
    let shared = db.count_codes(slug("all"), dated(3)).await.unwrap();
    let both = db.count_codes_of(vec![slug("all"), slug("nobody"), slug("ten")], dated(3)).await.unwrap();
    assert_eq!(both, [shared, storage::coupons::CouponCounts::default(), counts]);
    assert_eq!((shared.assigned, shared.redeemed), (1, 1), "b used what a was given");
    assert_eq!(db.free_codes(slug("ten"), 0, 10).await.unwrap(), [], "A3 was handed out by other means");

    let kinds = vec![kind::COUPON_REDEEMED.to_owned()];
    let b = vec![ContactId(ids[1])];
    let told = db.load_events(b, kinds, dated(0), dated(9)).await.unwrap();
    let codes: Vec<&str> = told.iter().filter_map(|event| event.properties["code"].as_str()).collect();
    assert_eq!(codes, ["A1", "ALL", "A3"]);
    assert_eq!(told[0].properties["net"], 15);
    assert_eq!((&told[0].properties["set"], &told[0].properties["order_id"]), (&"ten".into(), &"O1".into()));
    let inputs = db.take_inputs(i64::MAX, 100).await.unwrap();
    let redeemed = inputs.iter().filter(|input| input.event.kind == kind::COUPON_REDEEMED).count();
    assert_eq!(redeemed, 3, "what happens now is worked on");

    let mut batch = ImportBatch::new(dated(4));
    batch.events = vec![event("a", kind::COUPON_APPLIED, dated(4), "coupon", "A2")];
    let mut applied = event("a", kind::COUPON_APPLIED, dated(4), "coupon", "A2");
    applied.properties.insert("order_id".into(), "O9".into());
    db.import(batch.clone()).await.unwrap();
    assert_eq!(db.count_codes(slug("ten"), dated(5)).await.unwrap().redeemed, 2, "only in a cart");
    batch.events = vec![applied];
    db.import(batch).await.unwrap();
    assert_eq!(db.count_codes(slug("ten"), dated(5)).await.unwrap().redeemed, 3);

    let by_hand = Redemption {
        codes: vec!["ALL".into()],
        contact: ContactId(ids[0]),
        order_id: "O8".into(),
        net: Amount::units(1),
        at: dated(5),
    };
    let redeemed = db.redeem_codes(vec![by_hand.clone(), by_hand]).await.unwrap();
    assert_eq!(redeemed.len(), 1, "one order, one use");
    let held = db.held_codes(slug("all"), vec![ContactId(ids[0])]).await.unwrap();
    assert!(held[0][0].redeemed);
}
