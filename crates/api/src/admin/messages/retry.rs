//! `POST /api/v1/messages/retry`: failed messages are tried again.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use engine::live::lives::{self, By};
use model::MessageId;
use serde_json::json;
use storage::Storage;

use super::{TheseDone, TheseMessages};
use crate::{ApiResult, App, access::Editor, audit, extract::Body};

/// Tries failed messages again, and those of which nobody knows whether they arrived when it is asked for. Messages that
/// were sent are never repeated.
#[utoipa::path(
    post,
    path = "/api/v1/messages/retry",
    operation_id = "retry_messages",
    request_body = TheseMessages,
    responses((status = 200, body = TheseDone))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Body(asked): Body<TheseMessages>,
) -> ApiResult<Json<TheseDone>> {
    let ids = asked.ids()?;
    let left = app.store.retry_these(ids.clone(), asked.uncertain, app.now()).await?;
    let changed: Vec<MessageId> = ids.iter().filter(|id| !left.contains(id)).copied().collect();
    // A journey that was finished is open until they are in a final state again.
    let mut journeys = BTreeSet::new();
    if let Some(first) = changed.first() {
        let rows = app.store.load_messages(changed.clone()).await?;
        journeys.extend(rows.into_iter().map(|row| row.message.send.journey.clone()));
        let details = json!({"messages": changed.len(), "first": first.to_string()});
        audit::note(&app, &editor, "messages.retry", "messages", details).await?;
    }
    for journey in &journeys {
        lives::reopen(&app.store, journey, &By::new(&editor.who, app.now())).await?;
    }
    app.delivery_bell.notify_one();
    app.engine_bell.notify_one();
    Ok(Json(TheseDone { changed: changed.len(), left: left.iter().map(ToString::to_string).collect() }))
}
