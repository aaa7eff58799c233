//! Webhooks to others: who wants to hear what, and what was told.

/// Webhooks to others: who wants to hear what, and what was told.
pub trait HookStore {}
