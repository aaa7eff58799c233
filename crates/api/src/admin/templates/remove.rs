//! `DELETE /api/v1/templates/{slug}`: takes a template back.

use axum::{extract::State, http::StatusCode};
use storage::Storage;

use crate::{
    ApiResult, App, access::Editor, admin::definitions::TEMPLATE, extract::Named, problem::ProblemDetails,
    tag::Precondition,
};

/// Takes a template back. Refused as long as a journey at work or a draft sends it: 409 `definition.in_use`, with a problem
/// for each. Messages that were decided with one of its versions go out, and can be looked at, as before.
#[utoipa::path(
    delete,
    path = "/api/v1/templates/{slug}",
    operation_id = "deleteTemplate",
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
    TEMPLATE.remove(&app, &by, &slug, &precondition).await
}
