//! `GET /api/v1/orders`: orders, the last first.

use axum::{Json, extract::State};
use model::{Order, Timestamp};
use serde::Deserialize;
use storage::{Storage, orders::OrderQuery};
use utoipa::IntoParams;

use super::{OrderBody, bodies};
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::Asked,
    page::{Page, PageQuery},
    said::{self, At},
};

/// Which orders.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Of this contact: the shop's id, an email address, or `id:` and the contact's number.
    contact: Option<String>,
    /// At or after this instant.
    since: Option<At>,
    /// Before this instant.
    until: Option<At>,
}

/// Orders from the last to the first, cancelled ones too.
#[utoipa::path(
    get,
    path = "/api/v1/orders",
    operation_id = "listOrders",
    params(Which, PageQuery),
    responses((status = 200, body = Page<OrderBody>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Asked(which): Asked<Which>,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<OrderBody>>> {
    let (limit, below) = (page.limit()?, page.after::<(i64, i64)>()?);
    let contact = said::contact_asked_for(&app.store, which.contact.as_deref()).await?;
    let query = OrderQuery { contact, since: which.since.map(|at| at.0), until: which.until.map(|at| at.0) };
    let below = below.map(|(at, no)| (Timestamp(at), no));
    let orders = app.store.browse_orders(query, below, limit + 1).await?;
    let Page { items, next } = Page::cut(orders, limit, |order: &Order| (order.at.0, order.no.0));
    Ok(Json(Page { items: bodies(&app.store, items).await?, next }))
}
