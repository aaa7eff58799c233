//! `PUT /api/v1/purposes`: sets why the shop writes, and what it needs for that.

use axum::{Json, extract::State};
use policy::Purposes;
use serde::Deserialize;
use serde_json::{Map, Value};
use storage::Storage;
use utoipa::ToSchema;

use super::purposes_get::PurposesBody;
use crate::{ApiResult, App, access::Owner, extract::Body};

/// All purposes by slug; those that are not there are no more. Consents for them stay.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPurposes {
    /// Purposes by slug, as in the setting `purposes`: what is left out has its default.
    pub purposes: Map<String, Value>,
}

/// Replaces the workspace's purposes. Messages that were decided before are judged by the new ones.
#[utoipa::path(
    put,
    path = "/api/v1/purposes",
    operation_id = "put_purposes",
    request_body = NewPurposes,
    responses(
        (status = 200, body = PurposesBody),
        (status = 401, body = crate::problem::ProblemDetails),
        (status = 403, body = crate::problem::ProblemDetails),
        (status = 422, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Owner,
    Body(body): Body<NewPurposes>,
) -> ApiResult<Json<PurposesBody>> {
    let setting = Value::Object(body.purposes);
    let purposes = Purposes::parse(&setting.to_string())?;
    app.store.save_setting(policy::PURPOSES_SETTING.to_owned(), setting).await?;
    app.engine_bell.notify_one();
    Ok(Json(PurposesBody::of(&purposes)))
}
