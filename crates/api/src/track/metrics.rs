//! `POST /v1/m`: figures that Segment's browser library sends about itself.

use axum::Json;

use super::answer::Success;

/// Takes nothing of it, so that the library is content.
#[utoipa::path(post, path = "/v1/m", operation_id = "track_library_metrics", responses((status = 200, body = Success)))]
#[expect(clippy::extra_unused_type_parameters, reason = "all operations are generic over the storage")]
pub async fn handle<S>() -> Json<Success> {
    Json(Success { success: true })
}
