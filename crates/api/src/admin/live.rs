//! `GET /api/v1/live`: what happens now, as server-sent events.

use std::convert::Infallible;

use axum::{
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream;
use model::Problem;
use serde::Deserialize;
use serde_json::json;
use storage::Storage;
use tokio::sync::broadcast::error::RecvError;

use crate::{ApiError, ApiResult, App, access::Viewer, extract::Asked};

/// What to listen for.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LiveQuery {
    /// Topics, with commas between them: `job` (how far jobs are), `journey` (lives and counts of journeys), `worked` (what
    /// the engine has done). All without it.
    topics: Option<String>,
}

/// Tells what happens from now on: events named by their topic, with a JSON object each; a comment now and then as a sign
/// of life. News is kept nowhere: who was away asks for the present state (`Last-Event-ID` is left aside). Who listens too
/// slowly is told how much was left out: `missed`.
#[utoipa::path(
    get,
    path = "/api/v1/live",
    operation_id = "live",
    params(LiveQuery),
    responses((status = 200, body = String, content_type = "text/event-stream"))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Asked(asked): Asked<LiveQuery>,
) -> ApiResult<Response> {
    let Ok(place) = app.desk.listeners.clone().try_acquire_owned() else {
        let problem = Problem::new("live.full", "too many listen already").cure("try again in a while");
        return Err(ApiError::retry(StatusCode::SERVICE_UNAVAILABLE, problem, 30));
    };
    let topics: Option<Vec<String>> =
        asked.topics.map(|topics| topics.split(',').map(|topic| topic.trim().to_owned()).collect());
    let listener = app.news.listen();
    // The place is given back when the listener goes: it lives in the stream.
    let news = stream::unfold((listener, topics, place), |(mut listener, topics, place)| async move {
        loop {
            let event = match listener.recv().await {
                Ok(piece)
                    if topics.as_ref().is_some_and(|topics| topics.iter().all(|one| one != piece.topic)) =>
                {
                    continue;
                }
                Ok(piece) => Event::default().event(piece.topic).data(piece.data.to_string()),
                Err(RecvError::Lagged(missed)) => {
                    Event::default().event("missed").data(json!({"pieces": missed}).to_string())
                }
                Err(RecvError::Closed) => return None,
            };
            return Some((Ok::<_, Infallible>(event), (listener, topics, place)));
        }
    });
    let beat = KeepAlive::new().interval(app.config.desk.heartbeat).text("alive");
    Ok(Sse::new(news).keep_alive(beat).into_response())
}
