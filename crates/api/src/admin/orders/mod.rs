//! `/api/v1/orders`: what was bought. Orders come by tracking, by import and from shops; they are not made here.

mod get;
mod list;

use std::collections::HashMap;

use model::{ContactId, Line, Order, OrderStatus, Product, ProductId};
use serde::Serialize;
use storage::Storage;
use utoipa::ToSchema;

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
    operations!(Section::new("orders"), S; list, get)
}

/// A line of an order or a cart.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LineBody {
    /// The shop's own id of the product.
    pub product_id: String,
    /// Its name.
    pub name: String,
    /// How many; negative for what came back.
    pub quantity: i64,
    /// Price of one as it was then.
    pub unit_price: Money,
}

/// An order.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OrderBody {
    /// The shop's own id.
    pub order_id: String,
    /// The shop's id of the cart that it came from.
    pub cart_id: String,
    /// Whose; none when the shop did not say.
    pub contact: Option<ContactName>,
    /// When.
    pub at: At,
    /// `completed`, or `cancelled`: then it does not count.
    pub status: String,
    /// What was paid, refunds not taken off.
    pub total: Money,
    /// What was paid back since.
    pub refunded: Money,
    /// Currency.
    #[schema(examples("EUR"))]
    pub currency: String,
    /// What was bought.
    pub lines: Vec<LineBody>,
}

/// Names of the products of these lines: one query.
pub(super) async fn products<S: Storage>(
    store: &S,
    lines: impl Iterator<Item = &Line>,
) -> ApiResult<HashMap<ProductId, Product>> {
    let mut ids: Vec<ProductId> = lines.map(|line| line.product).collect();
    ids.sort_unstable();
    ids.dedup();
    let products = store.load_these_products(ids).await?;
    Ok(products.into_iter().map(|product| (product.id, product)).collect())
}

pub(super) fn lines(lines: &[Line], products: &HashMap<ProductId, Product>) -> Vec<LineBody> {
    lines
        .iter()
        .map(|line| {
            let product = products.get(&line.product);
            LineBody {
                product_id: product.map(|product| product.external_id.clone()).unwrap_or_default(),
                name: product.map(|product| product.name.clone()).unwrap_or_default(),
                quantity: line.quantity,
                unit_price: line.unit_price.into(),
            }
        })
        .collect()
}

/// Orders as they are told: two queries for all of them.
async fn bodies<S: Storage>(store: &S, orders: Vec<Order>) -> ApiResult<Vec<OrderBody>> {
    let known = products(store, orders.iter().flat_map(|order| &order.lines)).await?;
    let contacts: Vec<ContactId> = orders.iter().filter_map(|order| order.contact).collect();
    let names = said::names(store, contacts).await?;
    let body = |order: Order| OrderBody {
        contact: order.contact.and_then(|contact| names.get(&contact).cloned()),
        lines: lines(&order.lines, &known),
        order_id: order.external_id,
        cart_id: order.cart_id,
        at: order.at.into(),
        status: match order.status {
            OrderStatus::Completed => "completed",
            OrderStatus::Cancelled => "cancelled",
        }
        .to_owned(),
        total: order.total.into(),
        refunded: order.refunded.into(),
        currency: order.currency.to_string(),
    };
    Ok(orders.into_iter().map(body).collect())
}
