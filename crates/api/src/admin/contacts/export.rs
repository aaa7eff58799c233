//! `GET /api/v1/contacts/{contact}/export`: everything that is kept of a person.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use storage::Storage;

use super::named;
use crate::{ApiError, ApiResult, App, access::Owner, audit, extract::Named};

/// Everything that is kept of a person, as one JSON document to hand over: profile, consents with their proofs, events,
/// orders, carts, messages, journeys (docs/privacy.md).
#[utoipa::path(
    get,
    path = "/api/v1/contacts/{contact}/export",
    operation_id = "export_contact",
    tag = "contacts",
    params(("contact" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = crate::problem::ProblemDetails))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Owner(by): Owner,
    Named(name): Named<String>,
) -> ApiResult<Response> {
    let id = named(&app, &name).await?.id;
    let document = engine::people::export(&app.store, id, app.now()).await?;
    let document = document.ok_or_else(|| ApiError::not_found("contact", &name))?;
    audit::note(&app, &by, "contact.export", format!("contact:{id}"), json!({})).await?;
    let mut response = Json(document).into_response();
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"contact-{id}.json\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
