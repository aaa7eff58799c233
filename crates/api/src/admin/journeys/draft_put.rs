//! `PUT /api/v1/journeys/{slug}/draft`: keeps what is being written.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;
use storage::{Storage, desk::NewDraft, settings::DefinitionKind};

use super::{
    DraftMark,
    draft_get::DraftBody,
    draft_tag,
    folder::{CheckBody, FolderBody, compile},
};
use crate::{
    ApiError, ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    said::slug,
    tag::{Precondition, Tagged},
};

/// Keeps a draft, also one that is not right yet: the check says what is wrong with it. A draft that is there is only
/// overwritten by somebody who knows it: `If-Match`.
#[utoipa::path(
    put,
    path = "/api/v1/journeys/{slug}/draft",
    operation_id = "put_journey_draft",
    params(
        ("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$"),
        ("If-Match" = Option<String>, Header, description = "The ETag of the draft as you know it; needed when there is one."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only when there is none.")
    ),
    request_body = FolderBody,
    responses(
        (status = 200, body = DraftBody, headers(("ETag" = String))),
        (status = 201, body = DraftBody, headers(("ETag" = String)))
    )
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(name): Named<String>,
    precondition: Precondition,
    Body(folder): Body<FolderBody>,
) -> ApiResult<Response> {
    let slug = slug(&name)?;
    let before = super::draft(&app, &slug).await?;
    precondition.require(before.as_ref().map(draft_tag).as_ref())?;
    let check = CheckBody::from(&compile(&app, &folder, Some(&slug)).await?);
    let content = serde_json::to_value(&folder).map_err(|error| {
        ApiError::from(storage::StoreError::Driver(format!("a draft cannot be written: {error}")))
    })?;
    let new = NewDraft {
        kind: DefinitionKind::Journey,
        slug: slug.clone(),
        content,
        at: app.now(),
        by: editor.who.clone(),
    };
    let (is_new, hash) = (before.is_none(), before.map(|draft| draft.hash));
    let Some(draft) = app.store.save_draft(new, hash).await? else {
        // Somebody was faster: what the client knows is not there any more.
        return Err(precondition.check(None).err().unwrap_or_else(changed_meanwhile));
    };
    audit::note(&app, &editor, "journey.draft", format!("journey:{slug}"), json!({"hash": draft.hash}))
        .await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let body = DraftBody { draft: DraftMark::from(&draft), folder, check };
    Ok((status, Tagged(draft_tag(&draft), body)).into_response())
}

fn changed_meanwhile() -> ApiError {
    let problem = model::Problem::new("precondition.failed", "somebody else has changed it just now")
        .cure("read it again, put your change into what you find, and send that with its ETag as If-Match");
    ApiError::new(StatusCode::PRECONDITION_FAILED, problem)
}
