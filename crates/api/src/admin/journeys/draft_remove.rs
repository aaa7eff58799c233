//! `DELETE /api/v1/journeys/{slug}/draft`: throws away what was being written.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use storage::{Storage, settings::DefinitionKind};

use super::draft_tag;
use crate::{ApiResult, App, access::Editor, audit, extract::Named, said::slug, tag::Precondition};

/// Throws a draft away. What was published stays. Needs `If-Match`.
#[utoipa::path(
    delete,
    path = "/api/v1/journeys/{slug}/draft",
    operation_id = "remove_journey_draft",
    params(
        ("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the draft as you know it.")
    ),
    responses((status = 204, description = "It is gone."))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(name): Named<String>,
    precondition: Precondition,
) -> ApiResult<StatusCode> {
    let slug = slug(&name)?;
    let draft = super::draft(&app, &slug).await?.ok_or_else(|| super::no_draft(&slug))?;
    precondition.require(Some(&draft_tag(&draft)))?;
    if !app.store.remove_draft(DefinitionKind::Journey, slug.clone(), draft.hash.clone()).await? {
        precondition.check(None)?;
    }
    audit::note(
        &app,
        &editor,
        "journey.draft_removed",
        format!("journey:{slug}"),
        json!({"hash": draft.hash}),
    )
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
