//! The catalogue out of the database, and when its relations are learned.

use engine::catalogue;
use model::{Period, Timestamp};
use recommend::{Metric, Params, RankingKey};
use storage::{
    imports::{ImportBatch, ImportStore, ProductPatch},
    relations::{RelationSet, RelationStore},
    settings::SettingsStore,
};
use testkit::{Store, block_on, dated, order, product, store};

/// Mugs and saucers go together, pots and lids too; postage is in every order.
fn shop() -> Store {
    let db = store();
    let mut batch = ImportBatch::new(dated(60));
    batch.products = ["mug", "saucer", "pot", "lid"].iter().map(|id| product(id, 5)).collect();
    batch.products.push(ProductPatch { service: Some(true), ..product("postage", 3) });
    for i in 0..40 {
        let pair = if i % 2 == 0 { ["mug", "saucer"] } else { ["pot", "lid"] };
        // Every fourth order is without a contact: it is learned from like the others.
        let contact = if i % 4 == 3 { String::new() } else { format!("c{}", i % 5) };
        let lines = [(pair[0], 1, 5), (pair[1], 1, 5), ("postage", 1, 3)];
        order(&mut batch, &format!("o{i}"), &contact, dated(i), &lines);
    }
    block_on(db.import(batch)).expect("imported");
    db
}

#[test]
fn relations_are_learned_kept_and_loaded() {
    let db = shop();
    block_on(async {
        let now = dated(50);
        let learned = catalogue::learn(&*db, now, Params::default()).await.expect("learned");
        assert_eq!((learned.version, learned.orders, learned.products), (1, 40, 4));
        assert_eq!(learned.quality, None, "forty orders are too few to compare settings on");
        let catalogue = catalogue::load(&*db, now, Period::days(365)).await.expect("loaded");
        let id = |name: &str| catalogue.by_external_id(name).expect("a product").id;
        for (from, to) in [("mug", "saucer"), ("saucer", "mug"), ("pot", "lid")] {
            assert_eq!(catalogue.learned().of(id(from)).next().map(|(to, _)| to), Some(id(to)), "{from}");
            assert_eq!(catalogue.together().of(id(from)).next().map(|(to, _)| to), Some(id(to)), "{from}");
        }
        assert_eq!(catalogue.learned().of(id("postage")).len(), 0, "postage is no product");
        let best = catalogue.ranking(RankingKey::Figures(Metric::Sales, Period::days(365)));
        assert_eq!(best.products.len(), 4);
        assert!(!best.products.contains(&id("postage")));
    });
}

#[test]
fn the_workspaces_minimum_stock_is_loaded_with_the_catalogue() {
    let db = shop();
    block_on(async {
        let mut batch = ImportBatch::new(dated(61));
        batch.products = vec![ProductPatch { stock: Some(3), ..product("mug", 5) }];
        db.import(batch).await.unwrap();
        for (setting, chosen) in [(None, true), (Some(3), true), (Some(4), false)] {
            if let Some(units) = setting {
                db.save_setting(catalogue::MIN_STOCK.to_owned(), units.into()).await.unwrap();
            }
            let catalogue = catalogue::load(&*db, dated(61), Period::days(1)).await.expect("loaded");
            let mug = catalogue.by_external_id("mug").unwrap().id;
            assert_eq!(catalogue.is_recommendable(mug, None), chosen, "{setting:?}");
            let pot = catalogue.by_external_id("pot").unwrap().id;
            assert!(catalogue.is_recommendable(pot, None), "nobody counts pots");
        }
    });
}

#[test]
fn figures_end_with_the_clock() {
    let db = shop();
    block_on(async {
        // As of day 2 there were three orders: mugs, pots, mugs.
        let catalogue = catalogue::load(&*db, dated(2).plus(1), Period::days(7)).await.expect("loaded");
        let best = catalogue.ranking(RankingKey::Figures(Metric::Sales, Period::days(7)));
        let names: Vec<&str> = best
            .products
            .iter()
            .filter_map(|id| catalogue.product(*id))
            .map(|p| p.external_id.as_str())
            .collect();
        assert_eq!(names, ["mug", "saucer", "pot", "lid"]);
        let early = catalogue::load(&*db, dated(-3), Period::days(7)).await.expect("loaded");
        assert!(early.ranking(RankingKey::Figures(Metric::Sales, Period::days(7))).products.is_empty());
        assert!(early.learned().is_empty());
    });
}

#[test]
fn learning_is_due_when_something_came_and_a_day_has_passed() {
    let db = store();
    block_on(async {
        assert!(!catalogue::due(&*db, dated(0)).await.expect("an answer"), "nothing to learn from");
    });
    let db = shop();
    block_on(async {
        let now = dated(30);
        assert!(catalogue::due(&*db, now).await.expect("an answer"), "never learned");
        let first =
            catalogue::learn_if_due(&*db, now, Params::default()).await.expect("learned").expect("due");
        assert_eq!(first.orders, 30, "orders of the day itself are not before it");
        let just_before = now.plus(catalogue::LEARN_EVERY - 1);
        assert!(!catalogue::due(&*db, just_before).await.expect("an answer"));
        assert!(catalogue::due(&*db, now.plus(catalogue::LEARN_EVERY)).await.expect("an answer"));
        // The clock set back: what was learned knows what is still to come.
        assert!(catalogue::due(&*db, dated(10)).await.expect("an answer"));
        catalogue::learn(&*db, dated(100), Params::default()).await.expect("learned");
        assert!(!catalogue::due(&*db, dated(200)).await.expect("an answer"), "no new orders");
        assert_eq!(db.relations_version().await.expect("a version"), 2);
    });
}

#[test]
fn relations_that_cannot_be_read_say_what_to_do() {
    let db = shop();
    block_on(async {
        let set = RelationSet {
            version: 0,
            trained_at: Timestamp(0),
            orders: 0,
            last_order_at: None,
            settings: serde_json::json!({}),
            learned: vec![200],
            together: vec![],
        };
        db.save_relations(set).await.expect("saved");
        let error =
            catalogue::load(&*db, dated(0), Period::days(1)).await.expect_err("another format").to_string();
        assert!(error.contains("relations") && error.contains("relance recommend train"), "{error}");
    });
}
