//! `POST /api/v1/suppressions/remove`.

use axum::{Json, extract::State};
use model::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use super::{hashes, number, unhex};
use crate::{ApiResult, App, access::Editor, admin::messages::ChannelWord, audit, extract::Body};

/// Who may be written to again.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"addresses": ["yes@example.com"]}))]
pub(crate) struct RemoveBody {
    /// The channel: email without it.
    channel: Option<ChannelWord>,
    /// Addresses, in one of these two ways, or in both.
    #[serde(default)]
    #[schema(max_items = 1000)]
    addresses: Vec<String>,
    /// Hashes of addresses, as the list shows them.
    #[serde(default)]
    #[schema(max_items = 1000)]
    hashes: Vec<String>,
}

/// What was taken off.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RemovedBody {
    /// Addresses that were on the list.
    removed: u64,
}

/// Takes addresses off the list: what is decided from now on may reach them. It says nothing about consent.
#[utoipa::path(
    post,
    path = "/api/v1/suppressions/remove",
    operation_id = "remove_suppressions",
    request_body = RemoveBody,
    responses((status = 200, body = RemovedBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Body(asked): Body<RemoveBody>,
) -> ApiResult<Json<RemovedBody>> {
    number(asked.addresses.len() + asked.hashes.len())?;
    let mut all = hashes(asked.channel.unwrap_or(ChannelWord::Email), &asked.addresses)?;
    for text in &asked.hashes {
        all.push(unhex(text).ok_or_else(|| {
            Problem::new("suppression.hash", format!("`{text}` is no hash of an address"))
                .field("hashes")
                .value(text)
                .cure("a hash is 32 hexadecimal digits, as the list shows it")
        })?);
    }
    let removed = app.store.unsuppress(all).await?;
    audit::note(&app, &editor, "suppression.remove", "suppressions", json!({"addresses": removed})).await?;
    Ok(Json(RemovedBody { removed }))
}
