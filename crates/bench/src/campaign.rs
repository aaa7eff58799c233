//! `relance bench campaign`: the journey of `examples/s0` over a synthetic base, from the frozen audience to committed
//! outbox rows. RFM, segments, relations and the catalogue are made before and reported beside.

use std::sync::Arc;

use engine::{
    campaign::{
        BATCH, Options,
        launch::{self, Silent},
    },
    rules::{self, Folder, SourceFile, Workspace},
};
use serde_json::json;

use crate::{
    Plan, Report, Stopwatch,
    synthetic::{self, END, Shape},
};

/// Contacts unless told otherwise.
pub const CONTACTS: u64 = 1_000_000;
/// Orders for each contact, on average.
const ORDERS_EACH: u64 = 3;

/// The journey's folder, as it was when this program was built.
#[must_use]
pub fn folder() -> Folder {
    let file = |slug: &str, file: &str, text: &str| SourceFile {
        file: format!("examples/s0/{file}"),
        slug: slug.to_owned(),
        text: text.to_owned(),
    };
    macro_rules! shipped {
        ($slug:literal, $file:literal) => {
            file($slug, $file, include_str!(concat!("../../../examples/s0/", $file)))
        };
    }
    Folder {
        journey: shipped!("journey", "journey.yaml"),
        fields: Some(shipped!("fields", "fields.yaml")),
        segments: vec![
            shipped!("rfm-high", "segments/rfm-high.yaml"),
            shipped!("rfm-medium", "segments/rfm-medium.yaml"),
            shipped!("rfm-low", "segments/rfm-low.yaml"),
        ],
        coupons: Vec::new(),
        templates: vec![
            shipped!("up-selling", "templates/up-selling.yaml"),
            shipped!("cross-selling", "templates/cross-selling.yaml"),
            shipped!("best-sellers", "templates/best-sellers.yaml"),
        ],
    }
}

/// Measures.
///
/// # Errors
/// What went wrong, in a sentence.
pub async fn run(plan: &Plan) -> Result<Report, String> {
    let contacts = plan.size.unwrap_or(CONTACTS);
    let shape = Shape {
        seed: plan.seed,
        contacts,
        orders: contacts * ORDERS_EACH,
        events: contacts / 10,
        products: 5_000,
    };
    let mut base = synthetic::base(plan, &shape).await?;
    if !base.is_temporary() {
        base = synthetic::copy(&base)?;
    }
    let said = |error: storage::StoreError| error.to_string();
    let store = &base.db;
    let workspace = Workspace::load(store).await.map_err(said)?;
    let rules = rules::compile(&folder(), &workspace)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let rules = Arc::new(rules);
    let options = Options { seed: plan.seed, ..Options::default() };

    let preparing = Stopwatch::start();
    let published = rules::publish(store, &rules, END).await.map_err(said)?;
    let ready = launch::ready(store, &rules, published, END, &Silent).await.map_err(said)?;
    let (rfm_and_segments, _) = preparing.elapsed();
    let catalogue = launch::shelf(store, &rules, END, &Silent).await.map_err(said)?;
    let (prepared, _) = preparing.elapsed();

    let watch = Stopwatch::start();
    let begun = ready.begin(store, &rules, END, &options).await.map_err(said)?;
    let done = ready.execute(store, &rules, begun, catalogue, &options, &Silent).await.map_err(said)?;
    let mut report = watch.report("campaign", done.enrolled());

    let journey = &rules.journey;
    let mismatches = done.counts.mismatches(journey, done.enrolled());
    if !mismatches.is_empty() || done.enrolled() == 0 {
        return Err(format!("the counts do not add up: {mismatches:?}"));
    }
    let by_node: serde_json::Map<String, serde_json::Value> = journey
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.step.sending().is_some())
        .map(|(number, node)| (node.id.clone(), json!(done.counts.entered(number as u16))))
        .collect();
    report.more.insert("messages".into(), json!(done.sent(journey)));
    report.more.insert("by_mail".into(), json!(by_node));
    report.more.insert("batch".into(), json!(BATCH));
    report.more.insert("rfm_and_segments_seconds".into(), json!(rfm_and_segments));
    report.more.insert("relations_and_catalogue_seconds".into(), json!(prepared - rfm_and_segments));
    Ok(report)
}
