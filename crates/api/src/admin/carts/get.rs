//! `GET /api/v1/carts/{cart_id}`: one cart.

use axum::{Json, extract::State};
use storage::Storage;

use super::{CartBody, bodies};
use crate::{ApiError, ApiResult, App, access::Viewer, extract::Named};

/// A cart that was not bought, by the shop's own id.
#[utoipa::path(
    get,
    path = "/api/v1/carts/{cart_id}",
    operation_id = "getCart",
    params(("cart_id" = String, Path, description = "The shop's own id")),
    responses((status = 200, body = CartBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(cart_id): Named<String>,
) -> ApiResult<Json<CartBody>> {
    let cart = app.store.find_cart(cart_id.clone()).await?;
    let found = bodies(&app.store, cart.into_iter().collect(), app.now()).await?;
    found.into_iter().next().map(Json).ok_or_else(|| ApiError::not_found("open cart", cart_id))
}
