//! What a sender hears.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use model::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::ProblemBody;

/// Everything was taken, and is on disk.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Success {
    /// Always true.
    pub success: bool,
}

/// A message that was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RefusedMessage {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why.
    #[serde(flatten)]
    pub problem: ProblemBody,
}

/// Some messages were refused; the others were taken, and are on disk. Problem details (RFC 9457) with what the
/// ecosystem's libraries look for: `code` and `message`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PartlyRefused {
    /// `/problems/track.refused`.
    #[serde(rename = "type")]
    kind: String,
    /// What the status means.
    title: String,
    /// 400.
    status: u16,
    /// How many were refused and how many were taken.
    detail: String,
    /// `track.refused`.
    code: String,
    /// As `detail`.
    message: String,
    /// Always false.
    success: bool,
    /// How many were taken.
    accepted: usize,
    /// Those that were refused.
    errors: Vec<RefusedMessage>,
}

/// The answer to a request of so many messages.
pub(super) fn answer(messages: usize, refused: &[(usize, Problem)]) -> Response {
    if refused.is_empty() {
        return Json(Success { success: true }).into_response();
    }
    let accepted = messages - refused.len();
    let first = &refused[0].1;
    let detail =
        format!("{} of {messages} messages were refused, the first because {}", refused.len(), first.message);
    let body = PartlyRefused {
        kind: "/problems/track.refused".to_owned(),
        title: "Bad Request".to_owned(),
        status: StatusCode::BAD_REQUEST.as_u16(),
        message: detail.clone(),
        detail,
        code: "track.refused".to_owned(),
        success: false,
        accepted,
        errors: refused
            .iter()
            .map(|(index, problem)| RefusedMessage { index: *index, problem: problem.into() })
            .collect(),
    };
    let mut response = (StatusCode::BAD_REQUEST, Json(body)).into_response();
    let problem = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, problem);
    response
}
