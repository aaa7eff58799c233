//! `PUT /api/v1/segments/{slug}`: makes a segment or changes it.

use std::sync::Arc;

use axum::extract::State;
use engine::segments;
use segment::SegmentFile;
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use super::{SegmentBody, body, checking};
use crate::{
    ApiResult, App,
    access::Editor,
    admin::definitions::{PutDefinition, SEGMENT, tag},
    extract::{Body, Named},
    problem::ProblemBody,
    tag::{Precondition, Tagged},
};

/// A segment as it was saved.
#[derive(Clone, Debug, serde::Serialize, ToSchema)]
pub(crate) struct Saved {
    #[serde(flatten)]
    segment: SegmentBody,
    /// Contacts that came in.
    entered: u64,
    /// Contacts that went out.
    left: u64,
    /// Worth knowing; nothing was refused.
    warnings: Vec<ProblemBody>,
}

/// Checks a segment, saves it as a new version, and builds its members. Edits start no journeys: who moves by them has
/// not done anything.
#[utoipa::path(
    put,
    path = "/api/v1/segments/{slug}",
    operation_id = "putSegment",
    params(("slug" = String, Path, description = "What it is known by")),
    request_body(
        content = PutDefinition,
        example = json!({"definition": {"format": 1, "name": {"en": "Readers"}, "condition": {"consent": "newsletter", "is": "subscribed"}}})
    ),
    responses((status = 200, body = Saved))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    precondition: Precondition,
    Body(given): Body<PutDefinition>,
) -> ApiResult<Tagged<Saved>> {
    let (slug, text) = SEGMENT.incoming(&app.store, &slug, &precondition, given).await?;
    let mut workspace = checking(&app.store).await?;
    if let segment::Known::Only(names) = &mut workspace.schema.segments {
        names.insert(slug.to_string());
    }
    let (file, warnings) = SegmentFile::parse(&text, Some(slug.as_str()), &workspace.schema)?;
    SEGMENT.named(&slug, &file.slug)?;
    let workspace = Arc::new(workspace.with([file.clone()])?);
    let now = app.now();
    // On a task of its own: it is finished when the caller hangs up, and its members are those of the condition.
    let (store, shared) = (app.store.clone(), Arc::clone(&workspace));
    let saved = file.clone();
    let building = tokio::spawn(async move {
        segments::save(&store, &[saved], now).await?;
        let moved = segments::build(&store, &shared, file.slug.as_str(), now, segments::silent()).await;
        engine::live::book::touch_rules(&store).await?;
        moved
    });
    let moved = building
        .await
        .map_err(|error| storage::StoreError::Driver(format!("building a segment has failed: {error}")))??;
    app.engine_bell.notify_one();
    SEGMENT.note(&app, &by, &slug, json!({ "members": moved.members })).await?;
    let built = app.store.load_segments().await?;
    let file = super::get::find(&workspace, slug.as_str())?;
    let record = built.iter().find(|record| record.slug == slug);
    let answer = Saved {
        segment: body(&workspace, file, record),
        entered: moved.entered.len(),
        left: moved.left.len(),
        warnings: warnings.iter().map(ProblemBody::from).collect(),
    };
    Ok(Tagged(tag(&SEGMENT.find(&app.store, slug.as_str()).await?), answer))
}
