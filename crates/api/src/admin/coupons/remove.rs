//! `DELETE /api/v1/coupons/{slug}`: takes a coupon set back.

use axum::{extract::State, http::StatusCode};
use storage::Storage;

use crate::{
    ApiResult, App, access::Editor, admin::definitions::COUPONS, extract::Named, problem::ProblemDetails,
    tag::Precondition,
};

/// Takes a coupon set back, with the codes that nobody was given: another set may have them then. Refused as long as a
/// journey at work or a draft takes codes of it: 409 `definition.in_use`, with a problem for each. Codes that were given
/// stay what they are.
#[utoipa::path(
    delete,
    path = "/api/v1/coupons/{slug}",
    operation_id = "deleteCouponSet",
    params(
        ("slug" = String, Path, description = "What it is known by"),
        ("If-Match" = Option<String>, Header, description = "The ETag as you know it, or `*`; needed.")
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 409, body = ProblemDetails, description = "Something uses it.")
    )
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    precondition: Precondition,
) -> ApiResult<StatusCode> {
    COUPONS.remove(&app, &by, &slug, &precondition).await
}
