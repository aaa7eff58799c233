//! `GET /api/v1/settings`.

use axum::{Json, extract::State};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::{SettingBody, known::SETTINGS};
use crate::{ApiResult, App, access::Owner};

/// The settings.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SettingsBody {
    /// All that can be set, with what each holds.
    items: Vec<SettingBody>,
}

/// Lists the settings. They hold secrets of webhooks: owners alone see them.
#[utoipa::path(
    get,
    path = "/api/v1/settings",
    operation_id = "list_settings",
    responses((status = 200, body = SettingsBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _owner: Owner,
) -> ApiResult<Json<SettingsBody>> {
    let mut items = Vec::with_capacity(SETTINGS.len());
    for setting in SETTINGS {
        let value = app.store.load_setting(setting.name.to_owned()).await?.unwrap_or_default();
        items.push(SettingBody { name: setting.name.to_owned(), about: setting.about.to_owned(), value });
    }
    Ok(Json(SettingsBody { items }))
}
