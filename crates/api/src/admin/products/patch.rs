//! `PATCH /api/v1/products/{product_id}`: changes what is given of a product.

use axum::extract::State;
use model::Problem;
use serde::Deserialize;
use serde_json::json;
use storage::{
    Storage,
    imports::{ImportBatch, ProductPatch},
};
use utoipa::ToSchema;

use super::{ProductBody, get::find};
use crate::{
    ApiResult, App,
    access::Editor,
    amount::Money,
    audit,
    extract::{Body, Named},
    tag::{Precondition, Tag, Tagged},
};

/// What to change: what is absent stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"unit_price": "15.50", "out_of_stock": false}))]
pub(crate) struct PatchProduct {
    /// Its name.
    name: Option<String>,
    /// Its page.
    url: Option<String>,
    /// Its picture.
    image_url: Option<String>,
    /// What it is.
    description: Option<String>,
    /// Who makes it.
    brand: Option<String>,
    /// Price of one. A lower one than before is a price drop for journeys.
    unit_price: Option<Money>,
    /// Price before a discount.
    original_price: Option<Money>,
    /// Category paths.
    categories: Option<Vec<String>>,
    /// Tags.
    tags: Option<Vec<String>>,
    /// Units left.
    stock: Option<i64>,
    /// Said to be out of stock.
    out_of_stock: Option<bool>,
    /// Never to be recommended.
    blacklisted: Option<bool>,
    /// No product but postage and the like.
    service: Option<bool>,
    /// The shop's own weight for it.
    priority: Option<i64>,
    /// Explicitly related products, by the shop's own ids.
    related: Option<Vec<String>>,
}

/// Changes a product that is known. What follows (a price drop, a product that is back) goes to the living engine.
#[utoipa::path(
    patch,
    path = "/api/v1/products/{product_id}",
    operation_id = "patchProduct",
    params(("product_id" = String, Path, description = "The shop's own id")),
    request_body = PatchProduct,
    responses((status = 200, body = ProductBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(product_id): Named<String>,
    precondition: Precondition,
    Body(given): Body<PatchProduct>,
) -> ApiResult<Tagged<ProductBody>> {
    let before = find(&app, product_id.clone()).await?;
    precondition.check(Some(&Tag::of(&before)))?;
    let mut batch = ImportBatch::new(app.now());
    batch.live = true;
    batch.products.push(ProductPatch {
        external_id: product_id.clone(),
        name: given.name,
        url: given.url,
        image_url: given.image_url,
        description: given.description,
        brand: given.brand,
        unit_price: given.unit_price.map(|money| money.0),
        original_price: given.original_price.map(|money| money.0),
        categories: given.categories,
        tags: given.tags,
        stock: given.stock,
        out_of_stock: given.out_of_stock,
        blacklisted: given.blacklisted,
        service: given.service,
        priority: given.priority,
        related: given.related,
        ..ProductPatch::default()
    });
    let outcome = app.store.import(batch).await?;
    let refused: Vec<Problem> = outcome.refusals.into_iter().map(|refusal| refusal.problem).collect();
    if !refused.is_empty() {
        return Err(refused.into());
    }
    app.engine_bell.notify_one();
    audit::note(&app, &by, "product.change", format!("product:{product_id}"), json!({})).await?;
    let product = find(&app, product_id).await?;
    Ok(Tagged(Tag::of(&product), product.into()))
}
