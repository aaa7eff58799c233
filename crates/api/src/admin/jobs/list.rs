//! `GET /api/v1/jobs`.

use axum::{Json, extract::State};
use serde::Deserialize;
use storage::{Storage, jobs::JobFilter};

use super::{JobBody, JobKind, JobStateWord, body};
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::Asked,
    page::{Page, PageQuery},
};

/// Which jobs.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobsQuery {
    /// Of this kind.
    #[param(inline)]
    kind: Option<JobKind>,
    /// In this state.
    #[param(inline)]
    state: Option<JobStateWord>,
}

/// Lists jobs, the last first. Those that were over 30 days ago are forgotten.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    operation_id = "list_jobs",
    params(JobsQuery, PageQuery),
    responses((status = 200, body = Page<JobBody>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _viewer: Viewer,
    Asked(asked): Asked<JobsQuery>,
    Asked(query): Asked<PageQuery>,
) -> ApiResult<Json<Page<JobBody>>> {
    let (limit, before) = (query.limit()?, query.after::<i64>()?.unwrap_or(i64::MAX));
    let filter =
        JobFilter { kind: asked.kind.map(|kind| kind.word().to_owned()), state: asked.state.map(Into::into) };
    let jobs = app.store.list_jobs(filter, before, limit + 1).await?;
    Ok(Json(Page::cut(jobs, limit, |job| job.no).map(|job| body(&app, job))))
}
