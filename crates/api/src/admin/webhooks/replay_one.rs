//! `POST /api/v1/webhooks/{id}/deliveries/{delivery}/replay`: tells one again.

use axum::{Json, extract::State};
use storage::{Storage, hooks::DeliveryFilter};

use super::{find, replay::Replayed};
use crate::{ApiError, ApiResult, App, access::Editor, extract::Named, problem::ProblemDetails};

/// Tells a settled delivery again, with the same id. One that waits anyway is left as it is (`replayed` is 0).
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/deliveries/{delivery}/replay",
    operation_id = "replay_webhook_delivery", params(("id" = i64, Path), ("delivery" = i64, Path)),
    responses((status = 200, body = Replayed), (status = 404, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Editor,
    Named((id, delivery)): Named<(i64, i64)>,
) -> ApiResult<Json<Replayed>> {
    find(&app, id).await?;
    let filter = DeliveryFilter { seq: Some(delivery), ..DeliveryFilter::default() };
    if app.store.list_deliveries(id, filter.clone(), 0, 1).await?.is_empty() {
        return Err(ApiError::not_found("delivery", delivery));
    }
    let replayed = app.store.replay_deliveries(id, filter, app.now()).await?;
    app.inbound.hook_bell.notify_one();
    Ok(Json(Replayed { replayed }))
}
