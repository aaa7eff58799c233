//! `GET /api/v1/products/{product_id}`: one product.

use axum::{extract::State, response::Response};
use model::Product;
use storage::Storage;

use super::ProductBody;
use crate::{
    ApiError, ApiResult, App,
    access::Viewer,
    extract::Named,
    tag::{Known, Tag},
};

/// A product by the shop's own id.
#[utoipa::path(
    get,
    path = "/api/v1/products/{product_id}",
    operation_id = "getProduct",
    params(("product_id" = String, Path, description = "The shop's own id")),
    responses((status = 200, body = ProductBody), (status = 304))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(product_id): Named<String>,
    known: Known,
) -> ApiResult<Response> {
    let product = find(&app, product_id).await?;
    Ok(known.answer(Tag::of(&product), ProductBody::from(product)))
}

pub(super) async fn find<S: Storage>(app: &App<S>, product_id: String) -> ApiResult<Product> {
    let found = app.store.find_products(vec![product_id.clone()]).await?.into_iter().next().flatten();
    found.ok_or_else(|| ApiError::not_found("product", product_id))
}
