//! Learns relations between products from orders.

pub mod baskets;
mod dense;
mod ease;
mod pairs;
#[doc(hidden)]
pub mod lab;

pub use baskets::TrainingOrder;
