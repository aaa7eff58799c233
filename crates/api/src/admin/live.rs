//! `GET /api/v1/live`: what happens now, as server-sent events.

use std::{collections::HashMap, convert::Infallible, time::Duration};

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
use storage::{Storage, browse::RunCount};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::{ApiError, ApiResult, App, access::Viewer, extract::Asked};

/// Counts of journeys are told this often at most.
const COUNTS_EVERY: Duration = Duration::from_secs(1);

/// Tells how many entered journeys at work and are inside, as the engine works and while somebody listens; until `stop` is
/// ready. Counts that did not change are not told again.
pub async fn tell_counts<S: Storage>(app: App<S>, stop: impl Future<Output = ()>) {
    let mut news = app.news.listen();
    let mut told: HashMap<i64, RunCount> = HashMap::new();
    tokio::pin!(stop);
    loop {
        let heard = tokio::select! {
            () = &mut stop => return,
            heard = news.recv() => heard,
        };
        let worked = match heard {
            Ok(piece) => piece.topic == "worked",
            Err(RecvError::Lagged(_)) => true,
            Err(RecvError::Closed) => return,
        };
        let nobody = app.desk.listeners.available_permits() == app.config.desk.listeners_max;
        if !worked || nobody {
            continue;
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(COUNTS_EVERY) => {}
        }
        // All that was heard meanwhile is in what is told now.
        while matches!(news.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
        if let Err(error) = tell_changed(&app, &mut told).await {
            tracing::warn!(%error, "counts of journeys cannot be told");
        }
    }
}

async fn tell_changed<S: Storage>(app: &App<S>, told: &mut HashMap<i64, RunCount>) -> storage::Result<()> {
    let lives = app.store.load_lives(false).await?;
    for count in app.store.count_runs(lives.iter().map(|life| life.run).collect()).await? {
        if told.insert(count.run, count) == Some(count) {
            continue;
        }
        let Some(life) = lives.iter().find(|life| life.run == count.run) else { continue };
        let data = json!({
            "journey": life.journey.as_str(), "run": life.run, "version": life.version, "life": life.life.word(),
            "entered": count.entered, "inside": count.inside,
        });
        app.news.tell("journey", data);
    }
    told.retain(|run, _| lives.iter().any(|life| life.run == *run));
    Ok(())
}

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
