//! The outbox: messages decided, claimed, and their outcomes.

/// See the module.
pub trait OutboxStore {}
