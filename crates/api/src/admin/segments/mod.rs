//! `/api/v1/segments`: sets of contacts that a condition defines.

mod contacts;
mod get;
mod list;
mod preview;
mod put;
mod remove;

use std::sync::Arc;

use engine::segments::Workspace;
use segment::SegmentFile;
use serde::Serialize;
use serde_json::Value;
use storage::{Storage, segments::SegmentRecord};
use utoipa::ToSchema;

use crate::{
    ApiResult, each_time, operations,
    said::{At, Names},
    section::Section,
};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    let section = operations!(Section::new("segments"), S; list, get, put, remove, contacts);
    each_time!(section, S; preview)
}

/// Whether the members are those of the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// They are.
    Built,
    /// It has no members yet.
    NotBuilt,
    /// The condition has changed since: the night builds it anew.
    Changed,
    /// The condition cannot be read any more: a field is gone, say.
    Broken,
}

/// A segment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SegmentBody {
    /// What it is known by.
    pub slug: String,
    /// What people call it.
    pub name: Names,
    /// What its file holds: `format`, `segment`, `name`, `condition`.
    #[schema(value_type = Object)]
    pub definition: Value,
    /// Whether the members are those of the condition.
    pub state: SegmentState,
    /// Members, when it was built.
    pub members: Option<u64>,
    /// When its members were last brought up to date as a whole.
    pub built_at: Option<At>,
    /// Segments that the condition refers to.
    pub refers_to: Vec<String>,
}

fn body(workspace: &Workspace, file: &SegmentFile, record: Option<&SegmentRecord>) -> SegmentBody {
    let state = match record {
        None => SegmentState::NotBuilt,
        Some(record) if record.fingerprint == workspace.fingerprint(file) => SegmentState::Built,
        Some(_) => SegmentState::Changed,
    };
    SegmentBody {
        slug: file.slug.to_string(),
        name: Names::from(&file.name),
        definition: file.source.clone(),
        state,
        members: record.map(|record| record.members),
        built_at: record.map(|record| record.built_at.into()),
        refers_to: file.condition.reads().segments.into_iter().collect(),
    }
}

async fn workspace<S: Storage>(store: &S) -> ApiResult<Arc<Workspace>> {
    Ok(Arc::new(Workspace::load(store).await?))
}

/// The workspace to check a condition with: it knows the lists that there are, and a condition that names another is
/// warned of.
async fn checking<S: Storage>(store: &S) -> ApiResult<Workspace> {
    let mut workspace = Workspace::load(store).await?;
    workspace.schema.lists = engine::rules::known_lists(store).await?;
    Ok(workspace)
}
