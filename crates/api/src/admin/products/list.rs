//! `GET /api/v1/products`: the catalogue in pages.

use axum::{Json, extract::State};
use model::{Product, ProductId};
use serde::Deserialize;
use storage::{Storage, catalogue::ProductQuery};
use utoipa::IntoParams;

use super::ProductBody;
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::Asked,
    page::{Page, PageQuery},
};

/// Which products.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Whose name or id holds this text.
    search: Option<String>,
    /// In this category or one below it, as in `/Kitchen`.
    category: Option<String>,
    /// `next` of the page before; none for the first page.
    cursor: Option<String>,
    /// Items on the page: 1 to 500, 50 by default.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

/// Products in the order in which they became known.
#[utoipa::path(
    get,
    path = "/api/v1/products",
    operation_id = "listProducts",
    params(Which),
    responses((status = 200, body = Page<ProductBody>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Asked(which): Asked<Which>,
) -> ApiResult<Json<Page<ProductBody>>> {
    let page = PageQuery { cursor: which.cursor, limit: which.limit };
    let (limit, after) = (page.limit()?, ProductId(page.after()?.unwrap_or(0)));
    let query = ProductQuery { text: which.search, category: which.category };
    let products = app.store.browse_products(query, after, limit + 1).await?;
    Ok(Json(Page::cut(products, limit, |product: &Product| product.id.0).map(ProductBody::from)))
}
