//! `GET /api/v1/rfm/{model}`: a model, its distribution now, its last runs.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use engine::rfm::KnownModel;
use serde::Serialize;
use serde_json::Value;
use storage::{Storage, rfm::RunRecord};
use utoipa::ToSchema;

use super::{RunBody, find, model_of, run_body};
use crate::{
    ApiResult, App, access::Viewer, admin::definitions::tag, extract::Named, said::Names, tag::Tagged,
};

/// Runs that are told.
pub(super) const RUNS: usize = 30;

/// A model with its runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelRuns {
    /// What it is known by.
    model: String,
    /// What people call it.
    name: Names,
    /// What its file holds.
    #[schema(value_type = Object)]
    definition: Value,
    /// Its last runs, the youngest first: up to 30.
    runs: Vec<RunBody>,
}

/// A model that was saved or scored: how its groups are distributed now and were at its last runs, with medians and
/// revenue. The `ETag` is that of the version that was saved, if one was.
#[utoipa::path(
    get,
    path = "/api/v1/rfm/{model}",
    operation_id = "getRfmModel",
    params(("model" = String, Path, description = "What it is known by, as in classic-11")),
    responses((status = 200, body = ModelRuns))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(model): Named<String>,
) -> ApiResult<Response> {
    let known = find(&app.store, &model).await?;
    let runs = app.store.load_rfm_runs(known.slug.clone(), RUNS).await?;
    let (tag, body) = (known.saved.as_ref().map(tag), body(known, &runs));
    Ok(match tag {
        Some(tag) => Tagged(tag, body).into_response(),
        None => Json(body).into_response(),
    })
}

/// A model with these runs.
pub(super) fn body(known: KnownModel, runs: &[RunRecord]) -> ModelRuns {
    let model = model_of(&known);
    ModelRuns {
        model: known.slug.to_string(),
        name: model.as_ref().map(|model| Names::from(&model.name)).unwrap_or_default(),
        definition: known.definition,
        runs: runs.iter().map(|run| run_body(model.as_ref(), run)).collect(),
    }
}
