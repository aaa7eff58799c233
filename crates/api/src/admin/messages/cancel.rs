//! `POST /api/v1/messages/cancel`: messages that wait are taken back.

use axum::{Json, extract::State};
use serde_json::json;
use storage::Storage;

use super::{TheseDone, TheseMessages};
use crate::{ApiResult, App, access::Editor, audit, extract::Body};

/// Takes messages back that wait: they are skipped. Those that a worker holds, or that left, are left as they are.
#[utoipa::path(
    post,
    path = "/api/v1/messages/cancel",
    operation_id = "cancel_messages",
    request_body = TheseMessages,
    responses((status = 200, body = TheseDone))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Body(asked): Body<TheseMessages>,
) -> ApiResult<Json<TheseDone>> {
    let ids = asked.ids()?;
    let left = app.store.take_back_messages(ids.clone(), app.now()).await?;
    let changed = ids.len() - left.len();
    if changed > 0 {
        audit::note(&app, &editor, "messages.cancel", "messages", json!({"messages": changed})).await?;
        app.engine_bell.notify_one();
    }
    Ok(Json(TheseDone { changed, left: left.iter().map(ToString::to_string).collect() }))
}
