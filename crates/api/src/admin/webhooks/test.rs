//! `POST /api/v1/webhooks/{id}/test`: a call that says nothing.

use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::find;
use crate::{ApiResult, App, access::Editor, extract::Named, problem::ProblemDetails};

/// What was put into the queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct TestDelivery {
    /// Its number, in the list of deliveries.
    id: i64,
}

/// Puts an event of the kind `webhook.test` into the queue: what became of it stands in the list of deliveries.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/test", operation_id = "test_webhook", params(("id" = i64, Path)),
    responses((status = 202, body = TestDelivery), (status = 404, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Editor,
    Named(id): Named<i64>,
) -> ApiResult<(StatusCode, Json<TestDelivery>)> {
    find(&app, id).await?;
    let mut bytes = [0; 16];
    app.chance.fill(&mut bytes);
    let event = format!("test_{:032x}", u128::from_be_bytes(bytes));
    let kind = delivery::hooks::TEST_KIND.to_owned();
    let seq = app.store.add_test_delivery(id, event, kind, app.now()).await?;
    app.inbound.hook_bell.notify_one();
    Ok((StatusCode::ACCEPTED, Json(TestDelivery { id: seq })))
}
