//! `DELETE /api/v1/segments/{slug}`: takes a segment back.

use axum::{extract::State, http::StatusCode};
use storage::Storage;

use crate::{
    ApiResult, App, access::Editor, admin::definitions::SEGMENT, extract::Named, problem::ProblemDetails,
    tag::Precondition,
};

/// Takes a segment back, and forgets who was in it. Refused as long as another segment, a template, a journey at work or a
/// draft uses it: 409 `definition.in_use`, with a problem for each. What was published with it and is over stays readable.
#[utoipa::path(
    delete,
    path = "/api/v1/segments/{slug}",
    operation_id = "deleteSegment",
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
    SEGMENT.remove(&app, &by, &slug, &precondition).await
}
