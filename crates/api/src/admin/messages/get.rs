//! `GET /api/v1/messages/{id}`: one message.

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use storage::Storage;
use utoipa::ToSchema;

use super::{MessageBody, body, find};
use crate::{ApiResult, App, access::Viewer, extract::Named, said::name_of};

/// A message with what it is made from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct MessageDetail {
    /// The message.
    #[serde(flatten)]
    message: MessageBody,
    /// The language that it is written in, as known when it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    /// What its template was given, frozen when it was decided.
    #[schema(value_type = Object)]
    variables: Value,
}

/// Shows a message. How it looks: `/preview`.
#[utoipa::path(
    get,
    path = "/api/v1/messages/{id}",
    operation_id = "get_message",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = MessageDetail))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Named(id): Named<String>,
) -> ApiResult<Json<MessageDetail>> {
    let row = find(&app, &id).await?;
    let contacts = app.store.load_contacts(vec![row.message.contact]).await?;
    let contact = name_of(row.message.contact, contacts.first());
    Ok(Json(MessageDetail {
        locale: row.message.locale.clone(),
        variables: serde_json::from_str(&row.message.variables).unwrap_or_default(),
        message: body(row, contact),
    }))
}
