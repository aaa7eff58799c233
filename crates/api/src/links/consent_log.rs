//! `GET /api/v1/contacts/{contact}/consents`: what a contact agreed to and took back, with its proofs.

use axum::{Json, extract::State};
use model::ContactId;
use serde::Serialize;
use serde_json::Value;
use storage::{Storage, consents::ConsentEntry};
use utoipa::ToSchema;

use crate::{ApiError, ApiResult, App, access::Viewer, extract::Named};

/// An entry of the history.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EntryBody {
    /// When.
    pub at: String,
    /// For what.
    pub purpose: String,
    /// `subscribed`, `unsubscribed`, `not_subscribed`, or `asked`: a yes that is to be confirmed.
    pub step: String,
    /// Where it comes from, as in `form`, `one_click`, `preference_page`, `double_opt_in`, `import`.
    pub source: String,
    /// What proves it: an object with place, page, text, language, a keyed hash of the client's address and the message;
    /// or a text of whoever wrote it.
    pub proof: Value,
}

/// A history.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HistoryBody {
    /// The oldest first.
    pub items: Vec<EntryBody>,
}

impl From<ConsentEntry> for EntryBody {
    fn from(entry: ConsentEntry) -> Self {
        let object = Some(&entry.proof).filter(|proof| proof.starts_with('{'));
        let proof = object.and_then(|proof| serde_json::from_str(proof).ok());
        Self {
            at: entry.at.to_string(),
            purpose: entry.purpose.to_string(),
            step: entry.step.word().to_owned(),
            source: entry.source,
            proof: proof.unwrap_or(Value::String(entry.proof)),
        }
    }
}

/// What a contact agreed to and took back, the oldest first, with its proofs.
#[utoipa::path(
    get,
    path = "/api/v1/contacts/{contact}/consents",
    operation_id = "list_consents",
    params(("contact" = i64, Path, description = "The contact's number")),
    responses(
        (status = 200, body = HistoryBody),
        (status = 401, body = crate::problem::ProblemDetails),
        (status = 403, body = crate::problem::ProblemDetails),
        (status = 404, body = crate::problem::ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(contact): Named<i64>,
) -> ApiResult<Json<HistoryBody>> {
    let known = app.store.linked_contact(ContactId(contact)).await?;
    let known = known.ok_or_else(|| ApiError::not_found("contact", contact))?;
    let log = app.store.load_consent_log(known.id).await?;
    Ok(Json(HistoryBody { items: log.into_iter().map(EntryBody::from).collect() }))
}
