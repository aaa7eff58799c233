//! `GET /api/v1/coupons/{slug}`: one set.

use axum::{extract::State, response::Response};
use storage::Storage;

use super::{CouponSetBody, body, counted, find};
use crate::{
    ApiResult, App,
    access::Viewer,
    admin::definitions::{COUPONS, tag},
    extract::Named,
    tag::Known,
};

/// A coupon set with what became of its codes. Its ETag is that of its terms.
#[utoipa::path(
    get,
    path = "/api/v1/coupons/{slug}",
    operation_id = "getCouponSet",
    params(("slug" = String, Path, description = "What it is known by")),
    responses((status = 200, body = CouponSetBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(slug): Named<String>,
) -> ApiResult<Response> {
    let definition = COUPONS.find(&app.store, &slug).await?;
    let terms = find(&app.store, &slug).await?;
    let counts = counted(&app.store, terms.slug.clone(), app.now()).await?;
    // The counts change without the terms: a client's copy is never taken to be fresh.
    Ok(Known::default().answer(tag(&definition), body(&terms, &counts)))
}
