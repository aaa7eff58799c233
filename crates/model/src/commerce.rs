//! Products, carts and orders, as in the shop.

use serde::{Deserialize, Serialize};

use crate::{Amount, CartNo, ContactId, Currency, OrderNo, ProductId, Timestamp};

/// A product of the catalogue (spec §2.3.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Dense number.
    pub id: ProductId,
    /// The shop's own id (SKU, stock code).
    pub external_id: String,
    /// Its name.
    pub name: String,
    /// Its page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Price of one; none when it was never seen with a positive price: such a product is never recommended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_price: Option<Amount>,
    /// Price before a discount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_price: Option<Amount>,
    /// Category paths, as in `/Kitchen/Mugs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Tags, which may be `key:value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Units left; none when the shop does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<i64>,
    /// Said to be out of stock.
    #[serde(default)]
    pub out_of_stock: bool,
    /// Never to be recommended.
    #[serde(default)]
    pub blacklisted: bool,
    /// No product but postage, a manual entry, bank charges: left out of carts' products, best sellers and relations.
    #[serde(default)]
    pub service: bool,
    /// Average rating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<Amount>,
    /// The shop's own weight for it.
    #[serde(default)]
    pub priority: i64,
    /// When it was put on sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<Timestamp>,
    /// Explicitly related products, by the shop's own ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<String>,
}

impl Product {
    /// Whether it may be recommended at all: a real product with a price, in stock, not blacklisted.
    #[must_use]
    pub fn is_recommendable(&self) -> bool {
        !self.blacklisted
            && !self.service
            && !self.out_of_stock
            && self.stock.is_none_or(|units| units > 0)
            && self.unit_price.is_some_and(|price| price > Amount::ZERO)
    }
}

/// An item of a cart or an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which product.
    pub product: ProductId,
    /// How many; negative in a refund.
    pub quantity: i64,
    /// Price of one as it was then.
    pub unit_price: Amount,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// It counts.
    #[default]
    Completed,
    /// Cancelled, or refunded in full: it does not count.
    Cancelled,
}

/// An order: immutable but for refunds, which reduce it as they arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Dense number.
    pub no: OrderNo,
    /// The shop's own id.
    pub external_id: String,
    /// Whose; none for an order without a known contact (kept for best sellers and relations).
    pub contact: Option<ContactId>,
    /// When.
    pub at: Timestamp,
    /// What was paid, refunds not taken off.
    pub total: Amount,
    /// What was paid back since.
    pub refunded: Amount,
    /// Currency.
    pub currency: Currency,
    /// Whether it counts.
    pub status: OrderStatus,
    /// The shop's id of the cart that it came from; the order's own id when none was given.
    pub cart_id: String,
    /// What was bought; may be empty when only the total is known.
    pub lines: Vec<Line>,
}

impl Order {
    /// What it comes to after refunds.
    #[must_use]
    pub fn net(&self) -> Amount {
        Amount(self.total.0 - self.refunded.0)
    }

    /// Whether it counts as a purchase.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.status == OrderStatus::Completed
    }
}

/// Where a cart stands (spec §2.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CartState {
    /// Neither bought nor abandoned.
    Active,
    /// Not touched for the inactivity time. An empty cart is never abandoned.
    Abandoned,
    /// An order came from it.
    Purchased,
}

/// A cart. A purchased one and its order share the cart id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cart {
    /// Dense number.
    pub no: CartNo,
    /// The shop's own id.
    pub external_id: String,
    /// Whose.
    pub contact: ContactId,
    /// Its last change.
    pub updated_at: Timestamp,
    /// What is in it comes to.
    pub total: Amount,
    /// Currency.
    pub currency: Currency,
    /// Whether an order came from it (abandoned or active is a matter of time: [`Cart::state`]).
    pub purchased: bool,
    /// Where to go on with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_url: Option<String>,
    /// What is in it.
    pub lines: Vec<Line>,
}

impl Cart {
    /// Inactivity after which a cart counts as abandoned unless a trigger says otherwise.
    pub const ABANDONED_AFTER_DEFAULT: i64 = 30 * Timestamp::MINUTE;

    /// Where it stands at `now`, abandoned after `after` microseconds without a change.
    #[must_use]
    pub fn state(&self, now: Timestamp, after: i64) -> CartState {
        if self.purchased {
            CartState::Purchased
        } else if !self.lines.is_empty() && now.since(self.updated_at) >= after {
            CartState::Abandoned
        } else {
            CartState::Active
        }
    }
}
