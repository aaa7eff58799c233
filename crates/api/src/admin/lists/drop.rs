//! `DELETE /api/v1/lists/{slug}`: takes everybody off a static list, and forgets it.

use axum::{extract::State, http::StatusCode};
use model::ContactId;
use serde_json::json;
use storage::Storage;

use super::find;
use crate::{ApiResult, App, access::Editor, audit, extract::Named, said};

/// Contacts that are taken off in one transaction.
const PIECE: usize = 1_000;

/// Takes everybody off a static list, in pieces, and forgets it. One that takes too long to answer goes on where it was when
/// it is asked again.
#[utoipa::path(
    delete,
    path = "/api/v1/lists/{slug}",
    operation_id = "delete_list",
    tag = "lists",
    params(("slug" = String, Path)),
    responses((status = 204), (status = 404, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(slug): Named<String>,
) -> ApiResult<StatusCode> {
    let slug = said::slug(&slug)?;
    let list = find(&app, &slug).await?;
    loop {
        let ids = app.store.load_list_members(slug.clone(), ContactId(0), PIECE).await?;
        if ids.is_empty() {
            break;
        }
        app.store.set_on_list(slug.clone(), ids, false, app.now()).await?;
        app.engine_bell.notify_one();
    }
    app.store.drop_list(slug.clone()).await?;
    audit::note(&app, &by, "list.delete", format!("list:{slug}"), json!({ "members": list.members })).await?;
    Ok(StatusCode::NO_CONTENT)
}
