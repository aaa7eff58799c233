//! `POST /api/v1/segments/preview`: who would be in a segment, without saving anything.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use engine::segments::{self, Workspace};
use model::Problem;
use segment::SegmentFile;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use storage::Storage;
use utoipa::ToSchema;

use super::checking;
use crate::{
    ApiResult, App,
    access::Viewer,
    admin::definitions::text,
    extract::Body,
    problem::ProblemBody,
    said::{self, ContactName},
};

/// Contacts that are shown unless the caller wants another number.
const SAMPLE_DEFAULT: usize = 10;
/// Most contacts that are shown.
pub const SAMPLE_MAX: usize = 100;

/// A condition to look at: one of the four.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"condition": {"consent": "newsletter", "is": "subscribed"}, "sample": 5}))]
pub(crate) struct PreviewSegment {
    /// A condition, as it stands in a segment's file.
    #[schema(value_type = Option<Object>, example = json!({"consent": "newsletter", "is": "subscribed"}))]
    condition: Option<Value>,
    /// A whole segment's file as a tree.
    #[schema(value_type = Option<Object>)]
    definition: Option<Value>,
    /// A whole segment's file as text, YAML or JSON.
    source: Option<String>,
    /// A segment that is saved.
    segment: Option<String>,
    /// How many of the members to show, spread evenly over them: 0 to 100, 10 by default.
    #[schema(minimum = 0, maximum = 100)]
    sample: Option<usize>,
}

/// Who satisfies a condition.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SegmentPreview)]
pub(crate) struct PreviewBody {
    /// Contacts in the base.
    contacts: u64,
    /// Those who satisfy it.
    members: u64,
    /// Contacts without a value, by field that the condition reads.
    without_value: BTreeMap<String, u64>,
    /// Some of the members.
    sample: Vec<ContactName>,
    /// Worth knowing about the condition.
    warnings: Vec<ProblemBody>,
}

/// Counts who would be in a segment, and shows some. Nothing is saved.
#[utoipa::path(
    post,
    path = "/api/v1/segments/preview",
    operation_id = "previewSegment",
    request_body = PreviewSegment,
    responses((status = 200, body = PreviewBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Body(given): Body<PreviewSegment>,
) -> ApiResult<Json<PreviewBody>> {
    let wanted = given.sample.unwrap_or(SAMPLE_DEFAULT);
    if wanted > SAMPLE_MAX {
        return Err(Problem::new("preview.sample", format!("{wanted} contacts cannot be shown"))
            .field("sample")
            .value(wanted)
            .cure(format!("ask for 0 to {SAMPLE_MAX}"))
            .into());
    }
    let workspace = Arc::new(checking(&app.store).await?);
    let (workspace, file, warnings) = read(&workspace, given)?;
    let now = app.now();
    let found =
        segments::preview(&app.store, &workspace, &file.condition, now, wanted, segments::silent()).await?;
    Ok(Json(PreviewBody {
        contacts: found.base,
        members: found.members.len(),
        without_value: found.without_value,
        sample: found.sample.iter().map(|contact| said::name_of(contact.id, Some(contact))).collect(),
        warnings: warnings.iter().map(ProblemBody::from).collect(),
    }))
}

type Read = (Arc<Workspace>, Arc<SegmentFile>, Vec<Problem>);

fn read(workspace: &Arc<Workspace>, given: PreviewSegment) -> ApiResult<Read> {
    let source = match (given.segment, given.condition) {
        (Some(slug), None) => {
            let file = Arc::clone(super::get::find(workspace, &slug)?);
            return Ok((Arc::clone(workspace), file, Vec::new()));
        }
        (None, Some(condition)) => json!({ "format": 1, "condition": condition }).to_string(),
        _ => text(given.definition, given.source)?,
    };
    let (file, warnings) = SegmentFile::parse(&source, Some("preview"), &workspace.schema)?;
    let slug = file.slug.to_string();
    let with = Workspace::clone(workspace).with([file])?;
    let file = Arc::clone(super::get::find(&with, &slug)?);
    Ok((Arc::new(with), file, warnings))
}
