//! `GET /api/v1/settings/{name}`.

use axum::{extract::State, http::StatusCode, response::Response};
use storage::Storage;

use super::{SettingBody, known};
use crate::{
    ApiError, ApiResult, App,
    access::Owner,
    extract::Named,
    tag::{Known, Tag},
};

/// Shows a setting.
#[utoipa::path(
    get,
    path = "/api/v1/settings/{name}",
    operation_id = "get_setting",
    params(("name" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = SettingBody, headers(("ETag" = String))), (status = 304, description = "As you know it."))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _owner: Owner,
    Named(name): Named<String>,
    known: Known,
) -> ApiResult<Response> {
    let setting = known::find(&name).map_err(|problem| ApiError::new(StatusCode::NOT_FOUND, problem))?;
    let value = app.store.load_setting(setting.name.to_owned()).await?.unwrap_or_default();
    let tag = Tag::of(&value);
    let body = SettingBody { name: setting.name.to_owned(), about: setting.about.to_owned(), value };
    Ok(known.answer(tag, body))
}
