//! What is known of one contact when products are chosen for it.

use model::{ProductId, Timestamp};

/// A product and when the contact had to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which product.
    pub product: ProductId,
    /// When.
    pub at: Timestamp,
}

/// What the contact did, as far as the step's [`crate::Needs`] ask for it; what they do not ask for may be left empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactFacts {
    /// One entry per product and order that counts, in any order.
    pub bought: Vec<Seen>,
    /// One entry per visit of a product's page, in any order.
    pub visited: Vec<Seen>,
    /// Products of carts that were not bought, with the cart's last change, in any order.
    pub added_not_bought: Vec<Seen>,
}

impl ContactFacts {
    /// With the purchases of these orders: those that count, positive quantities only.
    #[must_use]
    pub fn from_orders<'a>(orders: impl IntoIterator<Item = &'a model::Order>) -> Self {
        let mut facts = Self::default();
        for order in orders.into_iter().filter(|order| order.counts()) {
            for line in order.lines.iter().filter(|line| line.quantity > 0) {
                let seen = Seen { product: line.product, at: order.at };
                if !facts.bought.iter().rev().take(order.lines.len()).any(|other| *other == seen) {
                    facts.bought.push(seen);
                }
            }
        }
        facts
    }

    /// Takes in a cart that was not bought.
    pub fn add_cart(&mut self, cart: &model::Cart) {
        if !cart.purchased {
            self.added_not_bought
                .extend(cart.lines.iter().map(|line| Seen { product: line.product, at: cart.updated_at }));
        }
    }

    /// Whether the contact bought the product at `since` or later.
    #[must_use]
    pub fn bought_since(&self, product: ProductId, since: Timestamp) -> bool {
        self.bought.iter().any(|seen| seen.product == product && seen.at >= since)
    }
}

/// The latest time per product, the latest first (equal times: the smaller product number first); only times in
/// `since <= at < until`.
#[must_use]
pub fn latest_first(seen: &[Seen], since: Timestamp, until: Timestamp) -> Vec<ProductId> {
    let mut latest: Vec<Seen> =
        seen.iter().filter(|one| one.at >= since && one.at < until).copied().collect();
    latest.sort_unstable_by_key(|one| (std::cmp::Reverse(one.at), one.product));
    let mut products: Vec<ProductId> = Vec::with_capacity(latest.len().min(64));
    for one in latest {
        if !products.contains(&one.product) {
            products.push(one.product);
        }
    }
    products
}
