//! Settings, definitions, currencies.

use model::{Amount, ContactId, Currency, Slug, Timestamp};
use serde_json::json;
use storage::{
    audit::{AuditFilter, AuditStore, Deed},
    coupons::CouponStore,
    imports::ImportBatch,
    retire::{RetireStore, Retirement, RulesMark},
    segments::{NewMembers, SegmentStore, Tell},
    settings::{DefinitionKind, NewDefinition, SettingsStore, key},
};

use super::Base;
use crate::{dated, order};

/// A definition gets a new version when its content changes, and only then.
pub async fn definitions_get_versions(db: &impl Base) {
    let new = |slug: &str, content| NewDefinition {
        kind: DefinitionKind::Segment,
        slug: Slug::parse(slug).unwrap(),
        content,
    };
    let save = async |definitions, day| db.save_definitions(definitions, dated(day)).await.unwrap();
    assert_eq!(save(vec![new("b", json!({"x": 1})), new("a", json!("text"))], 1).await, [1, 1]);
    assert_eq!(save(vec![new("b", json!({"x": 2})), new("a", json!("text"))], 2).await, [2, 1]);
    assert_eq!(save(vec![new("b", json!({"x": 1})), new("b", json!({"x": 1}))], 3).await, [3, 3]);
    let last = db.load_definitions(DefinitionKind::Segment).await.unwrap();
    let found: Vec<_> =
        last.iter().map(|d| (d.slug.as_str(), d.version, d.created_at, d.content.clone())).collect();
    assert_eq!(found, [("a", 1, dated(1), json!("text")), ("b", 3, dated(3), json!({"x": 1}))]);
    assert_eq!(last[1].hash.len(), 64);
    let second =
        db.load_definition(DefinitionKind::Segment, Slug::parse("b").unwrap(), 2).await.unwrap().unwrap();
    assert_eq!(second.content, json!({"x": 2}));
    assert_eq!(db.load_definitions(DefinitionKind::Journey).await.unwrap(), []);

    assert_eq!(db.load_setting("colour".into()).await.unwrap(), None);
    db.save_setting("colour".into(), json!(["blue"])).await.unwrap();
    db.save_setting("colour".into(), json!("red")).await.unwrap();
    assert_eq!(db.load_setting("colour".into()).await.unwrap(), Some(json!("red")));
}

/// What is taken back is gone with what is kept for it; its versions stay, and a new one goes on counting.
pub async fn definitions_are_taken_back<S>(db: &S)
where
    S: SettingsStore + RetireStore + SegmentStore + CouponStore + AuditStore + Sync,
{
    use DefinitionKind::{CouponSet, Segment};
    let (buyers, spring) = (Slug::parse("buyers").unwrap(), Slug::parse("spring").unwrap());
    let terms = model::CouponSet::parse("format: 1\nkind: single_use\n", Some("spring"), &model::Zone::UTC);
    let terms = terms.unwrap().to_json();
    let new = |kind, slug: &Slug, content| NewDefinition { kind, slug: slug.clone(), content };
    let both = || vec![new(Segment, &buyers, json!({"x": 1})), new(CouponSet, &spring, terms.clone())];
    db.save_definitions(both(), dated(1)).await.unwrap();
    let members = || NewMembers {
        slug: buyers.clone(),
        fingerprint: "f".into(),
        members: [1, 2].into_iter().collect(),
        flips: vec![(ContactId(1), dated(2))],
        at: dated(1),
        tell: Tell::default(),
    };
    db.commit_members(members()).await.unwrap();
    // Laid aside: who is in it stays, nobody moves by time, and what was counted for its condition is not taken any more.
    db.lay_segments_aside(vec![buyers.clone(), spring.clone()]).await.unwrap();
    let (record, still) = db.load_members(buyers.clone()).await.unwrap().unwrap();
    assert_eq!((record.fingerprint.as_str(), still.len()), ("", 2));
    assert_eq!(db.load_due_flips(dated(9), 9).await.unwrap(), []);
    assert_eq!(db.update_members(vec![(buyers.clone(), "f".into(), vec![])], dated(1)).await.unwrap(), []);
    db.commit_members(members()).await.unwrap();
    assert_eq!(db.load_due_flips(dated(9), 9).await.unwrap(), [(buyers.clone(), ContactId(1))]);
    db.add_codes(spring.clone(), vec!["ONE".into(), "TWO".into()], dated(1)).await.unwrap();

    let mark = db.rules_mark().await.unwrap();
    let deed = |object: &str| Deed {
        at: dated(2),
        who: "key:k".into(),
        action: "test.delete".into(),
        object: object.into(),
        details: json!({}),
        client: None,
    };
    let back = |kind, slug: &Slug, version, mark| Retirement {
        kind,
        slug: slug.clone(),
        version,
        mark,
        deed: deed(slug.as_str()),
        at: dated(2),
    };
    // Another version, another mark, nothing there: nothing happens.
    let stale = RulesMark { definitions: mark.definitions - 1, ..mark };
    let nobody = Slug::parse("nobody").unwrap();
    for other in
        [back(Segment, &buyers, 2, mark), back(Segment, &buyers, 1, stale), back(Segment, &nobody, 1, mark)]
    {
        assert!(!db.retire_definition(other).await.unwrap());
    }
    assert_eq!(db.load_definitions(Segment).await.unwrap().len(), 1);
    assert!(db.retire_definition(back(Segment, &buyers, 1, mark)).await.unwrap());
    assert_eq!(db.load_definitions(Segment).await.unwrap(), []);
    assert_eq!(db.load_retired(Segment).await.unwrap(), [(buyers.clone(), 2)]);
    assert_eq!(
        db.load_definition(Segment, buyers.clone(), 1).await.unwrap().unwrap().content,
        json!({"x": 1})
    );
    assert_eq!(db.load_members(buyers.clone()).await.unwrap(), None);
    assert_eq!(db.load_due_flips(dated(9), 9).await.unwrap(), []);
    // A build that was under way leaves nothing.
    assert_eq!(db.commit_members(members()).await.unwrap().members, 0);
    assert_eq!(db.load_segments().await.unwrap(), []);
    // It cannot be taken back twice, and rules have changed.
    let mark = db.rules_mark().await.unwrap();
    assert_eq!((mark.rules, mark.definitions), (1, 3));
    assert!(!db.retire_definition(back(Segment, &buyers, 2, mark)).await.unwrap());

    assert!(db.retire_definition(back(CouponSet, &spring, 1, mark)).await.unwrap());
    assert_eq!(db.count_codes(spring.clone(), dated(2)).await.unwrap().free, 0);
    let other = Slug::parse("summer").unwrap();
    assert_eq!(
        db.add_codes(other, vec!["one".into()], dated(2)).await.unwrap().added,
        1,
        "its codes are free"
    );

    assert_eq!(db.save_definitions(both(), dated(3)).await.unwrap(), [3, 3]);
    assert_eq!(db.load_retired(Segment).await.unwrap(), []);
    assert_eq!(db.commit_members(members()).await.unwrap().members, 2);
    let entries = db.list_audit(AuditFilter::default(), None, 9).await.unwrap();
    let objects: Vec<&str> = entries.iter().map(|entry| entry.deed.object.as_str()).collect();
    assert_eq!(objects, ["spring", "buyers"]);
}

/// The first order sets the currency; others are refused until a rate says what they are worth.
pub async fn currencies_are_refused_or_converted(db: &impl Base) {
    let orders = |ids: &[(&str, &str)]| {
        let mut batch = ImportBatch::new(dated(9));
        for (index, (id, currency)) in ids.iter().enumerate() {
            order(&mut batch, id, "anna", dated(1), &[("mug", 1, 10)]);
            batch.orders[index].currency = Currency::parse(currency).unwrap();
        }
        batch
    };
    let outcome = db.import(orders(&[("o1", "GBP"), ("o2", "USD"), ("o3", "GBP")])).await.unwrap();
    assert_eq!((outcome.orders.new, outcome.orders.refused), (2, 1));
    let problem = &outcome.refusals[0].problem;
    assert_eq!((problem.code.as_ref(), problem.value.as_deref()), ("order.currency", Some("USD")));
    assert!(problem.cure.as_ref().unwrap().contains("currencies_allowed"));
    assert_eq!(db.load_setting(key::CURRENCY.into()).await.unwrap(), Some(json!("GBP")));

    db.save_setting(key::CURRENCIES_ALLOWED.into(), json!({"USD": "0.75"})).await.unwrap();
    assert_eq!(db.import(orders(&[("o2", "USD")])).await.unwrap().orders.new, 1);
    let anna = super::base::id_of(db, "anna").await;
    let stored = db.load_orders(vec![anna], Timestamp::MIN, Timestamp::MAX).await.unwrap();
    let converted = stored.iter().find(|order| order.external_id == "o2").unwrap();
    assert_eq!((converted.total, converted.currency), (Amount(75_000), Currency::GBP));
    assert_eq!(converted.lines[0].unit_price, Amount(75_000));
}
