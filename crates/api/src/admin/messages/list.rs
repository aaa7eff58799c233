//! `GET /api/v1/messages`: the log of messages.

use axum::{Json, extract::State};
use serde::Deserialize;
use storage::{Storage, browse::MessageQuery, outbox::MessageRow};

use super::{ChannelWord, MessageBody, StateWord, body};
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::Asked,
    page::{Page, PageQuery},
    said::{At, contact_asked_for, name_of, names, slug},
};

/// Questions of [`storage::browse::MESSAGES_LOOKED_AT`] messages that one request asks at most: two million messages are
/// looked through for a page, then it is given as it is.
const QUESTIONS: usize = 4;

/// Which messages.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessagesQuery {
    /// Of this journey.
    #[param(max_length = 64, pattern = "^[a-z0-9_-]+$")]
    journey: Option<String>,
    /// Of this run; 0: of test runs.
    run: Option<i64>,
    /// To this contact: the shop's id, an email address, or `id:` and its number.
    contact: Option<String>,
    /// In this state.
    #[param(inline)]
    state: Option<StateWord>,
    /// Carried by this.
    #[param(inline)]
    channel: Option<ChannelWord>,
    /// With this reason, as in `smtp.5xx`.
    reason: Option<String>,
    /// Decided at or after.
    #[param(inline)]
    since: Option<At>,
    /// Decided before.
    #[param(inline)]
    until: Option<At>,
}

/// Lists messages, the last first. A page may hold fewer than was asked for, or none, and still have a next one: rare ones
/// among millions are found in several requests, each of which looks through two million.
#[utoipa::path(
    get,
    path = "/api/v1/messages",
    operation_id = "list_messages",
    params(MessagesQuery, PageQuery),
    responses((status = 200, body = Page<MessageBody>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Asked(asked): Asked<MessagesQuery>,
    Asked(query): Asked<PageQuery>,
) -> ApiResult<Json<Page<MessageBody>>> {
    let contact = contact_asked_for(&app.store, asked.contact.as_deref()).await?;
    let wanted = MessageQuery {
        journey: asked.journey.as_deref().map(slug).transpose()?,
        run: asked.run,
        contact,
        state: asked.state.map(Into::into),
        channel: asked.channel.map(Into::into),
        reason: asked.reason,
        since: asked.since.map(|at| at.0),
        until: asked.until.map(|at| at.0),
    };
    let (limit, mut next) = (query.limit()?, Some(query.after::<i64>()?.unwrap_or(i64::MAX)));
    let mut found: Vec<MessageRow> = Vec::new();
    for _ in 0..QUESTIONS {
        let Some(before) = next.filter(|_| found.len() < limit) else { break };
        let page = app.store.browse_messages(wanted.clone(), before, limit - found.len()).await?;
        found.extend(page.messages);
        next = page.next;
    }
    let named = names(&app.store, found.iter().map(|row| row.message.contact)).await?;
    let one = |row: MessageRow| {
        let id = row.message.contact;
        body(row, named.get(&id).cloned().unwrap_or_else(|| name_of(id, None)))
    };
    Ok(Json(Page::next_at(found.into_iter().map(one).collect(), next)))
}
