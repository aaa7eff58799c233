//! `GET /v1/projects/{key}/settings`: what Segment's library for browsers asks before it sends anything.

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::{Map, Value, json};
use storage::Storage;
use utoipa::ToSchema;

use crate::{ApiResult, App, extract::Named, problem::ProblemDetails};

/// As Segment's library for browsers reads it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LibrarySettings {
    /// Where the library sends to: `Segment.io` with this server's address; nothing else.
    #[schema(value_type = Object)]
    integrations: Value,
    /// Rules of a tracking plan: none.
    #[schema(value_type = Object)]
    plan: Map<String, Value>,
    /// Figures that the library sends about itself: none are wanted.
    #[schema(value_type = Object)]
    metrics: Value,
    /// Code that is loaded from elsewhere: none.
    #[serde(rename = "remotePlugins")]
    #[schema(value_type = Vec<Object>)]
    remote_plugins: [Value; 0],
}

/// Tells the library to send what happens here, and to load nothing from anybody.
#[utoipa::path(
    get,
    path = "/v1/projects/{key}/settings",
    operation_id = "get_library_settings",
    params(("key" = String, Path, description = "The key that the library sends with")),
    responses((status = 200, body = LibrarySettings), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Named(key): Named<String>,
) -> ApiResult<Json<LibrarySettings>> {
    app.track.keys.tracker(&key, app.now()).await?;
    let (protocol, host) = app.config.public_url.split_once("://").unwrap_or(("https", ""));
    let here = json!({"apiKey": key, "apiHost": format!("{host}/v1"), "protocol": protocol});
    Ok(Json(LibrarySettings {
        integrations: json!({ "Segment.io": here }),
        plan: Map::new(),
        metrics: json!({"sampleRate": 0}),
        remote_plugins: [],
    }))
}
