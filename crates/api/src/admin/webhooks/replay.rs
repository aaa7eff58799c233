//! `POST /api/v1/webhooks/{id}/replay`: tells a range again.

use axum::{Json, extract::State};
use model::Problem;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use super::{deliveries::Which, find};
use crate::{
    ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    problem::ProblemDetails,
};

/// Which deliveries are told again: at least one of these.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"since": "2026-11-02T00:00:00Z", "state": "failed"}))]
pub struct ReplayRange {
    /// `failed` or `delivered`; both when left out.
    state: Option<String>,
    /// Of events that happened since, RFC 3339.
    since: Option<String>,
    /// Of events that happened before, RFC 3339.
    until: Option<String>,
}

/// How many are told again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    /// How many wait again. What the queue has no room for stays as it is.
    pub(super) replayed: u64,
}

/// Tells a range of settled deliveries again, with the same ids: a receiver that has one drops it.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/replay", operation_id = "replay_webhook_deliveries",
    params(("id" = i64, Path)), request_body = ReplayRange,
    responses((status = 200, body = Replayed), (status = 404, body = ProblemDetails),
        (status = 422, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(who): Editor,
    Named(id): Named<i64>,
    Body(range): Body<ReplayRange>,
) -> ApiResult<Json<Replayed>> {
    find(&app, id).await?;
    let ReplayRange { state, since, until } = range;
    if state.is_none() && since.is_none() && until.is_none() {
        let problem = Problem::new("hooks.replay", "it is not said which deliveries to tell again");
        return Err(problem.cure("give state, since or until, as in {\"state\": \"failed\"}").into());
    }
    let which = Which { state, since, until };
    let replayed = app.store.replay_deliveries(id, which.filter()?, app.now()).await?;
    audit::note(&app, &who, "webhook.replay", format!("webhook:{id}"), json!({"replayed": replayed})).await?;
    app.inbound.hook_bell.notify_one();
    Ok(Json(Replayed { replayed }))
}
