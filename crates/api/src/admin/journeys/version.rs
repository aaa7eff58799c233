//! `GET /api/v1/journeys/{slug}/versions/{version}`: what a version says.

use axum::{extract::State, response::Response};
use serde::Serialize;
use serde_json::Value;
use storage::{Storage, settings::DefinitionKind};
use utoipa::ToSchema;

use super::document_of;
use crate::{
    ApiError, ApiResult, App,
    access::Viewer,
    extract::Named,
    said::{At, slug},
    tag::{Known, Tag},
};

/// A version of a journey. It never changes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VersionBody {
    /// From 1.
    version: u32,
    /// When it was saved.
    created_at: At,
    /// Hash of what it says.
    hash: String,
    /// The journey's document.
    #[schema(value_type = Object)]
    journey: Value,
}

/// Shows what a version says.
#[utoipa::path(
    get,
    path = "/api/v1/journeys/{slug}/versions/{version}",
    operation_id = "get_journey_version",
    params(
        ("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$"),
        ("version" = u32, Path, minimum = 1),
        ("If-None-Match" = Option<String>, Header)
    ),
    responses((status = 200, body = VersionBody, headers(("ETag" = String))), (status = 304, description = "As you know it."))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Named((name, version)): Named<(String, u32)>,
    known: Known,
) -> ApiResult<Response> {
    let slug = slug(&name)?;
    let found = app.store.load_definition(DefinitionKind::Journey, slug.clone(), version).await?;
    let found = found.ok_or_else(|| ApiError::not_found("version", format!("{slug}/{version}")))?;
    let journey = document_of(&found).clone();
    let body = VersionBody {
        version: found.version,
        created_at: found.created_at.into(),
        hash: found.hash.clone(),
        journey,
    };
    Ok(known.answer(Tag::new(found.hash), body))
}
