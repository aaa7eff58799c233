//! `GET /api/v1/keys`: all keys.

use axum::{Json, extract::State};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::KeyBody;
use crate::{ApiResult, App, access::Owner, problem::ProblemDetails};

/// Keys.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Keys {
    /// The oldest first, revoked ones too.
    pub items: Vec<KeyBody>,
}

/// The oldest first, revoked ones too.
#[utoipa::path(
    get,
    path = "/api/v1/keys",
    operation_id = "list_keys",
    responses((status = 200, body = Keys), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, _: Owner) -> ApiResult<Json<Keys>> {
    let keys = app.store.list_keys().await?;
    Ok(Json(Keys { items: keys.into_iter().map(KeyBody::from).collect() }))
}
