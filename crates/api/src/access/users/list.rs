//! `GET /api/v1/users`: all users.

use axum::{Json, extract::State};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::{Owner, bodies::UserBody},
    problem::ProblemDetails,
};

/// Users.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Users {
    /// By address, disabled ones too.
    pub items: Vec<UserBody>,
}

/// By address, disabled ones too.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    operation_id = "list_users",
    responses((status = 200, body = Users), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, _: Owner) -> ApiResult<Json<Users>> {
    let users = app.store.list_users().await?;
    Ok(Json(Users { items: users.into_iter().map(UserBody::from).collect() }))
}
