//! `POST /api/v1/jobs/{id}/cancel`.

use axum::{Json, extract::State, http::StatusCode};
use model::Problem;
use serde_json::json;
use storage::Storage;

use super::{JobBody, body, find};
use crate::{ApiError, ApiResult, App, access::Editor, audit, extract::Named};

/// Ends a job: one that waits at once, one that runs as soon as it can. What an import wrote before stays.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/cancel",
    operation_id = "cancel_job",
    params(("id" = i64, Path, minimum = 1)),
    responses((status = 200, body = JobBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(no): Named<i64>,
) -> ApiResult<Json<JobBody>> {
    let before = find(&app, no).await?;
    if before.state.is_over() {
        let problem = Problem::new("job.over", format!("job {no} is over already")).value(no);
        return Err(ApiError::new(StatusCode::CONFLICT, problem));
    }
    let job = app.store.cancel_job(no, app.now()).await?.ok_or_else(|| ApiError::not_found("job", no))?;
    app.desk.cancel(no);
    if job.state.is_over() {
        super::worker::clean_up(&app, &job).await;
    }
    audit::note(&app, &editor, "job.cancel", format!("job:{no}"), json!({"kind": job.kind})).await?;
    Ok(Json(body(&app, job)))
}
