//! `POST /v1/{call}`: one message.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use connect::segment_http::Call;
use model::Problem;
use storage::Storage;

use super::{
    answer::{PartlyRefused, Success},
    receive::{Shape, receive},
};
use crate::{ApiError, ApiResult, App, extract::Named, problem::ProblemDetails};

/// Takes one message: `identify`, `track`, `page`, `screen`, `group` or `alias` (browsers shorten them to their first
/// letters). Answers when it is on disk.
#[utoipa::path(
    post,
    path = "/v1/{call}",
    operation_id = "track_call",
    params(("call" = String, Path, description = "`identify`, `track`, `page`, `screen`, `group` or `alias`")),
    request_body(
        content = Object,
        content_type = "application/json",
        example = json!({"userId": "C-1042", "messageId": "m-2", "traits": {"email": "ann@shop.example"}})
    ),
    responses(
        (status = 200, body = Success),
        (status = 400, body = PartlyRefused),
        (status = "default", body = ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    Named(call): Named<String>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    let shape = match call.as_str() {
        "import" | "b" => Shape::Batch,
        word => Shape::One(Call::parse(word).ok_or_else(|| {
            let problem = Problem::new("path.unknown", format!("there is no call `{word}`"))
                .field("call")
                .value(word)
                .suggest(word, Call::ALL.iter().map(|call| call.word()));
            ApiError::new(StatusCode::NOT_FOUND, problem)
        })?),
    };
    receive(&app, shape, &headers, body).await
}
