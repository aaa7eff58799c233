//! `/api/v1/carts`: carts that were not bought. One that was is its order.

mod get;
mod list;

use model::{Cart, CartState, Timestamp};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

use super::orders::{LineBody, lines, products};
use crate::{
    ApiResult,
    amount::Money,
    operations,
    said::{self, At, ContactName},
    section::Section,
};

/// Its operations.
#[must_use]
pub fn section<S: Storage>() -> Section<S> {
    operations!(Section::new("carts"), S; list, get)
}

/// A cart.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CartBody {
    /// The shop's own id.
    pub cart_id: String,
    /// Whose.
    pub contact: Option<ContactName>,
    /// Its last change.
    pub updated_at: At,
    /// `active`, or `abandoned` after half an hour without a change. An empty cart is never abandoned.
    pub state: String,
    /// What is in it comes to.
    pub total: Money,
    /// Currency.
    #[schema(examples("EUR"))]
    pub currency: String,
    /// Where to go on with it.
    pub recovery_url: Option<String>,
    /// What is in it.
    pub lines: Vec<LineBody>,
}

async fn bodies<S: Storage>(store: &S, carts: Vec<Cart>, now: Timestamp) -> ApiResult<Vec<CartBody>> {
    let known = products(store, carts.iter().flat_map(|cart| &cart.lines)).await?;
    let names = said::names(store, carts.iter().map(|cart| cart.contact)).await?;
    let body = |cart: Cart| CartBody {
        contact: names.get(&cart.contact).cloned(),
        state: match cart.state(now, Cart::ABANDONED_AFTER_DEFAULT) {
            CartState::Active => "active",
            CartState::Abandoned => "abandoned",
            CartState::Purchased => "purchased",
        }
        .to_owned(),
        lines: lines(&cart.lines, &known),
        cart_id: cart.external_id,
        updated_at: cart.updated_at.into(),
        total: cart.total.into(),
        currency: cart.currency.to_string(),
        recovery_url: cart.recovery_url,
    };
    Ok(carts.into_iter().map(body).collect())
}
