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

/// Orders and carts.
pub trait OrderStore {
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
