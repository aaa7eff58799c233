//! `GET /api/v1/refused`: what tracking refused.

use axum::{Json, extract::State};
use model::Timestamp;
use serde::Serialize;
use storage::{Storage, refused::Refused};
use utoipa::ToSchema;

use crate::{
    ApiResult, App,
    access::Viewer,
    extract::Asked,
    page::{Page, PageQuery},
    problem::{ProblemBody, ProblemDetails},
};

/// A message that was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RefusedItem {
    /// Its number.
    pub id: i64,
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// The id of the key that it came with.
    pub key: String,
    /// What the path said that it is, as in `track`; none in a batch.
    pub call: Option<String>,
    /// Why.
    pub problem: ProblemBody,
    /// The message as it came.
    #[schema(value_type = Object)]
    pub message: serde_json::Value,
}

impl From<Refused> for RefusedItem {
    fn from(Refused { no, message }: Refused) -> Self {
        Self {
            id: no,
            received_at: message.received_at,
            key: message.key,
            call: message.call,
            problem: (&message.problem).into(),
            // What is no JSON is shown as the text that it is.
            message: serde_json::from_str(&message.body).unwrap_or(serde_json::Value::String(message.body)),
        }
    }
}

/// The latest first.
#[utoipa::path(
    get,
    path = "/api/v1/refused",
    operation_id = "list_refused",
    params(PageQuery),
    responses((status = 200, body = Page<RefusedItem>), (status = "default", body = ProblemDetails))
)]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<RefusedItem>>> {
    let limit = page.limit()?;
    let refused = app.store.list_refused(page.after()?, limit + 1).await?;
    Ok(Json(Page::cut(refused, limit, |refused| refused.no).map(RefusedItem::from)))
}
