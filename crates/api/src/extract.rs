//! Extractors whose refusals are problem details like all others.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{StatusCode, request::Parts},
};
use model::Problem;
use serde::de::DeserializeOwned;

use crate::ApiError;

/// A JSON body.
#[derive(Clone, Copy, Debug)]
pub struct Body<T>(pub T);

impl<St: Send + Sync, T: DeserializeOwned> FromRequest<St> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &St) -> Result<Self, ApiError> {
        let refused = |rejection: JsonRejection| {
            let status = match rejection.status() {
                StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::PAYLOAD_TOO_LARGE => rejection.status(),
                _ => StatusCode::BAD_REQUEST,
            };
            let cure = match status {
                StatusCode::UNSUPPORTED_MEDIA_TYPE => "send it with `Content-Type: application/json`",
                StatusCode::PAYLOAD_TOO_LARGE => "send less at once",
                _ => "see the API's document at /api/openapi.json",
            };
            ApiError::new(status, Problem::new("body.invalid", rejection.body_text()).cure(cure))
        };
        Json::from_request(request, state).await.map(|Json(body)| Self(body)).map_err(refused)
    }
}

/// What stands behind the question mark.
#[derive(Clone, Copy, Debug)]
pub struct Asked<T>(pub T);

impl<St: Send + Sync, T: DeserializeOwned> FromRequestParts<St> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &St) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|rejection| {
            let problem = Problem::new("query.invalid", rejection.body_text());
            ApiError::new(StatusCode::BAD_REQUEST, problem.field("query"))
        })
    }
}

/// What stands in the path.
#[derive(Clone, Copy, Debug)]
pub struct Named<T>(pub T);

impl<St: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<St> for Named<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &St) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(named)| Self(named)).map_err(|rejection| {
            ApiError::new(StatusCode::NOT_FOUND, Problem::new("path.invalid", rejection.body_text()))
        })
    }
}
