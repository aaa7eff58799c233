//! `GET /api/v1/segments/{slug}`: one segment.

use axum::{extract::State, http::StatusCode, response::Response};
use storage::Storage;

use super::{SegmentBody, body, workspace};
use crate::{
    ApiError, ApiResult, App,
    access::Viewer,
    admin::definitions::{SEGMENT, tag},
    extract::Named,
    tag::Known,
};

/// A segment with its condition and how many members it has.
#[utoipa::path(
    get,
    path = "/api/v1/segments/{slug}",
    operation_id = "getSegment",
    params(("slug" = String, Path, description = "What it is known by")),
    responses((status = 200, body = SegmentBody), (status = 304))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(slug): Named<String>,
    known: Known,
) -> ApiResult<Response> {
    let definition = SEGMENT.find(&app.store, &slug).await?;
    let workspace = workspace(&app.store).await?;
    let file = find(&workspace, &slug)?;
    let built = app.store.load_segments().await?;
    let record = built.iter().find(|record| record.slug.as_str() == slug);
    Ok(known.answer(tag(&definition), body(&workspace, file, record)))
}

pub(super) fn find<'w>(
    workspace: &'w engine::segments::Workspace,
    slug: &str,
) -> ApiResult<&'w std::sync::Arc<segment::SegmentFile>> {
    workspace.segment(slug).map_err(|problems| {
        let unknown = problems.iter().any(|problem| problem.code == "segment.unknown");
        ApiError {
            status: if unknown { StatusCode::NOT_FOUND } else { StatusCode::UNPROCESSABLE_ENTITY },
            ..ApiError::from(problems)
        }
    })
}
