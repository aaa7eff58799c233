//! Segments and their members.

/// See the module.
pub trait SegmentStore {}
