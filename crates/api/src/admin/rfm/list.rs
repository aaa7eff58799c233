//! `GET /api/v1/rfm`: the models.

use ::rfm::RfmModel;
use axum::{Json, extract::State};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::{RunBody, model_of, run_body};
use crate::{ApiResult, App, access::Viewer, said::Names};

/// A model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ModelBody {
    /// What it is known by.
    model: String,
    /// What people call it.
    name: Names,
    /// Scores go from 1 to this.
    levels: u8,
    /// Its last run; none when it was never scored.
    last_run: Option<RunBody>,
}

/// All models.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Models {
    /// Those that were saved or scored, by their slugs; then the built-in ones that were not.
    items: Vec<ModelBody>,
}

/// Lists the models with their last runs.
#[utoipa::path(
    get,
    path = "/api/v1/rfm",
    operation_id = "listRfmModels",
    responses((status = 200, body = Models))
)]
pub(crate) async fn handle<S: Storage>(State(app): State<App<S>>, _: Viewer) -> ApiResult<Json<Models>> {
    let known = engine::rfm::known(&app.store).await?;
    let mut items: Vec<ModelBody> = known
        .iter()
        .map(|known| {
            let model = model_of(known);
            ModelBody {
                model: known.slug.to_string(),
                name: model.as_ref().map(|model| Names::from(&model.name)).unwrap_or_default(),
                levels: model.as_ref().map_or(0, |model| model.levels),
                last_run: known.last_run.as_ref().map(|run| run_body(model.as_ref(), run)),
            }
        })
        .collect();
    for slug in RfmModel::BUILT_IN {
        if let Some(model) =
            RfmModel::built_in(slug).filter(|model| known.iter().all(|one| one.slug != model.slug))
        {
            items.push(ModelBody {
                model: slug.to_owned(),
                name: Names::from(&model.name),
                levels: model.levels,
                last_run: None,
            });
        }
    }
    Ok(Json(Models { items }))
}
