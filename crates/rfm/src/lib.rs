//! RFM: recency, frequency and monetary scores of contacts, and the named groups that codes of three scores fall into.
//!
//! Pure: figures of contacts and an instant go in, cut points, scores and groups come out. The rule is
//! `score = 1 + number of cut points strictly below the value`, reversed for recency (fewer days are better); cut points
//! are quantiles of type 7 (Hyndman and Fan 1996: linear interpolation between the two values around rank
//! `(n − 1) · p`), or fixed values. All of it is exact: averages are fractions, a tie is a tie.

mod cuts;
mod definition;
mod ratio;
mod read;
mod score;
mod summary;

pub use cuts::{CutPoints, Figures};
pub use definition::{Cuts, Group, Measure, NO_GROUP, RfmModel};
pub use ratio::Ratio;
pub use score::{Code, Scorer, recency_days};
pub use summary::{GroupFigures, Tally};
