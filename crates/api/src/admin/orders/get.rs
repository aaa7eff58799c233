//! `GET /api/v1/orders/{order_id}`: one order.

use axum::{Json, extract::State};
use storage::Storage;

use super::{OrderBody, bodies};
use crate::{ApiError, ApiResult, App, access::Viewer, extract::Named};

/// An order by the shop's own id.
#[utoipa::path(
    get,
    path = "/api/v1/orders/{order_id}",
    operation_id = "getOrder",
    params(("order_id" = String, Path, description = "The shop's own id")),
    responses((status = 200, body = OrderBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(order_id): Named<String>,
) -> ApiResult<Json<OrderBody>> {
    let order = app.store.find_order(order_id.clone()).await?;
    let found = bodies(&app.store, order.into_iter().collect()).await?;
    found.into_iter().next().map(Json).ok_or_else(|| ApiError::not_found("order", order_id))
}
