//! Which products to show to whom: the *Get products* step (spec §2.6), the catalogue that it reads, and relations
//! between products learned from orders.
//!
//! Pure: a [`Catalogue`] is an immutable snapshot, [`select()`] is a function of it, of the contact's facts and of the
//! data of the run; [`train`] is a function of orders. Training uses several threads, the answer does not depend on
//! how many.

pub mod case;
pub mod catalogue;
pub mod conditions;
pub mod facts;
pub mod rank;
pub mod relations;
pub mod select;
pub mod step;
pub mod train;

pub use case::{Case, Order};
pub use catalogue::{Catalogue, Figures, MIN_STOCK_DEFAULT, MIN_STOCK_MAX};
pub use facts::{ContactFacts, Seen};
pub use rank::{Metric, RankingKey};
pub use relations::Relations;
pub use select::select;
pub use step::{GetProducts, Needs, Origin, Pick, RefUse, Related};
pub use train::{Params, Settings, Trained, TrainingOrder, train_with};
