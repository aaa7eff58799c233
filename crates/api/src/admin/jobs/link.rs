//! `POST /api/v1/jobs/{id}/links`: a link to a job's file.

use axum::{Json, extract::State};
use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Storage;
use utoipa::ToSchema;

use super::{find, path_of, signed_text};
use crate::{
    ApiError, ApiResult, App,
    access::Editor,
    audit,
    extract::{Body, Named},
    said::At,
};

/// A link is good for so long, in microseconds: ten minutes, to begin the download.
const GOOD_FOR: i64 = 10 * Timestamp::MINUTE;

/// Which file.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"file": "result"}))]
pub(crate) struct LinkBody {
    /// One of the job's `files`.
    file: FileWord,
}

/// A file of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileWord {
    /// What was exported.
    Result,
    /// Rows that were not imported, with their reasons.
    Rejects,
}

impl FileWord {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Rejects => "rejects",
        }
    }
}

/// A link.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LinkedBody {
    /// The address: whoever has it may read the file until it expires.
    url: String,
    /// When it expires.
    expires_at: At,
}

/// Makes a link to a job's file, for a browser to download it without a key. It is good for ten minutes.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/links",
    operation_id = "link_job_file",
    params(("id" = i64, Path, minimum = 1)),
    request_body = LinkBody,
    responses((status = 200, body = LinkedBody))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Editor(editor): Editor,
    Named(no): Named<i64>,
    Body(asked): Body<LinkBody>,
) -> ApiResult<Json<LinkedBody>> {
    let job = find(&app, no).await?;
    let file = asked.file.word();
    path_of(&app, &job, file).ok_or_else(|| ApiError::not_found("file", file))?;
    let expires_at = app.now().plus(GOOD_FOR);
    let signature = app.links.sign_address(&signed_text(no, file, expires_at.0));
    audit::note(&app, &editor, "job.link", format!("job:{no}"), json!({"file": file})).await?;
    let path = format!("/api/v1/jobs/{no}/files/{file}?expires={}&signature={signature}", expires_at.0);
    Ok(Json(LinkedBody { url: app.links.address(&path), expires_at: expires_at.into() }))
}
