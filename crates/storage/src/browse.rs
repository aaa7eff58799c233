//! Pages of everything, for looking at: contacts, orders, carts, products, messages.

/// Pages of everything, for looking at: contacts, orders, carts, products, messages.
pub trait BrowseStore {}
