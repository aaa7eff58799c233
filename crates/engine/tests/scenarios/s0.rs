//! Seed 000 through the living engine: published, it writes the same messages as `relance journey run`.

use std::sync::Arc;

use engine::{
    campaign::{
        Options,
        launch::{self, Silent},
    },
    rules::{self, Workspace},
};
use serde_json::Value as Json;
use storage::outbox::{MessageFilter, OutboxStore};
use testkit::{block_on, order, product};

use crate::{
    support::Shop,
    world::{example, subscriber},
};

const PRODUCTS: [(&str, i64); 8] = [
    ("lamp", 45),
    ("mug", 6),
    ("tray", 20),
    ("vase", 30),
    ("clock", 80),
    ("bowl", 12),
    ("rug", 150),
    ("bell", 3),
];

/// Sixty customers of all kinds, who buy now and then, more or less.
async fn shop() -> Shop {
    let mut shop = Shop::open("2026-03-01T10:00:00Z").await;
    let now = shop.now;
    shop.past(|batch| {
        for (id, price) in PRODUCTS {
            batch.products.push(product(id, price));
        }
        for place in 0..60_i64 {
            let id = format!("c{place}");
            let mut patch = subscriber(&id, if place % 2 == 0 { "en-GB" } else { "fr-FR" });
            if place % 7 == 0 {
                patch.consents.clear();
            }
            batch.contacts.push(patch);
            for again in 0..=(place % 5) {
                let at = now.plus_days(-1 - (place * 11 + again * 40) % 600);
                let first = usize::try_from((place + again) % 8).unwrap();
                let (a, b) = (PRODUCTS[first], PRODUCTS[(first + 3) % 8]);
                order(
                    batch,
                    &format!("o-{id}-{again}"),
                    &id,
                    at,
                    &[(a.0, 1, a.1), (b.0, 1 + place % 2, b.1)],
                );
            }
        }
    })
    .await;
    shop
}

/// Who was written what.
async fn written(shop: &Shop) -> Vec<(i64, String, String, Vec<String>)> {
    let rows = shop.store.db.list_messages(MessageFilter::default(), 0, 1_000).await.unwrap();
    let mut written: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let message = row.message;
            // The order of the products is drawn for each run.
            let frozen: Json = serde_json::from_str(&message.variables).unwrap();
            let products = frozen["products"].as_array().unwrap();
            let mut products: Vec<_> =
                products.iter().map(|product| product["external_id"].to_string()).collect();
            products.sort();
            (message.contact.0, message.send.node.clone(), message.send.template.to_string(), products)
        })
        .collect();
    written.sort();
    written
}

#[test]
fn published_it_writes_what_a_run_writes() {
    block_on(async {
        let run = shop().await;
        let workspace = Workspace::load(&run.store.db).await.unwrap();
        let compiled = Arc::new(rules::compile(&example("s0"), &workspace).unwrap());
        launch::run(&run.store.db, &compiled, run.now, &Options::default(), &Silent).await.unwrap();

        let mut published = shop().await;
        published.publish(&example("s0")).await;
        let expected = written(&run).await;
        let found = written(&published).await;
        assert!(expected.len() > 30, "{} messages", expected.len());
        for node in ["mail_up", "mail_cross", "mail_best"] {
            assert!(expected.iter().any(|(_, from, ..)| from == node), "{node}");
        }
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
        published.pass(model::Timestamp::DAY).await;
        assert_eq!(written(&published).await.len(), expected.len(), "once");
    });
}
