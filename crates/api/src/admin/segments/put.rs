//! `PUT /api/v1/segments/{slug}`: makes a segment or changes it.

use std::sync::Arc;

use axum::extract::State;
use engine::segments::{self, Workspace};
use model::Problem;
use segment::SegmentFile;
use serde::Deserialize;
use serde_json::{Value, json};
use storage::Storage;
use utoipa::ToSchema;

use super::{SegmentBody, body, tag};
use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    problem::ProblemBody,
    said,
    tag::{Precondition, Tagged},
};

/// A segment's file.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PutSegment {
    /// What its file holds, as a tree; or [`PutSegment::source`].
    #[schema(value_type = Option<Object>, example = json!({"format": 1, "name": {"en": "Buyers"}, "condition": {"bought": {"at_least": 1}}}))]
    definition: Option<Value>,
    /// The file's text, YAML or JSON: problems then say line and column.
    source: Option<String>,
}

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
    request_body = PutSegment,
    responses((status = 200, body = Saved))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
    precondition: Precondition,
    Body(given): Body<PutSegment>,
) -> ApiResult<Tagged<Saved>> {
    let slug = said::slug(&slug)?;
    let mut workspace = Workspace::load(&app.store).await?;
    let there = workspace.segments.get(slug.as_str()).map(|file| tag(file));
    precondition.require(there.as_ref())?;
    if let segment::Known::Only(names) = &mut workspace.schema.segments {
        names.insert(slug.to_string());
    }
    let text = text(given.definition, given.source)?;
    let (file, warnings) = SegmentFile::parse(&text, Some(slug.as_str()), &workspace.schema)?;
    if file.slug != slug {
        return Err(Problem::new("segment.name", format!("the definition is of `{}`", file.slug))
            .field("definition.segment")
            .value(&file.slug)
            .cure(format!("leave `segment` out, or write `segment: {slug}`"))
            .into());
    }
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
    audit::note(&app, &by, "segment.save", format!("segment:{slug}"), json!({ "members": moved.members }))
        .await?;
    let built = app.store.load_segments().await?;
    let file = super::get::find(&workspace, slug.as_str())?;
    let record = built.iter().find(|record| record.slug == slug);
    let answer = Saved {
        segment: body(&workspace, file, record),
        entered: moved.entered.len(),
        left: moved.left.len(),
        warnings: warnings.iter().map(ProblemBody::from).collect(),
    };
    Ok(Tagged(tag(file), answer))
}

/// The text of a definition that is given one way or the other.
pub(crate) fn text(definition: Option<Value>, source: Option<String>) -> Result<String, Problem> {
    match (definition, source) {
        (Some(tree), None) => Ok(tree.to_string()),
        (None, Some(text)) => Ok(text),
        _ => Err(Problem::new("definition.missing", "exactly one of `definition` and `source` is needed")
            .field("definition")
            .cure("give the tree as `definition`, or the file's text as `source`")),
    }
}
