//! Settings, definitions, currencies.

use model::{Amount, Currency, Slug, Timestamp};
use serde_json::json;
use storage::{
    imports::ImportBatch,
    settings::{DefinitionKind, NewDefinition, key},
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
