//! `POST /api/v1/journeys/{slug}/pause`.

use axum::{Json, extract::State};
use engine::live::lives;
use storage::Storage;

use super::ChangedBody;
use crate::{ApiResult, App, access::Editor, extract::Named, said::slug};

/// Pauses: nobody enters or is sent anything; waits keep counting.
#[utoipa::path(
    post,
    path = "/api/v1/journeys/{slug}/pause",
    operation_id = "pause_journey",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$")),
    responses((status = 200, body = ChangedBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(name): Named<String>,
) -> ApiResult<Json<ChangedBody>> {
    let slug = slug(&name)?;
    let done = lives::pause(&app.store, &slug, &super::by(&app, &editor)).await.map_err(super::refused)?;
    super::changed(&app, &editor, "journey.pause", &slug, done).await.map(Json)
}
