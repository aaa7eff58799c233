//! Errors as the API tells them: problem details (RFC 9457) with our stable codes.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{Problem, Problems};
use serde::Serialize;
use storage::StoreError;
use utoipa::ToSchema;

/// What an operation answers.
pub type ApiResult<T> = Result<T, ApiError>;

/// Why a request is refused.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// What is wrong: at least one.
    pub problems: Problems,
    /// Seconds after which to try again, for 429 and 503.
    pub retry_after: Option<u64>,
}

/// One problem, as the API tells it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Stable and documented, as in `slug.invalid`.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// What is wrong, in one sentence.
    pub message: String,
    /// The field or path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The value that was refused, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// The file, where several were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line and column in the text, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<(u32, u32)>,
}

impl From<&Problem> for ProblemBody {
    fn from(problem: &Problem) -> Self {
        Self {
            code: problem.code.to_string(),
            severity: if problem.is_error() { "error" } else { "warning" }.to_owned(),
            message: problem.message.clone(),
            field: problem.field.clone(),
            value: problem.value.clone(),
            cure: problem.cure.clone(),
            file: problem.file.clone(),
            place: problem.place.map(|place| (place.line, place.column)),
        }
    }
}

/// Problem details (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProblemDetails {
    /// `/problems/` and the code of the first problem.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the status means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, in one sentence.
    pub detail: String,
    /// The code of the first problem.
    pub code: String,
    /// All problems.
    pub problems: Vec<ProblemBody>,
}

impl ApiError {
    /// One problem under a status.
    #[must_use]
    pub fn new(status: StatusCode, problem: Problem) -> Self {
        Self { status, problems: vec![problem], retry_after: None }
    }

    /// 404: there is no such thing.
    #[must_use]
    pub fn not_found(what: &'static str, name: impl std::fmt::Display) -> Self {
        let problem = Problem::new("not_found", format!("there is no {what} `{name}`")).value(name);
        Self::new(StatusCode::NOT_FOUND, problem)
    }

    /// 429 or 503, with the seconds after which to try again.
    #[must_use]
    pub fn retry(status: StatusCode, problem: Problem, seconds: u64) -> Self {
        Self { status, problems: vec![problem], retry_after: Some(seconds) }
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, problem)
    }
}

impl From<Problems> for ApiError {
    fn from(problems: Problems) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, problems, retry_after: None }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (status, code) = match &error {
            StoreError::Refused(problem) => return problem.clone().into(),
            StoreError::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "storage.disk_full"),
            StoreError::Locked => (StatusCode::SERVICE_UNAVAILABLE, "storage.locked"),
            StoreError::Unusable(_) | StoreError::Inconsistent { .. } | StoreError::Driver(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "storage.failed")
            }
        };
        // What a driver says may hold data of people: it goes into the log, not to the caller.
        tracing::error!(code, %error, "the database failed");
        let told = match error {
            StoreError::DiskFull | StoreError::Locked => error.to_string(),
            _ => "the database has failed; the server's log says more".to_owned(),
        };
        Self::new(status, Problem::new(code, told))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let first = self.problems.first();
        let code = first.map_or("internal", |problem| &problem.code).to_owned();
        let details = ProblemDetails {
            kind: format!("/problems/{code}"),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: first.map(|problem| problem.message.clone()).unwrap_or_default(),
            code,
            problems: self.problems.iter().map(ProblemBody::from).collect(),
        };
        let mut response = (self.status, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
