//! `GET /api/v1/coupons`: all sets.

use axum::{Json, extract::State};
use engine::live::coupons::load_terms;
use model::coupon::CouponSet;
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::{CouponSetBody, body};
use crate::{ApiResult, App, access::Viewer};

/// All sets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct CouponSets {
    /// By slug.
    items: Vec<CouponSetBody>,
}

/// Lists the coupon sets with what became of their codes.
#[utoipa::path(
    get,
    path = "/api/v1/coupons",
    operation_id = "listCouponSets",
    responses((status = 200, body = CouponSets))
)]
pub(crate) async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer) -> ApiResult<Json<CouponSets>> {
    let mut sets: Vec<CouponSet> = load_terms(&app.store).await?.into_values().collect();
    sets.sort_by(|a, b| a.slug.cmp(&b.slug));
    let slugs = sets.iter().map(|set| set.slug.clone()).collect();
    let counts = app.store.count_codes_of(slugs, app.now()).await?;
    Ok(Json(CouponSets { items: sets.iter().zip(&counts).map(|(set, counts)| body(set, counts)).collect() }))
}
