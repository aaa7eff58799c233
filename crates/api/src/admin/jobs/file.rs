//! `GET /api/v1/jobs/{id}/files/{file}`: a job's file.

use std::{fs::File, io::Read};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequestParts, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use model::Problem;
use serde::Deserialize;
use storage::Storage;

use super::{find, path_of, signed_text};
use crate::{
    ApiError, ApiResult, App,
    access::Editor,
    extract::{Asked, Named},
};

/// Bytes that are read from the disk at once.
const PIECE: usize = 64 * 1024;

/// What a signed link says.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SignedQuery {
    /// When the link expires, in microseconds since 1970.
    expires: Option<i64>,
    /// Its signature.
    signature: Option<String>,
}

/// Who may read a file: whoever has a good link, else an editor.
pub(crate) struct Reader;

impl<S: Storage> FromRequestParts<App<S>> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App<S>) -> Result<Self, ApiError> {
        let Asked(signed) = Asked::<SignedQuery>::from_request_parts(parts, app).await?;
        let (Some(expires), Some(signature)) = (signed.expires, signed.signature) else {
            return Editor::from_request_parts(parts, app).await.map(|_| Self);
        };
        let Named((no, file)) = Named::<(i64, String)>::from_request_parts(parts, app).await?;
        if !app.links.is_signed(&signed_text(no, &file, expires), &signature) || app.now().0 >= expires {
            let problem = Problem::new("link.expired", "this link is not good any more")
                .cure("ask for a new one: POST /api/v1/jobs/{id}/links");
            return Err(ApiError::new(StatusCode::FORBIDDEN, problem));
        }
        Ok(Self)
    }
}

/// Reads a file of a job. With a signed link no key is needed.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/files/{file}",
    operation_id = "read_job_file",
    params(("id" = i64, Path, minimum = 1), ("file" = String, Path, description = "`result` or `rejects`."), SignedQuery),
    responses((status = 200, body = String, content_type = "application/octet-stream"))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _reader: Reader,
    Named((no, file)): Named<(i64, String)>,
) -> ApiResult<Response> {
    let job = find(&app, no).await?;
    let gone = || ApiError::not_found("file", &file);
    let (path, name) = path_of(&app, &job, &file).ok_or_else(gone)?;
    let opened = tokio::task::spawn_blocking(move || {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        std::io::Result::Ok((file, length))
    });
    let Ok(Ok((opened, length))) = opened.await else { return Err(gone()) };
    let pieces = stream::unfold(Some(opened), |file| async move {
        let mut file = file?;
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece)?;
            piece.truncate(read);
            std::io::Result::Ok((file, piece))
        });
        match read.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok((_, piece)) if piece.is_empty() => None,
            Ok((file, piece)) => Some((Ok(Bytes::from(piece)), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    // Never shown as a page of ours, whatever is in it.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}
