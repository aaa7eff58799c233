//! `DELETE /api/v1/contacts/{contact}`: erases a person.

use axum::{extract::State, http::StatusCode};
use serde_json::json;
use storage::Storage;

use super::named;
use crate::{ApiError, ApiResult, App, access::Owner, audit, extract::Named};

/// Erases a person: profile, identifiers, events, carts, contents of messages, ways through journeys. Orders stay without
/// a name, and addresses stay on the suppression list as hashes (docs/privacy.md). It cannot be taken back.
#[utoipa::path(
    delete,
    path = "/api/v1/contacts/{contact}",
    operation_id = "erase_contact",
    tag = "contacts",
    params(("contact" = String, Path)),
    responses((status = 204), (status = 404, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    Named(name): Named<String>,
) -> ApiResult<StatusCode> {
    let id = named(&app, &name).await?.id;
    if !app.store.erase_contact(id, app.now()).await? {
        return Err(ApiError::not_found("contact", id));
    }
    app.engine_bell.notify_one();
    // Of whom, the log keeps the number alone: it leads nowhere any more.
    audit::note(&app, &by, "contact.erase", format!("contact:{id}"), json!({})).await?;
    Ok(StatusCode::NO_CONTENT)
}
