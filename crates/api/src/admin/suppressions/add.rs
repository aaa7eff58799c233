//! `POST /api/v1/suppressions`.

use axum::{Json, extract::State};
use model::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::{
    Storage,
    outbox::{Suppression, SuppressionReason},
};
use utoipa::ToSchema;

use super::{SuppressionBody, hashes, number};
use crate::{ApiResult, App, access::Editor, admin::messages::ChannelWord, audit, extract::Body, said::At};

/// The longest note, in characters.
const NOTE_MAX: usize = 200;

/// Whom not to write to any more.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"addresses": ["no@example.com"], "note": "asked by phone"}))]
pub(crate) struct AddBody {
    /// The channel: email without it.
    channel: Option<ChannelWord>,
    /// Addresses; only their hashes are kept.
    #[schema(min_items = 1, max_items = 1000)]
    addresses: Vec<String>,
    /// Until when (excluded); for good without it.
    until: Option<At>,
    /// Why, for those who look at the list; without the address, please.
    #[serde(default)]
    #[schema(max_length = 200)]
    note: String,
}

/// What is on the list now.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AddedSuppressions)]
pub(crate) struct AddedBody {
    /// The addresses, in their order. One that was there keeps the stricter of the two periods.
    suppressions: Vec<SuppressionBody>,
}

/// Puts addresses on the list: nothing is sent to them any more.
#[utoipa::path(
    post,
    path = "/api/v1/suppressions",
    operation_id = "add_suppressions",
    request_body = AddBody,
    responses((status = 200, body = AddedBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Body(asked): Body<AddBody>,
) -> ApiResult<Json<AddedBody>> {
    number(asked.addresses.len())?;
    let now = app.now();
    if asked.until.is_some_and(|until| until.0 <= now) {
        return Err(Problem::new("suppression.until", "the period would be over already")
            .field("until")
            .cure("give an instant that lies ahead, or leave it out")
            .into());
    }
    if asked.note.chars().count() > NOTE_MAX {
        return Err(Problem::new("suppression.note", "the note is too long")
            .field("note")
            .cure(format!("use at most {NOTE_MAX} characters"))
            .into());
    }
    let hashes = hashes(asked.channel.unwrap_or(ChannelWord::Email), &asked.addresses)?;
    let new = |address: &_| Suppression {
        address: *address,
        reason: SuppressionReason::Manual,
        since: now,
        until: asked.until.map(|at| at.0),
        detail: asked.note.clone(),
    };
    app.store.suppress(hashes.iter().map(new).collect()).await?;
    audit::note(&app, &editor, "suppression.add", "suppressions", json!({"addresses": hashes.len()})).await?;
    let found = app.store.suppressions(hashes, now).await?;
    Ok(Json(AddedBody { suppressions: found.iter().flatten().map(SuppressionBody::from).collect() }))
}
