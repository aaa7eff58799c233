//! `POST /api/v1/exports`.

use axum::{Json, extract::State, http::StatusCode};
use model::Problem;
use serde::Deserialize;
use storage::Storage;
use utoipa::ToSchema;

use super::{
    EXPORT, JobBody, ask,
    exporting::{Exporting, Shape, What},
};
use crate::{
    ApiResult, App,
    access::Editor,
    extract::Body,
    said::{At, slug},
};

/// Most kinds of events that are named.
const KINDS_MAX: usize = 100;

/// What to export.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"what": "contacts", "format": "csv", "segment": "best-customers"}))]
pub(crate) struct ExportBody {
    /// What.
    what: What,
    /// How it is written: `csv` or `jsonl` (one JSON object a line).
    #[serde(default)]
    format: Shape,
    /// Only of the members of this segment, as they are when the job begins.
    #[schema(max_length = 64, pattern = "^[a-z0-9_-]+$")]
    segment: Option<String>,
    /// Orders, events and messages at or after.
    since: Option<At>,
    /// Orders, events and messages before.
    until: Option<At>,
    /// Events of these kinds only.
    #[serde(default)]
    #[schema(max_items = 100)]
    kinds: Vec<String>,
    /// Messages of this journey only.
    #[schema(max_length = 64, pattern = "^[a-z0-9_-]+$")]
    journey: Option<String>,
}

/// Writes contacts, orders, events or messages into a file, as a job. Its file is read by a link:
/// `POST /api/v1/jobs/{id}/links`.
#[utoipa::path(
    post,
    path = "/api/v1/exports",
    operation_id = "export",
    request_body = ExportBody,
    responses((status = 202, body = JobBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Body(asked): Body<ExportBody>,
) -> ApiResult<(StatusCode, Json<JobBody>)> {
    if asked.kinds.len() > KINDS_MAX {
        return Err(Problem::new("export.kinds", "too many kinds of events")
            .field("kinds")
            .cure(format!("name at most {KINDS_MAX}; none stands for all"))
            .into());
    }
    let segment = asked.segment.as_deref().map(slug).transpose()?;
    if let Some(segment) = &segment
        && app.store.load_members(segment.clone()).await?.is_none()
    {
        return Err(Problem::new("segment.unknown", format!("there is no built segment `{segment}`"))
            .field("segment")
            .value(segment)
            .cure("save and build it first")
            .into());
    }
    let request = Exporting {
        what: asked.what,
        format: asked.format,
        segment,
        since: asked.since.map(|at| at.0),
        until: asked.until.map(|at| at.0),
        kinds: asked.kinds,
        journey: asked.journey.as_deref().map(slug).transpose()?,
    };
    ask(&app, &editor, EXPORT, &request).await
}
