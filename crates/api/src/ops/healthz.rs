//! `GET /healthz`: the process lives.

/// Answers `ok` as long as the process takes requests. It asks nobody else.
#[utoipa::path(get, path = "/healthz", operation_id = "healthz", responses((status = 200, body = String)))]
#[expect(
    clippy::extra_unused_type_parameters,
    reason = "`operations!` calls every operation with the storage"
)]
pub async fn handle<S>() -> &'static str {
    "ok"
}
