//! The vocabulary that every room shares: ids, time, amounts, fields, contacts, consent, products, carts, orders,
//! events, and problems with stable codes.
//!
//! Nothing here does I/O, reads a clock or throws dice: time is a [`Timestamp`] argument (or a [`Clock`] that the
//! shell hands in), chance is a [`Dice`] made from a seed.

pub mod commerce;
pub mod contact;
pub mod coupon;
pub mod dice;
pub mod doc;
pub mod event;
pub mod field;
pub mod id;
pub mod localized;
pub mod message;
pub mod money;
pub mod problem;
pub mod rfm;
pub mod text;
pub mod time;

pub use commerce::{Cart, CartState, Line, Order, OrderStatus, Product};
pub use contact::{AddressStatus, Consent, ConsentState, Contact, PushSubscription, Totals};
pub use coupon::{CouponKind, CouponSet};
pub use dice::Dice;
pub use event::Event;
pub use field::{FieldDef, FieldType, Value};
pub use id::{CartNo, ContactId, EventNo, OrderNo, ProductId, Slug};
pub use localized::{Lang, Localized};
pub use message::{Channel, MessageId};
pub use money::{Amount, Currency, Sum};
pub use problem::{Place, Problem, Problems, Severity};
pub use rfm::RfmPlacement;
pub use time::{Clock, Period, Timestamp, Zone};
