//! `POST /api/v1/journeys/{slug}/enter`: contacts enter by API.

use axum::{Json, extract::State, http::StatusCode};
use engine::live::lives;
use model::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use storage::Storage;
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    said::{find_contacts, slug},
};

/// Most contacts of one request.
const CONTACTS_MAX: usize = 1_000;
/// The longest message id, in characters.
const MESSAGE_ID_MAX: usize = 200;

/// Who enters.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contacts": ["ann@example.com"], "data": {"plan": "gold"}, "message_id": "renewal-2026-11"}))]
pub(crate) struct EnterBody {
    /// The contacts: the shop's ids, email addresses, or `id:` and their numbers.
    #[schema(min_items = 1, max_items = 1000)]
    contacts: Vec<String>,
    /// What the journey reads as `trigger.…`: at most 32 KB and 8 levels deep.
    #[serde(default)]
    #[schema(value_type = Object)]
    data: Map<String, Value>,
    /// Chosen by the caller: however often it is sent, each contact enters once for it.
    #[schema(max_length = 200)]
    message_id: Option<String>,
}

/// What was asked of the engine.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct EnteringBody {
    /// The journey.
    journey: String,
    /// Contacts that it was asked to let in. Those who belong to its audience enter with the engine's next turn; while it
    /// is paused they are held.
    contacts: usize,
}

/// Has contacts enter a journey that has the trigger `api`.
#[utoipa::path(
    post,
    path = "/api/v1/journeys/{slug}/enter",
    operation_id = "enter_journey",
    params(("slug" = String, Path, max_length = 64, pattern = "^[a-z0-9_-]+$")),
    request_body = EnterBody,
    responses((status = 202, body = EnteringBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(name): Named<String>,
    Body(asked): Body<EnterBody>,
) -> ApiResult<(StatusCode, Json<EnteringBody>)> {
    let slug = slug(&name)?;
    if asked.contacts.is_empty() || asked.contacts.len() > CONTACTS_MAX {
        return Err(Problem::new("enter.contacts", format!("{} contacts were named", asked.contacts.len()))
            .field("contacts")
            .cure(format!("name 1 to {CONTACTS_MAX}"))
            .into());
    }
    if let Some(id) =
        asked.message_id.as_ref().filter(|id| id.is_empty() || id.chars().count() > MESSAGE_ID_MAX)
    {
        return Err(Problem::new("enter.message_id", "the message id cannot be used")
            .field("message_id")
            .value(id)
            .cure(format!("use 1 to {MESSAGE_ID_MAX} characters"))
            .into());
    }
    let mut ids = find_contacts(&app.store, &asked.contacts).await?;
    ids.sort_unstable();
    ids.dedup();
    let by = super::by(&app, &editor);
    lives::enter(&app.store, &slug, &ids, asked.data, asked.message_id.as_deref(), &by)
        .await
        .map_err(super::refused)?;
    let details = json!({"contacts": ids.len(), "message_id": asked.message_id});
    audit::note(&app, &editor, "journey.enter", format!("journey:{slug}"), details).await?;
    app.engine_bell.notify_one();
    Ok((StatusCode::ACCEPTED, Json(EnteringBody { journey: slug.to_string(), contacts: ids.len() })))
}
