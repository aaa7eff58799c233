//! `POST /api/v1/journeys/{slug}/retry`: failed messages are tried again.

use axum::{Json, extract::State};
use engine::live::lives;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    said::slug,
};

/// Which messages.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"uncertain": false}))]
pub(crate) struct RetryBody {
    /// Those of which nobody knows whether they arrived, too.
    #[serde(default)]
    uncertain: bool,
}

/// What waits again.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RetriedBody {
    /// Messages that wait again.
    messages: u64,
}

/// Tries the failed messages of a journey again, from all its runs. Messages that were sent are never repeated.
#[utoipa::path(
    post,
    path = "/api/v1/journeys/{slug}/retry",
    operation_id = "retry_journey",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$")),
    request_body = RetryBody,
    responses((status = 200, body = RetriedBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(name): Named<String>,
    Body(asked): Body<RetryBody>,
) -> ApiResult<Json<RetriedBody>> {
    let slug = slug(&name)?;
    let by = super::by(&app, &editor);
    let messages = lives::retry(&app.store, &slug, asked.uncertain, &by).await.map_err(super::refused)?;
    let details = json!({"messages": messages, "uncertain": asked.uncertain});
    audit::note(&app, &editor, "journey.retry", format!("journey:{slug}"), details).await?;
    app.delivery_bell.notify_one();
    app.engine_bell.notify_one();
    Ok(Json(RetriedBody { messages }))
}
