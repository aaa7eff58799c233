//! `GET /api/v1/products`: the catalogue in pages.

use axum::{Json, extract::State};
use model::ProductId;
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
}

/// Products in the order in which they became known. A page may hold fewer than was asked for, or none, and still have a
/// next one: of those that are searched for, each request looks through 20,000 products.
#[utoipa::path(
    get,
    path = "/api/v1/products",
    operation_id = "listProducts",
    params(Which, PageQuery),
    responses((status = 200, body = Page<ProductBody>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Asked(which): Asked<Which>,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<ProductBody>>> {
    let (limit, after) = (page.limit()?, ProductId(page.after()?.unwrap_or(0)));
    let query = ProductQuery { text: which.search, category: which.category };
    let found = app.store.browse_products(query, after, limit).await?;
    Ok(Json(Page::next_at(found.products, found.next.map(|id| id.0)).map(ProductBody::from)))
}
