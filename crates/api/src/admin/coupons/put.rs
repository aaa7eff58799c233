//! `PUT /api/v1/coupons/{slug}`: makes a set or changes its terms.

use axum::extract::State;
use engine::segments::Workspace;
use model::coupon::CouponSet;
use storage::Storage;

use super::{CouponSetBody, body, counted};
use crate::{
    ApiResult, App,
    access::Editor,
    admin::definitions::{COUPONS, PutDefinition, tag},
    extract::{Body, Named},
    tag::{Precondition, Tagged},
};

/// Checks the terms and saves them as a new version. Codes that were given keep the terms that they were given with.
#[utoipa::path(
    put,
    path = "/api/v1/coupons/{slug}",
    operation_id = "putCouponSet",
    params(("slug" = String, Path, description = "What it is known by")),
    request_body(
        content = PutDefinition,
        example = json!({"definition": {"format": 1, "kind": "single_use", "pattern": "BACK-{8}", "valid_for": "P30D"}})
    ),
    responses((status = 200, body = CouponSetBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    precondition: Precondition,
    Body(given): Body<PutDefinition>,
) -> ApiResult<Tagged<CouponSetBody>> {
    let (slug, text) = COUPONS.incoming(&app.store, &slug, &precondition, given).await?;
    let zone = Workspace::load(&app.store).await?.zone;
    let terms = CouponSet::parse(&text, Some(slug.as_str()), &zone)?;
    COUPONS.named(&slug, &terms.slug)?;
    let definition = COUPONS.save(&app, &by, &slug, terms.to_json()).await?;
    let counts = counted(&app.store, slug, app.now()).await?;
    Ok(Tagged(tag(&definition), body(&terms, &counts)))
}
