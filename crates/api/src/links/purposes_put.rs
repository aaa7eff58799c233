//! `PUT /api/v1/purposes`: sets why the shop writes, and what it needs for that.

use axum::extract::State;
use policy::Purposes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use storage::Storage;
use utoipa::ToSchema;

use super::purposes_get::{self, PurposesBody};
use crate::{
    ApiResult, App,
    access::Owner,
    audit,
    extract::Body,
    tag::{Precondition, Tag, Tagged},
};

/// All purposes by slug; those that are not there are no more. Consents for them stay.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"purposes": {"newsletter": {"name": {"en": "Newsletter", "fr": "Lettre"}, "enforcement": "opt_in"}}}))]
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
        (status = 412, body = crate::problem::ProblemDetails),
        (status = 422, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    condition: Precondition,
    Body(body): Body<NewPurposes>,
) -> ApiResult<Tagged<PurposesBody>> {
    let setting = Value::Object(body.purposes);
    let purposes = Purposes::parse(&setting.to_string())?;
    let slugs: Vec<&str> = purposes.0.iter().map(|purpose| purpose.slug.as_str()).collect();
    loop {
        let known = purposes_get::setting(&app).await?;
        condition.check(Some(&Tag::of(&purposes_get::read(known.as_ref())?)))?;
        let deed = audit::deed(&app, &by, "purposes.set", "setting:purposes", json!({ "purposes": slugs }));
        let key = policy::PURPOSES_SETTING.to_owned();
        // Whoever came in between is not overwritten unseen: what is there now is judged again.
        if app.store.replace_setting(key, known, setting.clone(), deed).await? {
            break;
        }
    }
    app.engine_bell.notify_one();
    let body = PurposesBody::of(&purposes);
    Ok(Tagged(Tag::of(&body), body))
}
