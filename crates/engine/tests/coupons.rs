//! Codes for batches: nobody gets the code of another, what is not committed comes back, limits and held codes hold.

use std::collections::BTreeSet;

use engine::live::coupons::{BLOCK, CouponAsk, Coupons, Lease, preview};
use journey::run::Coupon;
use model::{ContactId, CouponSet, Slug, Timestamp, Zone};
use storage::{
    coupons::CouponStore,
    live::{CouponUse, Done, LiveStore, StepCommit, StepOutcome},
    settings::{DefinitionKind, NewDefinition, SettingsStore},
};
use testkit::{Store, block_on, dated, store};

fn slug(text: &str) -> Slug {
    Slug::parse(text).unwrap()
}

async fn define(db: &Store, name: &str, terms: &str, codes: usize) {
    let text = format!("format: 1\ncoupons: {name}\n{terms}\n");
    let set = CouponSet::parse(&text, None, &Zone::UTC).unwrap_or_else(|problems| panic!("{problems:?}"));
    let new = NewDefinition { kind: DefinitionKind::CouponSet, slug: slug(name), content: set.to_json() };
    db.save_definitions(vec![new], dated(0)).await.unwrap();
    let codes = (0..codes).map(|n| format!("{name}-{n}")).collect();
    assert_eq!(db.add_codes(slug(name), codes, dated(0)).await.unwrap().refused, []);
}

fn asks(set: &str, contacts: std::ops::Range<i64>, reuse: bool) -> Vec<CouponAsk> {
    contacts.map(|contact| CouponAsk { contact: ContactId(contact), set: slug(set), reuse }).collect()
}

async fn answer(lease: &mut Lease, db: &Store, asks: Vec<CouponAsk>, at: i64) -> Vec<Option<Coupon>> {
    lease.answer(&**db, asks, dated(at)).await.unwrap()
}

fn codes(found: &[Option<Coupon>]) -> Vec<&str> {
    found.iter().flatten().map(|coupon| coupon.code.as_str()).collect()
}

fn uses(set: &str, contacts: std::ops::Range<i64>, found: &[Option<Coupon>]) -> Vec<CouponUse> {
    let found = contacts.zip(found).filter_map(|(contact, coupon)| Some((contact, coupon.as_ref()?)));
    found
        .filter(|(_, coupon)| !coupon.held)
        .map(|(contact, coupon)| CouponUse {
            set: slug(set),
            code: coupon.code.clone(),
            contact: ContactId(contact),
            run: 1,
            ordinal: 1,
            node: "code".into(),
            expires_at: coupon.expires_at,
        })
        .collect()
}

async fn commit(db: &Store, at: i64, uses: &[CouponUse]) -> StepOutcome {
    let mut step = StepCommit::new(dated(at), Done::Alarms);
    step.coupons = uses.to_vec();
    db.commit_step(step).await.unwrap()
}

const COMMITTED: StepOutcome = StepOutcome::Committed { messages: 0 };

#[test]
fn batches_at_the_same_time_never_share_a_code() {
    block_on(async {
        let db = store();
        define(&db, "ten", "kind: single_use", 10).await;
        let coupons = Coupons::new();
        let (mut one, mut two) = (coupons.begin(), coupons.begin());
        let first = answer(&mut one, &db, asks("ten", 1..5, false), 1).await;
        let second = answer(&mut two, &db, asks("ten", 5..12, false), 1).await;
        assert_eq!(codes(&first), ["ten-0", "ten-1", "ten-2", "ten-3"], "in the order of arrival");
        assert_eq!(first[3].as_ref().unwrap().left, Some(6));
        assert_eq!(codes(&second).len(), 6);
        assert_eq!(second[6], None, "none is left");
        let all: BTreeSet<&str> = codes(&first).into_iter().chain(codes(&second)).collect();
        assert_eq!(all.len(), 10);

        drop(one); // it came to nothing: its codes are free again
        let given = uses("ten", 5..12, &second);
        assert_eq!(commit(&db, 1, &given).await, COMMITTED);
        two.committed(&given);
        let mut three = coupons.begin();
        let third = answer(&mut three, &db, asks("ten", 20..30, false), 1).await;
        assert_eq!(codes(&third), codes(&first));
        assert_eq!(commit(&db, 1, &uses("ten", 20..30, &third)[..1]).await, COMMITTED);
        three.committed(&uses("ten", 20..30, &third)[..1]); // the others left before they got theirs
        let mut four = coupons.begin();
        let fourth = answer(&mut four, &db, asks("ten", 30..40, false), 1).await;
        assert_eq!(codes(&fourth), ["ten-1", "ten-2", "ten-3"]);
    });
}

#[test]
fn a_code_that_somebody_else_gave_is_asked_for_again() {
    block_on(async {
        let db = store();
        define(&db, "ten", "kind: single_use", 3).await;
        let (ours, theirs) = (Coupons::new(), Coupons::new());
        let (mut one, mut two) = (ours.begin(), theirs.begin());
        let first = answer(&mut one, &db, asks("ten", 1..2, false), 1).await;
        let second = answer(&mut two, &db, asks("ten", 2..3, false), 1).await;
        assert_eq!(codes(&first), codes(&second), "two processes");
        assert_eq!(commit(&db, 1, &uses("ten", 1..2, &first)).await, COMMITTED);
        let conflict = commit(&db, 1, &uses("ten", 2..3, &second)).await;
        assert_eq!(conflict, StepOutcome::Conflict(vec![ContactId(2)]));
        drop(two);
        let mut again = theirs.begin();
        let second = answer(&mut again, &db, asks("ten", 2..3, false), 1).await;
        assert_eq!(codes(&second), ["ten-1"]);
        assert_eq!(commit(&db, 1, &uses("ten", 2..3, &second)).await, COMMITTED);
    });
}

#[test]
fn held_codes_are_reused_while_they_are_good() {
    block_on(async {
        let db = store();
        define(&db, "ten", "kind: single_use\nvalid_for: P10D\nper_contact: 2", 10).await;
        let coupons = Coupons::new();
        let mut lease = coupons.begin();
        let first = answer(&mut lease, &db, asks("ten", 1..2, true), 1).await;
        assert_eq!(first[0].as_ref().unwrap().expires_at, Some(dated(11)));
        let again = answer(&mut lease, &db, asks("ten", 1..2, true), 1).await;
        assert_eq!(codes(&again), codes(&first), "another run of the same batch");
        assert!(again[0].as_ref().unwrap().held);
        let given = uses("ten", 1..2, &first);
        assert_eq!(commit(&db, 1, &given).await, COMMITTED);
        lease.committed(&given);

        let at = |day: i64, reuse: bool| {
            let (coupons, db) = (coupons.clone(), &db);
            async move {
                let found = answer(&mut coupons.begin(), db, asks("ten", 1..2, reuse), day).await;
                found[0].as_ref().map(|coupon| (coupon.code.clone(), coupon.held))
            }
        };
        assert_eq!(at(10, true).await, Some(("ten-0".into(), true)));
        assert_eq!(at(11, true).await, Some(("ten-1".into(), false)), "it ended this instant");
        assert_eq!(at(10, false).await, Some(("ten-1".into(), false)));
        let mut lease = coupons.begin();
        let second = answer(&mut lease, &db, asks("ten", 1..2, false), 10).await;
        assert_eq!(commit(&db, 10, &uses("ten", 1..2, &second)).await, COMMITTED);
        lease.committed(&uses("ten", 1..2, &second));
        assert_eq!(at(10, false).await, None, "two are as many as it may have");
        assert_eq!(at(10, true).await, Some(("ten-1".into(), true)), "the latest that is good");
    });
}

#[test]
fn shared_codes_count_against_their_limit() {
    block_on(async {
        let db = store();
        define(&db, "all", "kind: shared\ncode: ALL\nlimit: 3\nexpires_at: 2026-02-01T00:00:00Z", 0).await;
        let coupons = Coupons::new();
        let (mut one, mut two) = (coupons.begin(), coupons.begin());
        let first = answer(&mut one, &db, asks("all", 1..3, false), 1).await;
        assert_eq!(
            first[1].as_ref().map(|coupon| (coupon.code.as_str(), coupon.left)),
            Some(("ALL", Some(1)))
        );
        let second = answer(&mut two, &db, asks("all", 3..6, false), 1).await;
        assert_eq!(codes(&second).len(), 1, "two are on their way");
        drop(two);
        let given = uses("all", 1..3, &first);
        assert_eq!(commit(&db, 1, &given).await, COMMITTED);
        one.committed(&given);
        let mut three = coupons.begin();
        assert_eq!(codes(&answer(&mut three, &db, asks("all", 3..6, false), 1).await).len(), 1);
        let end = Timestamp::parse("2026-02-01T00:00:00Z", &Zone::UTC).unwrap();
        let late = coupons.begin().answer(&*db, asks("all", 3..6, false), end).await.unwrap();
        assert_eq!(late, vec![None; 3], "the set has ended");
        let none = coupons.begin().answer(&*db, asks("unknown", 1..2, false), end).await.unwrap();
        assert_eq!(none, [None]);
    });
}

#[test]
fn many_more_than_a_block_are_answered_and_previews_take_nothing() {
    block_on(async {
        let db = store();
        let n = BLOCK as i64 * 2 + 1;
        define(&db, "ten", "kind: single_use\npattern: T-{6}", n as usize).await;
        let coupons = Coupons::new();
        let mut lease = coupons.begin();
        let few = answer(&mut lease, &db, asks("ten", 1..2, false), 1).await;
        let many = answer(&mut lease, &db, asks("ten", 2..n + 10, false), 1).await;
        let all: BTreeSet<&str> = codes(&few).into_iter().chain(codes(&many)).collect();
        assert_eq!(all.len() as i64, n);
        drop(lease);
        let terms = engine::live::coupons::load_terms(&*db).await.unwrap();
        assert_eq!(preview(&terms[&slug("ten")], dated(1)).code, "T-222222");
        assert_eq!(db.coupon_stocks(vec![slug("ten")]).await.unwrap()[0].free, n as u64);
    });
}

#[test]
fn a_set_that_runs_low_is_told_once() {
    block_on(async {
        let db = store();
        define(&db, "ten", "kind: single_use\nlow_stock: 1", 3).await;
        let coupons = Coupons::new();
        let mut lows = Vec::new();
        for contact in 1..4 {
            let mut lease = coupons.begin();
            let found = answer(&mut lease, &db, asks("ten", contact..contact + 1, false), contact).await;
            let given = uses("ten", contact..contact + 1, &found);
            assert_eq!(commit(&db, contact, &given).await, COMMITTED);
            lease.committed(&given);
            lows.push(coupons.warnings(&*db).await.unwrap().iter().map(|low| low.left).collect::<Vec<_>>());
        }
        assert_eq!(lows, [vec![], vec![1], vec![]]);
    });
}
