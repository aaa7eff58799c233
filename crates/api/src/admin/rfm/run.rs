//! `POST /api/v1/rfm/{model}/run`: scores everybody now.

use ::rfm::RfmModel;
use axum::{Json, extract::State};
use engine::rfm::{Rescorer, score};
use model::Problem;
use serde_json::json;
use storage::{Storage, StoreError};

use super::{RunBody, model_of, run_body};
use crate::{ApiError, ApiResult, App, access::Editor, audit, extract::Named, said};

/// Scores all contacts by a model that was saved or scored before, or by a built-in one, which then is scored every night. Who
/// moves by it starts no journeys: that is the night's run's.
#[utoipa::path(
    post,
    path = "/api/v1/rfm/{model}/run",
    operation_id = "runRfm",
    params(("model" = String, Path, description = "What it is known by, as in classic-11")),
    responses((status = 200, body = RunBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(name): Named<String>,
) -> ApiResult<Json<RunBody>> {
    let slug = said::slug(&name)?;
    let models = engine::rfm::known(&app.store).await?;
    let known = models.iter().find(|known| known.slug == slug).and_then(model_of);
    let model = known.or_else(|| RfmModel::built_in(&name)).ok_or_else(|| {
        let problem = Problem::new("rfm.unknown", format!("there is no RFM model `{name}`")).value(&name);
        let names = models.iter().map(|known| known.slug.as_str()).chain(RfmModel::BUILT_IN);
        let problem = problem.suggest(&name, names.collect::<Vec<_>>());
        ApiError::new(axum::http::StatusCode::NOT_FOUND, problem)
    })?;
    let (store, now, of) = (app.store.clone(), app.now(), model.clone());
    // On a task of its own: it is finished when the caller hangs up.
    let scoring = tokio::spawn(async move {
        let scored = score(&store, &of, now, false).await?;
        if !scored.still_live.is_empty() {
            Rescorer::load(&store).await?.rescore(&store, scored.still_live.clone(), now).await?;
        }
        engine::live::book::touch_rules(&store).await?;
        Ok::<u64, StoreError>(scored.moved())
    });
    let moved =
        scoring.await.map_err(|error| StoreError::Driver(format!("scoring has failed: {error}")))??;
    app.engine_bell.notify_one();
    audit::note(&app, &by, "rfm.run", format!("rfm:{slug}"), json!({ "moved": moved })).await?;
    let runs = app.store.load_rfm_runs(slug, 1).await?;
    let run = runs.first().ok_or_else(|| ApiError::not_found("run of", &name))?;
    Ok(Json(run_body(Some(&model), run)))
}
