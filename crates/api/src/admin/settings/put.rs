//! `PUT /api/v1/settings/{name}`.

use axum::{extract::State, http::StatusCode};
use engine::live::book;
use model::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use storage::Storage;
use utoipa::ToSchema;

use super::{SettingBody, known};
use crate::{
    ApiError, ApiResult, App,
    access::Owner,
    audit,
    extract::{Body, Named},
    tag::{Precondition, Tag, Tagged},
};

/// What a setting is to hold.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"value": "Europe/Paris"}))]
pub(crate) struct PutBody {
    /// The value, of the setting's own shape.
    value: Value,
}

/// Sets a setting, after the same check as `relance setting`. One that is set is only changed by who knows it: `If-Match`.
/// Engines at work take it up with their next turn.
#[utoipa::path(
    put,
    path = "/api/v1/settings/{name}",
    operation_id = "put_setting",
    params(
        ("name" = String, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag of the setting as you know it; needed when it is set.")
    ),
    request_body = PutBody,
    responses((status = 200, body = SettingBody, headers(("ETag" = String))))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(owner): Owner,
    Named(name): Named<String>,
    precondition: Precondition,
    Body(asked): Body<PutBody>,
) -> ApiResult<Tagged<SettingBody>> {
    let setting = known::find(&name).map_err(|problem| ApiError::new(StatusCode::NOT_FOUND, problem))?;
    // A tree has no lines.
    let placeless = |problem: Problem| Problem { place: None, ..problem };
    let value = setting
        .read(&asked.value.to_string())
        .map_err(|problems| problems.into_iter().map(placeless).collect::<Vec<_>>())?;
    loop {
        let before = app.store.load_setting(setting.name.to_owned()).await?;
        match &before {
            None => precondition
                .check(None)
                .or_else(|error| precondition.check(Some(&Tag::of(&Value::Null))).map_err(|_| error))?,
            Some(value) => precondition.require(Some(&Tag::of(value)))?,
        }
        // What it holds may be a secret: the log says that it was changed.
        let deed = audit::deed(&app, &owner, "setting.put", format!("setting:{name}"), json!({}));
        if app.store.replace_setting(setting.name.to_owned(), before, value.clone(), deed).await? {
            break;
        }
    }
    book::touch_rules(&app.store).await?;
    app.engine_bell.notify_one();
    let body = SettingBody { name: setting.name.to_owned(), about: setting.about.to_owned(), value };
    Ok(Tagged(Tag::of(&body.value), body))
}
