//! The living engine: takes inputs, alarms and waves in batches, advances the contacts that they touch, and commits what
//! was decided — with what was done — in one transaction.
//!
//! * [`Ground`]: everything that batches share until a rule changes: journeys at work ([`Book`]), segments, the shelf.
//! * [`book`]: journeys at work, each version compiled as it was published; their lives.
//! * [`conditions`]: whether conditions hold of contacts now, for a batch.
//! * [`nightly`]: what is done over the whole base: scores, segments built anew, once a day.
//! * [`products`]: whom a price that drops, a product that is back or nearly gone concerns.
//! * [`trials`]: A/B tests, counted and decided.
//! * [`watch`]: segments and RFM kept true as things happen.

pub(crate) mod actor;
pub mod book;
pub mod conditions;
pub mod coupons;
pub(crate) mod enter;
pub mod lives;
pub(crate) mod load;
mod mended;
pub mod nightly;
pub mod outcomes;
pub mod products;
pub mod schedules;
pub mod step;
pub mod timers;
pub mod trials;
pub mod watch;
pub mod work;

use std::sync::Arc;

use journey::FrozenProducts;
use model::{Value, Zone};
use recommend::Catalogue;

pub use book::{Book, LiveJourney};

use crate::segments;

/// Kind of the event by which a resumed journey lets those go on that its pause held; nobody outside of the engine sees it.
pub const RESUMED: &str = "relance: resumed";

/// The catalogue as of a moment, with its products as messages hold them.
#[derive(Debug)]
pub struct Shelf {
    /// The catalogue.
    pub catalogue: Arc<Catalogue>,
    /// Its products as messages hold them.
    pub frozen: FrozenProducts,
}

/// What all batches share until a rule changes.
#[derive(Clone)]
pub struct Ground {
    /// Journeys at work.
    pub book: Arc<Book>,
    /// Segments and what conditions may speak of.
    pub workspace: Arc<segments::Workspace>,
    /// The catalogue.
    pub shelf: Arc<Shelf>,
    /// Values of custom fields for contacts that were given none.
    pub defaults: Arc<Vec<(String, Value)>>,
    /// Caps, quiet hours, limits.
    pub sending: Arc<policy::SendingRules>,
    /// The zone in which days begin.
    pub zone: Zone,
}
