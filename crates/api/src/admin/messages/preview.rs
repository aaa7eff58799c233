//! `GET /api/v1/messages/{id}/preview`: how a message looks.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use model::{Problem, Zone};
use storage::Storage;

use super::find;
use crate::{ApiError, ApiResult, App, access::Viewer, extract::Named};

/// What a page of a message may do: show itself. No scripts, no forms, nobody's cookies, and nothing of the pages of ours
/// that show it in a frame.
pub(crate) const SANDBOX: &str = "sandbox; default-src 'none'; img-src https: data:; style-src 'unsafe-inline'; font-src https:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// Shows how a message looks: made anew from what was frozen when it was decided, as a page that may do nothing.
#[utoipa::path(
    get,
    path = "/api/v1/messages/{id}/preview",
    operation_id = "preview_message",
    params(("id" = String, Path, pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = String, content_type = "text/html"))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Named(id): Named<String>,
) -> ApiResult<Response> {
    let row = find(&app, &id).await?;
    let contact = app.store.load_contacts(vec![row.message.contact]).await?.into_iter().next();
    let contact = contact.ok_or_else(|| {
        ApiError::new(StatusCode::GONE, Problem::new("message.contact_gone", "its contact is no more"))
    })?;
    let zone = app.store.load_setting(engine::segments::ZONE_SETTING.to_owned()).await?;
    let zone = zone.and_then(|zone| Zone::parse(zone.as_str()?).ok()).unwrap_or(Zone::UTC);
    let page = app.desk.pages.page(&app.store, row, contact, zone).await?;
    let page = page.ok_or_else(|| {
        let problem = Problem::new("message.no_page", "this message cannot be shown")
            .cure("calls of servers have no page; a template may have been thrown away");
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, problem)
    })?;
    Ok(sandboxed(page))
}

/// A page that may do nothing.
pub(crate) fn sandboxed(page: String) -> Response {
    let mut response = Html(page).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    response
}
