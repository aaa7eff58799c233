//! Orders and carts. An order is a purchased cart: there is no second row for it.

use std::future::Future;

use model::{Cart, ContactId, Order, Timestamp};

use crate::Result;

/// Which cart of a contact is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CartChoice {
    /// The last one changed or bought, whatever its state.
    Any,
    /// The last one neither bought nor abandoned.
    Active,
    /// The last one abandoned.
    Abandoned,
    /// The last one bought: the last order that counts and has lines.
    Purchased,
}

/// Which orders of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderQuery {
    /// Of this contact.
    pub contact: Option<ContactId>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Orders and carts.
pub trait OrderStore {
    /// Orders from the last to the first, below a place (instant and number of the last order of the page before), at most
    /// `limit`; cancelled ones too.
    fn browse_orders(
        &self,
        query: OrderQuery,
        below: Option<(Timestamp, i64)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Order>>> + Send;
    /// The order with this id of the shop's.
    fn find_order(&self, external_id: String) -> impl Future<Output = Result<Option<Order>>> + Send;
    /// Carts that were not bought, by contact, then by number, behind a place, at most `limit`.
    fn browse_carts(
        &self,
        after: (ContactId, i64),
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Cart>>> + Send;
    /// The cart with this id of the shop's, unless it was bought.
    fn find_cart(&self, external_id: String) -> impl Future<Output = Result<Option<Cart>>> + Send;
    /// The orders of these contacts with `since <= at < until`, by contact in the order of the ids, then by time;
    /// cancelled ones too.
    fn load_orders(
        &self,
        contacts: Vec<ContactId>,
        since: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Vec<Order>>> + Send;
    /// The last cart of each contact in the state asked for, as of `now`; contacts without one are left out.
    fn load_last_carts(
        &self,
        contacts: Vec<ContactId>,
        choice: CartChoice,
        now: Timestamp,
        abandoned_after: i64,
    ) -> impl Future<Output = Result<Vec<Cart>>> + Send;
    /// Calls `visit` with chunks of all orders with `since <= at < until` in no particular order, those without a
    /// contact and cancelled ones too, from a thread of the backend; stops early when it answers false.
    fn scan_orders(
        &self,
        since: Timestamp,
        until: Timestamp,
        visit: impl FnMut(&[Order]) -> bool + Send + 'static,
    ) -> impl Future<Output = Result<()>> + Send;
    /// The instant of the last order, if there is one.
    fn last_order_at(&self) -> impl Future<Output = Result<Option<Timestamp>>> + Send;
}
