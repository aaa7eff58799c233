//! `PUT /api/v1/rfm/{model}`: makes a model or changes it.

use ::rfm::RfmModel;
use axum::extract::State;
use model::Problem;
use storage::Storage;

use super::{
    find,
    get::{ModelRuns, RUNS, body},
};
use crate::{
    ApiResult, App,
    access::Editor,
    admin::definitions::{PutDefinition, RFM, tag},
    extract::{Body, Named},
    tag::{Precondition, Tagged},
};

/// Checks a model and saves it as a new version. The night scores everybody by it, and each night from then on; to have it
/// at once, ask for a run. A model that changes keeps its history: its next run sums everything anew.
#[utoipa::path(
    put,
    path = "/api/v1/rfm/{model}",
    operation_id = "putRfmModel",
    params(("model" = String, Path, description = "What it is known by; not that of a built-in one")),
    request_body(
        content = PutDefinition,
        example = json!({"source": "format: 1\nname: {en: Two and two, fr: Deux et deux}\nmodel: two\nwindow: P1Y\nlevels: 2\nrecency: {days: [30]}\nfrequency: {values: [1]}\nmonetary: {measure: sum, quantiles: [1/2]}\ngroups:\n  - {slug: good, name: {en: Good, fr: Bons}, codes: [222, 221, 212, 122]}\n  - {slug: rest, name: {en: The rest, fr: Les autres}, codes: [211, 121, 112, 111]}\n"})
    ),
    responses((status = 200, body = ModelRuns))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(by): Editor,
    Named(name): Named<String>,
    precondition: Precondition,
    Body(given): Body<PutDefinition>,
) -> ApiResult<Tagged<ModelRuns>> {
    let (slug, text) = RFM.incoming(&app.store, &name, &precondition, given).await?;
    if RfmModel::built_in(slug.as_str()).is_some() {
        return Err(Problem::new("rfm.built_in", format!("`{slug}` is built in"))
            .field("model")
            .value(&slug)
            .cure("give your model a name of its own")
            .into());
    }
    let model = RfmModel::parse(&text)?;
    RFM.named(&slug, &model.slug)?;
    let saved = RFM.save(&app, &by, &slug, model.to_json()).await?;
    let runs = app.store.load_rfm_runs(slug.clone(), RUNS).await?;
    Ok(Tagged(tag(&saved), body(find(&app.store, slug.as_str()).await?, &runs)))
}
