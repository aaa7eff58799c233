//! `GET /api/v1/carts`: carts that were not bought.

use axum::{Json, extract::State};
use model::{Cart, ContactId};
use serde::Deserialize;
use storage::Storage;
use utoipa::IntoParams;

use super::{CartBody, bodies};
use crate::{
    ApiResult, App,
    access::Viewer,
    extract::Asked,
    page::{Page, PageQuery},
    said,
};

/// Which carts.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Of this contact: the shop's id, an email address, or `id:` and the contact's number.
    contact: Option<String>,
}

/// Carts that were not bought, contact by contact.
#[utoipa::path(
    get,
    path = "/api/v1/carts",
    operation_id = "listCarts",
    params(Which, PageQuery),
    responses((status = 200, body = Page<CartBody>))
)]
pub(crate) async fn handle<S: Storage>(
    State(app): State<App<S>>,
    _: Viewer,
    Asked(which): Asked<Which>,
    Asked(page): Asked<PageQuery>,
) -> ApiResult<Json<Page<CartBody>>> {
    let (limit, after) = (page.limit()?, page.after::<(i64, i64)>()?.unwrap_or((0, 0)));
    let carts = match said::contact_asked_for(&app.store, which.contact.as_deref()).await? {
        // One contact's carts are few.
        Some(contact) => {
            let mut carts = app.store.load_open_carts(vec![contact]).await?;
            carts.sort_by_key(|cart| cart.no);
            carts.into_iter().filter(|cart| (cart.contact.0, cart.no.0) > after).take(limit + 1).collect()
        }
        None => app.store.browse_carts((ContactId(after.0), after.1), limit + 1).await?,
    };
    let Page { items, next } = Page::cut(carts, limit, |cart: &Cart| (cart.contact.0, cart.no.0));
    Ok(Json(Page { items: bodies(&app.store, items, app.now()).await?, next }))
}
