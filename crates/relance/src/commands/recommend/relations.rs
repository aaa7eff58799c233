//! `relance recommend train` and `relance recommend related`: relations in the database.

use std::process::ExitCode;

use clap::ValueEnum;
use model::{Problem, Product};
use recommend::{Catalogue, Params};

use crate::{
    context::{Common, Failure},
    output::Listing,
};

/// Options of `relance recommend train`.
#[derive(clap::Args)]
pub struct TrainArgs {
    /// Neighbours that each product keeps
    #[arg(long, default_value_t = recommend::relations::NEIGHBOURS_DEFAULT, value_name = "N")]
    neighbours: usize,
}

/// Options of `relance recommend related`.
#[derive(clap::Args)]
pub struct RelatedArgs {
    /// The shop's own id of the product
    product: String,
    /// Which relations
    #[arg(long, value_enum, default_value_t = Kind::Learned)]
    kind: Kind,
    /// How many to list
    #[arg(long, default_value_t = 10, value_name = "N")]
    limit: usize,
}

/// Which relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Affinity, learned from all orders
    Learned,
    /// Really bought in the same orders
    Together,
    /// Linked by the shop
    Linked,
}

/// Learns relations from the orders in the database and keeps them.
///
/// # Errors
/// `neighbours.range`; what the storage says.
pub async fn train(args: &TrainArgs, common: &Common) -> Result<ExitCode, Failure> {
    super::check_neighbours(args.neighbours)?;
    let (store, now) = (common.open()?, common.clock()?.now());
    eprintln!("learning relations from the orders before {now}");
    let params = Params { neighbours: args.neighbours, ..Params::default() };
    let learned = engine::catalogue::learn(&store, now, params).await?;
    let quality = learned.quality.map(|quality| format!("{quality:.4}")).unwrap_or_default();
    if quality.is_empty() {
        eprintln!("too few orders to compare settings on: the defaults are used");
    }
    let columns = [
        "version",
        "orders",
        "products",
        "relations",
        "size_exponent",
        "half_life_days",
        "ridge",
        "cosine",
        "ndcg",
    ];
    let mut listing = Listing::new(&columns, &columns);
    listing.rows.push(vec![
        learned.version.to_string(),
        learned.orders.to_string(),
        learned.products.to_string(),
        learned.relations.to_string(),
        learned.settings.size_exponent.to_string(),
        learned.settings.half_life_days.map(|days| days.to_string()).unwrap_or_default(),
        learned.settings.ridge.to_string(),
        learned.settings.cosine.to_string(),
        quality,
    ]);
    listing.print(common.format)?;
    Ok(ExitCode::SUCCESS)
}

/// Lists what a product is related to, the strongest first.
///
/// # Errors
/// `product.unknown` with a near id; what the storage says.
pub async fn related(args: &RelatedArgs, common: &Common) -> Result<ExitCode, Failure> {
    let (store, now) = (common.open()?, common.clock()?.now());
    let catalogue = engine::catalogue::load(&store, now, model::Period::days(1)).await?;
    let Some(product) = catalogue.by_external_id(&args.product) else {
        return Err(unknown(&args.product, &catalogue).into());
    };
    let relations = match args.kind {
        Kind::Learned => catalogue.learned(),
        Kind::Together => catalogue.together(),
        Kind::Linked => catalogue.links(),
    };
    if args.kind != Kind::Linked && relations.is_empty() {
        eprintln!("nothing has been learned yet: run relance recommend train");
    }
    eprintln!("{} {}", product.external_id, product.name);
    let mut listing = Listing::new(
        &["product", "name", "weight", "unit_price", "recommendable"],
        &["weight", "unit_price"],
    );
    for (id, weight) in relations.of(product.id).filter(|(_, weight)| *weight > 0.0).take(args.limit) {
        if let Some(other) = catalogue.product(id) {
            listing.rows.push(row(other, weight));
        }
    }
    listing.print(common.format)?;
    Ok(ExitCode::SUCCESS)
}

fn row(product: &Product, weight: f32) -> Vec<String> {
    vec![
        product.external_id.clone(),
        product.name.clone(),
        format!("{weight:.4}"),
        product.unit_price.map(|price| price.to_string()).unwrap_or_default(),
        if product.is_recommendable() { "yes" } else { "no" }.to_owned(),
    ]
}

fn unknown(id: &str, catalogue: &Catalogue) -> Problem {
    let problem = Problem::new("product.unknown", format!("there is no product `{id}`")).value(id);
    if catalogue.products().is_empty() {
        return problem.cure("the catalogue is empty: import orders or products first");
    }
    match model::text::nearest(id, catalogue.products().iter().map(|product| product.external_id.as_str())) {
        Some(near) => problem.cure(format!("did you mean `{near}`?")),
        None => problem,
    }
}
