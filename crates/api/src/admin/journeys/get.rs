//! `GET /api/v1/journeys/{slug}`: a journey's draft, versions and lives.

use axum::{extract::State, response::Response};
use serde::Serialize;
use storage::{Storage, settings::DefinitionKind};
use utoipa::ToSchema;

use super::{DraftMark, HappenedBody, LifeBody, document_of, history, name_in};
use crate::{
    ApiError, ApiResult, App,
    access::Viewer,
    extract::Named,
    said::{At, Names, slug},
    tag::{Known, Tag},
};

/// Versions that are listed; older ones can still be read by their number.
const VERSIONS_SHOWN: usize = 100;

/// A version that was saved.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct VersionItem {
    /// From 1.
    version: u32,
    /// When it was saved.
    created_at: At,
    /// Hash of what it says.
    hash: String,
}

/// A journey.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct JourneyBody {
    /// What it is known by.
    slug: String,
    /// What people call it.
    name: Names,
    /// Its draft, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    draft: Option<DraftMark>,
    /// Its versions, the last first, 100 at most.
    versions: Vec<VersionItem>,
    /// The lives of its versions, the first first.
    lives: Vec<LifeBody>,
    /// What was done to them, by version, then in order.
    history: Vec<HappenedBody>,
    /// Triggers that wait because it is paused.
    held: u64,
    /// Triggers that came when no more could be held: they start nothing.
    dropped: u64,
}

/// Shows a journey: what there is of it, where its versions stand, and who did what to them.
#[utoipa::path(
    get,
    path = "/api/v1/journeys/{slug}",
    operation_id = "get_journey",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$"), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = JourneyBody, headers(("ETag" = String))), (status = 304, description = "As you know it."))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Named(name): Named<String>,
    known: Known,
) -> ApiResult<Response> {
    let slug = slug(&name)?;
    let draft = super::draft(&app, &slug).await?;
    let kind = DefinitionKind::Journey;
    let versions = app.store.list_versions(kind, slug.clone(), u32::MAX, VERSIONS_SHOWN).await?;
    let mut name = draft.as_ref().and_then(super::draft_get::document).map(|it| name_in(Some(&it)));
    match versions.first() {
        None if draft.is_none() => return Err(ApiError::not_found("journey", &slug)),
        Some(last) if name.as_ref().is_none_or(|name| name.en.is_empty()) => {
            let definition = app.store.load_definition(kind, slug.clone(), last.version).await?;
            name = definition.map(|definition| name_in(Some(document_of(&definition))));
        }
        _ => {}
    }
    let lives = engine::live::lives::of_journey(&app.store, &slug).await?;
    let held = app.store.count_held(slug.clone()).await?;
    let body = JourneyBody {
        slug: slug.to_string(),
        name: name.unwrap_or_default(),
        draft: draft.as_ref().map(DraftMark::from),
        versions: versions
            .into_iter()
            .map(|mark| VersionItem {
                version: mark.version,
                created_at: mark.created_at.into(),
                hash: mark.hash,
            })
            .collect(),
        history: lives.iter().flat_map(history).collect(),
        lives: lives.iter().map(LifeBody::from).collect(),
        held: held.held,
        dropped: held.dropped,
    };
    Ok(known.answer(Tag::of(&body), body))
}
