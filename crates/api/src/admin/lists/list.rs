//! `GET /api/v1/lists`: all static lists.

use axum::{Json, extract::State};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::ListBody;
use crate::{ApiResult, App, access::Viewer};

/// All lists.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct AllLists {
    /// By slug.
    items: Vec<ListBody>,
}

/// Lists the static lists with how many are on each: those that were named here, and those that only files and journeys
/// name.
#[utoipa::path(
    get,
    path = "/api/v1/lists",
    operation_id = "list_lists",
    tag = "lists",
    responses((status = 200, body = AllLists))
)]
pub(crate) async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer) -> ApiResult<Json<AllLists>> {
    let items = app.store.load_lists().await?.into_iter().map(ListBody::from).collect();
    Ok(Json(AllLists { items }))
}
