//! `GET /api/v1/purposes`: why the shop writes, and what it needs for that.

use std::collections::BTreeMap;

use axum::{extract::State, response::Response};
use model::Localized;
use policy::Purposes;
use serde::Serialize;
use serde_json::Value;
use storage::Storage;
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::Viewer,
    tag::{Known, Tag},
};

/// A topic.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TopicBody {
    /// As people read it, by language.
    #[schema(value_type = Object)]
    pub name: Localized,
    /// A sentence about it, by language.
    #[schema(value_type = Object)]
    pub description: Localized,
}

/// What is counted of messages.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct TrackBody {
    /// Whether mails were opened.
    pub opens: bool,
    /// Whether links were clicked.
    pub clicks: bool,
}

/// A purpose, with everything that its file leaves to the defaults.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PurposeBody {
    /// As people read it, by language.
    #[schema(value_type = Object)]
    pub name: Localized,
    /// What people agree to, by language.
    #[schema(value_type = Object)]
    pub description: Localized,
    /// `opt_in`, `opt_out` or `none`.
    pub enforcement: String,
    /// Whether a yes from a form is confirmed by mail.
    pub double_opt_in: bool,
    /// What is counted.
    pub track: TrackBody,
    /// Topics by slug.
    pub topics: BTreeMap<String, TopicBody>,
}

/// Purposes by slug.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PurposesBody {
    /// Purposes by slug.
    pub purposes: BTreeMap<String, PurposeBody>,
}

impl PurposesBody {
    pub(super) fn of(purposes: &Purposes) -> Self {
        let purpose = |purpose: &policy::Purpose| PurposeBody {
            name: purpose.name.clone(),
            description: purpose.description.clone(),
            enforcement: purpose.enforcement.word().to_owned(),
            double_opt_in: purpose.double_opt_in,
            track: TrackBody { opens: purpose.track.opens, clicks: purpose.track.clicks },
            topics: purpose
                .topics
                .iter()
                .map(|topic| {
                    let slug = topic.slug.as_str();
                    let own = slug.split_once('/').map_or(slug, |(_, own)| own).to_owned();
                    (own, TopicBody { name: topic.name.clone(), description: topic.description.clone() })
                })
                .collect(),
        };
        let purposes = purposes.0.iter().map(|one| (one.slug.to_string(), purpose(one))).collect();
        Self { purposes }
    }
}

/// The workspace's purposes with their topics. None when nobody set any: then every purpose needs a recorded yes.
#[utoipa::path(
    get,
    path = "/api/v1/purposes",
    operation_id = "get_purposes",
    responses(
        (status = 200, body = PurposesBody),
        (status = 401, body = crate::problem::ProblemDetails),
        (status = 403, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer, known: Known) -> ApiResult<Response> {
    let body = read(setting(&app).await?.as_ref())?;
    Ok(known.answer(Tag::of(&body), body))
}

/// What is set now, as it is kept.
pub(super) async fn setting<S: Storage>(app: &App<S>) -> ApiResult<Option<Value>> {
    Ok(app.store.load_setting(policy::PURPOSES_SETTING.to_owned()).await?)
}

/// What is kept, as it is told.
pub(super) fn read(setting: Option<&Value>) -> ApiResult<PurposesBody> {
    let purposes = setting.map(|json| Purposes::parse(&json.to_string())).transpose()?.unwrap_or_default();
    Ok(PurposesBody::of(&purposes))
}
