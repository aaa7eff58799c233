//! `GET /v/TOKEN`: a message as a page. It is shown as others may see it: without the links that are its contact's alone,
//! and in a sandbox, so that nothing in it can run or send a form.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use delivery::LinkKind;
use model::Zone;
use storage::Storage;

use super::{
    look::{Look, settled},
    visitor::Visitor,
};
use crate::{App, extract::Named};

/// Pictures and styles of the message, and links that open; no scripts, no forms, no frames.
const POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation; \
     default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline' https:; font-src https:; \
     form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

pub(super) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
) -> Response {
    let work = async {
        let Ok(link) = app.links.verify_kind(&token, LinkKind::View) else {
            return Ok(Look::of(&app, &visitor, None).await?.invalid());
        };
        let gone =
            async || Ok(Look::of(&app, &visitor, None).await?.text(StatusCode::GONE, "gone_title", "gone"));
        let Some(row) = app.store.find_message(link.message).await? else { return gone().await };
        let Some(contact) = app.store.linked_contact(row.message.contact).await? else { return gone().await };
        let zone = app.store.load_setting(engine::segments::ZONE_SETTING.to_owned()).await?;
        let zone = zone.and_then(|zone| Zone::parse(zone.as_str()?).ok()).unwrap_or(Zone::UTC);
        let Some(html) = app.link_state.viewer.page(&app.store, row, contact, zone).await? else {
            return gone().await;
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
        ];
        Ok((headers, html).into_response())
    };
    settled(visitor.lang(None), work.await)
}
