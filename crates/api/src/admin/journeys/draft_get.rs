//! `GET /api/v1/journeys/{slug}/draft`: what is being written.

use axum::{extract::State, response::Response};
use serde::Serialize;
use serde_json::Value;
use storage::{Storage, StoreError, desk::Draft};
use utoipa::ToSchema;

use super::{
    DraftMark, draft_tag,
    folder::{CheckBody, FolderBody, Source, compile},
};
use crate::{ApiResult, App, access::Viewer, extract::Named, said::slug, tag::Known};

/// A draft with what the check says about it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DraftBody {
    /// Its version, and who changed it last.
    pub draft: DraftMark,
    /// What was written.
    pub folder: FolderBody,
    /// What the check finds now: it may change with what the workspace holds.
    pub check: CheckBody,
}

/// What a draft holds.
pub(crate) fn folder_of(draft: &Draft) -> ApiResult<FolderBody> {
    serde_json::from_value(draft.content.clone()).map_err(|error| {
        let why = error.to_string();
        StoreError::Inconsistent { table: "drafts", row: draft.slug.to_string(), why }.into()
    })
}

/// The journey's document in a draft, as far as it can be read.
pub(super) fn document(draft: &Draft) -> Option<Value> {
    match folder_of(draft).ok()?.journey {
        Source::Text(text) => model::doc::parse(&text).ok().map(|tree| tree.to_json()),
        Source::Tree(tree) => Some(tree),
    }
}

/// Shows a draft, with what the check says about it.
#[utoipa::path(
    get,
    path = "/api/v1/journeys/{slug}/draft",
    operation_id = "get_journey_draft",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$"), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = DraftBody, headers(("ETag" = String))), (status = 304, description = "As you know it."))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Named(name): Named<String>,
    known: Known,
) -> ApiResult<Response> {
    let slug = slug(&name)?;
    let draft = super::draft(&app, &slug).await?.ok_or_else(|| super::no_draft(&slug))?;
    let folder = folder_of(&draft)?;
    let check = CheckBody::from(&compile(&app, &folder, Some(&slug)).await?);
    Ok(known.answer(draft_tag(&draft), DraftBody { draft: DraftMark::from(&draft), folder, check }))
}
