//! `GET /api/v1/segments`: all segments.

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use storage::Storage;
use utoipa::ToSchema;

use super::{SegmentBody, SegmentState, body, workspace};
use crate::{ApiResult, App, access::Viewer, said::Names};

/// All segments.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Segments {
    /// By slug.
    items: Vec<SegmentBody>,
    /// Contacts in the base: what members are a share of.
    contacts: u64,
}

/// Lists the segments with their members. There are never so many that they need pages.
#[utoipa::path(
    get,
    path = "/api/v1/segments",
    operation_id = "listSegments",
    responses((status = 200, body = Segments))
)]
pub(crate) async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer) -> ApiResult<Json<Segments>> {
    let workspace = workspace(&app.store).await?;
    let built = app.store.load_segments().await?;
    let record = |slug: &str| built.iter().find(|record| record.slug.as_str() == slug);
    let mut items: Vec<SegmentBody> =
        workspace.segments.iter().map(|(slug, file)| body(&workspace, file, record(slug))).collect();
    items.extend(workspace.broken.keys().map(|slug| SegmentBody {
        slug: slug.clone(),
        name: Names::default(),
        definition: Value::Object(serde_json::Map::new()),
        state: SegmentState::Broken,
        members: record(slug).map(|record| record.members),
        built_at: record(slug).map(|record| record.built_at.into()),
        refers_to: Vec::new(),
    }));
    items.sort_by(|a, b| a.slug.cmp(&b.slug));
    let (contacts, _) = app.store.count_contacts().await?;
    Ok(Json(Segments { items, contacts }))
}
