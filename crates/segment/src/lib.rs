//! The condition language: parse, type-check, evaluate, and *when could this flip next*.
//!
//! * [`Condition`]: a typed tree of `all`, `any`, `not` and leaves over a contact's fields, consents, RFM, lists,
//!   segments, carts, what it did, and data of earlier nodes. Parsed once against a [`Schema`].
//! * [`evaluate()`]: member or not at an instant, and the next instant at which time alone can change that.
//! * [`State`]: what must be kept of a contact's history so that the answer can be given without reading it again.
//! * [`ProductCondition`]: the same operators over a product's fields.
//! * [`Test`]: one comparison, for whoever has a value and an operator.
//!
//! The language is described in `docs/segments.md`, whose examples are parsed by a test.

pub mod activity;
pub mod carts;
pub mod condition;
pub mod dates;
pub mod evaluate;
pub mod file;
pub mod operator;
mod parse;
mod parse_activity;
mod parse_leaf;
pub mod product;
pub mod reference;
pub mod schema;
pub mod state;
pub mod test;
pub mod window;

pub use activity::{Activity, Entries, Entry, Filter, Measure, Products};
pub use carts::CartCondition;
pub use condition::{Condition, Leaf, Reads, Tree};
pub use evaluate::{Facts, Outcome, evaluate};
pub use file::SegmentFile;
pub use model::Problems;
pub use operator::{Kind, Operator};
pub use parse::{ANNIVERSARY_DAYS_MAX, LEAVES_MAX, VALUES_MAX, ValueType};
pub use product::{PRODUCT_FIELDS, ProductCondition, product_field};
pub use reference::{Data, NoData, Operand, RefPath};
pub use schema::{Known, Refs, Schema, Scope};
pub use state::{Observed, State};
pub use test::{Moment, Right, Test, Tests, compare};
pub use window::Window;
