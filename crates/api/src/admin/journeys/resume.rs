//! `POST /api/v1/journeys/{slug}/resume`.

use axum::{Json, extract::State};
use engine::live::lives;
use storage::Storage;

use super::ChangedBody;
use crate::{ApiResult, App, access::Editor, extract::Named, said::slug};

/// Lets go on: those who wait before a message go into it now, and triggers that were held start it.
#[utoipa::path(
    post,
    path = "/api/v1/journeys/{slug}/resume",
    operation_id = "resume_journey",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$")),
    responses((status = 200, body = ChangedBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(name): Named<String>,
) -> ApiResult<Json<ChangedBody>> {
    let slug = slug(&name)?;
    let done = lives::resume(&app.store, &slug, &super::by(&app, &editor)).await.map_err(super::refused)?;
    super::changed(&app, &editor, "journey.resume", &slug, done).await.map(Json)
}
