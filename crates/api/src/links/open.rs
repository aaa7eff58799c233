//! `GET /o/TOKEN.gif`: the picture that says that a mail was opened. Whoever asks gets the picture, whatever the token.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use delivery::{LinkKind, happenings, machine};
use model::{Channel, Timestamp, event::kind};
use serde_json::{Map, json};
use storage::{
    Storage, StoreError,
    outbox::{MessageRow, MessageState},
};

use super::visitor::Visitor;
use crate::{App, extract::Named};

/// A transparent picture of one pixel (GIF89a).
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

/// How long ago a message was handed over, if that is known.
pub(super) fn since_sent(row: &MessageRow, now: Timestamp) -> Option<i64> {
    match row.state {
        MessageState::Sent => Some(now.since(row.at)),
        // The server has it, and we are about to write that down.
        MessageState::HandingOver => Some(0),
        _ => None,
    }
}

pub(super) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Named(file): Named<String>,
    visitor: Visitor,
) -> Response {
    if !visitor.asker().head
        && let Err(error) = record(&app, file.strip_suffix(".gif").unwrap_or(&file), &visitor).await
    {
        tracing::error!(%error, "an open was not recorded");
    }
    ([(header::CONTENT_TYPE, HeaderValue::from_static("image/gif"))], PIXEL).into_response()
}

async fn record<S: Storage>(app: &App<S>, token: &str, visitor: &Visitor) -> Result<(), StoreError> {
    let Ok(link) = app.links.verify_kind(token, LinkKind::Open) else { return Ok(()) };
    let Some(row) = app.store.find_message(link.message).await? else { return Ok(()) };
    if row.message.send.channel != Channel::Email {
        return Ok(());
    }
    let now = app.now();
    let asker = visitor.asker();
    let mut properties = Map::new();
    if let Some(why) = machine::open(&asker, since_sent(&row, now)) {
        properties.insert("machine".into(), true.into());
        properties.insert("why".into(), why.into());
    }
    if let Some(proxy) = machine::proxy(asker.agent) {
        properties.insert("proxy".into(), json!(proxy));
    }
    happenings::interaction(&app.store, link.message, kind::EMAIL_OPENED, now, properties).await?;
    app.engine_bell.notify_one();
    Ok(())
}
