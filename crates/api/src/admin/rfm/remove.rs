//! `DELETE /api/v1/rfm/{model}`: takes a model back.

use axum::{extract::State, http::StatusCode};
use storage::Storage;

use crate::{
    ApiResult, App, access::Editor, admin::definitions::RFM, extract::Named, problem::ProblemDetails,
    tag::Precondition,
};

/// Takes a model back that was saved, and forgets everybody's scores by it, with its history. Refused as long as a segment,
/// a template, a journey at work or a draft asks for it: 409 `definition.in_use`, with a problem for each.
#[utoipa::path(
    delete,
    path = "/api/v1/rfm/{model}",
    operation_id = "deleteRfmModel",
    params(
        ("model" = String, Path, description = "What it is known by"),
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
    RFM.remove(&app, &by, &slug, &precondition).await
}
