//! `GET /api/v1/webhooks/{id}/deliveries`: what was told, and what waits.

use axum::{Json, extract::State};
use model::{Problem, Timestamp, Zone};
use serde::Deserialize;
use storage::{
    Storage,
    hooks::{DeliveryFilter, DeliveryState},
};
use utoipa::IntoParams;

use super::{Delivery, find};
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::{Asked, Named},
    page::{Page, PageQuery},
    problem::ProblemDetails,
};

/// Which deliveries.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// `waiting`, `delivered` or `failed`.
    pub(super) state: Option<String>,
    /// Of events that happened since, RFC 3339.
    pub(super) since: Option<String>,
    /// Of events that happened before, RFC 3339.
    pub(super) until: Option<String>,
}

impl Which {
    pub(super) fn filter(&self) -> Result<DeliveryFilter, Problem> {
        let instant = |text: &Option<String>, field: &str| {
            let parsed = text.as_deref().map(|text| Timestamp::parse(text, &Zone::UTC));
            parsed.transpose().map_err(|problem| problem.field(field))
        };
        let state = match &self.state {
            None => None,
            Some(word) => Some(DeliveryState::parse(word).ok_or_else(|| {
                Problem::new("hooks.state", format!("no delivery is `{word}`"))
                    .field("state")
                    .value(word)
                    .suggest(word, DeliveryState::ALL.map(DeliveryState::word))
            })?),
        };
        let (since, until) = (instant(&self.since, "since")?, instant(&self.until, "until")?);
        Ok(DeliveryFilter { state, since, until, seq: None })
    }
}

/// Deliveries of a webhook, the oldest first. What is settled is kept for 30 days.
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", operation_id = "list_webhook_deliveries",
    params(("id" = i64, Path), Which, PageQuery),
    responses((status = 200, body = Page<Delivery>), (status = 404, body = ProblemDetails),
        (status = 422, body = ProblemDetails)))]
pub async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Named(id): Named<i64>,
    Asked(which): Asked<Which>,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<Delivery>>> {
    find(&app, id).await?;
    let (limit, after) = (page.limit()?, page.after::<i64>()?.unwrap_or_default());
    let found = app.store.list_deliveries(id, which.filter()?, after, limit + 1).await?;
    Ok(Json(Page::cut(found, limit, |one| one.seq).map(Delivery::from)))
}
