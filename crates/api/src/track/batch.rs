//! `POST /v1/batch`: several messages.

use axum::{body::Body, extract::State, http::HeaderMap, response::Response};
use storage::Storage;

use super::{
    answer::{PartlyRefused, Success},
    receive::{Shape, receive},
};
use crate::{ApiResult, App, problem::ProblemDetails};

/// Takes messages of all kinds: `{"batch": [{"type": "track", "userId": "42", "event": "Product Viewed", …}, …]}`, as
/// Segment's libraries send them. Answers when they are on disk. `/v1/import` and `/v1/b` are the same.
#[utoipa::path(
    post,
    path = "/v1/batch",
    operation_id = "track_batch",
    request_body(
        content = Object,
        content_type = "application/json",
        example = json!({"batch": [{"type": "track", "userId": "C-1042", "event": "Product Viewed", "messageId": "m-1", "properties": {"product_id": "mug"}}]})
    ),
    responses(
        (status = 200, body = Success),
        (status = 400, body = PartlyRefused),
        (status = "default", body = ProblemDetails)
    )
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Response> {
    receive(&app, Shape::Batch, &headers, body).await
}
