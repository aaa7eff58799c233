//! What comes back: bounces, complaints, addresses that failed for a while.

/// What comes back: bounces, complaints, addresses that failed for a while.
pub trait PostStore {}
