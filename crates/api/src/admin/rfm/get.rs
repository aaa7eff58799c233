//! `GET /api/v1/rfm/{model}`: a model, its distribution now, its last runs.

use axum::{Json, extract::State};
use serde::Serialize;
use serde_json::Value;
use storage::Storage;
use utoipa::ToSchema;

use super::{RunBody, find, model_of, run_body};
use crate::{ApiResult, App, access::Viewer, extract::Named, said::Names};

/// Runs that are told.
const RUNS: usize = 30;

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

/// A model that was scored: how its groups are distributed now and were at its last runs, with medians and revenue.
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
) -> ApiResult<Json<ModelRuns>> {
    let (slug, record) = find(&app.store, &model).await?;
    let model = model_of(&record);
    let runs = app.store.load_rfm_runs(slug.clone(), RUNS).await?;
    Ok(Json(ModelRuns {
        model: slug.to_string(),
        name: model.as_ref().map(|model| Names::from(&model.name)).unwrap_or_default(),
        definition: record.definition,
        runs: runs.iter().map(|run| run_body(model.as_ref(), run)).collect(),
    }))
}
