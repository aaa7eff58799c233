//! `GET /c/TOKEN` and, for text messages, `GET /s/CODE`: counts a click and goes on to where the link says.
//!
//! The click is kept at once and judged a moment later, when it shows whether it was one of many: see
//! [`delivery::machine`]. So that the contact is never kept waiting, a base that fails costs the count, not the way.

use std::{sync::atomic::Ordering, time::Duration};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use delivery::{Target, machine};
use model::{MessageId, event::kind};
use serde_json::{Map, Value, json};
use storage::{Storage, StoreError, consents::Click};

use super::{
    look::{Look, settled},
    open::since_sent,
    visitor::Visitor,
};
use crate::{App, extract::Named};

/// Most clicks that are looked at together.
const CLICKS_AT_ONCE: usize = 500;

pub(super) async fn counted<S: Storage>(
    State(app): State<App<S>>,
    Named(token): Named<String>,
    visitor: Visitor,
) -> Response {
    let Ok(target) = app.links.verify_target(&token) else { return unknown(&app, &visitor).await };
    let Target { message, push, name, url } = target;
    let kind = if push { kind::PUSH_CLICKED } else { kind::EMAIL_CLICKED };
    note(&app, &visitor, message, (kind, name, &url)).await;
    onward(&url)
}

pub(super) async fn short<S: Storage>(
    State(app): State<App<S>>,
    Named(code): Named<String>,
    visitor: Visitor,
) -> Response {
    let found =
        if code.len() == Target::SHORT_LEN { app.store.load_short_link(code).await } else { Ok(None) };
    match found {
        Ok(Some(link)) => {
            let what = (kind::SMS_CLICKED, link.link.to_string(), link.url.as_str());
            note(&app, &visitor, link.message, what).await;
            onward(&link.url)
        }
        Ok(None) => unknown(&app, &visitor).await,
        Err(error) => settled(visitor.lang(None), Err(error)),
    }
}

async fn unknown<S: Storage>(app: &App<S>, visitor: &Visitor) -> Response {
    let page = Look::of(app, visitor, None).await.map(|look| look.invalid());
    settled(visitor.lang(None), page)
}

/// To the target, which was signed or stored by us.
fn onward(url: &str) -> Response {
    let mut ascii = String::with_capacity(url.len());
    for byte in url.bytes() {
        if byte.is_ascii_graphic() {
            ascii.push(char::from(byte));
        } else {
            ascii.push_str(&format!("%{byte:02X}"));
        }
    }
    match HeaderValue::try_from(ascii) {
        Ok(target) => (StatusCode::FOUND, [(header::LOCATION, target)]).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn note<S: Storage>(
    app: &App<S>,
    visitor: &Visitor,
    message: MessageId,
    (kind, link, url): (&str, String, &str),
) {
    let noted = async {
        // A message that is no longer kept is not counted; its links lead on all the same.
        let Some(row) = app.store.find_message(message).await? else { return Ok(()) };
        let why = machine::click(&visitor.asker(), since_sent(&row, app.now()));
        let click = Click {
            no: 0,
            message,
            kind: kind.to_owned(),
            link,
            url: url.to_owned(),
            at: app.now(),
            why: why.map(str::to_owned),
        };
        app.store.note_click(click).await?;
        Ok::<_, StoreError>(())
    };
    match noted.await {
        Ok(()) => judge_soon(app),
        Err(error) => tracing::error!(%error, "a click was not recorded"),
    }
}

/// Sees to it that clicks are judged when they are old enough.
fn judge_soon<S: Storage>(app: &App<S>) {
    if app.link_state.judging.swap(true, Ordering::SeqCst) {
        return;
    }
    let app = app.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_micros(machine::JUDGED_AFTER.unsigned_abs() + 100_000)).await;
            let left = settle_clicks(&app).await.unwrap_or_else(|error| {
                tracing::error!(%error, "clicks were not judged");
                1
            });
            if left > 0 {
                continue;
            }
            app.link_state.judging.store(false, Ordering::SeqCst);
            // One that came just now found somebody at work, who was about to go.
            let waits = app.store.load_clicks(1).await.is_ok_and(|clicks| !clicks.is_empty());
            if !waits || app.link_state.judging.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    });
}

/// Judges the clicks that are old enough, and records them. How many are left. For the start of the server, too: clicks
/// of before it ended wait in the base.
///
/// # Errors
/// What the database says.
pub async fn settle_clicks<S: Storage>(app: &App<S>) -> Result<usize, StoreError> {
    let now = app.now();
    loop {
        let clicks = app.store.load_clicks(CLICKS_AT_ONCE).await?;
        let all = clicks.len();
        let whys = machine::judge(&clicks);
        let due: Vec<(Click, Option<Map<String, Value>>)> = clicks
            .into_iter()
            .zip(whys)
            .filter(|(click, _)| now.since(click.at) >= machine::JUDGED_AFTER)
            .map(|(click, why)| {
                // Who asks for the head alone went nowhere: it only shows what the clicks beside it are.
                let went = click.why.as_deref() != Some("head");
                let properties = went.then(|| properties(&click, why));
                (click, properties)
            })
            .collect();
        let judged = due.len();
        if judged > 0 {
            app.store.settle_clicks(due).await?;
            app.engine_bell.notify_one();
        }
        if all < CLICKS_AT_ONCE || judged == 0 {
            return Ok(all - judged);
        }
    }
}

fn properties(click: &Click, why: Option<String>) -> Map<String, Value> {
    let mut properties =
        Map::from_iter([("link".to_owned(), json!(click.link)), ("url".to_owned(), json!(click.url))]);
    if let Some(why) = why {
        properties.insert("machine".into(), true.into());
        properties.insert("why".into(), why.into());
    }
    properties
}
